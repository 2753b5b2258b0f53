//! The options of `init`: each is the answer to one question.

use crate::base::command_line::CliError;

/// What the options say.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) port: Option<String>,
    pub(super) devices: Vec<Given>,
    pub(super) line: Option<String>,
    pub(super) gateway: Option<String>,
    pub(super) broker: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) home_assistant: Option<String>,
    pub(super) output: Option<String>,
    pub(super) no_test: bool,
    pub(super) force: bool,
    pub(super) yes: bool,
}

/// What the options say of one device.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) model: Option<String>,
    pub(super) address: Option<String>,
    pub(super) name: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) auth_key_file: Option<String>,
}

impl Answers {
    /// `None` if it is help that is wanted.
    pub(super) fn read(mut parser: lexopt::Parser) -> Result<Option<Answers>, CliError> {
        use lexopt::prelude::*;
        let mut answers = Answers::default();
        while let Some(argument) = parser.next()? {
            let answer = match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("no-test") => {
                    answers.no_test = true;
                    continue;
                }
                Short('f') | Long("force") => {
                    answers.force = true;
                    continue;
                }
                Short('y') | Long("yes") => {
                    answers.yes = true;
                    continue;
                }
                Short('m') | Long("model") => {
                    answers.devices.push(Given::default());
                    answers.of_device("--model")?.model.insert(String::new())
                }
                Short('a') | Long("address") => {
                    answers.of_device("--address")?.address.insert(String::new())
                }
                Short('n') | Long("name") => {
                    answers.of_device("--name")?.name.insert(String::new())
                }
                Long("key-file") => answers.of_device("--key-file")?.key_file.insert(String::new()),
                Long("auth-key-file") => {
                    answers.of_device("--auth-key-file")?.auth_key_file.insert(String::new())
                }
                Short('p') | Long("port") => answers.port.insert(String::new()),
                Long("line") => answers.line.insert(String::new()),
                Long("gateway") => answers.gateway.insert(String::new()),
                Short('b') | Long("broker") => answers.broker.insert(String::new()),
                Short('u') | Long("user") => answers.user.insert(String::new()),
                Long("password-file") => answers.password_file.insert(String::new()),
                Long("home-assistant") => answers.home_assistant.insert(String::new()),
                Short('o') | Long("output") => answers.output.insert(String::new()),
                other => return Err(other.unexpected().into()),
            };
            *answer = parser.value()?.string()?;
        }
        Ok(Some(answers))
    }

    fn of_device(&mut self, option: &str) -> Result<&mut Given, CliError> {
        let missing = || CliError::Usage(format!("{option} belongs behind its --model"));
        self.devices.last_mut().ok_or_else(missing)
    }

    pub(super) fn asks_nothing(&self) -> bool {
        self.yes
    }
}

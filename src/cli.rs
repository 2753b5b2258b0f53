//! The command line: one file per command.

mod check;
mod decode;
#[cfg(feature = "demo")]
mod demo;
mod golden;
mod ports;
mod run;

use crate::base::command_line::{CliError, VERSION, print};
use crate::base::plain::plain_lines;
use crate::config::hint::distance;
use crate::control::commands as control;
#[cfg(feature = "shell")]
use crate::shell;
use std::ffi::OsString;
use std::process::ExitCode;

/// The commands that people type.
const COMMANDS: [&str; 15] = [
    "run",
    "check",
    "decode",
    "ports",
    "status",
    "reload",
    "reconnect",
    "rescan",
    "send",
    "monitor",
    "log",
    "pub",
    "sub",
    "test",
    "demo",
];

const HELP: &str = "\
tty2mqtt reads serial devices and publishes what they say to an MQTT broker.

Usage: tty2mqtt COMMAND [OPTIONS]

Commands:
  run      the gateway itself                  tty2mqtt run --config my.yaml
  check    is a configuration file right?      tty2mqtt check my.yaml
  decode   what becomes of captured bytes?     tty2mqtt decode --port meter < capture
  status   how is the running gateway?         tty2mqtt status --watch
  monitor  what happens on a port right now?   tty2mqtt monitor meter
  send     write a command to a port           tty2mqtt send door relay on
  reload, reconnect, rescan, log: tell it      tty2mqtt reload
  ports    which serial ports are there?       tty2mqtt ports
  demo     see it work without any hardware    tty2mqtt demo
  pub      publish messages                    tty2mqtt pub -h broker -t door/bell -m ring
  sub      print messages                      tty2mqtt sub -h broker -v -t 'door/#'
  test     is a broker there, and how is it?   tty2mqtt test --self-check broker

`tty2mqtt COMMAND --help` says more. `tty2mqtt --version` prints the version.
Exit codes: 0 all is well, 1 something failed, 2 wrong usage or configuration; pub, sub and
test have more.
";

/// Runs the command that the arguments (the program's name among them) ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_iter(arguments);
    let command = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return print(HELP),
        Some(Short('V') | Long("version")) => return print(VERSION),
        Some(Value(word)) => word.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "run" => run::main(parser),
        "check" => check::main(parser),
        "decode" => decode::main(parser),
        "ports" => ports::main(parser),
        "status" => control::status(parser),
        "reload" => control::reload(parser),
        "reconnect" => control::reconnect(parser),
        "rescan" => control::rescan(parser),
        "send" => control::send(parser),
        "monitor" => control::monitor(parser),
        "log" => control::log(parser),
        #[cfg(feature = "shell")]
        "pub" => shell::publish(parser),
        #[cfg(feature = "shell")]
        "sub" => shell::subscribe(parser),
        #[cfg(feature = "shell")]
        "test" => shell::test(parser),
        #[cfg(not(feature = "shell"))]
        "pub" | "sub" | "test" => Err(CliError::Usage(
            "this build has no pub, sub and test; install the package tty2mqtt, not tty2mqtt-mini"
                .into(),
        )),
        "rpcd" => control::rpcd(parser),
        "golden" => golden::main(parser),
        #[cfg(feature = "demo")]
        "demo" => demo::main(parser),
        #[cfg(not(feature = "demo"))]
        "demo" => Err(CliError::Usage("this build has no demo (feature `demo`)".into())),
        "help" => match parser.next()? {
            Some(Value(word)) if word != "help" => main(["tty2mqtt".into(), word, "--help".into()]),
            _ => print(HELP),
        },
        other => {
            let nearest = COMMANDS.iter().map(|known| (distance(other, known), known)).min();
            let nearest = nearest.filter(|(distance, _)| *distance <= 2);
            let hint =
                nearest.map(|(_, known)| format!(" did you mean {known}?")).unwrap_or_default();
            Err(CliError::Usage(format!("unknown command {other:?};{hint} see tty2mqtt --help")))
        }
    }
}

/// As [`main`], with the arguments of this process; an error is printed.
pub(crate) fn run_process() -> ExitCode {
    match main(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tty2mqtt: {}", plain_lines(error.to_string().as_bytes()));
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(words: &[&str]) -> String {
        let words = ["tty2mqtt"].iter().chain(words).map(OsString::from);
        main(words).unwrap_err().to_string()
    }

    #[test]
    fn a_command_that_is_none_is_answered_by_the_nearest() {
        assert_eq!(
            error(&["chekc"]),
            "unknown command \"chekc\"; did you mean check? see tty2mqtt --help"
        );
        assert_eq!(error(&["frobnicate"]), "unknown command \"frobnicate\"; see tty2mqtt --help");
        assert!(error(&["help", "chekc"]).contains("did you mean check?"));
        for command in COMMANDS {
            assert!(HELP.contains(command), "{command}");
        }
    }
}

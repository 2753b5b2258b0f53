//! The questions of `init`: each is answered by its option, by a person, or by what is proposed.

use super::answers::Answers;
use super::devices::Chosen;
use super::terminal::Terminal;
use super::{Stop, Written, is_of_package};
use crate::base::command_line::{CliError, write};
use crate::base::line::Line;
use crate::base::plain::plain_lines;
use crate::base::scalar::Name;
use crate::config::file::{self, DEFAULT_CONFIG, Existing};
use crate::config::first::First;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A question, the option that answers it, and what is proposed.
pub(super) struct Question<'a> {
    pub(super) option: &'static str,
    pub(super) words: &'a str,
    pub(super) proposal: Option<&'a str>,
}

pub(super) type Right<'a> = &'a dyn Fn(&str) -> Result<(), String>;

pub(super) struct Questions {
    pub(super) given: Answers,
    /// The person who is asked; `None` if there is none.
    pub(super) terminal: Option<Terminal>,
    /// Options that are missing, and what is proposed for each.
    pub(super) missing: Vec<(&'static str, Option<String>)>,
    /// The path or address of the port.
    pub(super) port: Option<String>,
}

impl Questions {
    pub(super) fn new(given: Answers, terminal: Option<Terminal>) -> Questions {
        Questions { given, terminal, missing: Vec::new(), port: None }
    }

    /// All of them.
    pub(super) fn ask(&mut self) -> Result<Written, Stop> {
        let output = self.output()?;
        let folder = file::folder_of(output.as_deref().unwrap_or(Path::new(""))).to_owned();
        let port = self.port()?;
        let devices = self.devices(&folder)?;
        let line = match &port {
            Some((place, _)) => self.line(place, &devices)?,
            None => None,
        };
        let host = Name::of_host();
        let gateway = self.answer(
            &Question {
                option: "--gateway",
                words: "Name of this gateway, the first level of all topics",
                proposal: Some(host.as_str()),
            },
            self.given.gateway.clone(),
            &|text| text.parse::<Name>().map(drop).map_err(|e| e.to_string()),
        )?;
        let broker = self.broker(gateway.as_deref(), output.as_deref())?;
        let home_assistant = self.home_assistant()?;
        let (Some(output), Some((port, about)), Some(gateway), Some(broker), Some(home_assistant)) =
            (output, port, gateway, broker, home_assistant)
        else {
            return Err(self.incomplete().into());
        };
        if !self.missing.is_empty() {
            return Err(self.incomplete().into());
        }
        let existing = if self.given.force { Existing::Replace } else { Existing::Keep };
        let first = First {
            gateway: parsed(&gateway)?,
            url: broker.url,
            user: broker.user,
            password_file: broker.password_file,
            home_assistant,
            port,
            about,
            line: line.as_deref().map(parsed).transpose()?,
            devices: devices.into_iter().map(|chosen| chosen.device).collect(),
        };
        Ok(Written { first, password: broker.password, output, existing })
    }

    /// Shows what is to be written; without a terminal nobody says no.
    pub(super) fn confirmed(&mut self, text: &str, output: &Path) -> Result<bool, Stop> {
        let Some(terminal) = &mut self.terminal else { return Ok(true) };
        write(&format!("\n{}\n", plain_lines(text.as_bytes())))?;
        terminal.yes(&format!("Write this to {}?", output.display()), true)
    }

    fn incomplete(&self) -> CliError {
        let options: Vec<_> = self.missing.iter().map(|(option, _)| *option).collect();
        let mut text =
            format!("this is no terminal, and these options are missing: {}", options.join(", "));
        let proposed = self.missing.iter().filter_map(|(option, proposal)| {
            let proposal = proposal.as_deref()?;
            Some(format!("{option} {}", if proposal.is_empty() { "(none)" } else { proposal }))
        });
        let proposed: Vec<_> = proposed.collect();
        if !self.given.yes && !proposed.is_empty() {
            let _ = write!(text, "; --yes would take {}", proposed.join(", "));
        }
        CliError::Usage(text)
    }

    /// The answer to one question. `given`: what its option says. `None`: it is missing.
    pub(super) fn answer(
        &mut self,
        question: &Question<'_>,
        given: Option<String>,
        right: Right<'_>,
    ) -> Result<Option<String>, Stop> {
        let Question { option, words, proposal } = *question;
        if let Some(given) = given {
            right(&given).map_err(|why| CliError::Usage(format!("{option}: {why}")))?;
            return Ok(Some(given));
        }
        if let Some(terminal) = &mut self.terminal {
            let shown = proposal.filter(|proposal| !proposal.is_empty());
            let shown = shown.map(|proposal| format!(" [{proposal}]")).unwrap_or_default();
            loop {
                let mut answer = terminal.line(&format!("{words}{shown}: "))?;
                if let (true, Some(proposal)) = (answer.is_empty(), proposal) {
                    answer = proposal.to_owned();
                }
                match right(&answer) {
                    Ok(()) => return Ok(Some(answer)),
                    Err(why) => write(&format!("  {}\n", plain_lines(why.as_bytes())))?,
                };
            }
        }
        match proposal {
            Some(proposal) if self.given.yes => {
                right(proposal).map_err(|why| CliError::Usage(format!("{option}: {why}")))?;
                Ok(Some(proposal.to_owned()))
            }
            _ => {
                self.missing.push((option, proposal.map(str::to_owned)));
                Ok(None)
            }
        }
    }

    pub(super) fn say(&self, text: &str) -> Result<(), Stop> {
        if self.terminal.is_some() {
            write(&plain_lines(text.as_bytes()))?;
        }
        Ok(())
    }

    fn output(&mut self) -> Result<Option<PathBuf>, Stop> {
        let force = self.given.force;
        let default = Path::new(DEFAULT_CONFIG);
        let proposal = if is_writable(default) { DEFAULT_CONFIG } else { "tty2mqtt.yaml" };
        let question = Question {
            option: "--output",
            words: "File for the configuration",
            proposal: Some(proposal),
        };
        let output = self.answer(&question, self.given.output.clone(), &|text| {
            let path = Path::new(text);
            match std::fs::symlink_metadata(path) {
                _ if text.is_empty() => Err("it needs a name".into()),
                Ok(meta) if meta.is_dir() => Err(format!("{text} is a folder")),
                Ok(_) if !force && !is_of_package(path) => {
                    Err(format!("{text} is there already; --force writes over it"))
                }
                _ => Ok(()),
            }
        })?;
        let output = output.map(PathBuf::from);
        // What a package brings is nobody's configuration yet.
        if output.as_deref().is_some_and(is_of_package) {
            self.given.force = true;
        }
        Ok(output)
    }

    /// Speed and format, where they must be said.
    fn line(&mut self, place: &str, devices: &[Chosen]) -> Result<Option<String>, Stop> {
        let mut lines: Vec<&str> = devices.iter().filter_map(|one| one.line.as_deref()).collect();
        lines.dedup();
        let is_remote = place.starts_with("tcp:");
        let is_open = devices.iter().any(|one| one.line.is_none()) || lines.len() > 1;
        let is_told = !is_open || (is_remote && lines.len() < 2);
        if self.given.line.is_none() && is_told {
            return Ok(None);
        }
        let default = Line::DEFAULT.to_string();
        let question = Question {
            option: "--line",
            words: "Speed and format of the line",
            proposal: Some(lines.first().copied().unwrap_or(&default)),
        };
        self.answer(&question, self.given.line.clone(), &|text| {
            text.parse::<Line>().map(drop).map_err(|e| e.to_string())
        })
    }

    fn home_assistant(&mut self) -> Result<Option<bool>, Stop> {
        let question = Question {
            option: "--home-assistant",
            words: "Is there a Home Assistant at this broker, which shall find the devices? yes or no",
            proposal: Some("no"),
        };
        let answer = self.answer(&question, self.given.home_assistant.clone(), &|text| {
            yes_or_no(text).map(drop).ok_or_else(|| "yes or no".into())
        })?;
        Ok(answer.and_then(|text| yes_or_no(&text)))
    }
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "y" | "true" => Some(true),
        "no" | "n" | "false" => Some(false),
        _ => None,
    }
}

/// Paths in a configuration start at its own folder, those of answers at the user's.
pub(super) fn absolute(path: &str) -> Result<PathBuf, Stop> {
    let failed = |source| CliError::Io { what: path.to_owned(), source };
    Ok(std::path::absolute(path).map_err(failed)?)
}

/// An answer that was found right before.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
) -> Result<T, CliError> {
    text.parse().map_err(|error| CliError::Usage(format!("{text}: {error}")))
}

/// Whether this user may make the file.
fn is_writable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    let mut folder = file::folder_of(path);
    while !folder.exists() {
        folder = file::folder_of(folder);
    }
    access(folder, Access::WRITE_OK).is_ok()
}

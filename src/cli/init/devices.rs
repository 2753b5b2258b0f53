//! Which devices are on the port: models of the library, or one that its user describes.

use super::Stop;
use super::answers::Given;
use super::questions::{Question, Questions, absolute, parsed};
use crate::base::command_line::{CliError, write};
use crate::base::plain::plain_lines;
use crate::base::scalar::Name;
use crate::config::first::{Address, FirstDevice, Model, Wants};
use crate::config::library::{self, Entry, Library, Search};
use crate::mqtt::files;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A device that was chosen, and the line that its model says.
pub(super) struct Chosen {
    pub(super) device: FirstDevice,
    pub(super) line: Option<String>,
}

impl Questions {
    pub(super) fn devices(&mut self, folder: &Path) -> Result<Vec<Chosen>, Stop> {
        let library = Library::beside(folder);
        let mut all: Vec<Chosen> = Vec::new();
        let given = std::mem::take(&mut self.given.devices);
        let mut given = given.into_iter();
        let are_given = given.len() > 0;
        loop {
            let next = given.next();
            if next.is_none() && !all.is_empty() {
                let Some(terminal) = self.terminal.as_mut().filter(|_| !are_given) else { break };
                let shares = all.iter().all(|one| one.device.address.is_some());
                if !shares || !terminal.yes("Another device on the same bus?", false)? {
                    break;
                }
            }
            let Some(chosen) = self.device(&library, folder, next.unwrap_or_default(), &all)?
            else {
                break;
            };
            all.push(chosen);
        }
        Ok(all)
    }

    fn device(
        &mut self,
        library: &Library,
        folder: &Path,
        given: Given,
        others: &[Chosen],
    ) -> Result<Option<Chosen>, Stop> {
        let Some(model) = self.model(library, given.model, !others.is_empty())? else {
            return Ok(None);
        };
        let (model, wants) = match model {
            None => (None, Wants { address: Address::Never, key: false, line: None }),
            Some(model) => {
                let wants = Wants::of(folder, &model);
                let library::Model { name, head, .. } = model;
                self.say(&wrapped(&head.about))?;
                let title = format!("{} {}", head.make, head.title);
                (Some(Model { name, title, wiring: head.wiring }), wants)
            }
        };
        let address = match wants.address {
            Address::Never if !others.is_empty() => {
                let what =
                    model.map_or_else(|| "a device without a model".into(), |model| model.name);
                let text = format!("{what} has no address: it needs a port of its own");
                return Err(CliError::Usage(text).into());
            }
            Address::Never if given.address.is_none() => None,
            Address::May if given.address.is_none() && others.is_empty() => {
                let words = "Its address on the bus (empty: it has none)";
                let question = Question { option: "--address", words, proposal: Some("") };
                self.address(&question, None, others)?
            }
            Address::Must(at_factory) => {
                let proposal = free(at_factory, others).map(|address| address.to_string());
                let question = Question {
                    option: "--address",
                    words: "Its address on the bus",
                    proposal: proposal.as_deref(),
                };
                self.address(&question, given.address, others)?
            }
            Address::Never | Address::May => {
                let question = Question {
                    option: "--address",
                    words: "Its address on the bus",
                    proposal: None,
                };
                self.address(&question, given.address, others)?
            }
        };
        let (mut key_file, mut auth_key_file) = (None, None);
        if wants.key || given.key_file.is_some() {
            let words = "File with the key, if the device encrypts (empty: it does not)";
            key_file = self.file("--key-file", words, given.key_file)?;
        }
        if key_file.is_some() {
            let words = "File with the authentication key (empty: it has none)";
            auth_key_file = self.file("--auth-key-file", words, given.auth_key_file)?;
        }
        let taken = |name: &str| others.iter().any(|other| other.device.name.as_str() == name);
        let mut proposal = model.as_ref().map_or("sensor", |model| &model.name).to_owned();
        if let (true, Some(address)) = (taken(&proposal), address) {
            let _ = write!(proposal, "-{address}");
        }
        let question = Question {
            option: "--name",
            words: "Its name in the topics",
            proposal: Some(&proposal),
        };
        let name = self.answer(&question, given.name, &|text| match text.parse::<Name>() {
            Err(error) => Err(error.to_string()),
            Ok(_) if taken(text) => Err("another device has this name".into()),
            Ok(_) => Ok(()),
        })?;
        let Some(name) = name else { return Ok(None) };
        let name = parsed(&name)?;
        let device = FirstDevice { name, model, address, key_file, auth_key_file };
        Ok(Some(Chosen { device, line: wants.line }))
    }

    fn address(
        &mut self,
        question: &Question<'_>,
        given: Option<String>,
        others: &[Chosen],
    ) -> Result<Option<u8>, Stop> {
        let optional = question.proposal == Some("");
        let answer = self.answer(question, given, &|text| match text.parse::<u8>() {
            _ if optional && text.is_empty() => Ok(()),
            Ok(address) if others.iter().any(|other| other.device.address == Some(address)) => {
                Err(format!("another device has the address {address}"))
            }
            Ok(_) => Ok(()),
            Err(_) => Err("a number from 1 to 247".into()),
        })?;
        Ok(answer.and_then(|text| text.parse().ok()))
    }

    /// The name of a file that is there; `None` for an empty answer.
    fn file(
        &mut self,
        option: &'static str,
        words: &str,
        given: Option<String>,
    ) -> Result<Option<PathBuf>, Stop> {
        let question = Question { option, words, proposal: Some("") };
        let answer =
            self.answer(&question, given, &|text| match files::password(Path::new(text)) {
                Err(error) if !text.is_empty() => Err(format!("cannot read {text}: {error}")),
                _ => Ok(()),
            })?;
        answer.filter(|text| !text.is_empty()).map(|text| absolute(&text)).transpose()
    }

    /// The model; an inner `None` if the user writes it. `shares`: it is on a bus with others.
    fn model(
        &mut self,
        library: &Library,
        given: Option<String>,
        shares: bool,
    ) -> Result<Option<Option<library::Model>>, Stop> {
        let own = |text: &str| !shares && text == "none";
        if let Some(given) = given {
            if own(&given) {
                return Ok(Some(None));
            }
            return match library.open(&given) {
                Ok((model, _)) => Ok(Some(Some(model))),
                Err(error) => Err(CliError::Usage(format!("--model: {error}")).into()),
            };
        }
        let Some(terminal) = &mut self.terminal else {
            self.missing.push(("--model", None));
            return Ok(None);
        };
        let names: Vec<_> =
            library.search(&[]).entries.into_iter().map(|entry| entry.name).collect();
        let hand = if shares { "" } else { ", `none` to write what its bytes mean yourself" };
        // A build may lack it.
        let can_detect = crate::cli::COMMANDS.iter().any(|(name, _)| *name == "detect");
        let port = self.port.clone().filter(|_| can_detect);
        let listen = if port.is_some() { ", `detect` to listen to the port" } else { "" };
        write(&format!(
            "\nWhich device is on it? Words of its name, as in `sdm630` or `smart meter`; `list` for all \
             {}{listen}{hand}.
",
            names.len()
        ))?;
        let mut shown: Vec<Entry> = Vec::new();
        loop {
            let question = match shown.len() {
                0 => "Device: ",
                1 => "Device: its number, or other words [1]: ",
                _ => "Device: its number, or other words: ",
            };
            let mut answer = terminal.line(question)?;
            if answer.is_empty() && shown.len() == 1 {
                answer = "1".into();
            }
            if own(&answer) {
                return Ok(Some(None));
            }
            if let ("detect", Some(port)) = (answer.as_str(), &port) {
                detect(port)?;
                continue;
            }
            let number = answer.parse::<usize>().ok().and_then(|n| shown.get(n.checked_sub(1)?));
            let number = number.map(|entry| &entry.name);
            if let Some(name) = number.or(names.iter().find(|name| **name == answer)) {
                return Ok(Some(Some(library.open(name).map_err(CliError::from)?.0)));
            }
            if answer.is_empty() {
                continue;
            }
            let words: Vec<&str> = match answer.as_str() {
                "list" => Vec::new(),
                words => words.split_whitespace().collect(),
            };
            let Search { entries, is_near, .. } = library.search(&words);
            shown = entries;
            let mut table = String::new();
            if is_near {
                table += "  none has all of these words";
                table += if shown.is_empty() { "\n" } else { "; similar ones:\n" };
            }
            for (n, Entry { name, head }) in shown.iter().enumerate() {
                let _ = writeln!(table, "{:>3}  {name:<24} {} {}", n + 1, head.make, head.title);
            }
            write(&plain_lines(table.as_bytes()))?;
        }
    }
}

/// Runs `tty2mqtt detect` on the terminal. What it finds is for the person to read.
fn detect(port: &str) -> Result<(), Stop> {
    let failed = |source| CliError::Io { what: "detect".into(), source };
    let program = std::env::current_exe().map_err(failed)?;
    Command::new(program).args(["detect", port]).status().map_err(failed)?;
    Ok(())
}

/// The factory's address if it is free, or else the next one that is.
fn free(at_factory: Option<u8>, others: &[Chosen]) -> Option<u8> {
    let first = at_factory?;
    let taken = |address: u8| others.iter().any(|other| other.device.address == Some(address));
    (first..=247).find(|address| !taken(*address))
}

/// A text in lines that a terminal shows whole, each indented.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if length == 0 || length + 1 + width > 96 {
            lines.push_str(if length == 0 { "  " } else { "\n  " });
            length = 2;
        } else {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += width;
    }
    lines.push('\n');
    lines
}

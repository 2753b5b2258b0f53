//! The questions of `init`: each is answered by its option, by a person, or by what is proposed.

use super::terminal::Terminal;
use super::{Stop, Written, is_of_package};
use crate::base::command_line::{CliError, write};
use crate::base::line::Line;
use crate::base::plain::plain_lines;
use crate::base::scalar::Name;
use crate::base::secret::Secret;
use crate::config::file::{self, DEFAULT_CONFIG, Existing};
use crate::config::first::{Address, First, FirstDevice, Model, Wants, word};
use crate::config::library::{self, Entry, Library, Search};
use crate::mqtt::files;
use crate::mqtt::url::BrokerUrl;
use crate::port::list::{self, Found};
use crate::port::settings::TcpAddress;
use std::fmt::Write;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the options say.
#[derive(Debug, Default)]
pub(super) struct Answers {
    port: Option<String>,
    devices: Vec<Given>,
    line: Option<String>,
    gateway: Option<String>,
    broker: Option<String>,
    user: Option<String>,
    password_file: Option<String>,
    home_assistant: Option<String>,
    output: Option<String>,
    no_test: bool,
    force: bool,
    yes: bool,
}

/// What the options say of one device.
#[derive(Debug, Default)]
struct Given {
    model: Option<String>,
    address: Option<String>,
    name: Option<String>,
    key_file: Option<String>,
    auth_key_file: Option<String>,
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

/// A question, the option that answers it, and what is proposed.
struct Question<'a> {
    option: &'static str,
    words: &'a str,
    proposal: Option<&'a str>,
}

type Right<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// A device that was chosen, and the line that its model says.
struct Chosen {
    device: FirstDevice,
    line: Option<String>,
}

pub(super) struct Questions {
    given: Answers,
    /// The person who is asked; `None` if there is none.
    terminal: Option<Terminal>,
    /// Options that are missing, and what is proposed for each.
    missing: Vec<(&'static str, Option<String>)>,
    /// The path or address of the port.
    port: Option<String>,
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
    fn answer(
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

    fn say(&self, text: &str) -> Result<(), Stop> {
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

    /// The line that names the port, and what is said of it.
    fn port(&mut self) -> Result<Option<(String, Option<String>)>, Stop> {
        let found = list::found();
        let proposal =
            (found.len() == 1 || (self.terminal.is_some() && !found.is_empty())).then_some("1");
        if self.given.port.is_none() {
            let mut table = String::from("\nSerial ports of this machine:\n");
            for (n, port) in found.iter().enumerate() {
                let lines = list::table(std::slice::from_ref(port));
                for (at, line) in lines.lines().enumerate() {
                    let number =
                        if at == 0 { format!("{:>3}", n + 1) } else { String::from("   ") };
                    let _ = writeln!(table, "{number}  {line}");
                }
            }
            if found.is_empty() {
                table = format!("\n{}", list::table(&found));
            }
            self.say(&table)?;
        }
        let words = match found.is_empty() {
            true => "Port: a path, or HOST:PORT of a serial server",
            false => "Port: its number, a path, or HOST:PORT of a serial server",
        };
        let question = Question { option: "--port", words, proposal };
        let answer =
            self.answer(&question, self.given.port.clone(), &|text| place(text, &found).map(drop))?;
        let Some(answer) = answer else { return Ok(None) };
        let (place, about) = place(&answer, &found).map_err(CliError::Usage)?;
        if answer.starts_with('/') && !Path::new(&answer).exists() {
            self.say(&format!("  {answer} is not there now; it is used when it comes\n"))?;
        }
        let listed = answer.parse::<usize>().ok().and_then(|n| found.get(n.checked_sub(1)?));
        self.port = Some(listed.map_or(answer, |port| port.path.clone()));
        Ok(Some((place, about)))
    }

    fn devices(&mut self, folder: &Path) -> Result<Vec<Chosen>, Stop> {
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

/// How to reach the broker, and as whom.
pub(super) struct Broker {
    url: String,
    user: Option<String>,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
}

impl Questions {
    /// Until the broker was reached, or the user keeps what was entered.
    fn broker(
        &mut self,
        gateway: Option<&str>,
        output: Option<&Path>,
    ) -> Result<Option<Broker>, Stop> {
        loop {
            let Some((broker, login)) = self.address_and_login(output)? else { return Ok(None) };
            // What is missing is said before anything is tried.
            let (false, Some(gateway)) = (self.given.no_test || !self.missing.is_empty(), gateway)
            else {
                return Ok(Some(broker));
            };
            let Some(failure) = try_broker(&broker, login, gateway)? else {
                return Ok(Some(broker));
            };
            match &mut self.terminal {
                None => {
                    let text =
                        format!("{failure}nothing was written; --no-test does not try the broker");
                    return Err(CliError::Failed(text).into());
                }
                Some(terminal) => {
                    write(&plain_lines(failure.as_bytes()))?;
                    if !terminal.yes("Enter the broker again?", true)? {
                        return Ok(Some(broker));
                    }
                    (self.given.broker, self.given.user) = (None, None);
                }
            }
        }
    }

    /// The broker and the password, wherever that is.
    fn address_and_login(
        &mut self,
        output: Option<&Path>,
    ) -> Result<Option<(Broker, Option<Secret>)>, Stop> {
        let question = Question {
            option: "--broker",
            words: "\nMQTT broker: mqtt://HOST, or mqtts://HOST for TLS",
            proposal: Some("mqtt://127.0.0.1"),
        };
        let url = self.answer(&question, self.given.broker.clone(), &|text| {
            whole(text).parse::<BrokerUrl>().map(drop).map_err(|e| e.to_string())
        })?;
        let mut user = self.given.user.clone();
        let mut in_url = None;
        let url = match url {
            None => None,
            Some(text) => {
                let url: BrokerUrl = parsed(&whole(&text))?;
                user = user.or(url.user);
                in_url = url.password;
                Some(without_login(&whole(&text)))
            }
        };
        let question = Question {
            option: "--user",
            words: "User name at the broker (empty: none)",
            proposal: Some(""),
        };
        let user = self.answer(&question, user, &|_| Ok(()))?;
        let user = user.filter(|user| !user.is_empty());
        let mut broker = Broker { url: String::new(), user, password: None, password_file: None };
        let mut login = None;
        let made = output.map(|output| output.with_extension("password"));
        match self.given.password_file.clone() {
            Some(file) if file == "-" => broker.password = Some(from_input()?),
            Some(file) => {
                let failed = |error| CliError::Usage(format!("--password-file {file}: {error}"));
                login = Some(files::password(Path::new(&file)).map_err(failed)?);
                broker.password_file = Some(absolute(&file)?);
            }
            None => broker.password = in_url,
        }
        if let (Some(terminal), Some(_), None, None) =
            (&mut self.terminal, &broker.user, &login, &broker.password)
        {
            let secret = terminal.secret("Password (it is not shown; empty: none): ")?;
            broker.password = Some(secret).filter(|secret| !secret.reveal().is_empty());
        }
        if broker.password.is_some() {
            login = broker.password.clone();
            broker.password_file =
                made.map(|made| absolute(&made.to_string_lossy())).transpose()?;
        }
        Ok(url.map(|url| (Broker { url, ..broker }, login)))
    }
}

/// The words of what failed; `None` if all went well.
#[cfg(feature = "shell")]
fn try_broker(
    broker: &Broker,
    password: Option<Secret>,
    gateway: &str,
) -> Result<Option<String>, Stop> {
    use crate::shell;
    let url: BrokerUrl = parsed(&broker.url)?;
    write(&format!("Trying {url}:\n"))?;
    let topic = format!("{gateway}/init");
    let (exit, report) = shell::check_broker(url, broker.user.clone(), password, &topic);
    if exit.is_signal() {
        return Err(Stop::Signal(exit.0 - 128));
    }
    if exit == shell::exit::Exit::DONE {
        write(&report)?;
        return Ok(None);
    }
    Ok(Some(report))
}

#[cfg(not(feature = "shell"))]
fn try_broker(_: &Broker, _: Option<Secret>, _: &str) -> Result<Option<String>, Stop> {
    Ok(None)
}

/// Runs `tty2mqtt detect` on the terminal. What it finds is for the person to read.
fn detect(port: &str) -> Result<(), Stop> {
    let failed = |source| CliError::Io { what: "detect".into(), source };
    let program = std::env::current_exe().map_err(failed)?;
    Command::new(program).args(["detect", port]).status().map_err(failed)?;
    Ok(())
}

/// A broker's address; a host alone is one, too.
fn whole(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("mqtt://{text}") }
}

/// The address as it was written, without user and password.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// A first line of the standard input.
fn from_input() -> Result<Secret, CliError> {
    let mut line = Vec::new();
    let read = io::stdin().lock().take(64 << 10).read_until(b'\n', &mut line);
    read.map_err(|source| CliError::Io { what: "standard input".into(), source })?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec().into())
}

/// The line that names a port in the configuration, and what is said of it there.
fn place(answer: &str, found: &[Found]) -> Result<(String, Option<String>), String> {
    let number = answer.parse::<usize>().ok().and_then(|n| found.get(n.checked_sub(1)?));
    if let Some(port) = number.or_else(|| found.iter().find(|port| port.path == answer)) {
        let Some(adapter) = &port.adapter else { return Ok((port.config.clone(), None)) };
        let named = format!("{}: {}", port.path, adapter.name);
        // Two adapters that cannot be told apart by their USB data.
        if port.note.is_some() {
            return Ok((format!("path: {}", word(&port.path)), Some(named)));
        }
        return Ok((port.config.clone(), Some(format!("{named}, under whatever number"))));
    }
    if answer.starts_with('/') {
        return Ok((format!("path: {}", word(answer)), None));
    }
    match answer.parse::<TcpAddress>() {
        Ok(_) if !answer.is_empty() => Ok((format!("tcp: {}", word(answer)), None)),
        _ => Err("a path such as /dev/ttyUSB0, or HOST:PORT of a serial server".into()),
    }
}

/// The factory's address if it is free, or else the next one that is.
fn free(at_factory: Option<u8>, others: &[Chosen]) -> Option<u8> {
    let first = at_factory?;
    let taken = |address: u8| others.iter().any(|other| other.device.address == Some(address));
    (first..=247).find(|address| !taken(*address))
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "y" | "true" => Some(true),
        "no" | "n" | "false" => Some(false),
        _ => None,
    }
}

/// Paths in a configuration start at its own folder, those of answers at the user's.
fn absolute(path: &str) -> Result<PathBuf, Stop> {
    let failed = |source| CliError::Io { what: path.to_owned(), source };
    Ok(std::path::absolute(path).map_err(failed)?)
}

/// An answer that was found right before.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, CliError> {
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

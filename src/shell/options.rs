//! The options of `pub`, `sub` and `test`: those of mosquitto_pub, mosquitto_sub and Aiko's
//! mqtt_publish, mqtt_subscribe, mqtt_test, and a few of our own. Parsing reads no file but the
//! one with options, and no secret; see [`connection::Password`].

pub mod arguments;
pub mod connection;
pub mod property;
pub mod publish;
pub mod subscribe;
pub mod test;

use arguments::{Argument, Row, find};
use connection::Connection;
use publish::PublishOptions;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use subscribe::SubscribeOptions;
use test::TestOptions;

/// Why a command line is invalid; the text names the option and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub(super) String);

fn wrong<T>(text: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(text.into()))
}

/// A topic or filter, and the option that has it.
fn parsed<T: FromStr<Err: fmt::Display>>(topic: &str, option: &str) -> Result<T, UsageError> {
    topic.parse().map_err(|why| UsageError(format!("{option}: {why}")))
}

/// What a command line asks the command to do.
#[derive(Debug)]
pub enum Invocation<O> {
    Run(Box<Options<O>>),
    Help,
    Version,
}

/// The options of one command.
#[derive(Debug, Default)]
pub struct Options<O> {
    /// How to reach the broker and as whom.
    pub connection: Connection,
    pub own: O,
}

/// The options of one command besides those of the connection.
pub trait CommandOptions: Default + 'static {
    /// Files below `~/.config` with defaults: ours, and that of mosquitto's program.
    const DEFAULTS: &'static [&'static str];
    const OPTIONS: &'static [Row<Self>];
    /// What `--help` says before the options.
    const ABOUT: &'static str;
    /// A command line to copy.
    const EXAMPLE: &'static str;
    /// Takes a word that belongs to no option.
    fn word(&mut self, word: OsString, _connection: &mut Connection) -> Result<(), UsageError> {
        wrong(format!("{}: every value has an option in front", word.display()))
    }
    /// Takes the topic of `-L`.
    fn topic(&mut self, topic: &str, option: &str) -> Result<(), UsageError>;
    /// The file of defaults has been read; the command line follows and overrides it.
    fn defaults_end(&mut self) {}
    /// All options have been read: checks that none is missing.
    fn finish(&mut self, connection: &mut Connection) -> Result<(), UsageError>;
}

pub type Publish = Options<PublishOptions>;
pub type Subscribe = Options<SubscribeOptions>;
pub type Test = Options<TestOptions>;

/// Parses the arguments after the command's name. The file that `-o` names, or else the one of
/// `defaults` that exists, is read first; the command line overrides it.
pub fn parse<O: CommandOptions>(
    mut parser: lexopt::Parser,
    defaults: &[PathBuf],
) -> Result<Invocation<O>, UsageError> {
    let kind_of = |name: &str| {
        let own = find(O::OPTIONS, name).map(|(_, kind, ..)| *kind);
        own.or(find(connection::OPTIONS, name).map(|(_, kind, ..)| *kind))
    };
    let mut files = Vec::new();
    let mut items = Vec::new();
    for item in arguments::command_line(&mut parser, &kind_of)? {
        match item.name.as_str() {
            "--help" => return Ok(Invocation::Help),
            "--version" => return Ok(Invocation::Version),
            "-o" | "--options" => files.push(item.path()),
            _ => items.push(item),
        }
    }
    let file = match &files[..] {
        [] => defaults.iter().find_map(|path| Some((path, std::fs::read(path).ok()?))),
        [path] => match std::fs::read(path) {
            Ok(text) => Some((path, text)),
            Err(why) => return wrong(format!("-o {}: {why}", path.display())),
        },
        _ => return wrong("-o is given twice"),
    };
    let mut options = Options::<O>::default();
    if let Some((path, text)) = file {
        let path = path.display().to_string();
        arguments::file(&path, &text, &kind_of, |item| options.take(item))?;
        options.own.defaults_end();
    }
    for item in items {
        options.take(item)?;
    }
    options.own.finish(&mut options.connection)?;
    options.connection.finish()?;
    Ok(Invocation::Run(Box::new(options)))
}

/// Where this program and mosquitto's look for defaults.
pub fn default_files<O: CommandOptions>() -> Vec<PathBuf> {
    let folder = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => match std::env::var_os("HOME") {
            Some(home) => Path::new(&home).join(".config"),
            None => return Vec::new(),
        },
    };
    O::DEFAULTS.iter().map(|name| folder.join(name)).collect()
}

impl<O: CommandOptions> Options<O> {
    fn take(&mut self, option: Argument) -> Result<(), UsageError> {
        if option.name.is_empty() {
            return self.own.word(option.os(), &mut self.connection);
        }
        if let Some((.., take)) = find(O::OPTIONS, &option.name) {
            return take(&mut self.own, &option);
        }
        if let Some((.., take)) = find(connection::OPTIONS, &option.name) {
            take(&mut self.connection, &option)?;
        }
        match self.connection.topic.take() {
            Some(topic) => self.own.topic(&topic, &option.name),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

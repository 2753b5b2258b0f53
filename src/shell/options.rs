//! The options of `pub`, `sub` and `test`: those of mosquitto_pub, mosquitto_sub and Aiko's
//! mqtt_publish, mqtt_subscribe, mqtt_test, and a few of our own. Parsing reads no file but the
//! one with options, and no secret; see [`connection::Password`].

pub mod connection;
pub mod property;
pub mod publish;
pub mod subscribe;
pub mod test;
pub mod tls;
mod url;
mod words;

use crate::mqtt::topic::Qos;
use connection::Connection;
use property::Given;
use publish::PublishOptions;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use subscribe::SubscribeOptions;
use test::TestOptions;
use words::{Item, Words};

/// What is wrong with a command line; the text names the option and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub(super) String);

fn wrong<T>(text: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(text.into()))
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Asked<O> {
    /// To run.
    Run(Box<Options<O>>),
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// The options of one command.
#[derive(Debug)]
pub struct Options<O> {
    /// How to reach the broker and as whom.
    pub connection: Connection,
    /// Properties of MQTT 5, by packet.
    pub properties: Given,
    /// What is the command's own.
    pub own: O,
    /// What was accepted and does nothing; for the user to read.
    pub warnings: Vec<String>,
}

/// The options that are one command's own.
pub trait Own: Default {
    /// The files below `~/.config` that may hold defaults: ours, and that of mosquitto's program.
    const DEFAULTS: &'static [&'static str];
    /// Takes an option and its value; `false` if it is none of its own.
    fn take(&mut self, name: &str, values: &mut Values<'_>) -> Result<bool, UsageError>;
    /// Takes a word that is no option.
    fn word(&mut self, word: OsString, _connection: &mut Connection) -> Result<(), UsageError> {
        wrong(format!("{}: every value has an option in front", word.display()))
    }
    /// Takes the topic of `-L`.
    fn topic(&mut self, topic: &str, option: &str) -> Result<(), UsageError>;
    /// The command line begins: what a file of defaults said yields to it.
    fn defaults_end(&mut self) {}
    /// Nothing more comes: is it complete?
    fn finish(&mut self, connection: &Connection) -> Result<(), UsageError>;
}

/// `tty2mqtt pub`
pub type Publish = Options<PublishOptions>;
/// `tty2mqtt sub`
pub type Subscribe = Options<SubscribeOptions>;
/// `tty2mqtt test`
pub type Test = Options<TestOptions>;

/// Parses a command line behind the command's name. The file that `-o` names, or else the one of
/// `defaults` that exists, is read first; the command line overrides it.
pub fn parse<O: Own>(
    mut parser: lexopt::Parser,
    defaults: &[PathBuf],
) -> Result<Asked<O>, UsageError> {
    let mut options = Options {
        connection: Connection::default(),
        properties: Given::default(),
        own: O::default(),
        warnings: Vec::new(),
    };
    // The command line is walked twice: -o counts before everything else, wherever it stands.
    let mut arguments: Vec<OsString> = vec![OsString::new()];
    if let Ok(rest) = parser.raw_args() {
        arguments.extend(rest);
    }
    let mut named = None;
    let mut probe = Options::<O> {
        connection: Connection::default(),
        properties: Given::default(),
        own: O::default(),
        warnings: Vec::new(),
    };
    let mut other = None;
    words::command_line(&mut lexopt::Parser::from_iter(arguments.clone()), |item, words| {
        match &item {
            Item::Option(name) if name == "--help" => other = other.take().or(Some(Asked::Help)),
            Item::Option(name) if name == "--version" => {
                other = other.take().or(Some(Asked::Version));
            }
            Item::Option(name) if name == "-o" || name == "--options" => {
                if named.is_some() {
                    return wrong(format!("{name} is given twice"));
                }
                named = Some(PathBuf::from(Values { name, words }.os("a file with options")?));
            }
            _ if other.is_none() => return probe.take(item, words),
            _ => {}
        }
        Ok(())
    })?;
    if let Some(asked) = other {
        return Ok(asked);
    }
    let file = match &named {
        Some(path) => Some((path.as_path(), read(path)?)),
        None => defaults.iter().find_map(|path| Some((path.as_path(), std::fs::read(path).ok()?))),
    };
    if let Some((path, text)) = file {
        words::file(&path.display().to_string(), &text, |item, words| options.take(item, words))?;
        options.own.defaults_end();
    }
    words::command_line(&mut lexopt::Parser::from_iter(arguments), |item, words| match item {
        Item::Option(name) if name == "-o" || name == "--options" => {
            words.value();
            Ok(())
        }
        item => options.take(item, words),
    })?;
    options.finish()?;
    Ok(Asked::Run(Box::new(options)))
}

/// Where mosquitto's programs look for defaults, and where ours do.
pub fn default_files<O: Own>() -> Vec<PathBuf> {
    let folder = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => match std::env::var_os("HOME") {
            Some(home) => Path::new(&home).join(".config"),
            None => return Vec::new(),
        },
    };
    O::DEFAULTS.iter().map(|name| folder.join(name)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, UsageError> {
    std::fs::read(path).map_err(|e| UsageError(format!("-o {}: {e}", path.display())))
}

impl<O: Own> Options<O> {
    fn take(&mut self, item: Item, words: &mut dyn Words) -> Result<(), UsageError> {
        let name = match item {
            Item::Option(name) => name,
            Item::Word(word) => return self.own.word(word, &mut self.connection),
        };
        match name.as_str() {
            "-D" | "--property" => {
                self.connection.speak_5();
                return self.properties.take(&name, words);
            }
            "-L" | "--url" => {
                let url = Values { name: &name, words }.text("a URL")?;
                let topic = self.connection.url(&url, &name)?;
                return self.own.topic(&topic, &name);
            }
            _ => {}
        }
        let mut values = Values { name: &name, words };
        if self.own.take(&name, &mut values)?
            || self.connection.take(&name, &mut values, &mut self.warnings)?
        {
            return Ok(());
        }
        wrong(format!("unknown option {name}; --help lists all"))
    }

    fn finish(&mut self) -> Result<(), UsageError> {
        self.connection.finish(&mut self.properties, &mut self.warnings)?;
        self.own.finish(&self.connection)
    }
}

/// The value of an option, checked.
pub struct Values<'w> {
    name: &'w str,
    words: &'w mut dyn Words,
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({})", self.name)
    }
}

impl Values<'_> {
    /// As it came.
    fn os(&mut self, what: &str) -> Result<OsString, UsageError> {
        match self.words.value() {
            Some(value) => Ok(value),
            None if self.name == "-h" => {
                wrong("-h needs the broker's host behind it; --help shows the help")
            }
            None => wrong(format!("{} needs {what} behind it", self.name)),
        }
    }

    fn bytes(&mut self, what: &str) -> Result<Vec<u8>, UsageError> {
        Ok(self.os(what)?.into_vec())
    }

    fn path(&mut self, what: &str) -> Result<PathBuf, UsageError> {
        Ok(self.os(what)?.into())
    }

    /// Text in UTF-8.
    fn text(&mut self, what: &str) -> Result<String, UsageError> {
        let value = self.os(what)?;
        value.into_string().or_else(|_| wrong(format!("{}: {what} is UTF-8", self.name)))
    }

    /// Something that parses itself.
    fn parse<T: FromStr<Err: fmt::Display>>(&mut self, what: &str) -> Result<T, UsageError> {
        let text = self.text(what)?;
        text.parse().map_err(|why| UsageError(format!("{} {text}: {why}", self.name)))
    }

    /// A whole number in a range.
    fn number(&mut self, what: &str, min: u32, max: u32) -> Result<u32, UsageError> {
        let text = self.text(what)?;
        match text.parse::<u32>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => wrong(format!("{} {text}: write {what}, {min} to {max}", self.name)),
        }
    }

    fn qos(&mut self) -> Result<Qos, UsageError> {
        match self.text("a QoS")?.as_str() {
            "0" => Ok(Qos::AtMostOnce),
            "1" => Ok(Qos::AtLeastOnce),
            "2" => Ok(Qos::ExactlyOnce),
            other => wrong(format!("{} {other}: QoS is 0, 1 or 2", self.name)),
        }
    }

    /// Seconds, with a fraction if need be, at most about 49 days.
    fn seconds(&mut self) -> Result<std::time::Duration, UsageError> {
        let text = self.text("a number of seconds")?;
        match text.parse::<f64>() {
            Ok(seconds) if (0.0..=4_294_967.0).contains(&seconds) => {
                Ok(std::time::Duration::from_secs_f64(seconds))
            }
            _ => wrong(format!("{} {text}: write a number of seconds, as in 2.5", self.name)),
        }
    }
}

#[cfg(test)]
mod tests;

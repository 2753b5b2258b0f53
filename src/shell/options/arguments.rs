//! Options as they are written: on the command line, or one in each line of a file.

use super::{UsageError, wrong};
use crate::mqtt::topic::Qos;
use crate::mqtt::transport::settings::Pem;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// An option: its names, what its value is called (empty: it has none), what `--help` says about it
/// (empty: `--help` leaves it out), and how it is taken.
pub type Row<T> = (&'static str, &'static str, &'static str, Take<T>);

type Take<T> = fn(&mut T, &Argument) -> Result<(), UsageError>;

/// What the value of `-D` is called; the only one of several words.
pub(super) const PROPERTY: &str = "PACKET NAME VALUE";

/// The property with a name of its own between its name and its value.
pub(super) const USER_PROPERTY: &str = "user-property";

pub(super) fn find<T>(table: &'static [Row<T>], name: &str) -> Option<&'static Row<T>> {
    table.iter().find(|(names, ..)| names.split(' ').any(|other| other == name))
}

/// An option with its value.
#[derive(Debug)]
pub struct Argument {
    /// As the user wrote it, such as `-t` or `--topic`; empty for a word that belongs to no option.
    pub(super) name: String,
    /// None, one, or the several of `-D`.
    pub(super) values: Vec<OsString>,
    kind: &'static str,
}

/// Splits a command line up to `--help` or `--version`. `kind_of` says what the value of an option is
/// called.
pub(super) fn command_line(
    parser: &mut lexopt::Parser,
    kind_of: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<Vec<Argument>, UsageError> {
    let mut items = Vec::new();
    loop {
        let name = match parser.next() {
            Ok(None) => return Ok(items),
            Ok(Some(lexopt::Arg::Short(letter))) => format!("-{letter}"),
            Ok(Some(lexopt::Arg::Long(name))) => format!("--{name}"),
            Ok(Some(lexopt::Arg::Value(word))) => {
                items.push(Argument { name: String::new(), values: vec![word], kind: "" });
                continue;
            }
            // A value that an option does not have.
            Err(error) => return wrong(error.to_string()),
        };
        let Some(kind) = kind_of(&name) else {
            return wrong(format!("unknown option {name}; --help lists all"));
        };
        let is_last = name == "--help" || name == "--version";
        // A value may look like an option: `-m -5` is the message `-5`.
        let mut values = Vec::new();
        let mut count = if kind == PROPERTY { 3 } else { usize::from(!kind.is_empty()) };
        while values.len() < count {
            let Ok(value) = parser.value() else { return missing(&name, kind) };
            count += usize::from(kind == PROPERTY && values.len() == 1 && value == USER_PROPERTY);
            values.push(value);
        }
        items.push(Argument { name, values, kind });
        if is_last {
            return Ok(items);
        }
    }
}

/// Calls `take` for each line of a file: a name and behind one space its value. Empty lines and those
/// that begin with `#` are comments.
pub(super) fn file(
    path: &str,
    text: &[u8],
    kind_of: &dyn Fn(&str) -> Option<&'static str>,
    mut take: impl FnMut(Argument) -> Result<(), UsageError>,
) -> Result<(), UsageError> {
    for (n, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii_start();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() && !line.starts_with(b"#") {
            let item = one_line(line, kind_of).and_then(&mut take);
            item.map_err(|UsageError(why)| UsageError(format!("{path}, line {}: {why}", n + 1)))?;
        }
    }
    Ok(())
}

fn one_line(
    line: &[u8],
    kind_of: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<Argument, UsageError> {
    let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let name = String::from_utf8_lossy(name);
    if !name.starts_with('-') {
        return wrong(format!("{name:?} is no option; each line is one, as in `-h broker.lan`"));
    }
    let rest = rest.trim_ascii_start();
    let words = match kind_of(&name) {
        Some(PROPERTY) => {
            let is_user = rest.split(|b| *b == b' ').nth(1) == Some(USER_PROPERTY.as_bytes());
            let words = rest.trim_ascii_end().splitn(if is_user { 4 } else { 3 }, |b| *b == b' ');
            words.collect()
        }
        _ if rest.is_empty() => Vec::new(),
        _ => vec![rest],
    };
    let words = words.into_iter().map(OsStr::from_bytes);
    let mut parser = lexopt::Parser::from_args([OsStr::new(&*name)].into_iter().chain(words));
    let mut items = command_line(&mut parser, kind_of)?;
    match (items.pop(), items.is_empty()) {
        (Some(item), true) => Ok(item),
        _ => wrong(format!("{name} takes no value")),
    }
}

fn missing<T>(name: &str, kind: &str) -> Result<T, UsageError> {
    match kind {
        PROPERTY => wrong(format!(
            "{name} takes a packet, a property and its value, \
             as in `-D PUBLISH content-type text/plain` or `-D PUBLISH user-property name value`"
        )),
        "HOST" => wrong(format!("{name} needs the broker's host behind it; --help shows the help")),
        _ => wrong(format!("{name} needs {} behind it", in_words(kind))),
    }
}

/// What a value is, in a sentence.
fn in_words(kind: &str) -> String {
    match kind {
        "N" => "how many".into(),
        "SECONDS" => "a number of seconds".into(),
        "ID" => "a client identifier".into(),
        "QOS" => "a QoS".into(),
        "URL" => "a URL".into(),
        other if other.starts_with('A') => format!("an {}", other.to_lowercase()),
        other => format!("a {}", other.to_lowercase()),
    }
}

/// Sets what an option is about.
pub(super) fn set<T>(slot: &mut T, value: Result<T, UsageError>) -> Result<(), UsageError> {
    *slot = value?;
    Ok(())
}

/// The same, where it has no default.
pub(super) fn some<T>(
    slot: &mut Option<T>,
    value: Result<T, UsageError>,
) -> Result<(), UsageError> {
    set(slot, value.map(Some))
}

/// Takes an option without a value.
pub(super) fn on(slot: &mut bool) -> Result<(), UsageError> {
    *slot = true;
    Ok(())
}

/// Takes an option that may be repeated.
pub(super) fn push<T>(list: &mut Vec<T>, value: Result<T, UsageError>) -> Result<(), UsageError> {
    list.push(value?);
    Ok(())
}

impl Argument {
    /// An error about this option; `why` names the remedy.
    pub(super) fn wrong<T>(&self, why: impl fmt::Display) -> Result<T, UsageError> {
        wrong(format!("{}: {why}", self.name))
    }

    /// The same with the value; not for secrets.
    fn wrong_value<T>(&self, why: impl fmt::Display) -> Result<T, UsageError> {
        let value: Vec<_> = self.values.iter().map(|value| value.to_string_lossy()).collect();
        wrong(format!("{} {}: {why}", self.name, value.join(" ")))
    }

    /// The bytes as they came.
    pub(super) fn os(&self) -> OsString {
        self.values.first().cloned().unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.os().into_vec()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.os().into()
    }

    pub(super) fn pem(&self) -> Result<Pem, UsageError> {
        Ok(Pem::File(self.path()))
    }

    pub(super) fn text(&self) -> Result<String, UsageError> {
        let text = self.os().into_string();
        text.or_else(|_| self.wrong(format_args!("{} must be UTF-8", in_words(self.kind))))
    }

    /// A value whose type parses itself.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, UsageError> {
        self.text()?.parse().or_else(|why| self.wrong_value(why))
    }

    /// A whole number in a range.
    pub(super) fn number<N: TryFrom<u32>>(&self, min: u32, max: u32) -> Result<N, UsageError> {
        let number = self.text()?.parse().ok().filter(|n| (min..=max).contains(n));
        match number.and_then(|n| N::try_from(n).ok()) {
            Some(number) => Ok(number),
            None => self.wrong_value(format_args!("write {}, {min} to {max}", in_words(self.kind))),
        }
    }

    /// One of a few words, and what it stands for.
    pub(super) fn one_of<T: Copy, const N: usize>(
        &self,
        words: [(&str, T); N],
    ) -> Result<T, UsageError> {
        let text = self.text()?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                let words = words.map(|(word, _)| word).join(" or ");
                self.wrong_value(format_args!("write {words}"))
            }
        }
    }

    pub(super) fn qos(&self) -> Result<Qos, UsageError> {
        let qos = self.text()?.parse::<u64>().ok().and_then(|bits| Qos::try_from(bits).ok());
        qos.map_or_else(|| self.wrong_value("QoS is 0, 1 or 2"), Ok)
    }

    /// Seconds, with a fraction if need be, at most about 49 days.
    pub(super) fn seconds(&self) -> Result<Duration, UsageError> {
        match self.text()?.parse::<f64>() {
            Ok(seconds) if (0.0..=4_294_967.0).contains(&seconds) => {
                Ok(Duration::from_secs_f64(seconds))
            }
            _ => self.wrong_value("write a number of seconds, as in 2.5"),
        }
    }
}

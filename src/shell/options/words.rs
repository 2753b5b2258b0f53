//! Where options come from: the command line, or a file with one of them in each line.

use super::UsageError;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The words behind an option's name.
pub(super) trait Words {
    /// The next word of several, `None` at the end.
    fn word(&mut self) -> Option<OsString>;
    /// The last or only value, whatever it looks like: `-m -5` is the message `-5`.
    fn value(&mut self) -> Option<OsString>;
}

impl Words for lexopt::Parser {
    fn word(&mut self) -> Option<OsString> {
        lexopt::Parser::value(self).ok()
    }
    fn value(&mut self) -> Option<OsString> {
        lexopt::Parser::value(self).ok()
    }
}

/// What stands behind the option's name in a line of a file.
struct Rest(Option<Vec<u8>>);

impl Words for Rest {
    fn word(&mut self) -> Option<OsString> {
        let rest = self.0.take()?;
        let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
        let word = rest[..end].to_vec();
        self.0 = rest.get(end + 1..).map(<[u8]>::to_vec);
        Some(OsString::from_vec(word))
    }
    fn value(&mut self) -> Option<OsString> {
        self.0.take().map(OsString::from_vec)
    }
}

/// An option's name as the user wrote it, or a word that is none.
pub(super) enum Item {
    Option(String),
    Word(OsString),
}

/// Calls `take` for each option of a command line.
pub(super) fn command_line(
    parser: &mut lexopt::Parser,
    mut take: impl FnMut(Item, &mut dyn Words) -> Result<(), UsageError>,
) -> Result<(), UsageError> {
    loop {
        let item = match parser.next() {
            Ok(None) => return Ok(()),
            Ok(Some(lexopt::Arg::Short(letter))) => Item::Option(format!("-{letter}")),
            Ok(Some(lexopt::Arg::Long(name))) => Item::Option(format!("--{name}")),
            Ok(Some(lexopt::Arg::Value(word))) => Item::Word(word),
            // A value that an option does not have.
            Err(error) => return Err(UsageError(error.to_string())),
        };
        take(item, parser)?;
    }
}

/// Calls `take` for each line of an options file: a name and behind one space its value. Lines
/// that begin with `#` and empty ones say nothing.
pub(super) fn file(
    name: &str,
    text: &[u8],
    mut take: impl FnMut(Item, &mut dyn Words) -> Result<(), UsageError>,
) -> Result<(), UsageError> {
    for (n, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii_start();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
        let option = String::from_utf8_lossy(&line[..end]).into_owned();
        let rest = line.get(end + 1..).map(|rest| match option.as_str() {
            // Its value is words; what stands behind the last one is none of it.
            "-D" | "--property" => rest.trim_ascii().to_vec(),
            _ => rest.trim_ascii_start().to_vec(),
        });
        let mut rest = Rest(rest.filter(|rest| !rest.is_empty()));
        let in_file = |UsageError(why)| UsageError(format!("{name}, line {}: {why}", n + 1));
        if !option.starts_with('-') {
            return Err(in_file(UsageError(format!(
                "{option:?} is no option; each line is one, as in `-h broker.lan`"
            ))));
        }
        take(Item::Option(option.clone()), &mut rest).map_err(in_file)?;
        if rest.0.is_some() {
            return Err(in_file(UsageError(format!("{option} takes no value"))));
        }
    }
    Ok(())
}

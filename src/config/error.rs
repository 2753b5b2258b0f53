//! Mistakes in a configuration, shown as a compiler shows them.

use crate::base::command_line::CliError;
use crate::base::path::BuildError;
use crate::base::plain::plain;
use std::fmt;

/// Most problems that are told at once.
pub const SHOWN: usize = 50;

/// Everything that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub file: String,
    /// What was found, at most [`SHOWN`].
    pub problems: Vec<Problem>,
    pub more: usize,
}

impl ConfigError {
    /// One problem with a file.
    pub(super) fn of(
        file: &str,
        place: Option<Place>,
        path: &str,
        wrong: BuildError,
    ) -> ConfigError {
        let problem = Problem::new(None, place, path, wrong);
        ConfigError { file: file.to_owned(), problems: vec![problem], more: 0 }
    }
}

/// One thing that is wrong, with its place and its remedy. No text in it steers a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file that it is in, if that is not the configuration itself.
    pub file: Option<String>,
    /// Line and column from 1, and the source line; where it could be found.
    pub place: Option<Place>,
    /// `ports.meter.framing`; empty for the file as a whole.
    pub path: String,
    pub what: String,
    pub remedy: Option<String>,
}

/// A place in the file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The source line, or a part of it; what is secret in it is masked.
    pub source: String,
    /// How many characters of `source` stand before the place.
    pub before: usize,
    /// How many characters to point at.
    pub width: usize,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            problem.show(problem.file.as_ref().unwrap_or(&self.file), f)?;
        }
        let files = if self.problems.iter().all(|p| p.file.is_none()) {
            format!(" in {}", plain(&self.file))
        } else {
            String::new()
        };
        match (self.problems.len(), self.more) {
            (0 | 1, 0) => Ok(()),
            (n, 0) => write!(f, "\n{n} problems{files}"),
            (n, more) => write!(f, "\nthe first {n} problems{files}, and {more} more"),
        }
    }
}

impl Problem {
    /// A problem with what is wrong, whose own path does not count.
    pub(super) fn new(
        file: Option<String>,
        place: Option<Place>,
        path: &str,
        wrong: BuildError,
    ) -> Problem {
        let remedy = wrong.remedy.as_deref().map(plain);
        Problem { file, place, path: plain(path), what: plain(&wrong.what), remedy }
    }

    fn show(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_place(file, f)?;
        writeln!(f, "{}", self.what)?;
        if let Some(Place { line, source, before, width, .. }) = &self.place {
            writeln!(f, "{line:5} | {source}")?;
            writeln!(f, "      | {}{}", " ".repeat(*before), "^".repeat(*width))?;
        }
        match &self.remedy {
            Some(remedy) => writeln!(f, "      = {remedy}"),
            None => Ok(()),
        }
    }

    fn write_place(&self, file: &str, f: &mut impl fmt::Write) -> fmt::Result {
        f.write_str(&plain(file))?;
        if let Some(Place { line, column, .. }) = &self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        f.write_str(": ")
    }

    /// In one line, for a log.
    pub fn in_one_line(&self, file: &str) -> String {
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_place(self.file.as_deref().unwrap_or(file), &mut line);
        line += &self.what;
        if let Some(remedy) = &self.remedy {
            line += "; ";
            line += remedy;
        }
        line
    }
}

/// What of a node to point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key that leads to it.
    Key,
    Value,
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> CliError {
        CliError::Config(error.to_string())
    }
}

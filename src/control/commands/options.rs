//! The arguments of the commands for a running gateway.

use crate::base::command_line::CliError;
use crate::config::Files;
use crate::config::control_path::Control;
use crate::config::file::DEFAULT_CONFIG;
use crate::config::file::{self, FileError};
use crate::config::tree;
use crate::config::yaml::Tree;
use crate::control::path;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Watch,
    Raw,
    Hex,
    /// An option that takes a file.
    BrokerFile,
}

#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) json: bool,
    flags: Vec<Flag>,
    /// The arguments without a dash.
    words: Vec<String>,
    socket: Option<PathBuf>,
    config: Option<PathBuf>,
    broker: Option<PathBuf>,
}

/// Reads the arguments; `None`: help is wanted. `flags` are those that the command has, `words` the
/// names of its words, of which those in brackets may be left out.
pub(super) fn read(
    mut parser: lexopt::Parser,
    flags: &[Flag],
    words: &[&str],
) -> Result<Option<Options>, CliError> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let has = |flag| flags.contains(&flag);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('j') | Long("json") => options.json = true,
            Short('w') | Long("watch") if has(Flag::Watch) => options.flags.push(Flag::Watch),
            Short('r') | Long("raw") if has(Flag::Raw) => options.flags.push(Flag::Raw),
            Short('x') | Long("hex") if has(Flag::Hex) => options.flags.push(Flag::Hex),
            Short('b') | Long("broker-file") if has(Flag::BrokerFile) => {
                options.broker = Some(parser.value()?.into());
            }
            Short('s') | Long("socket") => options.socket = Some(parser.value()?.into()),
            Short('c') | Long("config") => options.config = Some(parser.value()?.into()),
            Value(word) if options.words.len() < words.len() => options.words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match words.get(options.words.len()).filter(|word| !word.starts_with('[')) {
        Some(missing) => Err(CliError::Usage(format!("{missing} is missing; see --help"))),
        None => Ok(Some(options)),
    }
}

impl Options {
    pub(super) fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    pub(super) fn word(&self, at: usize) -> Option<String> {
        self.words.get(at).cloned()
    }

    /// The files that make the configuration.
    pub(super) fn files(&self) -> Files {
        let config = self.config.clone().unwrap_or_else(|| DEFAULT_CONFIG.into());
        Files { config, broker: self.broker.clone() }
    }

    /// Where the socket may be, the likeliest place first.
    pub(super) fn sockets(&self) -> Result<Vec<PathBuf>, CliError> {
        if let Some(socket) = &self.socket {
            return Ok(vec![socket.clone()]);
        }
        let setting = match &self.config {
            Some(file) => setting(file).map_err(|source| CliError::Io {
                what: format!("cannot read {}", file.display()),
                source,
            })?,
            // Without a file, or without the right to read it, the default is tried.
            None => setting(Path::new(DEFAULT_CONFIG)).unwrap_or_default(),
        };
        match setting {
            Control::Standard => Ok(path::of_user().into_iter().chain([path::SYSTEM.into()]).collect()),
            Control::At(path) => Ok(vec![path]),
            Control::Off => Err(CliError::Failed(
                "the configuration says `control: off`; remove that line and start the gateway again"
                    .into(),
            )),
        }
    }
}

/// What a configuration says about the socket. Nothing else in it is read: it may have become invalid
/// while the gateway still runs by its earlier content.
fn setting(file: &Path) -> std::io::Result<Control> {
    let text = file::read(file).map_err(|error| match error {
        FileError::Io(error) => error,
        error => std::io::Error::other(error.to_string()),
    })?;
    let tree = Tree::read(&text).unwrap_or_default();
    let setting = tree.get("control");
    let setting = setting.and_then(|value| tree::read::<Control>(value).ok());
    Ok(match setting.unwrap_or_default() {
        Control::At(path) => Control::At(file.parent().unwrap_or(Path::new("")).join(path)),
        other => other,
    })
}

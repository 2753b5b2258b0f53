//! `tty2mqtt devices`: the library of devices: searches it, shows what it says, runs the cases of device
//! files.

use super::golden;
use crate::base::command_line::{CliError, print};
use crate::base::plain::plain_lines;
use crate::config::file::DEFAULT_CONFIG;
use crate::config::library::{Library, Model};
use crate::config::yaml::Tree;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt devices lists the devices that need no more than `model: NAME` in the configuration.

Usage: tty2mqtt devices [OPTIONS] [WORDS]
       tty2mqtt devices show NAME
       tty2mqtt devices test FILE...

  WORDS              only devices whose name, make, title, aliases or description have all of them
  show NAME          what it is, how it is connected, its fields, and a configuration to paste
  test FILE...       run the cases of device files, and report differences
  -c, --config FILE  device files in the folder `devices` beside this configuration count first
                     [/etc/tty2mqtt/config.yaml]

Exit codes: 0 success, 1 nothing was found, a file is broken or a case failed, 2 wrong usage.
Example: tty2mqtt devices eastron
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut config = PathBuf::from(DEFAULT_CONFIG);
    let mut words = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('c') | Long("config") => config = parser.value()?.into(),
            Value(word) => words.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let library = Library::beside(config.parent().unwrap_or(Path::new("")));
    let command = words.first().and_then(|word| word.to_str());
    match (command, words.get(1..).unwrap_or_default()) {
        (Some("test"), files) => golden::run(&files.iter().map(PathBuf::from).collect::<Vec<_>>()),
        (Some("show"), [name]) => show(&library, &name.to_string_lossy()),
        (Some("show"), _) => Err(CliError::Usage("show takes the name of one device".into())),
        _ => {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into()).collect();
            list(&library, &words)
        }
    }
}

fn list(library: &Library, words: &[String]) -> Result<ExitCode, CliError> {
    let mut found: Vec<Model> = Vec::new();
    for model in library.all() {
        match model {
            Ok(model) if words.iter().all(|word| has(&model, word)) => found.push(model),
            Ok(_) => {}
            Err(wrong) => eprintln!("{wrong}"),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    for Model { name, head, .. } in &found {
        text += &format!("{name:26} {} {}\n", head.make, head.title);
    }
    print(&plain_lines(text.as_bytes()))
}

/// Whether what is said of a device has this word.
pub(super) fn has(model: &Model, word: &str) -> bool {
    let word = word.to_lowercase();
    let Model { name, head, .. } = model;
    let texts = [name, &head.make, &head.title, &head.about];
    texts.into_iter().chain(&head.aliases).any(|text| text.to_lowercase().contains(&word))
}

fn show(library: &Library, name: &str) -> Result<ExitCode, CliError> {
    let (Model { head, file, settings, .. }, cases) = library.open(name)?;
    let text = format!(
        "{} {}\n{}\n\nWiring: {}\nLine: {}\n\nFrom {file}; {} cases.\n",
        head.make,
        head.title,
        head.about,
        head.wiring,
        settings.get("line").map(Tree::key_text).unwrap_or_default(),
        cases.len()
    );
    print(&plain_lines(text.as_bytes()))
}

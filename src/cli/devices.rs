//! `tty2mqtt devices`: searches the library of devices, shows what it says of one, runs the cases of device
//! files, drafts new ones.

mod new;

use super::golden;
use crate::base::command_line::{CliError, print};
use crate::base::json;
use crate::base::line::Line;
use crate::base::plain::{cut, plain_lines};
use crate::config::file::DEFAULT_CONFIG;
use crate::config::library::{Entry, Library, Model, Search};
use crate::config::yaml::Tree;
use rustix::termios::tcgetwinsize;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt devices lists the devices that need no more than `model: NAME` in the configuration.

Usage: tty2mqtt devices [OPTIONS] [WORDS]
       tty2mqtt devices show NAME
       tty2mqtt devices test FILE...
       tty2mqtt devices new --from CAPTURE [--hex] [--line LINE]

  WORDS              only devices whose name, make, title, aliases or description have all of them
  show NAME          what it is, how it is connected, its fields, and a configuration to paste
  test FILE...       run the cases of device files, and report differences
  new                print a draft of a device file, with a case, from captured bytes: what
                     `tty2mqtt sniff --record` wrote, or bytes as they came; `-` is standard input
  -f, --from FILE    the captured bytes
  -x, --hex          they are hexadecimal text, as `tty2mqtt decode --hex` reads it
  -l, --line LINE    speed and format of the line, as in 9600 8N1
  -c, --config FILE  device files in the folder `devices` beside this configuration count first
                     [/etc/tty2mqtt/config.yaml]
  -j, --json         the list as JSON: objects with name, make, title, aliases, about, wiring

Exit codes: 0 success, 1 nothing was found, a file is broken or a case failed, 2 wrong usage.
Example: tty2mqtt devices eastron
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut config = PathBuf::from(DEFAULT_CONFIG);
    let mut json = false;
    let mut words = Vec::new();
    let mut new = new::Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('c') | Long("config") => config = parser.value()?.into(),
            Short('j') | Long("json") => json = true,
            Short('f') | Long("from") => new.from = Some(parser.value()?.into()),
            Short('x') | Long("hex") => new.hex = true,
            Short('l') | Long("line") => {
                let line: Line = parser.value()?.parse()?;
                new.line = Some(line.to_string());
            }
            Value(word) => words.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let library = Library::beside(config.parent().unwrap_or(Path::new("")));
    let texts: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let texts: Vec<&str> = texts.iter().map(|word| &**word).collect();
    match texts[..] {
        ["test", ..] => golden::run(&words.iter().skip(1).map(PathBuf::from).collect::<Vec<_>>()),
        ["show", name] => show(&library, name),
        ["new"] => new::run(&new),
        _ if new != new::Options::default() => {
            Err(CliError::Usage("--from, --hex and --line are options of `devices new`".into()))
        }
        ["show", ..] => Err(CliError::Usage("show takes the name of one device".into())),
        _ => list(&library, &texts, json),
    }
}

fn list(library: &Library, words: &[&str], json: bool) -> Result<ExitCode, CliError> {
    let Search { entries, is_near, broken } = library.search(words);
    for wrong in &broken {
        eprintln!("{}", plain_lines(wrong.to_string().as_bytes()));
    }
    if is_near && words.is_empty() {
        let what = "the library of devices is not installed; on OpenWrt: install tty2mqtt-devices";
        return Err(CliError::Failed(what.into()));
    }
    if is_near && (json || entries.is_empty()) {
        let all = "`tty2mqtt devices` lists all";
        return Err(CliError::Failed(format!("no device has all of these words; {all}")));
    }
    if json {
        print(&json::line(&entries.iter().map(object).collect::<Vec<_>>()))?;
    } else {
        if is_near {
            eprintln!("no device has all of these words; similar ones:");
        }
        print(&plain_lines(table(&entries, width()).as_bytes()))?;
    }
    let is_right = broken.is_empty() && !is_near;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn object(entry: &Entry) -> serde_json::Value {
    let Entry { name, head } = entry;
    serde_json::json!({
        "name": name, "make": head.make, "title": head.title, "aliases": head.aliases,
        "about": head.about, "wiring": head.wiring,
    })
}

/// Of the terminal, in characters; a file takes whole lines.
fn width() -> usize {
    let out = io::stdout();
    let size = tcgetwinsize(&out).ok().filter(|_| out.is_terminal());
    size.map_or(usize::MAX, |size| usize::from(size.ws_col).max(60))
}

/// Name, make and title, as wide as they need be.
fn table(entries: &[Entry], width: usize) -> String {
    let widest = |text: fn(&Entry) -> &str, most: usize| {
        entries.iter().map(|entry| text(entry).chars().count()).max().unwrap_or(0).min(most)
    };
    let name = widest(|entry| &entry.name, 28);
    let make = widest(|entry| &entry.head.make, 18);
    let left = width.saturating_sub(name + make + 5);
    let mut table = String::new();
    for Entry { name: own, head } in entries {
        let of =
            cut(&head.make, make.saturating_sub(usize::from(head.make.chars().count() > make)));
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{own:name$}  {of:make$}  {}", cut(&head.title, left));
    }
    table
}

fn show(library: &Library, name: &str) -> Result<ExitCode, CliError> {
    let (model, _) = library.open(name)?;
    print(&plain_lines(sheet(&model).as_bytes()))
}

/// All that must be known to connect it.
fn sheet(model: &Model) -> String {
    let Model { name, head, file, settings } = model;
    let mut text = format!("{} {}\n", head.make, head.title);
    let paragraph = |text: &mut String, label: &str, words: &str| {
        if !words.trim().is_empty() {
            wrap(text, label, words);
        }
    };
    paragraph(&mut text, "", &format!("`model: {name}`, from {file}"));
    paragraph(&mut text, "Also: ", &head.aliases.join(", "));
    text.push('\n');
    paragraph(&mut text, "", &head.about);
    text.push('\n');
    paragraph(&mut text, "Wiring: ", &head.wiring);
    let line = settings.get("line").map(Tree::key_text).unwrap_or("as it is set".into());
    paragraph(&mut text, "Line: ", &format!("{line}; {}", model.speaks()));
    let year = head.source.year.map(|year| format!(" ({year})")).unwrap_or_default();
    let source = format!("{}{year}: {}", head.source.document, head.source.section);
    paragraph(&mut text, "Source: ", source.trim_matches([':', ' ']));
    let fields = model.fields();
    text += "\nFields:\n";
    if fields.is_empty() {
        text += "  as they come\n";
    }
    let widest = fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0).min(32);
    for field in &fields {
        let write = field.write.as_ref().map(|write| format!("  write: {write}"));
        let row = format!(
            "  {:widest$}  {:7}  {}{}",
            field.name,
            field.unit,
            field.class,
            write.unwrap_or_default()
        );
        text += row.trim_end();
        text.push('\n');
    }
    let commands = model.commands();
    if !commands.is_empty() {
        text += "\nCommands:\n";
    }
    for (name, takes) in commands {
        wrap(&mut text, &format!("  {name}: "), &takes);
    }
    text += "\nIn the configuration:\n";
    for line in model.lines().lines() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// Puts a paragraph behind a label, in lines of at most 80 characters.
fn wrap(text: &mut String, label: &str, words: &str) {
    let indent = if label.is_empty() { "\n" } else { "\n  " };
    let mut column = label.chars().count();
    text.push_str(label);
    let mut is_first = true;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if !is_first && column + 1 + length > 80 {
            text.push_str(indent);
            column = indent.len() - 1;
        } else if !is_first {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
        is_first = false;
    }
    text.push('\n');
}

#[cfg(all(test, feature = "library"))]
mod tests {
    use super::*;

    #[test]
    fn lists_and_sheets_fit_into_eighty_columns() {
        let library = Library::beside(Path::new("/nowhere"));
        let Search { entries, .. } = library.search(&[]);
        let list = table(&entries, 80);
        assert_eq!(list.lines().count(), entries.len());
        for line in list.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for entry in &entries {
            let sheet = sheet(&library.open(&entry.name).unwrap().0);
            assert!(sheet.contains(&format!("    model: {}\n", entry.name)), "{sheet}");
            let is_paragraph = |line: &&str| !line.contains("write: ") && line.contains(' ');
            for line in sheet.lines().skip(1).filter(is_paragraph) {
                let is_one_word = line.split_whitespace().count() == 1;
                assert!(is_one_word || line.chars().count() <= 90, "{}: {line}", entry.name);
            }
        }
    }
}

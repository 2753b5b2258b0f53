//! Reads a file into a [`Config`], or finds everything that is wrong with it.

use super::error::{ConfigError, Part, Problem, SHOWN};
use super::excerpt::{Shown, is_hidden_key};
use super::file::{self, FileError};
use super::layer::{self, Layers};
use super::model::{Misfit, Models};
use super::overlay::{self, Files, Overlay};
use super::tree::{Mistake, Path, Reading, Step, What};
use super::yaml::Tree;
use super::{Config, Digests, check, hint, old_names, warn};
use crate::base::path::BuildError;
use crate::base::secret::Secret;
use crate::mqtt::files;
use serde::Deserialize;
use std::io;

/// Reads and checks a configuration file. The second part are warnings.
pub fn load(path: &std::path::Path) -> Result<(Config, Vec<String>), ConfigError> {
    load_files(&path.to_owned().into())
}

/// Reads and checks a configuration and the broker file that overrides parts of it.
pub fn load_files(files: &Files) -> Result<(Config, Vec<String>), ConfigError> {
    let missing = "name another file with --config; docs/CONFIG.md says what it holds, and LuCI or \
                   config/example.yaml of the source has one to start from";
    load_text(files, &read(&files.config, "the configuration", missing)?)
}

/// As [`load_files`], with a text in place of the configuration file's.
pub fn load_text(files: &Files, text: &str) -> Result<(Config, Vec<String>), ConfigError> {
    let folder = files.config.parent().unwrap_or(std::path::Path::new(""));
    let file = files.config.display().to_string();
    let mut layers = Layers::default();
    let overlay = match &files.broker {
        None => None,
        Some(path) => {
            let text = read(path, "the broker's settings", "name another file with --broker-file")?;
            Some(Overlay::of(layers.read(&path.display().to_string(), text)?)?)
        }
    };
    let mut whole = tree(&file, text)?;
    let over = overlay.as_ref().map(Overlay::keys).unwrap_or_default();
    if let Some(overlay) = overlay {
        overlay.lay_over(&mut whole);
    }
    let (config, mut warnings) = build(whole, Texts { file: &file, config: text, layers }, folder)?;
    warnings.extend(check::secrets(files, &config, |key| over.iter().any(|over| over == key)));
    Ok((config, warnings))
}

/// Reads a file's text. An error calls the file `what`; its remedy is `missing` if there is no file.
fn read(path: &std::path::Path, what: &str, missing: &str) -> Result<String, ConfigError> {
    file::read(path).map_err(|error| {
        let is_missing = matches!(&error, FileError::Io(e) if e.kind() == io::ErrorKind::NotFound);
        let mut wrong = BuildError::from(&error);
        wrong.what = format!("cannot read {what}: {}", wrong.what);
        if is_missing {
            wrong.remedy = Some(missing.to_owned());
        }
        ConfigError::of(&path.display().to_string(), None, "", wrong)
    })
}

/// Reads and checks a configuration's text. Relative paths in it start at `folder`.
#[cfg(any(test, feature = "demo", feature = "testing"))]
pub fn parse(
    file: &str,
    text: &str,
    folder: &std::path::Path,
) -> Result<(Config, Vec<String>), ConfigError> {
    build(tree(file, text)?, Texts { file, config: text, layers: Layers::default() }, folder)
}

/// A text as a YAML tree.
pub(super) fn tree(file: &str, text: &str) -> Result<Tree, ConfigError> {
    Tree::read(text).map_err(|fault| {
        let shown = Shown::new(None, text, None, &[]);
        let place = fault.at.and_then(|at| shown.place(at).or_else(|| shown.last()));
        ConfigError::of(file, place, "", BuildError::new(fault.what).remedy(fault.remedy))
    })
}

/// Reads and checks a configuration whose tree was made from a text, or from a part of it.
pub fn from_tree(
    file: &str,
    text: &str,
    tree: Tree,
    folder: &std::path::Path,
) -> Result<(Config, Vec<String>), ConfigError> {
    build(tree, Texts { file, config: text, layers: Layers::default() }, folder)
}

/// Reads a part of a text that is no configuration.
pub(super) fn typed<T: for<'de> Deserialize<'de>>(
    file: &str,
    text: &str,
    tree: &Tree,
) -> Result<T, ConfigError> {
    let reading = Reading::default();
    let read = reading.read::<T>(tree);
    let (mistakes, more) = (reading.mistakes.take(), reading.more.get());
    match read {
        Some(read) if mistakes.is_empty() => Ok(read),
        _ => {
            let shown = [Shown::new(None, text, Some(tree), &mistakes)];
            let mut found = Found { tree, shown: &shown, problems: Vec::new(), more };
            mistakes.iter().for_each(|mistake| found.mistake(mistake));
            let Found { problems, more, .. } = found;
            Err(ConfigError { file: file.to_owned(), problems, more })
        }
    }
}

/// The texts that a configuration was read from.
struct Texts<'a> {
    file: &'a str,
    config: &'a str,
    /// Those that are laid over it or below it.
    layers: Layers,
}

fn build(
    mut tree: Tree,
    mut texts: Texts<'_>,
    folder: &std::path::Path,
) -> Result<(Config, Vec<String>), ConfigError> {
    let mut models = Models::new(folder, &mut texts.layers);
    models.lay_below(&mut tree);
    let Models { misfits, faults, made, .. } = models;
    let reading = Reading::default();
    let config = reading.read::<Config>(&tree);
    let renamed = reading.renamed.take();
    old_names::renew(&mut tree, &renamed);
    let (mistakes, more) = (reading.mistakes.take(), reading.more.get());
    let shown = texts.shown(&tree, &mistakes);
    let mut found = Found { tree: &tree, shown: &shown, problems: faults, more };
    for Misfit { path, part, wrong } in misfits {
        found.problem(path, part, wrong);
    }
    mistakes.iter().for_each(|mistake| found.mistake(mistake));
    if let (Some(mut config), true) = (config, found.problems.is_empty()) {
        for (path, file) in config.files() {
            check::file_name(&path, file, &mut found);
            // A relative path starts at the configuration file's folder.
            *file = folder.join(&*file);
        }
        let mut keys: Vec<(String, Secret)> = Vec::new();
        for (path, key) in config.key_files() {
            check::file_name(&path, &key.file, &mut found);
            key.file = folder.join(&key.file);
            key.digits = files::password(&key.file).map_err(|error| error.to_string());
            if let (Some(Step::Key(port)), Ok(digits)) = (path.0.get(1), &key.digits) {
                keys.push((port.clone(), digits.clone()));
            }
        }
        check::check(&config, &mut found);
        if found.problems.is_empty() {
            let mut warned = Found { tree: &tree, shown: &shown, problems: Vec::new(), more: 0 };
            warn::warn(&config, &tree, &mut warned);
            warned.problems.sort_by_key(overlay::order);
            let mut warnings: Vec<_> =
                warned.problems.iter().map(|problem| problem.in_one_line(texts.file)).collect();
            if warned.more > 0 {
                warnings.push(format!("{} more of these", warned.more));
            }
            config.digests = Digests::of(&tree);
            config.made = made;
            keys.iter().for_each(|(port, digits)| config.digests.add_key(port, digits));
            return Ok((config, warnings));
        }
    }
    let Found { mut problems, more, .. } = found;
    problems.sort_by_key(overlay::order);
    Err(ConfigError { file: texts.file.to_owned(), problems, more })
}

impl Texts<'_> {
    /// All of them, in the order of their numbers.
    fn shown(&self, tree: &Tree, mistakes: &[Mistake]) -> Vec<Shown<'_>> {
        let config = Shown::new(None, self.config, Some(tree), mistakes);
        let more = self
            .layers
            .iter()
            .map(|layer| Shown::new(Some(&layer.file), &layer.text, Some(&layer.tree), mistakes));
        std::iter::once(config).chain(more).collect()
    }
}

/// The problems or warnings found so far, with their places.
pub(super) struct Found<'a> {
    tree: &'a Tree,
    /// The texts that it was read from, in the order of their numbers.
    shown: &'a [Shown<'a>],
    problems: Vec<Problem>,
    more: usize,
}

impl Found<'_> {
    /// Adds a problem with the value of a key.
    pub(super) fn add(
        &mut self,
        path: impl Into<Path>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.built(&path.into(), BuildError::new(what).remedy(remedy));
    }

    /// Where a key stands, to be put behind its path in a sentence.
    pub(super) fn line_of(&self, path: &Path) -> String {
        let node = path.find(self.tree).map(|(key, value)| key.unwrap_or(value));
        let place = node.and_then(|node| {
            let shown = self.text_of(node)?;
            Some((shown.file, shown.place(node.span)?.line))
        });
        match place {
            Some((None, line)) => format!(" (line {line})"),
            Some((Some(file), line)) => format!(" ({file}, line {line})"),
            None => String::new(),
        }
    }

    /// Whether a key stands in the configuration itself, and not in a file that it names.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        path.find(self.tree).is_some_and(|(_, value)| layer::of_node(value) == 0)
    }

    /// Adds a problem that came up when something was built from the settings at a path.
    pub(super) fn built(&mut self, path: &Path, wrong: BuildError) {
        self.problem(path.join(&wrong.path), Part::Key, wrong);
    }

    fn mistake(&mut self, mistake: &Mistake) {
        let mut path = Path::of(self.tree, mistake.node).unwrap_or_default();
        let (key, value) = path.find(self.tree).unzip();
        let key = key.flatten();
        let mut wrong = mistake.what.wrong();
        match &mistake.what {
            What::UnknownKey(allowed) => {
                let name = key.map(Tree::key_text).unwrap_or_default();
                wrong.remedy = Some(hint::for_key(&name, allowed));
            }
            What::UnknownWord(word, allowed) => {
                wrong.remedy = Some(hint::suggest(word, allowed));
            }
            What::TwoNames(_) | What::MissingKey(_) | What::Wrong(_) => {}
        }
        let is_value = mistake.what.part() == Part::Value;
        let hides =
            |value: &&Tree| self.text_of(value).is_none_or(|shown| shown.hides(value.span.start));
        if let Some(value) = value.filter(|_| is_value).filter(hides) {
            wrong.what = match mistake.what {
                What::UnknownWord(..) => "this word is not possible here".into(),
                _ => without(&wrong.what, value),
            };
            wrong.remedy = wrong.remedy.take().map(|remedy| without(&remedy, value));
        }
        if let Some((what, remedy)) = hint::for_value(&path, value, &mistake.what) {
            if let Some(what) = what {
                wrong.what = what.to_owned();
            }
            wrong.remedy = Some(remedy.to_owned());
        }
        if let (What::UnknownKey(allowed), Some(key), Some(value)) = (&mistake.what, key, value)
            && is_hidden_key(&key.key_text(), value, allowed)
        {
            path.0.pop();
            return self.put(Some(key), path.key("***"), wrong);
        }
        self.problem(path, mistake.what.part(), wrong);
    }

    /// The text that a node was read from.
    fn text_of(&self, node: &Tree) -> Option<&Shown<'_>> {
        self.shown.get(layer::of_node(node))
    }

    fn problem(&mut self, mut path: Path, part: Part, wrong: BuildError) {
        if self.problems.len() >= SHOWN {
            self.more += 1;
            return;
        }
        if let Some((_, text)) = path.find(self.tree)
            && let Some(Step::Characters { at, count }) = path.0.last()
            && let Some(span) = text.characters(*at, *count)
        {
            let part = Tree { span, ..text.clone() };
            let whole = Path::of(self.tree, text.id);
            path.0.pop();
            return self.put(Some(&part), whole.filter(Path::is_in_fields).unwrap_or(path), wrong);
        }
        let mut at = path.clone();
        // A key that is missing is shown at the map that lacks it.
        let (key, value, part) = loop {
            match at.find(self.tree) {
                Some((key, value)) if at == path => break (key, Some(value), part),
                Some((key, value)) => break (key, Some(value), Part::Key),
                None if at.0.pop().is_some() => {}
                None => break (None, None, part),
            }
        };
        let node = if part == Part::Key { key.or(value) } else { value };
        // What `fields` says of a field stands there first.
        let whole =
            if at == path { value.and_then(|value| Path::of(self.tree, value.id)) } else { None };
        let path = whole.filter(Path::is_in_fields).unwrap_or(path);
        self.put(node, path, wrong);
    }

    fn put(&mut self, node: Option<&Tree>, path: Path, wrong: BuildError) {
        let (mut file, mut place) = (None, None);
        if let Some(node) = node
            && let Some(shown) = self.text_of(node)
        {
            place = shown.place(node.span);
            file = place.as_ref().and(shown.file).map(str::to_owned);
        }
        self.problems.push(Problem::new(file, place, &path.to_string(), wrong));
    }
}

/// One mistake in a broker file. `key` is the one at fault, at the top.
pub(super) fn wrong(file: &str, text: &str, tree: &Tree, key: &str, what: &str) -> ConfigError {
    let shown = Shown::new(None, text, Some(tree), &[]);
    let (path, node) = tree.entry(key).map_or(("", tree), |(node, _)| (key, node));
    ConfigError::of(file, shown.place(node.span), path, BuildError::new(what))
}

/// A sentence without what it quotes of a value.
fn without(sentence: &str, value: &Tree) -> String {
    let mut left = String::new();
    let mut rest = sentence;
    while let Some((before, behind)) = rest.split_once('"') {
        left += before;
        left += "\"***\"";
        rest = behind_quote(behind);
    }
    left += rest;
    match &value.value {
        super::yaml::Value::Scalar { text, .. } if text.len() > 2 => left.replace(&**text, "***"),
        _ => left,
    }
}

/// What stands behind the end of a text in quotes.
fn behind_quote(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes that are looked at until all of a text is read, or all its mistakes are found.
    fn steps(text: &str) -> usize {
        let tree = Tree::read(text).unwrap();
        let reading = Reading::default();
        let _ = reading.read::<Config>(&tree);
        reading.steps.get()
    }

    #[test]
    fn four_times_the_text_takes_four_times_the_work() {
        const HEAD: &str = "broker: {url: \"mqtt://x\"}\nports:\n";
        let many = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<String>();
        let port =
            |inside: String| format!("{HEAD}  a:\n    path: /dev/a\n    line: 9600\n{inside}");
        let shapes: [(&str, &dyn Fn(usize) -> String); 9] = [
            ("unknown keys", &|n| many(n, &|n| format!("k{n}: 1\n")) + HEAD),
            ("unknown keys of a port", &|n| port(many(n, &|n| format!("    k{n}: 1\n")))),
            ("right ports", &|n| {
                HEAD.to_owned() + &many(n, &|n| format!("  p{n}: {{path: /d/{n}, line: 9600}}\n"))
            }),
            ("wrong ports", &|n| {
                let one = |n| format!("  p{n}: {{path: [], line: fast, flow: x, a: 1}}\n");
                HEAD.to_owned() + &many(n, &one)
            }),
            ("wrong names of ports", &|n| {
                HEAD.to_owned() + &many(n, &|n| format!("  p/{n}: {{path: /d/{n}, line: 9600}}\n"))
            }),
            ("wrong messages", &|n| {
                let one = |_| "      - {topic: [], qos: 7, retain: on, bad: 1}\n".to_owned();
                port("    messages:\n".to_owned() + &many(n, &one))
            }),
            ("wrong fields", &|n| {
                let one = |_| "          - {name: [], decimals: x, lookup: 3, bad: 1}\n".to_owned();
                port("    decode:\n      json:\n        fields:\n".to_owned() + &many(n, &one))
            }),
            ("a long list where a word belongs", &|n| {
                port(format!("    flow: [{}]\n", "a, ".repeat(n)))
            }),
            ("one long line", &|n| port(format!("    flow: {}\n    bad: 1\n", "x".repeat(n)))),
        ];
        for (name, shape) in shapes {
            for n in [4, 16, 64, 256, 1024] {
                let (small, large) = (steps(&shape(n)), steps(&shape(4 * n)));
                assert!(large <= 5 * small, "{name}: {n}: {small}, {large}");
            }
        }
    }

    /// Of a Kaifa meter in Tirol (fneur/smart-meter-tirol, doc/EXAMPLE.md).
    #[cfg(feature = "aes")]
    const ENCRYPTED: &str = "db084b464d10100000238201092100295b9aefc1546e644a2c9e32edd42cbd0f1b945b194d086885c4d8df86\
        dd52cb5b448854a6d548d5d270739b2a169d05b013f9015070089d3c5fa45ca05e92309a645cc83d7da40fbc\
        8f4cf9c225afa69a25ff0b2ac9c2744550aba53ce9143fd10b0ad85fd30bd6b6dffee65f8204dc9c5067ca73\
        b62e299a39d50aa730b2b9ae3836bc2f3490fb41be5b6f930d84952976369dd7dabbb5a4354aeca1d2486cff\
        2eb0c6206380ba501d122af75d716d3092c3960506a15e06fab0ee5b7dfa3c2cdf0cafd051b88e44b8b9fb88\
        65f20cb89d1143cdc7efeb07fb4c4898e764e9e3a32ddc3d1fb46961ce962b2c78050c96598c7e4d26658043\
        f9cbca78189bd01b139f8ae0f739";

    #[test]
    #[cfg(feature = "aes")]
    fn a_key_comes_from_its_file_and_changes_its_port_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |key: &str| std::fs::write(folder.path().join("meter.key"), key).unwrap();
        let text = "{gateway: gw, broker: {url: \"mqtt://x\"}, ports: {
            meter: {path: /dev/a, line: 115200, decrypt: {key: {file: meter.key}},
                framing: {length: {prefix: \"hex:DB 08\", offset: 11, size: 2, add: 13}},
                decode: {dlms: {fields: [{name: energy, from: 1.8.0}]}}},
            other: {path: /dev/b, line: 115200}}}";
        let read = || parse("c.yaml", text, folder.path()).map(|(config, _)| config);
        let runs = |config: &Config, what: &str| {
            let case = format!("{{name: c, input: [{{hex: {ENCRYPTED}}}], {what}}}");
            let case: crate::device::cases::Case = crate::config::tree::parse(&case).unwrap();
            let (name, port) =
                config.ports.iter().find(|(name, _)| name.as_str() == "meter").unwrap();
            case.run(&port.device(&config.gateway, name)).unwrap();
        };
        let error = read().unwrap_err().to_string();
        assert!(error.contains("ports.meter.decrypt.key.file: cannot read"), "{error}");
        write("101112131415161718191A1B1C1D1E1F\n");
        let right = read().unwrap();
        runs(&right, "messages: [{topic: gw/meter/energy, payload: \"9108\"}]");
        assert!(read().unwrap().is_same(&right, &["ports", "meter"]));
        write("101112131415161718191A1B1C1D1E10\n");
        let wrong = read().unwrap();
        runs(&wrong, "messages: [], counts: {frames: 1, refused: 1}");
        assert!(!wrong.is_same(&right, &["ports", "meter"]));
        assert!(wrong.is_same(&right, &["ports", "other"]));
        write("1011\n");
        let error = read().unwrap_err().to_string();
        assert!(
            error.contains("what stands in it is no key") && !error.contains("1011"),
            "{error}"
        );
    }
}

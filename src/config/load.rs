//! From a file to a [`Config`], or to everything that is wrong with it.

use super::error::{ConfigError, Part, Place, Problem};
use super::overlay::{self, Files, Overlay, Texts};
use super::scalar::Control;
use super::tree::{Mistake, Node, Path, Step, What, key_text};
use super::{Config, Source, check};
use serde::Deserialize;
use serde_yaml::Value;
use std::io;

/// A whole configuration takes a few kilobytes; more than this is a wrong file.
const LARGEST: u64 = 1 << 20;

/// Reads and checks a configuration file. The second part are warnings, in sentences.
pub fn load(path: &std::path::Path) -> Result<(Config, Vec<String>), ConfigError> {
    load_files(&path.to_owned().into())
}

/// Reads and checks a configuration with what is laid over it.
pub fn load_files(files: &Files) -> Result<(Config, Vec<String>), ConfigError> {
    let missing = "name another file with --config, or start from config/example.yaml";
    load_text(files, &read(&files.config, "the configuration", missing)?)
}

/// The same for a text that is to take the configuration's place.
pub fn load_text(files: &Files, text: &str) -> Result<(Config, Vec<String>), ConfigError> {
    let overlay = match &files.broker {
        None => None,
        Some(path) => {
            let text = read(path, "the broker's settings", "name another file with --broker-file")?;
            Some(Overlay::parse(&path.display().to_string(), text)?)
        }
    };
    let folder = files.config.parent().unwrap_or(std::path::Path::new(""));
    let file = files.config.display().to_string();
    let mut whole = tree(&file, text)?;
    if let Some(overlay) = &overlay {
        overlay.lay_over(&mut whole);
    }
    let texts = Texts { config: text, overlay: overlay.as_ref() };
    let (config, mut warnings) = build(&file, whole, &texts, folder)?;
    let is_over = |key: &str| overlay.as_ref().is_some_and(|overlay| overlay.has(key));
    warnings.extend(check::secrets(files, &config, is_over));
    Ok((config, warnings))
}

/// The text of a file. `what` it is and what helps if it is `missing` are for the error.
fn read(path: &std::path::Path, what: &str, missing: &str) -> Result<String, ConfigError> {
    let text = || {
        if std::fs::metadata(path)?.len() > LARGEST {
            return Err(io::Error::other("it has more than 1 MiB"));
        }
        std::fs::read_to_string(path)
    };
    text().map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => Some(missing),
            io::ErrorKind::PermissionDenied => Some("it must be readable by this user"),
            _ => None,
        };
        let mut problem = whole(&format!("cannot read {what}: {error}"));
        problem.remedy = remedy.map(str::to_owned);
        ConfigError { file: path.display().to_string(), problems: vec![problem] }
    })
}

/// Reads and checks a configuration's text. Relative paths in it count from `folder`.
pub fn parse(
    file: &str,
    text: &str,
    folder: &std::path::Path,
) -> Result<(Config, Vec<String>), ConfigError> {
    from_tree(file, tree(file, text)?, text, folder)
}

/// A text as a YAML tree.
pub(super) fn tree(file: &str, text: &str) -> Result<Value, ConfigError> {
    let failed = |problem| ConfigError { file: file.to_owned(), problems: vec![problem] };
    let mut tree: Value =
        serde_yaml::from_str(text).map_err(|error| failed(syntax(text, &error)))?;
    match tree.apply_merge() {
        Ok(()) => Ok(tree),
        Err(_) => Err(failed(whole("a merge key `<<` needs a map behind it"))),
    }
}

/// Reads and checks a configuration that is a YAML tree already. In `text` the mistakes are shown;
/// it may be empty.
pub fn from_tree(
    file: &str,
    tree: Value,
    text: &str,
    folder: &std::path::Path,
) -> Result<(Config, Vec<String>), ConfigError> {
    build(file, tree, &Texts { config: text, overlay: None }, folder)
}

fn build(
    file: &str,
    tree: Value,
    texts: &Texts<'_>,
    folder: &std::path::Path,
) -> Result<(Config, Vec<String>), ConfigError> {
    let mut mistakes = Vec::new();
    let config = read_all(tree.clone(), &mut mistakes);
    let mut problems: Vec<_> = mistakes.iter().map(|mistake| explain(texts, mistake)).collect();
    match config {
        Some(mut config) if problems.is_empty() => {
            problems = check::check(&config, texts);
            if problems.is_empty() {
                resolve(&mut config, folder);
                config.source = Source(tree);
                let warnings = check::warnings(&config);
                return Ok((config, warnings));
            }
        }
        _ => {}
    }
    problems.sort_by_key(overlay::order);
    Err(ConfigError { file: file.to_owned(), problems })
}

/// Deserializes again and again: whatever is wrong is noted and cut out of the tree, until the
/// rest is right or nothing is left. So the user sees all mistakes at once.
fn read_all(mut tree: Value, mistakes: &mut Vec<Mistake>) -> Option<Config> {
    // Where something was cut out, in the places of the whole tree.
    let mut cut: Vec<Path> = Vec::new();
    loop {
        let mut mistake = match Config::deserialize(Node(&tree)) {
            Ok(config) => return Some(config),
            Err(mistake) => *mistake,
        };
        let mut path = mistake.path.clone();
        mistake.path = before_cuts(&path, &cut);
        let follows = match &mistake.what {
            // A key that is missing because it was cut out was reported already.
            What::MissingKey(key) => {
                let mut missing = mistake.path.clone();
                missing.0.push(Step::Key((*key).into()));
                cut.contains(&missing)
            }
            _ => false,
        };
        if !follows {
            mistakes.push(mistake);
        }
        // What cannot be cut out goes with the nearest thing around it.
        let mut whole = before_cuts(&path, &cut);
        while !path.0.is_empty() && !remove(&mut tree, &path.0) {
            path.0.pop();
            whole.0.pop();
        }
        if path.0.is_empty() {
            return None;
        }
        cut.push(whole);
    }
}

/// The place in the whole tree of a place in the tree that is left: items that were cut out of a
/// list before it are counted again.
fn before_cuts(path: &Path, cut: &[Path]) -> Path {
    let mut whole: Vec<Step> = Vec::new();
    for step in &path.0 {
        let step = match step {
            Step::Key(_) => step.clone(),
            Step::Item(left) => {
                let gone = |at: &usize| {
                    let steps = whole.iter().cloned().chain([Step::Item(*at)]);
                    cut.iter().any(|path| path.0.iter().cloned().eq(steps.clone()))
                };
                let mut kept = (0..).filter(|at| !gone(at));
                Step::Item(kept.nth(*left).unwrap_or(*left))
            }
        };
        whole.push(step);
    }
    Path(whole)
}

/// Cuts a node out.
fn remove(tree: &mut Value, path: &[Step]) -> bool {
    match (tree, path) {
        (Value::Mapping(keys), [Step::Key(key)]) => {
            let found = keys.keys().find(|k| key_text(k) == *key).cloned();
            found.is_some_and(|key| keys.remove(&key).is_some())
        }
        (Value::Sequence(items), [Step::Item(at)]) if *at < items.len() => {
            items.remove(*at);
            true
        }
        (Value::Mapping(keys), [Step::Key(key), rest @ ..]) => {
            let found = keys.iter_mut().find(|(k, _)| key_text(k) == *key);
            found.is_some_and(|(_, value)| remove(value, rest))
        }
        (Value::Sequence(items), [Step::Item(at), rest @ ..]) => {
            items.get_mut(*at).is_some_and(|item| remove(item, rest))
        }
        _ => false,
    }
}

/// A mistake with its place in the text and its remedy.
fn explain(texts: &Texts<'_>, mistake: &Mistake) -> Problem {
    let (part, remedy) = match &mistake.what {
        What::UnknownKey(allowed) => {
            let key = match mistake.path.0.last() {
                Some(Step::Key(key)) => key.as_str(),
                _ => "",
            };
            (Part::Key, Some(suggest(key, allowed)))
        }
        What::UnknownWord(word, allowed) => (Part::Value, Some(suggest(word, allowed))),
        What::MissingKey(key) => {
            (Part::Key, Some(format!("add `{key}: …`; docs/CONFIG.md says what it takes")))
        }
        What::Wrong(_) => (Part::Value, None),
    };
    problem(texts, &mistake.path, part, mistake.to_string(), remedy)
}

/// A problem at a path. A sentence of the form `what; remedy` is taken apart.
pub(super) fn problem(
    texts: &Texts<'_>,
    path: &Path,
    part: Part,
    what: String,
    remedy: Option<String>,
) -> Problem {
    let (what, remedy) = match (what.split_once("; "), remedy) {
        (Some((what, remedy)), None) => (what.to_owned(), Some(remedy.to_owned())),
        (_, remedy) => (what, remedy),
    };
    let (text, file) = texts.of(path);
    let mut at = path.clone();
    let mut place = Place::of(text, &at, part);
    // A path into settings that were left out ends where the file does.
    while place.is_none() && at.0.pop().is_some() && !at.0.is_empty() {
        place = Place::of(text, &at, Part::Key);
    }
    Problem { file: file.map(str::to_owned), place, path: path.to_string(), what, remedy }
}

fn suggest(word: &str, allowed: &[&str]) -> String {
    let list = allowed.join(", ");
    let nearest = allowed.iter().map(|known| (distance(word, known), known)).min();
    match nearest {
        Some((steps, known)) if steps <= 1 + known.len() / 4 => {
            format!("did you mean `{known}`? Possible are: {list}")
        }
        _ => format!("possible are: {list}"),
    }
}

/// Levenshtein's distance: how many letters to change, add or leave out.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let here = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}

fn whole(what: &str) -> Problem {
    Problem { file: None, place: None, path: String::new(), what: what.into(), remedy: None }
}

/// A text that is no YAML at all.
fn syntax(text: &str, error: &serde_yaml::Error) -> Problem {
    let mut place = error.location().and_then(|at| Place::new(text, at.line(), at.column()));
    let mut what = error.to_string();
    if let Some(end) = what.find(" at line ") {
        what.truncate(end);
    }
    let has_tab = text
        .lines()
        .any(|line| line.trim_start_matches(' ').starts_with('\t') && !line.trim().is_empty());
    let remedy = if has_tab {
        "YAML does not allow tabs for indentation; use spaces".to_owned()
    } else if what.contains("duplicate entry") {
        place = Place::of_duplicate(text).or(place);
        "each key stands once; remove or rename one of the two".to_owned()
    } else {
        "check the indentation, and the quotes around texts with `: `, `#` or `{`".to_owned()
    };
    Problem { file: None, place, path: String::new(), what, remedy: Some(remedy) }
}

/// Relative paths count from the configuration file's folder.
fn resolve(config: &mut Config, folder: &std::path::Path) {
    let broker = &mut config.broker;
    let tls = &mut broker.tls;
    for pem in [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file].into_iter().flatten() {
        pem.resolve(folder);
    }
    let files = [tls.key_password_file.as_mut(), broker.password_file.as_mut()];
    if let Control::At(path) = &mut config.control {
        *path = folder.join(&*path);
    }
    let ports = config.ports.values_mut().map(|port| port.path.as_mut());
    let journal = config.outbox.journal.as_mut().map(|journal| &mut journal.path);
    for path in files.into_iter().chain(ports).flatten().chain(journal) {
        *path = folder.join(&*path);
    }
}

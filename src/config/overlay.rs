//! A second file whose keys count instead of those of the configuration's `broker`: for systems
//! that keep address and login in settings of their own, as OpenWrt does in UCI.

use super::error::{ConfigError, Part, Problem};
use super::load;
use super::tree::{Path, Step, key_text};
use serde_yaml::{Mapping, Value};
use std::path::PathBuf;

/// The files that make a configuration.
#[derive(Clone, Debug)]
pub struct Files {
    /// The configuration.
    pub config: PathBuf,
    /// A file with the one key `broker`, and below it those that count instead of the
    /// configuration's.
    pub broker: Option<PathBuf>,
}

impl From<PathBuf> for Files {
    fn from(config: PathBuf) -> Files {
        Files { config, broker: None }
    }
}

/// The keys of a broker file.
pub(super) struct Overlay {
    file: String,
    text: String,
    broker: Mapping,
}

impl Overlay {
    pub(super) fn parse(file: &str, text: String) -> Result<Overlay, ConfigError> {
        let tree = load::tree(file, &text)?;
        let wrong = |key: &str, what: &str| {
            let path = Path(vec![Step::Key(key.to_owned())]);
            let texts = Texts { config: &text, overlay: None };
            let problem = load::problem(&texts, &path, Part::Key, what.into(), None);
            Err(ConfigError { file: file.to_owned(), problems: vec![problem] })
        };
        let broker = match tree {
            Value::Null => Mapping::new(),
            Value::Mapping(mut keys) => {
                let broker = keys.remove("broker");
                if let Some(key) = keys.keys().next() {
                    return wrong(&key_text(key), "only `broker` may stand in this file");
                }
                match broker {
                    Some(Value::Mapping(broker)) => broker,
                    None | Some(Value::Null) => Mapping::new(),
                    Some(_) => return wrong("broker", "expected a map of keys"),
                }
            }
            _ => return wrong("", "expected the key `broker`"),
        };
        Ok(Overlay { file: file.to_owned(), text, broker })
    }

    /// Puts its keys in the place of the configuration's. What is no map there stays, and is a
    /// mistake of the configuration.
    pub(super) fn lay_over(&self, tree: &mut Value) {
        let Value::Mapping(keys) = tree else { return };
        let below = keys.entry("broker".into()).or_insert_with(|| Mapping::new().into());
        if below.is_null() {
            *below = Mapping::new().into();
        }
        let Value::Mapping(below) = below else { return };
        // Each of the two takes the other's place.
        for (given, replaced) in [("password", "password_file"), ("password_file", "password")] {
            if self.broker.contains_key(given) {
                below.remove(replaced);
            }
        }
        below.extend(self.broker.clone());
    }

    /// Whether a key of `broker` comes from here.
    pub(super) fn has(&self, key: &str) -> bool {
        self.broker.contains_key(key)
    }
}

/// The texts that a configuration was read from, to show its mistakes in.
pub(super) struct Texts<'a> {
    pub(super) config: &'a str,
    pub(super) overlay: Option<&'a Overlay>,
}

impl<'a> Texts<'a> {
    /// The text that a place of the tree was read from, and its file if that is not the
    /// configuration.
    pub(super) fn of(&self, path: &Path) -> (&'a str, Option<&'a str>) {
        match (path.0.as_slice(), self.overlay) {
            ([Step::Key(first), Step::Key(second), ..], Some(overlay))
                if first == "broker" && overlay.has(second) =>
            {
                (&overlay.text, Some(&overlay.file))
            }
            _ => (self.config, None),
        }
    }
}

/// What orders the mistakes: those of the configuration first, each file's by line and column.
pub(super) fn order(problem: &Problem) -> (bool, Option<(usize, usize)>) {
    (problem.file.is_some(), problem.place.as_ref().map(|place| (place.line, place.column)))
}

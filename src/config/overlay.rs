//! A second file that overrides keys of the configuration's `broker`: for systems that keep address
//! and login in settings of their own, as OpenWrt does in UCI.

use super::error::{ConfigError, Problem};
use super::layer::Layer;
use super::load;
use super::yaml::{Tree, Value};
use std::path::PathBuf;

/// The files that make a configuration.
#[derive(Clone, Debug)]
pub struct Files {
    pub config: PathBuf,
    /// A file with the one key `broker`, and below it the keys that override the configuration's.
    pub broker: Option<PathBuf>,
}

impl From<PathBuf> for Files {
    fn from(config: PathBuf) -> Files {
        Files { config, broker: None }
    }
}

/// The keys of a broker file.
pub(super) struct Overlay<'a>(&'a Tree);

impl<'a> Overlay<'a> {
    /// Checks a broker file.
    pub(super) fn of(layer: &'a Layer) -> Result<Overlay<'a>, ConfigError> {
        let Layer { file, text, tree } = layer;
        let wrong = |keys: &str, what: &str| Err(load::wrong(file, text, tree, keys, what));
        match &tree.value {
            _ if tree.is_null() => {}
            Value::Map(keys) => {
                if let Some((key, _)) = keys.iter().find(|(key, _)| key.key_text() != "broker") {
                    return wrong(&key.key_text(), "only `broker` may stand in this file");
                }
                let broker = tree.get("broker");
                if !broker.is_none_or(|broker| broker.keys().is_some() || broker.is_null()) {
                    return wrong("broker", "expected a map of keys");
                }
            }
            _ => return wrong("", "expected the key `broker`"),
        }
        Ok(Overlay(tree))
    }

    fn broker(&self) -> &[(Tree, Tree)] {
        self.0.get("broker").and_then(Tree::keys).unwrap_or_default()
    }

    /// Puts its keys in the place of the configuration's. A `broker` of the configuration that is not
    /// a map stays, so that its mistake is reported.
    pub(super) fn lay_over(&self, tree: &mut Tree) {
        let Value::Map(keys) = &mut tree.value else { return };
        let at = keys.iter().position(|(key, _)| key.key_text() == "broker").unwrap_or_else(|| {
            keys.push((Tree::text("broker"), Tree::map(Vec::new())));
            keys.len() - 1
        });
        let below = &mut keys[at].1;
        if below.is_null() {
            below.value = Value::Map(Vec::new());
        }
        let Value::Map(below) = &mut below.value else { return };
        // One kind of password overrides the other.
        for (given, replaced) in [("password", "password_file"), ("password_file", "password")] {
            if self.has(given) {
                below.retain(|(key, _)| key.key_text() != replaced);
            }
        }
        below.retain(|(key, _)| !self.has(&key.key_text()));
        below.extend(self.broker().iter().cloned());
    }

    /// Whether a key of `broker` comes from here.
    fn has(&self, key: &str) -> bool {
        self.broker().iter().any(|(own, _)| own.key_text() == key)
    }

    /// The keys of `broker` that come from here.
    pub(super) fn keys(&self) -> Vec<String> {
        self.broker().iter().map(|(own, _)| own.key_text().into_owned()).collect()
    }
}

/// What orders the mistakes: those of the configuration first, each file's by line and column.
pub(super) fn order(problem: &Problem) -> (Option<String>, Option<(usize, usize)>) {
    (problem.file.clone(), problem.place.as_ref().map(|place| (place.line, place.column)))
}

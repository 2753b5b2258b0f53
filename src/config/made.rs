//! Who made the devices of a configuration, as their models say it.

use super::tree::{Path, Step};
use super::yaml::{Tree, Value};
use std::collections::BTreeMap;

/// What a device file says of its device, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub make: String,
    pub title: String,
    pub aliases: Vec<String>,
}

/// The same of each device that has a model, by its port and, on a bus, its name there.
#[derive(Clone, Debug, Default)]
pub struct MadeBy(BTreeMap<(String, Option<String>), Made>);

impl Made {
    /// What a device file says; what it does not say is empty.
    pub(super) fn of(file: &Tree) -> Made {
        let text = |tree: &Tree| match &tree.value {
            Value::Scalar { text, .. } => Some(text.to_string()),
            _ => None,
        };
        let aliases = match file.get("aliases").map(|tree| &tree.value) {
            Some(Value::List(items)) => items.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let word = |key: &str| file.get(key).and_then(text).unwrap_or_default();
        Made { make: word("make"), title: word("title"), aliases }
    }
}

impl MadeBy {
    /// Notes what the model of the settings at a path says.
    pub(super) fn add(&mut self, path: &Path, made: Made) {
        let key = |n: usize| match path.0.get(n) {
            Some(Step::Key(key)) => Some(key.clone()),
            _ => None,
        };
        if let Some(port) = key(1) {
            self.0.entry((port, key(3))).or_insert(made);
        }
    }

    pub fn get(&self, port: &str, device: &str) -> Option<&Made> {
        let of = |device: Option<&str>| self.0.get(&(port.to_owned(), device.map(str::to_owned)));
        of(Some(device)).or_else(|| of(None))
    }
}

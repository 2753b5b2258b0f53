//! What a device file says of itself, beside the settings of a device: for people, and its cases.

use super::yaml::{Tree, Value};
use crate::device::cases::Case;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What stands in a device file for those who choose a device and connect it, and the proof of it.
#[allow(dead_code, reason = "for people; it must be there")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Who makes it.
    pub make: String,
    /// What it is, in a few words.
    pub title: String,
    /// Other names under which it is sold, or of devices that say the same.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What it measures or does, and what must be known of it.
    pub about: String,
    /// How it is connected.
    pub wiring: String,
    pub source: Document,
    /// How the device is told from others.
    #[serde(default)]
    pub detect: Option<IgnoredAny>,
    pub cases: Vec<Case>,
}

/// The document that publishes the device's protocol.
#[allow(dead_code, reason = "for people; it must be there")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub document: String,
    /// Where in it.
    pub section: String,
    /// When it was published, where it says so.
    pub year: Option<u16>,
}

impl Head {
    /// Its keys. All others of a device file are settings.
    pub const KEYS: &[&str] =
        &["make", "title", "aliases", "about", "wiring", "source", "detect", "cases"];
}

/// The keys with these names, and the others.
pub(super) fn split(tree: Tree, names: &[&str]) -> (Tree, Tree) {
    let (mut named, mut others) = (Vec::new(), Vec::new());
    let Tree { id, span, value } = tree;
    let value = match value {
        Value::Map(keys) => {
            for (key, value) in keys {
                let part = if names.contains(&&*key.key_text()) { &mut named } else { &mut others };
                part.push((key, value));
            }
            Value::Map(others)
        }
        other => other,
    };
    (Tree { id, span, value: Value::Map(named) }, Tree { id, span, value })
}

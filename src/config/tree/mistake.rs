//! What can be wrong with a tree, in words for somebody who knows YAML and not Rust.

use super::super::error::Part;
use super::super::yaml::Tree;
use crate::base::path::{BuildError, Path};
use serde::de::{self, Expected, Unexpected};
use std::fmt;

/// One thing that is wrong with the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The number of the node that is wrong. For a missing key: of what lacks it.
    pub node: u32,
    pub what: What,
    /// It would not be there without another mistake.
    pub(super) follows: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A key that means nothing here; the node is the key.
    UnknownKey(&'static [&'static str]),
    /// The old name of a key that is there, too; the node is the key.
    TwoNames(&'static str),
    /// A word that is none of those possible.
    UnknownWord(String, &'static [&'static str]),
    MissingKey(&'static str),
    Wrong(BuildError),
}

impl What {
    /// What is wrong, and what would be right where that is known here.
    pub fn wrong(&self) -> BuildError {
        match self {
            What::UnknownKey(_) => BuildError::new("unknown key"),
            What::TwoNames(name) => {
                BuildError::new(format!("this is the old name of `{name}`, which is there, too"))
                    .remedy("keep one of the two")
            }
            What::UnknownWord(word, _) => BuildError::new(format!("{word:?} is not possible here")),
            What::MissingKey(key) => BuildError::new(format!("the key `{key}` is missing"))
                .remedy(format!("add `{key}: …`; docs/CONFIG.md says what it takes")),
            What::Wrong(wrong) => wrong.clone(),
        }
    }

    /// What of the node to point at.
    pub fn part(&self) -> Part {
        match self {
            What::UnknownKey(_) | What::TwoNames(_) | What::MissingKey(_) => Part::Key,
            What::UnknownWord(..) | What::Wrong(_) => Part::Value,
        }
    }
}

/// A [`Mistake`] on its way out. In a box: serde's code for every field of every type passes it on.
pub(super) type Error = Box<Mistake>;

pub(super) fn wrong(what: impl Into<String>, remedy: Option<&str>) -> Error {
    let remedy = remedy.map(str::to_owned);
    Mistake::boxed(What::Wrong(BuildError { remedy, ..BuildError::new(what) }))
}

/// The number of no node: the mistake does not know yet where it is.
pub(super) const NOWHERE: u32 = u32::MAX;

impl Mistake {
    pub(super) fn boxed(what: What) -> Error {
        Box::new(Mistake { node: NOWHERE, what, follows: false })
    }

    /// The mistake is in this node, unless it is known to be further inside.
    pub(super) fn inside(mut self: Box<Mistake>, node: &Tree) -> Error {
        if self.node == NOWHERE {
            self.node = node.id;
        }
        self
    }
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.wrong().fmt(f)
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(why: T) -> Error {
        // `{:#}` leaves out the remedy of a `BuildError`, which stands at its end.
        let what = format!("{why:#}");
        let sentence = why.to_string();
        wrong(&*what, sentence.strip_prefix(&what).and_then(|rest| rest.strip_prefix("; ")))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        const BELOW: Option<&str> = Some("write its keys below it, each `key: value`");
        let wanted = in_plain_words(&expected.to_string());
        let (found, remedy) = match found {
            Unexpected::Map if wanted == "a text" || wanted == "a word" => {
                ("a map", Some("put quotes around a text that begins with `{`"))
            }
            Unexpected::Map if wanted == "a list" => {
                ("a map of keys", Some("put `- ` in front of each entry, or write [a, b]"))
            }
            Unexpected::Map | Unexpected::StructVariant => ("a map of keys", None),
            Unexpected::Seq if wanted == "a map of keys" => ("a list", BELOW),
            Unexpected::Seq => ("a list", None),
            Unexpected::Unit if wanted == "a map of keys" => ("nothing", BELOW),
            Unexpected::Unit => ("nothing", None),
            Unexpected::Bool(_) if wanted == "a text" => {
                ("true or false", Some("put quotes around it"))
            }
            Unexpected::Bool(_) => ("true or false", None),
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
                if wanted == "a text" =>
            {
                ("a number", Some("put quotes around it"))
            }
            Unexpected::Unsigned(0) if wanted == "true or false" => {
                ("a whole number", Some("write `false`"))
            }
            Unexpected::Unsigned(1) if wanted == "true or false" => {
                ("a whole number", Some("write `true`"))
            }
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => ("a whole number", None),
            Unexpected::Float(_) => ("a number with decimals", None),
            Unexpected::Str(text) if wanted == "true or false" => {
                match text.trim().to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" | "1" | "y" => {
                        ("a text", Some("write `true`, without quotes"))
                    }
                    "no" | "off" | "false" | "0" | "n" => {
                        ("a text", Some("write `false`, without quotes"))
                    }
                    _ => ("a text", Some("write `true` or `false`, without quotes")),
                }
            }
            Unexpected::Str(text) if wanted.contains("number") => {
                if text.trim().parse::<f64>().is_ok() {
                    ("a text", Some("leave the quotes out"))
                } else {
                    ("a text", Some("write the number alone"))
                }
            }
            Unexpected::Str(_) if wanted == "a map of keys" => ("a text", BELOW),
            Unexpected::Str(_) if wanted == "a list" => {
                ("a text", Some("put it in brackets, [a, b], or write `- a` in lines of their own"))
            }
            Unexpected::Str(_) => ("a text", None),
            _ => ("something else", None),
        };
        wrong(format!("expected {wanted}, found {found}"), remedy)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        let wanted = in_plain_words(&expected.to_string());
        let found = match found {
            Unexpected::Unsigned(n) => n.to_string(),
            Unexpected::Signed(n) => n.to_string(),
            other => other.to_string(),
        };
        wrong(format!("{found} does not fit"), Some(&format!("write {wanted}")))
    }

    fn unknown_field(_: &str, allowed: &'static [&'static str]) -> Error {
        Mistake::boxed(What::UnknownKey(allowed))
    }

    fn unknown_variant(word: &str, allowed: &'static [&'static str]) -> Error {
        Mistake::boxed(What::UnknownWord(word.into(), allowed))
    }

    fn missing_field(key: &'static str) -> Error {
        Mistake::boxed(What::MissingKey(key))
    }
}

/// serde names what it expects by Rust's types; the user knows YAML.
fn in_plain_words(expected: &str) -> String {
    match expected {
        "a string" => "a text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number that is not negative".into(),
        "i64" | "i32" => "a whole number".into(),
        // serde's words for `NonZero`.
        "a nonzero u8" => "a whole number from 1 to 255".into(),
        "a nonzero u16" => "a whole number from 1 to 65535".into(),
        other if other.starts_with("a nonzero") => "a whole number from 1 on".into(),
        "a map" => "a map of keys".into(),
        other if other.starts_with("struct ") => "a map of keys".into(),
        other => other.into(),
    }
}

impl Mistake {
    /// The sentence, with the path in front.
    pub fn with_path(&self, tree: &Tree) -> String {
        match Path::of(tree, self.node).filter(|path| !path.0.is_empty()) {
            Some(path) => format!("{path}: {self}"),
            None => self.to_string(),
        }
    }
}

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
    /// It was noted where it occurred, and is only on its way out.
    pub(super) noted: bool,
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
    let mut wrong = BuildError::new(what);
    wrong.remedy = remedy.map(str::to_owned);
    Mistake::boxed(What::Wrong(wrong))
}

/// The number of no node: the mistake does not know yet where it is.
pub(super) const NOWHERE: u32 = u32::MAX;

impl Mistake {
    pub(super) fn boxed(what: What) -> Error {
        Box::new(Mistake { node: NOWHERE, what, follows: false, noted: false })
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
        use Unexpected::*;
        let wanted = &*in_plain_words(&expected.to_string());
        let is_text = wanted == "a text";
        let remedy = match (found, wanted) {
            (Map, "a text" | "a word") => "put quotes around a text that begins with `{`",
            (Map, "a list") => "put `- ` in front of each entry, or write [a, b]",
            (Seq | Unit | Str(_), "a map of keys") => "write its keys below it, each `key: value`",
            (Bool(_) | Unsigned(_) | Signed(_) | Float(_), "a text") => "put quotes around it",
            (Unsigned(0), "true or false") => "write `false`",
            (Unsigned(1), "true or false") => "write `true`",
            (Str(text), "true or false") => match text.trim().to_ascii_lowercase().as_str() {
                "yes" | "on" | "true" | "1" | "y" => "write `true`, without quotes",
                "no" | "off" | "false" | "0" | "n" => "write `false`, without quotes",
                _ => "write `true` or `false`, without quotes",
            },
            (Str(text), _) if wanted.contains("number") => match text.trim().parse::<f64>() {
                Ok(_) => "leave the quotes out",
                Err(_) => "write the number alone",
            },
            (Str(_), "a list") => {
                "put it in brackets, [a, b], or write `- a` in lines of their own"
            }
            _ => "",
        };
        let found = match found {
            Map if is_text || wanted == "a word" => "a map",
            Map | StructVariant => "a map of keys",
            Seq => "a list",
            Unit => "nothing",
            Bool(_) => "true or false",
            Unsigned(_) | Signed(_) | Float(_) if is_text => "a number",
            Unsigned(_) | Signed(_) => "a whole number",
            Float(_) => "a number with decimals",
            Str(_) => "a text",
            _ => "something else",
        };
        let remedy = Some(remedy).filter(|remedy| !remedy.is_empty());
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

//! What a device file says of itself, beside the settings of a device: for people, how it is recognised, and
//! its cases.

use super::yaml::{Tree, Value};
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use crate::codec::field::Type;
use crate::codec::modbus::Table;
use serde::Deserialize;

/// What stands in a device file for those who choose a device and connect it. A file of the library has all
/// of it; in a user's own file all may be missing, and is empty then.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Head {
    /// Who makes it.
    pub make: String,
    /// What it is, in a few words.
    pub title: String,
    /// Other names under which it is sold, or of devices that say the same.
    pub aliases: Vec<String>,
    /// What it measures or does, and what must be known of it.
    pub about: String,
    /// How it is connected.
    pub wiring: String,
    pub source: Document,
    /// How it is told from others. Without it, framing and checksum alone tell it.
    pub detect: Option<Detect>,
}

/// The document that publishes the device's protocol.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    pub document: String,
    /// Where in it.
    pub section: String,
    /// When it was published, where it says so.
    pub year: Option<u16>,
}

impl Head {
    /// Its keys, and `cases`. All others of a device file are settings.
    pub const KEYS: &[&str] =
        &["make", "title", "aliases", "about", "wiring", "source", "detect", "cases"];

    /// The first key of those that a file of the library has, and this one has not.
    pub fn missing(&self) -> Option<&'static str> {
        let keys = [
            ("make", &self.make),
            ("title", &self.title),
            ("about", &self.about),
            ("wiring", &self.wiring),
            ("source.document", &self.source.document),
            ("source.section", &self.source.section),
        ];
        keys.into_iter().find(|(_, text)| text.trim().is_empty()).map(|(key, _)| key)
    }
}

/// How a device is told from others whose framing and checksum are the same.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Described")]
pub struct Detect {
    /// What a frame of it contains.
    pub contains: Option<ByteString>,
    /// What it answers when it is asked.
    pub probe: Option<Probe>,
}

/// A value that is read from a Modbus device to recognise it.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub table: Table,
    /// As on the wire, from 0.
    pub address: u16,
    pub kind: Type,
    pub answers: Answers,
}

/// Values by which a device is recognised.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    OneOf(Vec<f64>),
    /// Both ends belong to it.
    Between(f64, f64),
}

#[cfg(any(test, feature = "tools"))]
impl Answers {
    pub fn contain(&self, value: f64) -> bool {
        match self {
            Answers::OneOf(values) => values.contains(&value),
            Answers::Between(min, max) => (*min..=*max).contains(&value),
        }
    }
}

/// `detect`, as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Described {
    contains: Option<ByteString>,
    register: Option<Place>,
    values: Vec<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Place {
    input: Option<u16>,
    holding: Option<u16>,
    coil: Option<u16>,
    discrete: Option<u16>,
    #[serde(rename = "type")]
    kind: Option<Type>,
}

impl TryFrom<Described> for Detect {
    type Error = BuildError;

    fn try_from(described: Described) -> Result<Detect, BuildError> {
        let Described { contains, register, values, min, max } = described;
        let wrong = |what: &str, remedy| Err(BuildError::new(what).remedy(remedy));
        if contains.as_ref().is_some_and(|bytes| bytes.as_bytes().is_empty()) {
            return wrong("every frame contains an empty text", "leave out `contains`");
        }
        let is_one_of = !values.is_empty();
        let is_between = min.is_some() || max.is_some();
        let answers = match (is_one_of, is_between) {
            (true, true) => {
                return wrong("`values` stands beside `min` or `max`", "keep one of the two");
            }
            (true, false) => Some(Answers::OneOf(values)),
            (false, true) => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                if min > max {
                    return wrong("`min` is above `max`", "exchange the two");
                }
                Some(Answers::Between(min, max))
            }
            (false, false) => None,
        };
        let probe = match (register, answers) {
            (Some(register), Some(answers)) => Some(register.probe(answers)?),
            (None, None) => None,
            (Some(_), None) => {
                let remedy = "add `values: [30, 31]`, or `min` and `max`";
                return wrong("nothing says which value of `register` is the device's", remedy);
            }
            (None, Some(_)) => {
                let remedy = "add `register: {input: 0x0000}`";
                return wrong("nothing says where the value is read", remedy);
            }
        };
        Ok(Detect { contains, probe })
    }
}

impl Place {
    fn probe(self, answers: Answers) -> Result<Probe, BuildError> {
        let places = [
            (Table::Input, self.input),
            (Table::Holding, self.holding),
            (Table::Coil, self.coil),
            (Table::Discrete, self.discrete),
        ];
        let mut places = places.into_iter().filter_map(|(table, at)| Some((table, at?)));
        match (places.next(), places.next()) {
            (Some((table, address)), None) => {
                Ok(Probe { table, address, kind: self.kind.unwrap_or(Type::U16), answers })
            }
            _ => {
                let what = "exactly one of `input`, `holding`, `coil` and `discrete` says where a register is";
                Err(BuildError::new(what).remedy("write `register: {input: 0x0000}`"))
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree;

    #[test]
    fn a_device_is_recognised_by_what_its_frames_contain_or_by_what_it_answers() {
        let parse = |text: &str| tree::parse::<Detect>(text).unwrap();
        assert_eq!(parse("{}"), Detect::default());
        assert_eq!(parse("{contains: \"hex:AA 55\"}").contains.unwrap().as_bytes(), [0xaa, 0x55]);
        let probe = parse("{register: {input: 0x10}, values: [3, 7]}").probe.unwrap();
        assert_eq!((probe.table, probe.address, probe.kind), (Table::Input, 16, Type::U16));
        assert!(probe.answers.contain(7.0) && !probe.answers.contain(5.0));
        let probe = parse("{register: {holding: 0, type: f32}, min: 80}").probe.unwrap();
        assert!(probe.answers.contain(80.0) && !probe.answers.contain(79.9));
        for (text, expected) in [
            ("{contain: x}", "contain: unknown key"),
            ("{contains: \"\"}", "every frame contains an empty text; leave out `contains`"),
            ("{register: {input: 1}}", "nothing says which value"),
            ("{values: [1]}", "nothing says where"),
            ("{register: {type: u16}, values: [1]}", "exactly one of `input`"),
            ("{register: {input: 1, coil: 1}, values: [1]}", "exactly one of `input`"),
            ("{register: {input: 1}, values: [1], max: 2}", "keep one of the two"),
            ("{register: {input: 1}, min: 3, max: 2}", "`min` is above `max`"),
            ("{register: {input: 1}, values: [a]}", "a"),
        ] {
            let why = tree::parse::<Detect>(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}

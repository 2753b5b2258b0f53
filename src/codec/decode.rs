//! Frame → readings: one format a file.

mod binary;
mod bytes;
mod content;
mod dlms;
mod fields;
mod json;
mod label;
mod mbus;
mod nmea;
mod obis;
mod pairs;
mod pattern;
mod repeat;
mod sexpr;
mod sml;
mod text;
mod tlv;

pub(super) use binary::{Cell, build_field as build_cell};
pub(super) use bytes::Spelling;
pub use nmea::{Joined, Parts};
pub(crate) use pattern::regex;

use super::spelled::Spelled;
use crate::base::path::{BuildError, Path};
use crate::codec::field::{Field, Wire};
use crate::codec::value::{NoValue, Reading, RejectReason, RejectedReading, Value};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// How a frame is read. A word alone, such as `json`, takes a format with its defaults.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Decode {
    /// The frame as it is, as one field.
    Text(text::Text),
    /// The frame's bytes in hexadecimal or base64, as one field.
    Bytes(bytes::Bytes),
    /// Values in columns: `21.50,40,300`.
    Fields(fields::Fields),
    /// Names with values: `temp=21.5 hum=40`.
    Pairs(pairs::Pairs),
    /// Values that regular expressions find.
    Pattern(pattern::Pattern),
    /// Rows in which a column names the value in another: Linky meters, MySensors.
    Label(label::Label),
    /// Sentences of NMEA 0183, by their type.
    Nmea(nmea::Nmea),
    /// JSON.
    Json(json::Json),
    /// Bytes at fixed places.
    Binary(binary::Binary),
    /// What meters push by DLMS.
    Dlms(dlms::Dlms),
    /// Telegrams of meters on the M-Bus.
    Mbus(mbus::Mbus),
    /// Meters' readouts: OBIS codes with values in brackets.
    Obis(obis::Obis),
    /// Messages of SML meters.
    Sml(sml::Sml),
    /// Records of tag, length and value.
    Tlv(tlv::Tlv),
    /// Node lines of the Aiko platform: `(node pebble_1 ? (temperature 22.5 C))`.
    Sexpr(sexpr::Sexpr),
}

impl Decode {
    fn has_own_nodes(&self) -> bool {
        match self {
            Decode::Sexpr(_) => true,
            Decode::Json(json) => json.node.is_some(),
            _ => false,
        }
    }
}

impl Default for Decode {
    fn default() -> Decode {
        Decode::Text(text::Text::default())
    }
}

impl Decode {
    pub fn build(&self) -> Result<Decoder, BuildError> {
        let (word, decoder) = match self {
            Decode::Text(text) => ("text", Ok(Decoder::whole(&text.field, text.clone()))),
            Decode::Bytes(bytes) => ("bytes", Ok(Decoder::whole(&bytes.field, bytes.clone()))),
            Decode::Fields(fields) => ("fields", fields.build()),
            Decode::Pairs(pairs) => ("pairs", pairs.build()),
            Decode::Pattern(pattern) => ("pattern", pattern.build()),
            Decode::Label(label) => ("label", label.build()),
            Decode::Nmea(nmea) => ("nmea", nmea.build()),
            Decode::Json(json) => ("json", json.build()),
            Decode::Binary(binary) => ("binary", binary.build()),
            Decode::Dlms(dlms) => ("dlms", dlms.build()),
            Decode::Mbus(mbus) => ("mbus", mbus.build()),
            Decode::Obis(obis) => ("obis", obis.build()),
            Decode::Sml(sml) => ("sml", sml.build()),
            Decode::Tlv(tlv) => ("tlv", tlv.build()),
            Decode::Sexpr(sexpr) => ("sexpr", Ok(Decoder::new(Vec::new(), sexpr.clone()))),
        };
        match decoder {
            Ok(decoder) => Ok(Decoder { word, has_nodes: self.has_own_nodes(), ..decoder }),
            Err(error) => Err(error.at(word)),
        }
    }
}

/// A running decoder: its fields, and the format that finds them in a frame.
#[derive(Debug)]
pub struct Decoder {
    /// Its word in the configuration.
    word: &'static str,
    fields: Vec<Field>,
    /// Whether some fields are not published.
    drops: bool,
    /// The field whose value is the node of all others.
    node: Option<String>,
    /// Whether its format finds the nodes itself.
    has_nodes: bool,
    /// Names of values that are not fields, and only for placeholders.
    topics: Vec<String>,
    /// Whether a message may come in several frames.
    has_parts: bool,
    /// Whether the frames say which fields there are, besides `fields`.
    is_open: bool,
    format: Box<dyn Format>,
}

/// The decoder of the bytes that a field has, or that its text stands for.
#[derive(Debug)]
pub(super) struct Nested {
    spelling: Spelling,
    decoder: Decoder,
}

impl Nested {
    pub(super) fn build(decode: &Decode, spelling: Spelling) -> Result<Nested, BuildError> {
        let decoder = decode.build().map_err(|error| error.at("decode"))?;
        Ok(Nested { spelling, decoder })
    }

    /// Reads bytes that stand in the frame as they are.
    fn read<'a>(&'a self, bytes: &'a [u8], out: &mut Decoded<'a>) {
        let inner = self.decoder.decode(bytes);
        out.passed_over += inner.passed_over;
        for reading in inner.readings {
            out.add(reading.field, reading.unit, Ok(Some(reading.value)), Cow::default);
        }
        for reading in inner.unpublished {
            if out.unpublished.len() < Decoded::MOST {
                out.unpublished.push(reading);
            }
        }
        for wrong in inner.rejected {
            out.reject(wrong.field, wrong.reason, wrong.expected, wrong.found);
        }
        for none in inner.no_values {
            out.add(none.field, None, Ok(None), || none.found);
        }
    }
}

/// How a format finds values in a frame.
trait Format: Send + Sync {
    /// Adds what the frame says of these fields, or of all that it has where there are none.
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>);
}

/// For all of them, because what stands in a trait object is in the program even if nothing calls it.
impl fmt::Debug for dyn Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Format")
    }
}

/// The fields that did not come.
fn absent(fields: &[Field], came: Vec<bool>) -> impl Iterator<Item = &Field> {
    fields.iter().zip(came).filter(|(_, came)| !came).map(|(field, _)| field)
}

#[derive(Debug, Default)]
pub struct Decoded<'a> {
    /// The readings, in the frame's order.
    pub readings: Vec<Reading<'a>>,
    /// Readings that are not published, and only for placeholders.
    pub unpublished: Vec<Reading<'a>>,
    pub rejected: Vec<RejectedReading<'a>>,
    pub no_values: Vec<NoValue<'a>>,
    /// Items of [`Decode::Pairs`] that are neither pairs nor damage.
    pub passed_over: u64,
    /// Values beyond [`Decoded::MOST`], which are not read.
    pub beyond: u64,
}

impl Decoder {
    fn new(fields: Vec<Field>, format: impl Format + 'static) -> Decoder {
        let drops = fields.iter().any(|field| !field.publish);
        let (node, topics, has_parts, is_open) = (None, Vec::new(), false, fields.is_empty());
        let format = Box::new(format);
        let has_nodes = false;
        Decoder { word: "", fields, drops, node, has_nodes, topics, has_parts, is_open, format }
    }

    /// With the field whose value is `{node}`.
    fn with_node(self, node: Option<&str>) -> Result<Decoder, BuildError> {
        let Some(node) = node else { return Ok(self) };
        match self.names().filter(|names| !names.contains(&node)) {
            Some(names) => Err(BuildError::new(format!("there is no field {node:?}"))
                .remedy(format!("there are {}", names.join(", ")))
                .at("node")),
            None => Ok(self.of_node(node)),
        }
    }

    fn of_node(self, node: &str) -> Decoder {
        Decoder { node: Some(node.to_owned()), ..self }
    }

    /// With values that are only for placeholders.
    fn with_topics(self, topics: Vec<String>) -> Decoder {
        Decoder { topics, ..self }
    }

    /// With values whose names only the frames say.
    fn opened(self) -> Decoder {
        Decoder { is_open: true, ..self }
    }

    fn with_parts(self) -> Decoder {
        Decoder { has_parts: true, ..self }
    }

    /// The names that placeholders may have; `None` where only the frames say which there are.
    pub fn names(&self) -> Option<Vec<&str>> {
        let mut names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        for field in &self.fields {
            match &field.nested {
                Some(nested) => names.extend(nested.decoder.names()?),
                None => names.push(&field.name),
            }
        }
        (!self.is_open).then_some(names)
    }

    /// Where parts of messages wait for the others, if they come in several frames.
    pub fn parts(&self) -> Option<Parts> {
        self.has_parts.then(Parts::default)
    }

    /// Of a format that makes the whole frame one field.
    fn whole(field: &str, format: impl Format + 'static) -> Decoder {
        Decoder::new(vec![Field::named(field)], format)
    }

    /// The fields that it may give; none where only the frames say which these are.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether frames name the device that they are of.
    pub fn has_nodes(&self) -> bool {
        self.has_nodes || self.node.is_some()
    }

    /// Where one of its fields is described, below `decode`.
    pub fn path(&self, field: &Field) -> Path {
        let list = if self.word == "fields" { "names" } else { "fields" };
        Path::from([self.word, list]).item(field.item)
    }

    /// The decoder of what the text of one of its fields stands for.
    pub fn nested<'a>(&self, field: &'a Field) -> Option<&'a Decoder> {
        field.nested.as_ref().map(|nested| &nested.decoder)
    }

    /// Its readings have this field even if it is not published.
    pub fn keep(&mut self, name: &str) {
        for nested in self.fields.iter_mut().filter_map(|field| field.nested.as_mut()) {
            nested.decoder.keep(name);
        }
        let kept = self.fields.iter_mut().filter(|field| field.name == name);
        kept.for_each(|field| field.publish = true);
        self.drops = self.fields.iter().any(|field| !field.publish);
    }

    /// Reads one frame. It never fails as a whole: each part that cannot be read is rejected.
    pub fn decode<'a>(&'a self, frame: &'a [u8]) -> Decoded<'a> {
        let readings = Vec::with_capacity(self.fields.len());
        let mut out = Decoded { readings, ..Decoded::default() };
        self.format.decode(&self.fields, frame, &mut out);
        if self.drops {
            let is_dropped =
                |name: &str| self.fields.iter().any(|field| !field.publish && field.name == name);
            let is_dropped = |reading: &mut Reading<'_>| is_dropped(&reading.field);
            out.unpublished.extend(out.readings.extract_if(.., is_dropped));
        }
        if let Some(node) = &self.node {
            out.set_node(node);
        }
        out
    }
}

impl<'a> Decoded<'a> {
    /// At most this many values of a frame are read. A value takes hundreds of times more bytes as a
    /// message than on the line.
    pub const MOST: usize = 512;

    /// Whether the frame has its [`Decoded::MOST`] values. The first one beyond is reported as rejected.
    fn is_full(&mut self, field: &str) -> bool {
        if self.readings.len() + self.rejected.len() + self.no_values.len() < Decoded::MOST {
            return false;
        }
        if self.beyond == 0 {
            self.rejected.push(RejectedReading {
                field: field.to_owned().into(),
                reason: RejectReason::Malformed,
                expected: "at most 512 values in a frame",
                found: Cow::Borrowed(b"more"),
            });
        }
        self.beyond += 1;
        true
    }

    /// Whether it says of a field that it has no value, or a wrong one.
    pub fn tells_of(&self, field: &str) -> bool {
        self.rejected.iter().any(|it| it.field == field)
            || self.no_values.iter().any(|it| it.field == field)
    }

    /// Makes the value of a field the node of all readings.
    fn set_node(&mut self, field: &str) {
        let mut all = self.readings.iter().chain(&self.unpublished);
        let Some(reading) = all.find(|reading| reading.field == field) else { return };
        let node = match &reading.value {
            Value::Text(text) | Value::Number(text) => text.clone(),
            Value::Bool(_) => Spelled::of(format_args!("{}", reading.value.as_str())),
        };
        for reading in &mut self.readings {
            reading.node = Some(node.clone());
        }
    }

    /// Adds a value that is only for placeholders.
    fn unpublish(&mut self, field: &'a str, value: Value<'a>) {
        if self.unpublished.len() < Decoded::MOST {
            let field = field.into();
            self.unpublished.push(Reading { node: None, field, value, unit: None });
        }
    }

    /// Adds the result of a field's conversion; `found` is what was converted.
    pub(in crate::codec) fn add(
        &mut self,
        field: impl Into<Spelled<'a>>,
        unit: Option<&'a str>,
        value: Result<Option<Value<'a>>, RejectReason>,
        found: impl FnOnce() -> Cow<'a, [u8]>,
    ) {
        let field = field.into();
        if self.is_full(&field) {
            return;
        }
        match value {
            Ok(Some(value)) => {
                self.readings.push(Reading { node: None, field, value, unit });
            }
            Ok(None) => self.no_values.push(NoValue { field, found: found() }),
            Err(reason) => self.reject(field, reason, reason.expected(), found()),
        }
    }

    /// Adds the value of a field that is text. `came` is the unit that the format has for it.
    pub(in crate::codec) fn add_text(
        &mut self,
        field: &'a Field,
        came: Option<&'a str>,
        value: &'a [u8],
        wire: Wire,
    ) {
        if let Some(nested) = &field.nested {
            return self.add_nested(field, nested, value);
        }
        let convert = &field.convert;
        let unit = field.unit.as_deref().or(came).or_else(|| convert.unit_in(value));
        match convert.text(value, wire) {
            Err(reason) => self.reject(&field.name, reason, convert.expected(reason), value),
            good => self.add(&field.name, unit, good, || value.into()),
        }
    }

    /// Adds what another decoder reads in the bytes that a field's text stands for. They live no longer
    /// than this, so what it says is copied; a unit that came with a value is not.
    fn add_nested(&mut self, field: &'a Field, nested: &'a Nested, text: &[u8]) {
        let Some(bytes) = nested.spelling.read(text) else {
            let expected = nested.spelling.expected();
            return self.reject(&field.name, RejectReason::Malformed, expected, text.to_vec());
        };
        let inner = nested.decoder.decode(&bytes);
        self.passed_over += inner.passed_over;
        for reading in inner.readings {
            let named = nested.decoder.fields.iter().find(|it| *it.name == *reading.field);
            let unit = named.and_then(|field| field.unit.as_deref());
            let name = reading.field.into_owned();
            self.add(name, unit, Ok(Some(reading.value.into_owned())), Cow::default);
        }
        for reading in inner.unpublished {
            if self.unpublished.len() < Decoded::MOST {
                self.unpublished.push(Reading {
                    node: None,
                    field: reading.field.into_owned(),
                    value: reading.value.into_owned(),
                    unit: None,
                });
            }
        }
        for wrong in inner.rejected {
            let (field, found) = (wrong.field.into_owned(), wrong.found.into_owned());
            self.reject(field, wrong.reason, wrong.expected, found);
        }
        for none in inner.no_values {
            let (field, found) = (none.field.into_owned(), none.found.into_owned());
            self.add(field, None, Ok(None), || found.into());
        }
    }

    fn reject(
        &mut self,
        field: impl Into<Spelled<'a>>,
        reason: RejectReason,
        expected: &'static str,
        found: impl Into<Cow<'a, [u8]>>,
    ) {
        let field = field.into();
        if !self.is_full(&field) {
            self.rejected.push(RejectedReading { field, reason, expected, found: found.into() });
        }
    }

    /// Of a frame that the key of its device does not open.
    pub fn encrypted(frame: &'a [u8], expected: &'static str) -> Decoded<'a> {
        let mut out = Decoded::default();
        out.reject("frame", RejectReason::Encrypted, expected, frame);
        out
    }

    pub(in crate::codec) fn missing(&mut self, field: impl Into<Spelled<'a>>) {
        self.reject(field, RejectReason::Missing, RejectReason::Missing.expected(), &[][..]);
    }
}

#[cfg(test)]
mod tests;

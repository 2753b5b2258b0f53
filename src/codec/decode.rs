//! Frame → readings: one format a file.

mod binary;
mod bytes;
mod field;
mod fields;
mod json;
mod pairs;
mod sexpr;
mod text;

pub use binary::{Binary, BinaryField, Bits, Type};
pub use bytes::{Bytes, Spelling};
pub use field::{Field, FieldSettings};
pub use fields::Fields;
pub use json::Json;
pub use pairs::Pairs;
pub use sexpr::Sexpr;
pub use text::Text;

use crate::base::path::BuildError;
use crate::codec::value::{Convert, NoValue, Reading, RejectReason, RejectedReading, Value};
use serde::Deserialize;
use std::borrow::Cow;

/// How a frame is read. A word alone, such as `json`, takes a format with its defaults.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Decode {
    /// The frame as it is, as one field.
    Text(Text),
    /// The frame's bytes in hexadecimal or base64, as one field.
    Bytes(Bytes),
    /// Values in columns: `21.50,40,300`.
    Fields(Fields),
    /// Names with values: `temp=21.5 hum=40`.
    Pairs(Pairs),
    /// JSON.
    Json(Json),
    /// Bytes at fixed places.
    Binary(Binary),
    /// Node lines of the Aiko platform: `(node pebble_1 ? (temperature 22.5 C))`.
    Sexpr(Sexpr),
}

impl Default for Decode {
    fn default() -> Decode {
        Decode::Text(Text::default())
    }
}

impl Decode {
    /// The fields that it may give, where the settings say which these are.
    pub fn field_names(&self) -> Option<Vec<&str>> {
        match self {
            Decode::Text(text) => Some(vec![&text.field]),
            Decode::Bytes(bytes) => Some(vec![&bytes.field]),
            Decode::Fields(Fields { names: fields, .. })
            | Decode::Pairs(Pairs { fields, .. })
            | Decode::Json(Json { fields, .. })
                if !fields.is_empty() =>
            {
                let names = fields.iter().map(|field| field.0.name.as_str());
                Some(names.filter(|name| *name != "_").collect())
            }
            Decode::Binary(binary) => {
                Some(binary.fields.iter().map(|field| field.name.as_str()).collect())
            }
            Decode::Fields(_) | Decode::Pairs(_) | Decode::Json(_) | Decode::Sexpr(_) => None,
        }
    }

    /// The running decoder.
    pub fn build(&self) -> Result<Decoder, BuildError> {
        let below = |word: &'static str| move |error: BuildError| error.at(word);
        Ok(match self {
            Decode::Text(text) => Decoder::Text(text.clone()),
            Decode::Bytes(bytes) => Decoder::Bytes(bytes.clone()),
            Decode::Fields(fields) => Decoder::Fields(fields.build().map_err(below("fields"))?),
            Decode::Pairs(pairs) => Decoder::Pairs(pairs.build().map_err(below("pairs"))?),
            Decode::Json(json) => Decoder::Json(json.build().map_err(below("json"))?),
            Decode::Binary(binary) => Decoder::Binary(binary.build().map_err(below("binary"))?),
            Decode::Sexpr(_) => Decoder::Sexpr(Convert::default()),
        })
    }
}

/// A running decoder.
#[derive(Debug)]
pub enum Decoder {
    /// See [`Decode::Text`].
    Text(Text),
    /// See [`Decode::Bytes`].
    Bytes(Bytes),
    /// See [`Decode::Fields`].
    Fields(fields::Decoder),
    /// See [`Decode::Pairs`].
    Pairs(pairs::Decoder),
    /// See [`Decode::Json`].
    Json(json::Decoder),
    /// See [`Decode::Binary`].
    Binary(binary::Decoder),
    /// See [`Decode::Sexpr`].
    Sexpr(Convert),
}

/// What one frame held.
#[derive(Debug, Default)]
pub struct Decoded<'a> {
    /// The readings, in the frame's order.
    pub readings: Vec<Reading<'a>>,
    /// What was refused.
    pub rejected: Vec<RejectedReading<'a>>,
    /// Fields without a value.
    pub no_values: Vec<NoValue<'a>>,
    /// Items of [`Decode::Pairs`] that are none and no damage either.
    pub passed_over: u64,
    /// Values beyond [`Decoded::MOST`], which are not read.
    pub beyond: u64,
}

impl Decoder {
    /// Reads one frame. Never fails as a whole: what cannot be read becomes a refusal.
    pub fn decode<'a>(&'a self, frame: &'a [u8]) -> Decoded<'a> {
        let mut out = Decoded::default();
        match self {
            Decoder::Text(text) => text.decode(frame, &mut out),
            Decoder::Bytes(bytes) => bytes.decode(frame, &mut out),
            Decoder::Fields(fields) => fields.decode(frame, &mut out),
            Decoder::Pairs(pairs) => pairs.decode(frame, &mut out),
            Decoder::Json(json) => json.decode(frame, &mut out),
            Decoder::Binary(binary) => binary.decode(frame, &mut out),
            Decoder::Sexpr(plain) => sexpr::decode(plain, frame, &mut out),
        }
        out
    }
}

impl<'a> Decoded<'a> {
    /// So many values of a frame are read at most. A value takes hundreds of times its bytes on the
    /// line as a message; this bounds what one frame becomes.
    pub const MOST: usize = 512;

    /// Whether one more value is too many. The first such is told of as refused.
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

    /// Adds what a field's conversion gave; `found` is what it was made from.
    fn add(
        &mut self,
        field: impl Into<Cow<'a, str>>,
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
                let unit = unit.map(Cow::Borrowed);
                self.readings.push(Reading { node: None, field, value, unit });
            }
            Ok(None) => self.no_values.push(NoValue { field, found: found() }),
            Err(reason) => self.refuse(field, reason, reason.expected(), found()),
        }
    }

    fn refuse(
        &mut self,
        field: impl Into<Cow<'a, str>>,
        reason: RejectReason,
        expected: &'static str,
        found: impl Into<Cow<'a, [u8]>>,
    ) {
        let field = field.into();
        if !self.is_full(&field) {
            self.rejected.push(RejectedReading { field, reason, expected, found: found.into() });
        }
    }

    /// The frame has no such field.
    fn missing(&mut self, field: impl Into<Cow<'a, str>>) {
        self.refuse(field, RejectReason::Missing, RejectReason::Missing.expected(), &[][..]);
    }
}

#[cfg(test)]
mod tests;

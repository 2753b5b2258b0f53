//! Frame → readings: one format a file.

mod binary;
mod bytes;
mod content;
mod dlms;
mod fields;
mod json;
mod mbus;
mod obis;
mod pairs;
mod sexpr;
mod sml;
mod text;
mod time_text;

pub(super) use binary::{Cell, build_field as build_cell};

use crate::base::path::BuildError;
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
    /// Node lines of the Aiko platform: `(node pebble_1 ? (temperature 22.5 C))`.
    Sexpr(sexpr::Sexpr),
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
            Decode::Json(json) => ("json", json.build()),
            Decode::Binary(binary) => ("binary", binary.build()),
            Decode::Dlms(dlms) => ("dlms", dlms.build()),
            Decode::Mbus(mbus) => ("mbus", mbus.build()),
            Decode::Obis(obis) => ("obis", obis.build()),
            Decode::Sml(sml) => ("sml", sml.build()),
            Decode::Sexpr(sexpr) => ("sexpr", Ok(Decoder::new(Vec::new(), sexpr.clone()))),
        };
        decoder.map_err(|error| error.at(word))
    }
}

/// A running decoder: its fields, and the format that finds them in a frame.
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<Field>,
    /// Whether some fields are not published.
    drops: bool,
    format: Box<dyn Format>,
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

#[derive(Debug, Default)]
pub struct Decoded<'a> {
    /// The readings, in the frame's order.
    pub readings: Vec<Reading<'a>>,
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
        Decoder { fields, drops, format: Box::new(format) }
    }

    /// Of a format that makes the whole frame one field.
    fn whole(field: &str, format: impl Format + 'static) -> Decoder {
        Decoder::new(vec![Field::named(field)], format)
    }

    /// The fields that it may give; none where only the frames say which these are.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Reads one frame. It never fails as a whole: each part that cannot be read is rejected.
    pub fn decode<'a>(&'a self, frame: &'a [u8]) -> Decoded<'a> {
        let readings = Vec::with_capacity(self.fields.len());
        let mut out = Decoded { readings, ..Decoded::default() };
        self.format.decode(&self.fields, frame, &mut out);
        if self.drops {
            let is_dropped =
                |name: &str| self.fields.iter().any(|field| !field.publish && field.name == name);
            out.readings.retain(|reading| !is_dropped(&reading.field));
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

    /// Adds the result of a field's conversion; `found` is what was converted.
    pub(in crate::codec) fn add(
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
        let convert = &field.convert;
        let unit = field.unit.as_deref().or(came).or_else(|| convert.unit_in(value));
        match convert.text(value, wire) {
            Err(reason) => self.reject(&field.name, reason, convert.expected(reason), value),
            good => self.add(&field.name, unit, good, || value.into()),
        }
    }

    fn reject(
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

    /// Of a frame that the key of its device does not open.
    pub fn encrypted(frame: &'a [u8], expected: &'static str) -> Decoded<'a> {
        let mut out = Decoded::default();
        out.reject("frame", RejectReason::Encrypted, expected, frame);
        out
    }

    pub(in crate::codec) fn missing(&mut self, field: impl Into<Cow<'a, str>>) {
        self.reject(field, RejectReason::Missing, RejectReason::Missing.expected(), &[][..]);
    }
}

#[cfg(test)]
mod tests;

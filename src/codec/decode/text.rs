//! The frame as it is.

use super::{Decoded, Format};
use crate::codec::field::Field;
use crate::codec::value::Value;
use serde::Deserialize;

/// The frame as it is, as one field.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Text {
    /// Name of the field.
    pub field: String,
}

impl Default for Text {
    fn default() -> Text {
        Text { field: "text".into() }
    }
}

impl Format for Text {
    fn decode<'a>(&'a self, _: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        out.add(&self.field, None, Value::text(frame), || frame.into());
    }
}

//! The frame as it is.

use super::Decoded;
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;

/// The frame as it is, as one field.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Text {
    /// The field's name.
    pub field: String,
}

impl Default for Text {
    fn default() -> Text {
        Text { field: "text".into() }
    }
}

impl Text {
    pub(super) fn decode<'a>(&'a self, frame: &'a [u8], out: &mut Decoded<'a>) {
        let text = std::str::from_utf8(frame).map_err(|_| RejectReason::NotUtf8);
        out.add(&self.field, None, text.map(|text| Some(Value::Text(text.into()))), || {
            frame.into()
        });
    }
}

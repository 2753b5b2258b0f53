//! The frame's bytes in hexadecimal or base64.

use super::{Decoded, Format};
use crate::base::scalar::parse_hex;
use crate::codec::field::Field;
use crate::codec::spelled::Spelled;
use crate::codec::value::Value;
use base64ct::{Base64, Encoding};
use serde::Deserialize;
use std::fmt::Write;

/// The frame's bytes, as one field.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Bytes {
    /// Name of the field.
    pub field: String,
    /// How they are spelled.
    #[serde(rename = "as")]
    pub spelling: Spelling,
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes { field: "bytes".into(), spelling: Spelling::Hex }
    }
}

/// How bytes are spelled.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Spelling {
    /// Hexadecimal digits in lower case, two for each byte.
    #[default]
    Hex,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
}

impl Spelling {
    pub(super) fn of(self, bytes: &[u8]) -> Spelled<'static> {
        match self {
            Spelling::Hex => {
                let mut text = Spelled::with_capacity(2 * bytes.len());
                for byte in bytes {
                    // Writing to it cannot fail.
                    let _ = write!(text, "{byte:02x}");
                }
                text
            }
            Spelling::Base64 => Base64::encode_string(bytes).into(),
        }
    }
}

impl Spelling {
    /// The bytes that a text stands for; `None` if it is spelled otherwise.
    pub(super) fn read(self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text.trim_ascii()).ok()?;
        match self {
            Spelling::Hex => parse_hex(text).ok(),
            Spelling::Base64 => Base64::decode_vec(text).ok(),
        }
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Spelling::Hex => "pairs of hexadecimal digits",
            Spelling::Base64 => "base64 with padding",
        }
    }
}

impl Format for Bytes {
    fn decode<'a>(&'a self, _: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let value = Value::Text(self.spelling.of(frame));
        out.add(&self.field, None, Ok(Some(value)), || frame.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_vectors_of_rfc_4648() {
        for (plain, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(Spelling::Base64.of(plain.as_bytes()), expected);
        }
        assert_eq!(Spelling::Hex.of(&[0, 0xAB]), "00ab");
    }
}

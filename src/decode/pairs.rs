//! Names with values.

use super::Decoded;
use super::field::{Field, Running};
use super::fields::split;
use crate::config::scalar::ByteString;
use crate::value::{Cause, Convert};
use serde::Deserialize;
use std::borrow::Cow;

/// Names with values: `temp=21.5 hum=40`. Also the lines of a DSMR P1 telegram, with
/// `{between: "\r\n", equals: "(", close: ")", unit: "*"}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// What stands between two pairs. `" "` stands for any white space.
    #[serde(default = "Pairs::default_between")]
    pub between: ByteString,
    /// What stands between name and value.
    #[serde(default = "Pairs::default_equals")]
    pub equals: ByteString,
    /// What stands behind a value and is not part of it: `")"`.
    #[serde(default)]
    pub close: ByteString,
    /// What stands between a value and its unit, where the device sends units: `"*"`.
    #[serde(default)]
    pub unit: ByteString,
    /// The fields that are wanted, each with the device's name for it as `from`; all others are
    /// ignored, and one that does not come is counted as missing. Default: all that come.
    #[serde(default)]
    pub fields: Vec<Field>,
}

impl Default for Pairs {
    fn default() -> Pairs {
        Pairs {
            between: Pairs::default_between(),
            equals: Pairs::default_equals(),
            close: ByteString::default(),
            unit: ByteString::default(),
            fields: Vec::new(),
        }
    }
}

impl Pairs {
    fn default_between() -> ByteString {
        ByteString::from(b" ".as_slice())
    }

    fn default_equals() -> ByteString {
        ByteString::from(b"=".as_slice())
    }

    pub(super) fn build(&self) -> Result<Decoder, String> {
        for (key, bytes) in [("between", &self.between), ("equals", &self.equals)] {
            if bytes.as_bytes().is_empty() {
                return Err(format!("{key}: nothing cannot separate"));
            }
        }
        let fields = Running::build_all("fields", &self.fields)?;
        Ok(Decoder { pairs: self.clone(), fields, all: Convert::default() })
    }
}

/// See [`Pairs`].
#[derive(Debug)]
pub struct Decoder {
    pairs: Pairs,
    fields: Vec<Running>,
    /// For fields that the configuration does not name.
    all: Convert,
}

impl Decoder {
    pub(super) fn decode<'a>(&'a self, frame: &'a [u8], out: &mut Decoded<'a>) {
        let mut came = vec![false; self.fields.len()];
        for pair in split(frame, self.pairs.between.as_bytes()) {
            let Some((name, value)) = self.name_and_value(pair) else {
                if self.fields.is_empty() && !pair.trim_ascii().is_empty() {
                    out.refuse(String::from_utf8_lossy(pair.trim_ascii()), Cause::Malformed);
                }
                continue;
            };
            let (value, unit) = self.value_and_unit(value);
            if self.fields.is_empty() {
                match std::str::from_utf8(name) {
                    Ok(name) => out.add(name, unit, self.all.text(value)),
                    Err(_) => out.refuse(String::from_utf8_lossy(name), Cause::NotUtf8),
                }
                continue;
            }
            for (field, came) in self.fields.iter().zip(&mut came) {
                if field.from.as_bytes() == name && !*came {
                    *came = true;
                    let unit = field.unit.as_deref().or(unit);
                    out.add(&field.name, unit, field.convert.text(value));
                }
            }
        }
        for (field, _) in self.fields.iter().zip(came).filter(|(_, came)| !came) {
            out.refuse(Cow::Borrowed(field.name.as_str()), Cause::Missing);
        }
    }

    /// Several values in brackets, such as a gas meter's time and volume in DSMR P1, stand one
    /// behind the other; the last one is the reading.
    fn name_and_value<'a>(&self, pair: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let pair = pair.trim_ascii();
        let equals = self.pairs.equals.as_bytes();
        let at = pair.windows(equals.len()).position(|window| window == equals)?;
        let name = pair[..at].trim_ascii();
        let mut value = pair[at + equals.len()..].trim_ascii();
        let close = self.pairs.close.as_bytes();
        if !close.is_empty() {
            value = value.strip_suffix(close)?;
            let last = value.windows(equals.len()).rposition(|window| window == equals);
            value = last.map_or(value, |at| &value[at + equals.len()..]);
        }
        (!name.is_empty()).then_some((name, value))
    }

    fn value_and_unit<'a>(&self, value: &'a [u8]) -> (&'a [u8], Option<&'a str>) {
        let separator = self.pairs.unit.as_bytes();
        if separator.is_empty() {
            return (value, None);
        }
        match value.windows(separator.len()).rposition(|window| window == separator) {
            Some(at) => {
                let unit = std::str::from_utf8(&value[at + separator.len()..]).ok();
                (&value[..at], unit.filter(|unit| !unit.is_empty()))
            }
            None => (value, None),
        }
    }
}

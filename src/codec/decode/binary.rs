//! Bytes at fixed places.

use super::Decoded;
use super::bytes::Spelling;
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::frame::Endian;
use crate::codec::value::{Convert, Kind, RejectReason, Value, Wire};
use serde::{Deserialize, Deserializer, de};
use std::collections::{BTreeMap, HashSet};

/// Bytes at fixed places of the frame, as data sheets give them.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// Order of the bytes of numbers, unless a field says otherwise.
    #[serde(default)]
    pub endian: Endian,
    /// The fields.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<BinaryField>,
}

/// A field: `{name: pm2_5, at: 12, type: u16, unit: µg/m³}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BinaryField {
    /// Its name, for `{field}`.
    pub name: String,
    /// Its first byte, counted from 0.
    pub at: u16,
    /// What its bytes are.
    #[serde(rename = "type")]
    pub kind: Type,
    /// How many bytes it has; for `bcd`, `text` and `bytes` only.
    #[serde(default)]
    pub length: Option<u16>,
    /// Order of its bytes.
    #[serde(default)]
    pub endian: Option<Endian>,
    /// Only these bits of an unsigned number: `3`, or `4-7`; 0 is the lowest.
    #[serde(default)]
    pub bits: Option<Bits>,
    /// Unit of measurement, for `{unit}`.
    #[serde(default)]
    pub unit: Option<String>,
    /// What the number is multiplied with: `0.1`. The result has its decimals.
    #[serde(default)]
    pub scale: Option<Token>,
    /// What is added to the number, after `scale`.
    #[serde(default)]
    pub offset: Option<Token>,
    /// Round to so many decimals, half away from zero.
    #[serde(default)]
    pub decimals: Option<u8>,
    /// What single values stand for: `{0: off, 1: on}`. Others are published as they are.
    #[serde(default)]
    pub lookup: BTreeMap<Token, Token>,
    /// Values, before `scale`, with which the device says that it has none: `[0xFFFF]`, as a
    /// number or as the bytes' pattern. Nothing is published then.
    #[serde(default)]
    pub unavailable: Vec<Token>,
}

/// What the bytes of a field are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Unsigned, 1 byte.
    U8,
    /// Signed, 1 byte.
    I8,
    /// Unsigned, 2 bytes.
    U16,
    /// Signed, 2 bytes.
    I16,
    /// Unsigned, 3 bytes.
    U24,
    /// Signed, 3 bytes.
    I24,
    /// Unsigned, 4 bytes.
    U32,
    /// Signed, 4 bytes.
    I32,
    /// Unsigned, 8 bytes.
    U64,
    /// Signed, 8 bytes.
    I64,
    /// Floating point (IEEE 754), 4 bytes. NaN and the infinities are no values.
    F32,
    /// Floating point (IEEE 754), 8 bytes.
    F64,
    /// Binary-coded decimal, two digits a byte.
    Bcd,
    /// Text in UTF-8; NULs and spaces around it are dropped. With `unit`, `scale`, `offset` or
    /// `decimals` it is a number in digits.
    Text,
    /// Bytes, spelled in hexadecimal.
    Bytes,
}

impl Type {
    /// Bytes of it, where the type says so.
    fn size(self) -> Option<usize> {
        match self {
            Type::U8 | Type::I8 => Some(1),
            Type::U16 | Type::I16 => Some(2),
            Type::U24 | Type::I24 => Some(3),
            Type::U32 | Type::I32 | Type::F32 => Some(4),
            Type::U64 | Type::I64 | Type::F64 => Some(8),
            Type::Bcd | Type::Text | Type::Bytes => None,
        }
    }

    fn is_unsigned(self) -> bool {
        matches!(self, Type::U8 | Type::U16 | Type::U24 | Type::U32 | Type::U64)
    }

    fn is_signed(self) -> bool {
        matches!(self, Type::I8 | Type::I16 | Type::I24 | Type::I32 | Type::I64)
    }
}

/// Some bits of a number, the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    lowest: u8,
    highest: u8,
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bits, D::Error> {
        let Token(text) = Token::deserialize(deserializer)?;
        let (lowest, highest) = text.split_once('-').unwrap_or((&text, &text));
        match (lowest.trim().parse(), highest.trim().parse()) {
            (Ok(lowest), Ok(highest)) if lowest <= highest && highest < 64 => {
                Ok(Bits { lowest, highest })
            }
            _ => {
                let why =
                    format!("{text:?} are no bits; write 3, or \"4-7\" with the lowest first");
                Err(de::Error::custom(why))
            }
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Bits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bits".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["string", "integer"]})
    }
}

impl Binary {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        if self.fields.is_empty() {
            return Err(BuildError::new("name at least one field").at("fields"));
        }
        let mut names = HashSet::new();
        let mut fields = Vec::new();
        for (n, field) in self.fields.iter().enumerate() {
            if !names.insert(&field.name) {
                let error = BuildError::new(format!("there is a field {:?} already", field.name));
                return Err(error.remedy("each has a name of its own").item(n).at("fields"));
            }
            let running = field.build(self.endian).map_err(|e| e.item(n).at("fields"));
            fields.push(running?);
        }
        Ok(Decoder { fields })
    }
}

impl BinaryField {
    /// A text that is nothing else: one with a unit, or to be calculated with, is a number in digits.
    fn is_text(&self) -> bool {
        let calculates = self.scale.is_some() || self.offset.is_some() || self.decimals.is_some();
        self.kind == Type::Text && !self.is_measure() && !calculates
    }

    fn is_measure(&self) -> bool {
        self.unit.as_deref().is_some_and(|unit| !unit.is_empty())
    }

    fn build(&self, endian: Endian) -> Result<Running, BuildError> {
        if self.name.is_empty() {
            return Err(BuildError::new("a field needs a name"));
        }
        let length = |what: &str| Err(BuildError::new(what).at("length"));
        let size = match (self.kind.size(), self.length.map(usize::from)) {
            (Some(size), None) => size,
            (Some(_), Some(_)) => {
                return Err(BuildError::new("the type says it")
                    .remedy("leave it out")
                    .at("length"));
            }
            (None, Some(n)) if n > 0 => n,
            (None, _) => return length("this type needs one, at least 1"),
        };
        if self.kind == Type::Bcd && size > 16 {
            return length("a bcd number has at most 16 bytes");
        }
        if let Some(bits) = self.bits
            && (!self.kind.is_unsigned() || usize::from(bits.highest) >= 8 * size)
        {
            let error = if self.kind.is_unsigned() {
                BuildError::new(format!("this type has the bits 0 to {}", 8 * size - 1))
                    .remedy("take a longer one")
            } else {
                BuildError::new("only unsigned types have bits").remedy("take u8, u16 or u32")
            };
            return Err(error.at("bits"));
        }
        let convert = Convert::build(
            if self.is_text() { Kind::Text } else { Kind::Number },
            self.is_measure(),
            self.scale.as_ref(),
            self.offset.as_ref(),
            self.decimals,
            &self.lookup,
            &self.unavailable,
        )?;
        let at = usize::from(self.at);
        Ok(Running {
            name: self.name.clone(),
            at: at..at + size,
            kind: self.kind,
            endian: self.endian.unwrap_or(endian),
            bits: self.bits,
            unit: self.unit.clone(),
            convert,
        })
    }
}

/// See [`Binary`].
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    at: std::ops::Range<usize>,
    kind: Type,
    endian: Endian,
    bits: Option<Bits>,
    unit: Option<String>,
    convert: Convert,
}

impl Decoder {
    pub(super) fn decode<'a>(&'a self, frame: &'a [u8], out: &mut Decoded<'a>) {
        for field in &self.fields {
            let Some(bytes) = frame.get(field.at.clone()) else {
                out.missing(&field.name);
                continue;
            };
            match field.value(bytes) {
                Err(RejectReason::Malformed) => {
                    let expected = "two decimal digits a byte";
                    out.refuse(&field.name, RejectReason::Malformed, expected, bytes);
                }
                value => out.add(&field.name, field.unit.as_deref(), value, || bytes.into()),
            }
        }
    }
}

impl Running {
    fn value<'a>(&'a self, bytes: &'a [u8]) -> Result<Option<Value<'a>>, RejectReason> {
        match self.kind {
            Type::Text => {
                let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::NotUtf8)?;
                let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
                self.convert.text(text.as_bytes(), Wire::Bare)
            }
            Type::Bytes => Ok(Some(Value::Text(Spelling::Hex.of(bytes).into()))),
            Type::Bcd => self.convert.integer(bcd(bytes, self.endian)?),
            _ if self.says_unavailable(bytes) => Ok(None),
            Type::F32 => {
                let number = f32::from_bits(self.endian.number(bytes) as u32);
                self.float(number.is_finite(), &number.to_string())
            }
            Type::F64 => {
                let number = f64::from_bits(self.endian.number(bytes));
                self.float(number.is_finite(), &number.to_string())
            }
            _ => self.convert.integer(self.integer(bytes)),
        }
    }

    /// Data sheets write the pattern of a signed or a floating-point number, too.
    fn says_unavailable(&self, bytes: &[u8]) -> bool {
        self.bits.is_none() && self.convert.is_unavailable_pattern(self.endian.number(bytes))
    }

    fn integer(&self, bytes: &[u8]) -> i128 {
        let number = self.endian.number(bytes);
        if let Some(Bits { lowest, highest }) = self.bits {
            let mask = u64::MAX >> (63 - (highest - lowest));
            return (number >> lowest & mask).into();
        }
        if self.kind.is_signed() {
            let unused = 64 - 8 * bytes.len() as u32;
            return i128::from(((number << unused) as i64) >> unused);
        }
        number.into()
    }

    /// The shortest spelling that reads as the same number; Rust prints none with an exponent.
    fn float<'a>(&'a self, finite: bool, text: &str) -> Result<Option<Value<'a>>, RejectReason> {
        if !finite {
            return Ok(None);
        }
        Ok(self.convert.token(text, Wire::Number)?.map(Value::into_owned))
    }
}

/// Two digits a byte; with `little` the lowest byte comes first.
fn bcd(bytes: &[u8], endian: Endian) -> Result<i128, RejectReason> {
    let digit = |number: i128, nibble: u8| match nibble {
        0..=9 => Ok(number * 10 + i128::from(nibble)),
        _ => Err(RejectReason::Malformed),
    };
    let add = |number, byte: &u8| digit(digit(number, byte >> 4)?, byte & 0xF);
    match endian {
        Endian::Big => bytes.iter().try_fold(0, add),
        Endian::Little => bytes.iter().rev().try_fold(0, add),
    }
}

//! Bytes at fixed places.

use super::bytes::Spelling;
use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::codec::endian::Endian;
use crate::codec::field::{Bits, Convert, Field, Placed, Type, ValueKind, Wire, build_each};
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;
use std::ops::Range;

/// Bytes at fixed places of the frame, as data sheets give them.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// Byte order of numbers, unless a field says otherwise.
    #[serde(default)]
    pub endian: Endian,
    /// The fields, each with `name`, `at` and `type`.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    #[cfg_attr(test, schemars(schema_with = "Binary::fields_schema"))]
    pub fields: Vec<Placed>,
}

#[cfg(test)]
impl Binary {
    fn fields_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let field = generator.subschema_for::<crate::codec::field::FieldSettings>();
        // Strict validators want what is required to be named beside it, too.
        let items = schemars::json_schema!({
            "type": "object", "allOf": [field],
            "properties": {"at": true, "type": true}, "required": ["at", "type"],
        });
        schemars::json_schema!({"type": "array", "items": items})
    }
}

impl Type {
    /// Size of the type in bytes, unless `length` says it.
    pub(crate) fn size(self) -> Option<usize> {
        match self {
            Type::U8 | Type::I8 => Some(1),
            Type::U16 | Type::I16 | Type::Sm16 => Some(2),
            Type::U24 | Type::I24 => Some(3),
            Type::U32 | Type::I32 | Type::Sm32 | Type::F32 => Some(4),
            Type::U64 | Type::I64 | Type::F64 => Some(8),
            Type::Bcd | Type::Text | Type::Bytes | Type::Auto | Type::Number => None,
        }
    }

    pub(crate) fn is_unsigned(self) -> bool {
        matches!(self, Type::U8 | Type::U16 | Type::U24 | Type::U32 | Type::U64)
    }

    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Type::I8 | Type::I16 | Type::I24 | Type::I32 | Type::I64)
    }
}

impl Binary {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        if self.fields.is_empty() {
            return Err(BuildError::new("name at least one field").at("fields"));
        }
        let built = build_each(
            "fields",
            &self.fields,
            |placed| &placed.field,
            |placed| build_field(placed, self.endian),
        )?;
        let (fields, cells) = built.into_iter().unzip();
        Ok(Decoder::new(fields, Cells(cells)))
    }
}

/// A running field, and where its bytes are.
pub(in crate::codec) fn build_field(
    placed: &Placed,
    endian: Endian,
) -> Result<(Field, Cell), BuildError> {
    let Placed { field, at, kind } = placed;
    let length = |what: &str| BuildError::new(what).at("length");
    let size = match (kind.size(), field.length.map(usize::from)) {
        _ if matches!(kind, Type::Auto | Type::Number) => {
            let error = BuildError::new("bytes do not show their type");
            return Err(error.remedy("write text, or one of u8 to bytes").at("type"));
        }
        (Some(size), None) => size,
        (Some(_), Some(_)) => return Err(length("the type says it").remedy("leave it out")),
        (None, Some(n)) if n > 0 => n,
        (None, _) => return Err(length("this type needs one, at least 1")),
    };
    if *kind == Type::Bcd && size > 16 {
        return Err(length("a bcd number has at most 16 bytes"));
    }
    if let Some(bits) = field.bits {
        if !kind.is_unsigned() {
            let error = BuildError::new("only unsigned types have bits");
            return Err(error.remedy("take u8, u16 or u32").at("bits"));
        }
        if usize::from(bits.highest) >= 8 * size {
            let error = BuildError::new(format!("this type has the bits 0 to {}", 8 * size - 1));
            return Err(error.remedy("take a longer one").at("bits"));
        }
    }
    let is_text = *kind == Type::Text && !field.is_measure();
    let at = usize::from(*at);
    let cell = Cell {
        at: at..at + size,
        kind: *kind,
        endian: field.endian.unwrap_or(endian),
        bits: field.bits,
    };
    Ok((field.build(if is_text { ValueKind::Text } else { ValueKind::Number })?, cell))
}

/// The places of all fields, in their order.
struct Cells(Vec<Cell>);

/// Where a field is, and what its bytes are.
#[derive(Debug)]
pub(in crate::codec) struct Cell {
    pub(in crate::codec) at: Range<usize>,
    pub(in crate::codec) kind: Type,
    endian: Endian,
    bits: Option<Bits>,
}

impl Format for Cells {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        for (field, cell) in fields.iter().zip(&self.0) {
            let Some(bytes) = frame.get(cell.at.clone()) else {
                out.missing(&field.name);
                continue;
            };
            Cell::add(out, field, cell.value(&field.convert, bytes), bytes);
        }
    }
}

impl Cell {
    /// Adds a value that was made from some bytes.
    pub(in crate::codec) fn add<'a>(
        out: &mut Decoded<'a>,
        field: &'a Field,
        value: Result<Option<Value<'a>>, RejectReason>,
        bytes: &'a [u8],
    ) {
        match value {
            Err(reason @ RejectReason::Malformed) => {
                out.reject(&field.name, reason, "two decimal digits a byte", bytes);
            }
            value => out.add(&field.name, field.unit.as_deref(), value, || bytes.into()),
        }
    }

    pub(in crate::codec) fn value<'a>(
        &self,
        convert: &'a Convert,
        bytes: &'a [u8],
    ) -> Result<Option<Value<'a>>, RejectReason> {
        match self.kind {
            Type::Text => {
                let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::NotUtf8)?;
                let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
                convert.text(text.as_bytes(), Wire::Bare)
            }
            Type::Bytes => Ok(Some(Value::Text(Spelling::Hex.of(bytes).into()))),
            _ => self.number(convert, bytes),
        }
    }

    /// The value of any type but `text` and `bytes`.
    pub(in crate::codec) fn number<'a>(
        &self,
        convert: &'a Convert,
        bytes: &[u8],
    ) -> Result<Option<Value<'a>>, RejectReason> {
        if self.kind == Type::Bcd {
            return convert.integer(bcd(bytes, self.endian)?);
        }
        let pattern = self.endian.number(bytes);
        if self.bits.is_none() && convert.is_unavailable_pattern(pattern) {
            return Ok(None);
        }
        // Rust prints the shortest spelling that reads as the same number, without an exponent. NaN and
        // the infinities are words: no values.
        let float = |text: &str| Ok(convert.token(text, Wire::Number)?.map(Value::into_owned));
        match self.kind {
            Type::F32 => float(&f32::from_bits(pattern as u32).to_string()),
            Type::F64 => float(&f64::from_bits(pattern).to_string()),
            _ => convert.integer(self.integer(pattern, 8 * bytes.len() as u32)),
        }
    }

    /// A whole number times a power of ten.
    pub(in crate::codec) fn powered<'a>(
        &self,
        convert: &'a Convert,
        bytes: &[u8],
        power: i8,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        let pattern = self.endian.number(bytes);
        if self.bits.is_none() && convert.is_unavailable_pattern(pattern) {
            return Ok(None);
        }
        convert.powered(self.integer(pattern, 8 * bytes.len() as u32), power)
    }

    /// The whole number that a pattern of so many bits is.
    fn integer(&self, pattern: u64, bits: u32) -> i128 {
        if let Some(Bits { lowest, highest }) = self.bits {
            let mask = u64::MAX >> (63 - (highest - lowest));
            return (pattern >> lowest & mask).into();
        }
        if self.kind.is_signed() {
            let unused = 64 - bits;
            return i128::from(((pattern << unused) as i64) >> unused);
        }
        if matches!(self.kind, Type::Sm16 | Type::Sm32) {
            let sign = 1 << (bits - 1);
            let amount = i128::from(pattern & (sign - 1));
            return if pattern & sign == 0 { amount } else { -amount };
        }
        pattern.into()
    }
}

/// Binary-coded decimal: two digits a byte.
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

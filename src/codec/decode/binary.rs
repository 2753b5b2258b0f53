//! Bytes at fixed places.

use super::bytes::Spelling;
use super::repeat::{Repeat, Repeated};
use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::codec::endian::Endian;
use crate::codec::field::{Convert, Field, Placed, Stored, Type, ValueKind, Wire, build_each};
use crate::codec::time::TimeFormat;
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
    #[serde(default, deserialize_with = "crate::base::one_by_one::list")]
    #[cfg_attr(test, schemars(schema_with = "Binary::fields_schema"))]
    pub fields: Vec<Placed>,
    /// Values that follow each other, however many there are: the cells of a battery.
    #[serde(default, deserialize_with = "crate::base::one_by_one::list")]
    pub repeat: Vec<Repeat>,
    /// Name of the field that says which device sent the frame, for `{node}`.
    pub node: Option<String>,
}

#[cfg(test)]
impl Binary {
    pub(super) fn fields_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
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
            Type::Bcd
            | Type::Text
            | Type::Bytes
            | Type::Auto
            | Type::Number
            | Type::Quantity
            | Type::Degrees
            | Type::Time
            | Type::Hex => None,
        }
    }

    pub(crate) fn is_unsigned(self) -> bool {
        matches!(self, Type::U8 | Type::U16 | Type::U24 | Type::U32 | Type::U64 | Type::Hex)
    }

    /// Whether it is written in characters, also in `binary`.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Type::Text | Type::Quantity | Type::Degrees | Type::Hex)
    }

    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Type::I8 | Type::I16 | Type::I24 | Type::I32 | Type::I64)
    }
}

impl Binary {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        if self.fields.is_empty() && self.repeat.is_empty() {
            return Err(BuildError::new("name at least one field").at("fields"));
        }
        let built = build_each(
            "fields",
            &self.fields,
            |placed| &placed.field,
            |placed| build_field(placed, self.endian),
        )?;
        let built = (0..).zip(built).map(|(item, (field, cell))| (Field { item, ..field }, cell));
        let (fields, cells): (Vec<Field>, _) = built.unzip();
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let mut repeats = Vec::with_capacity(self.repeat.len());
        for (n, repeat) in self.repeat.iter().enumerate() {
            let built = repeat.build(self.endian, &names);
            repeats.push(built.map_err(|error| error.item(n).at("repeat"))?);
        }
        let decoder = Decoder::new(fields, Cells { cells, repeats });
        let decoder = decoder.with_node(self.node.as_deref())?;
        Ok(if self.repeat.is_empty() { decoder } else { decoder.opened() })
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
    field.check_bits(*kind, size)?;
    let stored = Stored { kind: *kind, endian: field.endian.unwrap_or(endian), bits: field.bits };
    let kind = match kind {
        Type::Text if field.is_measure() => ValueKind::Number,
        Type::Time => {
            let kind = field.text_kind()?;
            if let ValueKind::Time(format, _) = &kind {
                check_time(format, size)?;
            }
            kind
        }
        kind if kind.is_text() => field.text_kind()?,
        _ => ValueKind::Number,
    };
    let at = usize::from(*at);
    let field = field.build(kind)?;
    Ok((Field { stored: Some(stored), ..field }, Cell { at: at..at + size, stored }))
}

/// A time is a number since 1970, text, or packed digits.
fn check_time(format: &TimeFormat, size: usize) -> Result<(), BuildError> {
    let Some(width) = format.width() else {
        let error = || BuildError::new("a number since 1970 has at most 8 bytes").at("length");
        return (size <= 8).then_some(()).ok_or_else(error);
    };
    if size == width || 2 * size == width && format.is_digits() {
        return Ok(());
    }
    let packed = match width % 2 {
        0 if format.is_digits() => format!(", or {} with packed digits", width / 2),
        _ => String::new(),
    };
    let error = BuildError::new(format!("such a time has {width} bytes{packed}"));
    Err(error.at("length"))
}

/// The places of all fields, in their order.
struct Cells {
    cells: Vec<Cell>,
    repeats: Vec<Repeated>,
}

/// Where a field is, and what its bytes are.
#[derive(Debug)]
pub(in crate::codec) struct Cell {
    pub(in crate::codec) at: Range<usize>,
    pub(in crate::codec) stored: Stored,
}

impl Format for Cells {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        for (field, cell) in fields.iter().zip(&self.cells) {
            let Some(bytes) = frame.get(cell.at.clone()) else {
                out.missing(&field.name);
                continue;
            };
            Cell::add(out, field, cell.value(&field.convert, bytes), bytes);
        }
        self.repeats.iter().for_each(|repeat| repeat.decode(frame, out));
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
                out.reject(&field.name, reason, field.convert.expected(reason), bytes);
            }
            value => {
                let unit = field.unit.as_deref().or_else(|| field.convert.unit_in(bytes));
                out.add(&field.name, unit, value, || bytes.into());
            }
        }
    }

    pub(in crate::codec) fn value<'a>(
        &self,
        convert: &'a Convert,
        bytes: &'a [u8],
    ) -> Result<Option<Value<'a>>, RejectReason> {
        match self.stored.kind {
            Type::Bytes => Ok(Some(Value::Text(Spelling::Hex.of(bytes)))),
            Type::Time => convert.time(bytes, self.stored.endian),
            kind if kind.is_text() => {
                let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::NotUtf8)?;
                let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
                convert.text(text.as_bytes(), Wire::Bare)
            }
            _ => self.stored.number(convert, bytes),
        }
    }
}

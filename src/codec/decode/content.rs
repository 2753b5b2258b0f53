//! A value that a meter sent with its own power of ten, before it becomes a field's value.

use super::Decoded;
use super::bytes::Spelling;
use crate::codec::decimal::Decimal;
use crate::codec::field::{Convert, Field, PLAIN, Wire};
use crate::codec::spelled::Spelled;
use crate::codec::unit;
use crate::codec::value::{RejectReason, Value};

/// A value before it is converted. Formats that name their values themselves make it once, and convert it
/// for each field that wants it.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// A whole number, and the power of ten by which it is multiplied.
    Whole(i128, i8),
    /// A floating-point number as it is spelled, and the power of ten.
    Float(Spelled<'a>, i8),
    Text(Spelled<'a>),
    /// Bytes, which are published in hexadecimal.
    Hex(&'a [u8]),
    /// The device says that it has no value.
    Nothing,
    /// What was expected instead.
    Wrong(&'static str),
}

impl<'a> Content<'a> {
    /// Adds it under this name, as a field or as it is. `came` is the unit that came with it, `found` are its
    /// bytes in the frame.
    pub(super) fn add(
        &self,
        name: Spelled<'a>,
        came: Option<&'static str>,
        field: Option<&'a Field>,
        found: &'a [u8],
        out: &mut Decoded<'a>,
    ) {
        let convert = field.map_or(&PLAIN, |field| &field.convert);
        let own = field.and_then(|field| field.unit.as_deref());
        let prefix = match own.zip(came).and_then(|(own, came)| unit::power(came, own)) {
            Some(prefix) if !convert.has_scale() => prefix,
            _ => 0,
        };
        let value = match self {
            Content::Whole(number, power) => convert.powered(*number, power.saturating_add(prefix)),
            Content::Float(number, power) => float(number, power.saturating_add(prefix), convert),
            Content::Text(text) => match text.borrowed() {
                Some(text) => convert.text(text.as_bytes(), Wire::Text),
                None => owned(convert.text(text.as_bytes(), Wire::Text)),
            },
            Content::Hex(bytes) => Ok(Some(Value::Text(Spelling::Hex.of(bytes)))),
            Content::Nothing => Ok(None),
            Content::Wrong(expected) => {
                return out.reject(name, RejectReason::Malformed, expected, found);
            }
        };
        // A text has no unit.
        let is_text = matches!(self, Content::Text(_) | Content::Hex(_));
        out.add(name, own.or(came).filter(|_| !is_text), value, || found.into());
    }
}

type Converted<'a> = Result<Option<Value<'a>>, RejectReason>;

fn owned(value: Converted<'_>) -> Converted<'static> {
    Ok(value?.map(Value::into_owned))
}

/// NaN and the infinities are words: no values.
fn float(number: &str, power: i8, convert: &Convert) -> Converted<'static> {
    let shifted = match power {
        0 => None,
        _ => Decimal::read(number).map(|number| number.shifted(power)),
    };
    match shifted {
        None => owned(convert.token(number, Wire::Number)),
        Some(shifted) => {
            let number = shifted.ok_or(RejectReason::NotANumber)?.spelled();
            owned(convert.token(&number, Wire::Number))
        }
    }
}

//! Readings and their values. Numbers stay text, so that `21.50` is published as `21.50`.

use super::spelled::Spelled;
use std::borrow::Cow;

/// One value of one field, read from one frame. Borrows from the frame where it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The device that the frame names as its origin, where its format does that.
    pub node: Option<Spelled<'a>>,
    pub field: Spelled<'a>,
    pub value: Value<'a>,
    pub unit: Option<&'a str>,
}

/// A value in the spelling in which it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A decimal number as the device or the scaling spelled it.
    Number(Spelled<'a>),
    Text(Spelled<'a>),
    Bool(bool),
}

impl<'a> Value<'a> {
    /// The bytes as a text, even if it reads like a number.
    pub(super) fn text(bytes: &'a [u8]) -> Result<Option<Value<'a>>, RejectReason> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(Value::Text(text.into()))),
            Err(_) => Err(RejectReason::NotUtf8),
        }
    }

    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Number(text) => Value::Number(text.into_owned()),
            Value::Text(text) => Value::Text(text.into_owned()),
            Value::Bool(yes) => Value::Bool(yes),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Value::Number(text) | Value::Text(text) => text,
            Value::Bool(true) => "true",
            Value::Bool(false) => "false",
        }
    }
}

/// A reading that was rejected; the others of its frame are not affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedReading<'a> {
    pub field: Spelled<'a>,
    pub reason: RejectReason,
    pub expected: &'static str,
    /// What stood there instead; nothing where it is missing.
    pub found: Cow<'a, [u8]>,
}

/// A field for which the device has no value just now: it says so, or sends a word in place of a
/// number. This is not damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoValue<'a> {
    pub field: Spelled<'a>,
    pub found: Cow<'a, [u8]>,
}

/// Why a reading was rejected. A port's status counts each reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    NotUtf8,
    /// The frame has no such field.
    Missing,
    NotANumber,
    /// The frame does not follow its format at this place (JSON, node line, bit pattern).
    Malformed,
    /// The frame is encrypted, and the key does not open it.
    Encrypted,
    /// It is beyond the bounds that its field has.
    Implausible,
}

impl RejectReason {
    /// What was expected, where the format does not say it more precisely.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            RejectReason::NotUtf8 => "text in UTF-8",
            RejectReason::Missing => "a value",
            RejectReason::NotANumber => "a number",
            RejectReason::Malformed => "what the format says",
            RejectReason::Encrypted => "what the key opens",
            RejectReason::Implausible => "a plausible value",
        }
    }

    /// The word that stands for it in a status.
    pub fn word(self) -> &'static str {
        match self {
            RejectReason::NotUtf8 => "not_utf8",
            RejectReason::Missing => "missing",
            RejectReason::NotANumber => "not_a_number",
            RejectReason::Malformed => "malformed",
            RejectReason::Encrypted => "encrypted",
            RejectReason::Implausible => "implausible",
        }
    }
}

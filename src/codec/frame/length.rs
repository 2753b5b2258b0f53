//! A length field in the frame's head.

use super::fixed::default_idle;
use super::{Cut, FrameFault, Split, before_start, default_limit};
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Size, Span};
use serde::Deserialize;
use std::time::Duration;

/// Frames with a length field in their head, such as the PMS5003 dust sensor's. The decoder gets
/// the whole frame, so that its offsets are those of the data sheet.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// What each frame begins with: `"hex:42 4D"`.
    #[serde(default)]
    pub start: ByteString,
    /// Where the length field is, in bytes from the frame's first.
    #[serde(default)]
    pub offset: u8,
    /// Bytes of the length field: 1, 2 or 4.
    #[serde(default)]
    pub size: Width,
    /// Order of its bytes.
    #[serde(default)]
    pub endian: Endian,
    /// What to add to its value to get the length of the whole frame. Default: all up to and
    /// including the field, which then counts what follows it, checksum included. -32768 to 32767.
    #[serde(default)]
    pub add: Option<i16>,
    /// A silence after which an unfinished frame is dropped. Longer than 20ms on USB adapters, and
    /// more over a network.
    #[serde(default = "default_idle")]
    pub idle: Span,
    /// Longest frame in bytes, 1 to 64KiB.
    #[serde(default = "default_limit")]
    pub limit: Size,
}

/// Bytes of a length field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// 1
    #[default]
    One,
    /// 2
    Two,
    /// 4
    Four,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Width::One => 1,
            Width::Two => 2,
            Width::Four => 4,
        }
    }
}

impl<'de> Deserialize<'de> for Width {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Width, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Width::One),
            2 => Ok(Width::Two),
            4 => Ok(Width::Four),
            n => Err(serde::de::Error::custom(format!(
                "a length field has 1, 2 or 4 bytes, not {n}"
            ))),
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Width {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Width".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"enum": [1, 2, 4]})
    }
}

/// Order of the bytes of a number.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// Most significant byte first.
    #[default]
    Big,
    /// Least significant byte first.
    Little,
}

impl Endian {
    /// The unsigned number that some bytes are; of more than 8 the lowest 8.
    pub fn number(self, bytes: &[u8]) -> u64 {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        match self {
            Endian::Big => bytes.iter().fold(0, add),
            Endian::Little => bytes.iter().rev().fold(0, add),
        }
    }
}

impl Length {
    pub(super) fn build(&self, has_checksum: bool) -> Result<Rule, BuildError> {
        let field = usize::from(self.offset)..usize::from(self.offset) + self.size.bytes();
        let start = self.start.as_bytes().to_vec();
        if field.start < start.len() {
            return Err(BuildError::new("the length field would lie within `start`").at("offset"));
        }
        if field.end > self.limit.bytes() {
            return Err(BuildError::new("the length field would lie behind it").at("limit"));
        }
        let add = self.add.map_or(field.end as i64, i64::from);
        let (limit, idle) = (self.limit.bytes(), Some(self.idle.duration()));
        let self_synchronising = has_checksum || !start.is_empty();
        Ok(Rule { start, field, endian: self.endian, add, limit, self_synchronising, idle })
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    start: Vec<u8>,
    field: std::ops::Range<usize>,
    endian: Endian,
    add: i64,
    limit: usize,
    /// Whether a frame can be told from its middle without a silence before it.
    pub(super) self_synchronising: bool,
    pub(super) idle: Option<Duration>,
}

impl Rule {
    pub(super) fn split(&self, buffer: &[u8], synchronised: bool, quiet: bool) -> Split {
        if !synchronised && !self.self_synchronising {
            return Split::Skip(buffer.len());
        }
        match before_start(buffer, &self.start) {
            0 => {}
            garbage => return Split::Skip(garbage),
        }
        // A frame that a false length swallowed may stand within what has come.
        let unfinished = match (quiet, self.self_synchronising) {
            (true, true) => Split::Bad(FrameFault::Cut, 1),
            (true, false) => Split::Bad(FrameFault::Cut, buffer.len()),
            (false, _) => Split::More { searched: 0 },
        };
        let Some(field) = buffer.get(self.field.clone()) else { return unfinished };
        let length = i64::try_from(self.endian.number(field)).unwrap_or(i64::MAX);
        match usize::try_from(length.saturating_add(self.add)) {
            Ok(whole) if whole >= self.field.end && whole <= self.limit => {
                if buffer.len() >= whole { Split::Frame(Cut::plain(whole)) } else { unfinished }
            }
            _ if self.self_synchronising => Split::Bad(FrameFault::Malformed, 1),
            // Nothing tells where the next one begins but a silence.
            _ => Split::Desync,
        }
    }
}

//! A length field in the frame's head.

use super::fixed::default_idle;
use super::{Cut, FrameFault, FrameSize, Rule, Seen, Silence, Split, Splitter, before_start};
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Span, word_schema};
use crate::codec::endian::Endian;
use serde::Deserialize;
use std::ops::Range;

/// Frames with a length field in their head, such as those of the PMS5003 dust sensor. The decoder
/// gets the whole frame, so that its offsets are those of the data sheet.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// First bytes of each frame: `"hex:42 4D"`.
    #[serde(default)]
    pub prefix: ByteString,
    /// Position of the length field: how many bytes of the frame come before it.
    #[serde(default)]
    pub offset: u8,
    /// Size of the length field in bytes: 1, 2 or 4.
    #[serde(default)]
    pub size: Width,
    /// Byte order of the length field.
    #[serde(default)]
    pub endian: Endian,
    /// What to add to the value of the length field to get the length of the whole frame, -32768 to
    /// 32767. Default: the bytes up to and including the field; its value is then the number of bytes
    /// that follow it, checksum included.
    pub add: Option<i16>,
    /// Silence after which an unfinished frame is dropped. It must be longer than 20ms on USB adapters,
    /// and longer still over a network.
    #[serde(default = "default_idle")]
    pub idle: Span,
    /// Longest frame in bytes, 1 to 64KiB.
    #[serde(default)]
    pub limit: FrameSize,
}

/// Bytes of a length field.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(try_from = "u64")]
pub enum Width {
    #[default]
    One,
    Two,
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

impl TryFrom<u64> for Width {
    type Error = String;
    fn try_from(n: u64) -> Result<Width, String> {
        match n {
            1 => Ok(Width::One),
            2 => Ok(Width::Two),
            4 => Ok(Width::Four),
            n => Err(format!("a length field has 1, 2 or 4 bytes, not {n}")),
        }
    }
}

word_schema!(Width: {"enum": [1, 2, 4]});

impl Length {
    pub(super) fn build(&self, has_checksum: bool) -> Result<Rule, BuildError> {
        let field = usize::from(self.offset)..usize::from(self.offset) + self.size.bytes();
        let start = self.prefix.as_bytes().to_vec();
        if field.start < start.len() {
            return Err(BuildError::new("the length field would lie within `prefix`").at("offset"));
        }
        if field.end > self.limit.0 {
            return Err(BuildError::new("the length field would lie beyond it").at("limit"));
        }
        let add = self.add.map_or(field.end as i64, i64::from);
        let self_synchronising = has_checksum || !start.is_empty();
        let heads = Heads {
            start,
            field,
            endian: self.endian,
            add,
            limit: self.limit.0,
            self_synchronising,
        };
        let silence = Silence::DropsFrame(self.idle.duration());
        Ok(Rule { silence, self_synchronising, ..Rule::new(self.limit, heads) })
    }
}

/// What the heads of frames say.
struct Heads {
    start: Vec<u8>,
    field: Range<usize>,
    endian: Endian,
    add: i64,
    limit: usize,
    /// Whether a frame can be found without a silence before it.
    self_synchronising: bool,
}

impl Splitter for Heads {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        if !seen.synchronised && !self.self_synchronising {
            return Split::Skip(buffer.len());
        }
        match before_start(buffer, &self.start) {
            0 => {}
            garbage => return Split::Skip(garbage),
        }
        // A wrong length may have swallowed the beginning of a good frame.
        let unfinished = match (seen.silent, self.self_synchronising) {
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
            // Only a silence tells where the next one begins.
            _ => Split::Desync,
        }
    }
}

//! Length fields in the frame's head.

use super::fixed::default_idle;
use super::{Cut, FrameFault, FrameSize, Rule, Seen, Silence, Split, Splitter, before_start};
use crate::base::one_by_one;
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Span, word_schema};
use crate::codec::endian::Endian;
use serde::Deserialize;
use std::num::{NonZeroU8, NonZeroU32};
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
    /// The bits of the length field that are the length, `0x7FF`: the others are left out, and the lowest of
    /// these counts 1. Default: all.
    pub mask: Option<NonZeroU32>,
    /// Other fields that are added to the length, each with `offset`, `size` and `mask`: ESP3 has the length
    /// of its optional data in `[{offset: 3}]`.
    #[serde(default, deserialize_with = "one_by_one::list")]
    pub plus: Vec<LengthField>,
    /// How many bytes the length counts as one: 2 where it is a number of 16-bit words. Default: 1.
    #[serde(default = "one")]
    pub unit: NonZeroU8,
    /// What to add to the length in bytes to get that of the whole frame, -4294967295 to 4294967295.
    /// Default: the bytes up to and including the last of the fields; the length is then the number of bytes
    /// that follow it, checksum included.
    pub add: Option<i64>,
    /// Silence after which an unfinished frame is dropped. It must be longer than 20ms on USB adapters,
    /// and longer still over a network.
    #[serde(default = "default_idle")]
    pub idle: Span,
    /// Longest frame in bytes, 1 to 64KiB.
    #[serde(default)]
    pub limit: FrameSize,
}

/// Another field that is a part of the length.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LengthField {
    /// How many bytes of the frame come before it.
    pub offset: u8,
    /// Its size in bytes: 1, 2 or 4.
    #[serde(default)]
    pub size: Width,
    /// Its bits that count. Default: all.
    pub mask: Option<NonZeroU32>,
}

fn one() -> NonZeroU8 {
    NonZeroU8::MIN
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
        let start = self.prefix.as_bytes().to_vec();
        let first = Part::new(self.offset, self.size, self.mask);
        if first.field.start < start.len() {
            return Err(BuildError::new("the length field would lie within `prefix`").at("offset"));
        }
        let others = self.plus.iter().map(|it| Part::new(it.offset, it.size, it.mask));
        let parts: Vec<Part> = std::iter::once(first).chain(others).collect();
        if parts.len() > 4 {
            return Err(BuildError::new("at most 3 fields are added").at("plus"));
        }
        let head = parts.iter().map(|part| part.field.end).max().unwrap_or_default();
        if head > self.limit.0 {
            return Err(BuildError::new("the length field would lie beyond it").at("limit"));
        }
        const FURTHEST: i64 = u32::MAX as i64;
        let add = self.add.unwrap_or(head as i64);
        if !(-FURTHEST..=FURTHEST).contains(&add) {
            let error = BuildError::new(format!("{add} is further than any length field reaches"));
            return Err(error.remedy(format!("write -{FURTHEST} to {FURTHEST}")).at("add"));
        }
        let self_synchronising = has_checksum || !start.is_empty();
        let heads = Heads {
            start,
            parts,
            head,
            endian: self.endian,
            unit: self.unit.get().into(),
            add,
            limit: self.limit.0,
            self_synchronising,
        };
        let silence = Silence::DropsFrame(self.idle.duration());
        Ok(Rule { silence, self_synchronising, ..Rule::new(self.limit, heads) })
    }
}

/// A field of a head that is a part of the length.
struct Part {
    field: Range<usize>,
    mask: u64,
}

impl Part {
    fn new(offset: u8, size: Width, mask: Option<NonZeroU32>) -> Part {
        let start = usize::from(offset);
        let mask = mask.map_or(u32::MAX, NonZeroU32::get).into();
        Part { field: start..start + size.bytes(), mask }
    }
}

/// What the heads of frames say.
struct Heads {
    start: Vec<u8>,
    parts: Vec<Part>,
    /// Bytes up to the end of the last of these.
    head: usize,
    endian: Endian,
    unit: i64,
    add: i64,
    limit: usize,
    /// Whether a frame can be found without a silence before it.
    self_synchronising: bool,
}

impl Heads {
    /// The length of the whole frame, as far as it has come that it says so. No step overflows: there are few
    /// fields of 32 bits, and the unit has 8.
    fn length(&self, buffer: &[u8]) -> Option<i64> {
        let mut length = 0;
        for part in &self.parts {
            let number = self.endian.number(buffer.get(part.field.clone())?) & part.mask;
            length += (number >> part.mask.trailing_zeros()) as i64;
        }
        Some(length * self.unit + self.add)
    }
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
        let Some(length) = self.length(buffer) else { return unfinished };
        match usize::try_from(length) {
            Ok(whole) if whole >= self.head && whole <= self.limit => {
                if buffer.len() >= whole {
                    Split::Frame(Cut::plain(whole))
                } else {
                    unfinished
                }
            }
            _ if self.self_synchronising => Split::Bad(FrameFault::Malformed, 1),
            // Only a silence tells where the next one begins.
            _ => Split::Desync,
        }
    }
}

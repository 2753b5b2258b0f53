//! A start and an end, with or without escape sequences between them.

use super::{Cut, FrameFault, FrameSize, Rule, Seen, Split, Splitter, before_start, find};
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use bytes::Bytes;
use serde::Deserialize;

/// Frames with a start and an end, such as `$…\r\n` (NMEA 0183), `/…!` (DSMR P1), SLIP or HDLC.
/// The decoder gets the bytes between them.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Delimited {
    /// First bytes of a frame: `"$"`, `"hex:02"`. Default: none, or those of `escape`.
    pub start: ByteString,
    /// Last bytes of a frame: `"\r\n"`, `"hex:03"`. Default: those of `escape`.
    pub end: ByteString,
    /// How many bytes after the end belong to the frame, 0 to 64: a DSMR P1 telegram has 6, its
    /// checksum and a line break.
    pub trailer: u8,
    /// How start and end are distinguished from the same bytes in the content.
    pub escape: Escape,
    /// Longest frame in bytes, 1 to 64KiB.
    pub limit: FrameSize,
    /// Whether nothing between start and end is a frame, too: a prompt alone answers a question.
    #[serde(skip)]
    pub takes_empty: bool,
}

/// How start and end are distinguished from the same bytes in the content.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Escape {
    /// Not at all: they do not occur in it.
    #[default]
    None,
    /// SLIP (RFC 1055): frames end with C0; DB DC stands for C0, DB DD for DB.
    Slip,
    /// HDLC-like framing (RFC 1662): frames end with 7E; 7D stands before a byte xor 20.
    Hdlc,
    /// DLE stuffing: frames begin with 10 02, end with 10 03; 10 10 stands for 10.
    Dle,
}

impl Delimited {
    pub(super) fn ending_with(end: &ByteString) -> Delimited {
        let (start, end) = (ByteString::default(), end.clone());
        let limit = FrameSize::default();
        Delimited { start, end, trailer: 0, escape: Escape::None, limit, takes_empty: true }
    }

    pub(super) fn build(&self) -> Result<Rule, BuildError> {
        let (start, end): (&[u8], &[u8]) = match self.escape {
            Escape::None => (self.start.as_bytes(), self.end.as_bytes()),
            _ if self.start != ByteString::default() || self.end != ByteString::default() => {
                let error = BuildError::new("start and end are given by `escape`");
                return Err(error.remedy("leave them out"));
            }
            Escape::Slip => (b"", b"\xC0"),
            Escape::Hdlc => (b"", b"\x7E"),
            Escape::Dle => (b"\x10\x02", b"\x10\x03"),
        };
        if end.is_empty() {
            let error = BuildError::new("it is not said what a frame ends with");
            return Err(error.remedy("add `end` or `escape`").at("end"));
        }
        if start.len() > 64 || end.len() > 64 || self.trailer > 64 {
            return Err(BuildError::new("start, end and trailer have at most 64 bytes"));
        }
        if self.trailer > 0 && self.escape != Escape::None {
            let error = BuildError::new("with `escape` the end is the end");
            return Err(error.remedy("leave it out").at("trailer"));
        }
        let trailer = usize::from(self.trailer);
        let escapes = if self.escape == Escape::None { 0 } else { self.limit.0 };
        let around = start.len() + escapes + end.len() + trailer;
        let marks = Marks {
            start: start.to_vec(),
            end: end.to_vec(),
            trailer,
            escape: self.escape,
            takes_empty: self.takes_empty,
        };
        Ok(Rule { around, ..Rule::new(self.limit, marks) })
    }
}

/// What frames begin and end with.
struct Marks {
    start: Vec<u8>,
    end: Vec<u8>,
    trailer: usize,
    escape: Escape,
    takes_empty: bool,
}

impl Splitter for Marks {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        let from = self.start.len();
        if from > 0 {
            let garbage = match self.escape {
                Escape::Dle => before_dle_start(buffer),
                _ => before_start(buffer, &self.start),
            };
            match garbage {
                0 if buffer.len() < from => return Split::More { searched: 0 },
                0 => {}
                garbage => return Split::Skip(garbage),
            }
        }
        match self.escape {
            Escape::Dle => split_dle(buffer, seen.searched.max(from)),
            _ => self.split_at_end(buffer, seen.searched.max(from), seen.synchronised),
        }
    }
}

impl Marks {
    fn split_at_end(&self, buffer: &[u8], searched: usize, synchronised: bool) -> Split {
        let from = self.start.len();
        let end = find(buffer, &self.end, searched);
        if from > 0 {
            // Another start before the end: this frame lost its end.
            let window = end.map_or(buffer, |end| &buffer[..end]);
            if let Some(again) = find(window, &self.start, searched) {
                return Split::Bad(FrameFault::Cut, again);
            }
        }
        let Some(end) = end else {
            let keep = self.end.len().max(from) - 1;
            return Split::More { searched: buffer.len().saturating_sub(keep).max(from) };
        };
        let whole = end + self.end.len() + self.trailer;
        if buffer.len() < whole {
            return Split::More { searched: end };
        }
        if from == 0 && !synchronised {
            return if end == 0 { Split::Pass(whole) } else { Split::Align(whole) };
        }
        if end == from && self.trailer == 0 && !self.takes_empty {
            // Where the same bytes end and begin frames, these begin the next one.
            return Split::Pass(if self.start == self.end { from } else { whole });
        }
        let unescaped = match self.escape {
            Escape::None | Escape::Dle => Some(None),
            Escape::Slip => unescape(&buffer[..end], 0xDB, slip).map(Some),
            Escape::Hdlc => unescape(&buffer[..end], 0x7D, |byte| Some(byte ^ 0x20)).map(Some),
        };
        let Some(unescaped) = unescaped else { return Split::Bad(FrameFault::Malformed, whole) };
        let checked = if self.trailer == 0 { 0..end } else { 0..whole };
        Split::Frame(Cut { whole, frame: from..end, checked, unescaped })
    }
}

/// DLE stuffing: a DLE and the byte after it are one symbol.
fn split_dle(buffer: &[u8], searched: usize) -> Split {
    let mut at = searched;
    while let Some(dle) = find(buffer, b"\x10", at) {
        match buffer.get(dle + 1) {
            None => return Split::More { searched: dle },
            Some(0x10) => at = dle + 2,
            Some(0x03) => {
                let unescaped =
                    unescape(&buffer[2..dle], 0x10, |byte| (byte == 0x10).then_some(byte));
                return match unescaped {
                    Some(_) => Split::Frame(Cut { unescaped, ..Cut::plain(dle + 2) }),
                    None => Split::Bad(FrameFault::Malformed, dle + 2),
                };
            }
            Some(0x02) => return Split::Bad(FrameFault::Cut, dle),
            Some(_) => return Split::Bad(FrameFault::Malformed, dle + 2),
        }
    }
    Split::More { searched: buffer.len() }
}

/// [`before_start`] for DLE STX: in a frame whose beginning was not seen, DLE DLE STX does not start one.
fn before_dle_start(buffer: &[u8]) -> usize {
    let mut at = 0;
    while let Some(dle) = find(buffer, b"\x10", at) {
        match buffer.get(dle + 1) {
            None | Some(0x02) => return dle,
            Some(_) => at = dle + 2,
        }
    }
    buffer.len()
}

fn slip(byte: u8) -> Option<u8> {
    match byte {
        0xDC => Some(0xC0),
        0xDD => Some(0xDB),
        _ => None,
    }
}

/// Resolves escape sequences; `None` if one is invalid.
fn unescape(content: &[u8], escape: u8, meaning: impl Fn(u8) -> Option<u8>) -> Option<Bytes> {
    let mut plain = Vec::with_capacity(content.len());
    let mut bytes = content.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == escape { meaning(*bytes.next()?)? } else { *byte });
    }
    Some(plain.into())
}

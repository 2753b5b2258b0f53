//! A start and an end, with or without escape sequences between them.

use super::{Cut, FrameFault, FrameSize, Rule, Seen, Split, Splitter, before_start, find};
use crate::base::path::BuildError;
use crate::base::scalar::{
    ByteString, deserialize_from_str, deserialize_word_or_map, word_schema, wrong,
};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

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
    /// How start and end are distinguished from the same bytes in the content: a word, or a table of escape
    /// sequences. On an eBUS, whose frames end with AA: `{by: "hex:A9", table: {"hex:00": "hex:A9", "hex:01":
    /// "hex:AA"}}`.
    pub escape: Escaping,
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

/// A usual kind of escape sequences, or a table.
#[derive(Clone, Debug)]
pub enum Escaping {
    Usual(Escape),
    Table(EscapeTable),
}

impl Default for Escaping {
    fn default() -> Escaping {
        Escaping::Usual(Escape::None)
    }
}

/// Escape sequences of two bytes. Start and end of the frame are given by `start` and `end`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EscapeTable {
    /// The byte that each of them begins with: `"hex:A9"`.
    pub by: Option<OneByte>,
    /// The byte that follows it, and what both stand for: `{"hex:00": "hex:A9", "hex:01": "hex:AA"}`.
    pub table: BTreeMap<OneByte, OneByte>,
}

/// A single byte, written as other bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OneByte(u8);

impl FromStr for OneByte {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<OneByte, BuildError> {
        match text.parse::<ByteString>()?.as_bytes() {
            [byte] => Ok(OneByte(*byte)),
            _ => wrong(format!("{text:?} is not one byte"), "write one byte, as in \"hex:A9\""),
        }
    }
}

deserialize_from_str!(OneByte: "byte");

deserialize_word_or_map!(
    Escaping: "`slip`, `hdlc`, `dle`, `none`, or a map",
    |word| Escape::deserialize(StrDeserializer::new(word)).map(Escaping::Usual),
    Escaping::Table
);

word_schema!(Escaping, generator: {
    "anyOf": [generator.subschema_for::<Escape>(), generator.subschema_for::<EscapeTable>()]
});

impl Delimited {
    pub(super) fn ending_with(end: &ByteString) -> Delimited {
        let (start, end) = (ByteString::default(), end.clone());
        let limit = FrameSize::default();
        Delimited { start, end, limit, takes_empty: true, ..Delimited::default() }
    }

    pub(super) fn build(&self) -> Result<Rule, BuildError> {
        let usual = match &self.escape {
            Escaping::Usual(usual) => *usual,
            Escaping::Table(_) => Escape::None,
        };
        let (start, end): (&[u8], &[u8]) = match usual {
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
        let stuffing = match &self.escape {
            Escaping::Usual(Escape::None) => None,
            Escaping::Usual(Escape::Slip) => {
                let table = vec![(0xDC, 0xC0), (0xDD, 0xDB)];
                Some(Stuffing { by: 0xDB, meaning: Meaning::Table(table) })
            }
            Escaping::Usual(Escape::Hdlc) => {
                Some(Stuffing { by: 0x7D, meaning: Meaning::Xor(0x20) })
            }
            Escaping::Usual(Escape::Dle) => {
                Some(Stuffing { by: 0x10, meaning: Meaning::Table(vec![(0x10, 0x10)]) })
            }
            Escaping::Table(EscapeTable { by, table }) => {
                let Some(by) = by else {
                    let error =
                        BuildError::new("it is not said what an escape sequence begins with");
                    return Err(error.remedy("add `by`").at("escape"));
                };
                if let Some(OneByte(key)) = table.keys().find(|key| end.contains(&key.0)) {
                    let what = format!("{key:02X} is a part of `end`, which would end the frame");
                    return Err(BuildError::new(what).at("table").at("escape"));
                }
                let table = table.iter().map(|(key, meaning)| (key.0, meaning.0)).collect();
                Some(Stuffing { by: by.0, meaning: Meaning::Table(table) })
            }
        };
        if self.trailer > 0 && stuffing.is_some() {
            let error = BuildError::new("with `escape` the end is the end");
            return Err(error.remedy("leave it out").at("trailer"));
        }
        let trailer = usize::from(self.trailer);
        let escapes = if stuffing.is_none() { 0 } else { self.limit.0 };
        let around = start.len() + escapes + end.len() + trailer;
        let marks = Marks {
            start: start.to_vec(),
            end: end.to_vec(),
            trailer,
            stuffing,
            is_dle: usual == Escape::Dle,
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
    stuffing: Option<Stuffing>,
    /// Whether start and end are escape sequences themselves.
    is_dle: bool,
    takes_empty: bool,
}

/// Escape sequences of two bytes.
struct Stuffing {
    /// What each of them begins with.
    by: u8,
    meaning: Meaning,
}

/// What the second byte of an escape sequence says.
enum Meaning {
    /// The byte that it is together with this one, by exclusive or.
    Xor(u8),
    Table(Vec<(u8, u8)>),
}

impl Splitter for Marks {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        let from = self.start.len();
        if from > 0 {
            let garbage = match self.is_dle {
                true => before_dle_start(buffer),
                false => before_start(buffer, &self.start),
            };
            match garbage {
                0 if buffer.len() < from => return Split::More { searched: 0 },
                0 => {}
                garbage => return Split::Skip(garbage),
            }
        }
        let searched = seen.searched.max(from);
        match &self.stuffing {
            Some(dle) if self.is_dle => split_dle(buffer, searched, dle),
            _ => self.split_at_end(buffer, searched, seen.synchronised),
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
        let Some(stuffing) = &self.stuffing else {
            let checked = if self.trailer == 0 { 0..end } else { 0..whole };
            return Split::Frame(Cut { frame: from..end, checked, ..Cut::plain(whole) });
        };
        stuffing.frame(buffer, from..end, whole)
    }
}

/// DLE stuffing: a DLE and the byte after it are one symbol.
fn split_dle(buffer: &[u8], searched: usize, stuffing: &Stuffing) -> Split {
    let mut at = searched;
    while let Some(dle) = find(buffer, b"\x10", at) {
        match buffer.get(dle + 1) {
            None => return Split::More { searched: dle },
            Some(0x10) => at = dle + 2,
            Some(0x03) => return stuffing.frame(buffer, 2..dle, dle + 2),
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

impl Stuffing {
    /// A frame whose content, with its escape sequences, is in this part of the buffer.
    fn frame(&self, buffer: &[u8], content: Range<usize>, whole: usize) -> Split {
        match self.resolve(&buffer[content.clone()]) {
            Some(unescaped) => Split::Frame(Cut {
                unescaped: Some(unescaped),
                escaped: Some((content.clone(), self.by)),
                frame: content,
                ..Cut::plain(whole)
            }),
            None => Split::Bad(FrameFault::Malformed, whole),
        }
    }

    /// Resolves escape sequences; `None` if one is invalid.
    fn resolve(&self, content: &[u8]) -> Option<Bytes> {
        let meaning = |byte: u8| match &self.meaning {
            Meaning::Xor(mask) => Some(byte ^ mask),
            Meaning::Table(table) => table.iter().find(|(key, _)| *key == byte).map(|row| row.1),
        };
        let mut plain = Vec::with_capacity(content.len());
        let mut bytes = content.iter();
        while let Some(byte) = bytes.next() {
            plain.push(if *byte == self.by { meaning(*bytes.next()?)? } else { *byte });
        }
        Some(plain.into())
    }
}

//! VE.Direct: blocks of text and lines of the HEX protocol in one stream.

use super::{Cut, FrameFault, FrameSize, OwnCheck, Rule, Seen, Split, Splitter, find};
use crate::base::scalar::hex_digit;
use bytes::Bytes;
use serde::Deserialize;

/// VE.Direct of Victron. The decoder gets each block of text, `PID⇥0xA042␍␊…` up to the line `Checksum`; and
/// each HEX line as a frame of its own, which begins with a colon: `:A5010…`. With `frames`, the prefix `":"`
/// selects the HEX lines. The rule itself verifies both checksums: the bytes of a block add up to 0, those of a
/// HEX line to 55h. A HEX line within a block is left out of it and dropped.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct VeDirect {
    /// Longest block in bytes, 1 to 64KiB.
    pub limit: FrameSize,
}

/// What ends a block, with the checksum behind it: one byte, whatever it is.
const END: &[u8] = b"\r\nChecksum\t";

impl VeDirect {
    pub(super) fn build(&self) -> Rule {
        Rule { around: 2 + END.len() + 1, ..Rule::new(self.limit, Stream) }
    }
}

struct Stream;

impl Splitter for Stream {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        match buffer {
            [b':', rest @ ..] => split_hex(rest, seen.synchronised),
            [b'\r'] => Split::More { searched: 0 },
            [b'\r', b'\n', ..] => split_block(seen),
            [_, rest @ ..] => {
                let next = rest.iter().position(|byte| matches!(byte, b':' | b'\r'));
                Split::Skip(next.map_or(buffer.len(), |at| at + 1))
            }
            [] => Split::More { searched: 0 },
        }
    }
}

/// What follows a colon. In the middle of a block, where reading begins, it may be a part of a text.
fn split_hex(rest: &[u8], synchronised: bool) -> Split {
    let Some(digits) = rest.iter().position(|byte| hex_digit(*byte).is_none()) else {
        return Split::More { searched: 0 };
    };
    let bad = |n: usize| match synchronised {
        true => Split::Bad(FrameFault::Malformed, n),
        false => Split::Skip(n),
    };
    let (line, behind) = rest.split_at(digits);
    let end = match behind {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        [b'\r'] => return Split::More { searched: 0 },
        _ => return bad(1 + digits),
    };
    let whole = 1 + digits + end;
    // The command is one digit; two for each byte follow, the last of which is the checksum.
    let [command, bytes @ ..] = line else { return bad(whole) };
    let value =
        |digits: &[u8]| digits.iter().fold(0, |sum, it| sum << 4 | hex_digit(*it).unwrap_or(0));
    let sum = bytes.chunks(2).fold(value(&[*command]), |sum, pair| sum.wrapping_add(value(pair)));
    if bytes.is_empty() || !bytes.len().is_multiple_of(2) || (sum != 0x55 && !synchronised) {
        return bad(whole);
    }
    let own_check = if sum == 0x55 { OwnCheck::Right } else { OwnCheck::Wrong };
    let frame = 0..digits - 1;
    Split::Frame(Cut { frame, own_check, ..Cut::plain(whole) })
}

/// A block, from the line break before its first label.
fn split_block(seen: &Seen<'_>) -> Split {
    let buffer = seen.bytes;
    let Some(end) = find(buffer, END, seen.searched) else {
        return Split::More { searched: buffer.len().saturating_sub(END.len() - 1) };
    };
    let whole = end + END.len() + 1;
    let Some(block) = buffer.get(..whole) else { return Split::More { searched: end } };
    let without = block.get(2..end).and_then(without_hex_lines);
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let total = match &without {
        None => sum(block),
        Some(text) => sum(b"\r\n").wrapping_add(sum(text)).wrapping_add(sum(&block[end..])),
    };
    match (total, seen.synchronised) {
        // The rest of a block whose beginning was not seen.
        (1.., false) => Split::Align(whole),
        (0, _) if end == 0 => Split::Pass(whole),
        (sum, _) => {
            let own_check = if sum == 0 { OwnCheck::Right } else { OwnCheck::Wrong };
            let frame = end.min(2)..end;
            Split::Frame(Cut { frame, own_check, unescaped: without, ..Cut::plain(whole) })
        }
    }
}

/// A text without the HEX lines in it, if there are some. In a text a carriage return stands before each line
/// feed, so that such lines cannot be mistaken.
fn without_hex_lines(text: &[u8]) -> Option<Bytes> {
    let mut kept = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(colon) = find(text, b":", at) {
        let line = &text[colon + 1..];
        let digits = line.iter().take_while(|byte| hex_digit(**byte).is_some()).count();
        at = colon + 1 + digits;
        if digits > 0 && line[digits..].starts_with(b"\n") {
            kept.extend_from_slice(&text[from..colon]);
            at += 1;
            from = at;
        }
    }
    if from == 0 {
        return None;
    }
    kept.extend_from_slice(&text[from..]);
    Some(kept.into())
}

//! HDLC frames of DLMS/COSEM meters (IEC 62056-46), with their segments and blocks joined.

use super::{Cut, FrameFault, FrameSize, OwnCheck, Rule, Seen, Silence, Split, Splitter, find};
use crate::base::scalar::Span;
use crate::codec::checksum::NarrowCrc;
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::Range;

/// HDLC frames as DLMS/COSEM meters send them at their HAN and H1 ports (IEC 62056-46, frame format type 3 of
/// ISO/IEC 13239): between two flags 7E, without escape sequences; a length of 11 bits says where a frame ends.
/// The decoder gets the information field, which begins with the LLC header E6 E7 00; that of several frames
/// joined, where the meter has sent it in segments or in the blocks of a general block transfer. The rule itself
/// verifies both check sequences.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Hdlc {
    /// Silence after which an unfinished frame is dropped, and a message whose next frame does not come.
    pub idle: Span,
    /// Longest message in bytes, 1 to 64KiB, all its frames joined.
    pub limit: FrameSize,
}

impl Default for Hdlc {
    fn default() -> Hdlc {
        Hdlc { idle: Span::from_secs(1), limit: FrameSize::default() }
    }
}

impl Hdlc {
    pub(super) fn build(&self) -> Rule {
        let frames = Frames { crc: NarrowCrc::of_16_bits(crc::CRC_16_IBM_SDLC) };
        // Flags, header and check sequences of a frame have at most 18 bytes; those of all frames of a message
        // are allowed as many bytes as its content.
        let around = 18 + self.limit.0;
        let silence = Silence::DropsFrame(self.idle.duration());
        Rule { around, silence, self_synchronising: true, ..Rule::new(self.limit, frames) }
    }
}

const FLAG: u8 = 0x7E;

/// The LLC headers of a response or push, and of a command (IEC 62056-46, 5.3.2).
const LLC: [&[u8]; 2] = [b"\xE6\xE7\x00", b"\xE6\xE6\x00"];
const LLC_LENGTH: usize = 3;

/// Bytes of a check sequence.
const CHECK: usize = 2;

struct Frames {
    crc: NarrowCrc,
}

/// What may be seen of a frame.
enum Found {
    /// Its end has not come yet.
    Unfinished,
    /// It is none.
    Nothing,
    Frame(Frame),
}

struct Frame {
    /// Its bytes without the last flag, which is that of the next one, too.
    length: usize,
    is_right: bool,
    /// Whether the information field goes on in the next frame.
    is_segment: bool,
    information: Range<usize>,
}

/// An information field, of one frame or of several segments.
struct Field<'a> {
    /// The place in the buffer behind its last frame.
    end: usize,
    /// The place of its last segment.
    last: Range<usize>,
    content: Cow<'a, [u8]>,
}

impl Splitter for Frames {
    fn split(&self, seen: &Seen<'_>) -> Split {
        match seen.bytes {
            [FLAG] if seen.silent => Split::Pass(1),
            [FLAG] | [] => Split::More { searched: 0 },
            [FLAG, FLAG, ..] => Split::Pass(1),
            [FLAG, ..] => self.message(seen).unwrap_or_else(|other| other),
            other => Split::Skip(find(other, &[FLAG], 0).unwrap_or(other.len())),
        }
    }
}

impl Frames {
    /// The message that begins with the buffer; an error is anything else that is to be done.
    fn message(&self, seen: &Seen<'_>) -> Result<Split, Split> {
        let Field { mut end, last, content } = self.field(seen, 0)?;
        let Some(mut block) = Block::of(&content) else {
            let unescaped = match content {
                Cow::Borrowed(_) => None,
                Cow::Owned(joined) => Some(joined.into()),
            };
            return Ok(Split::Frame(Cut { frame: last, unescaped, ..right(end) }));
        };
        // The blocks' contents behind the LLC header of the first one.
        let mut joined: Vec<u8> = content.iter().take(LLC_LENGTH).copied().collect();
        let mut next;
        loop {
            joined.extend_from_slice(block.content);
            if block.is_last {
                return Ok(Split::Frame(Cut { unescaped: Some(joined.into()), ..right(end) }));
            }
            let number = block.number.wrapping_add(1);
            next = self.field(seen, end)?;
            block = match Block::of(&next.content) {
                Some(block) if block.number == number => block,
                _ => return Err(Split::Bad(FrameFault::Cut, end)),
            };
            end = next.end;
        }
    }

    /// The information field of the frames that begin at a place of the buffer.
    fn field<'a>(&self, seen: &Seen<'a>, start: usize) -> Result<Field<'a>, Split> {
        let buffer = seen.bytes;
        let mut joined = Vec::new();
        let mut at = start;
        loop {
            // Between two frames there may be more than one flag.
            while at > 0 && buffer.get(at + 1) == Some(&FLAG) {
                at += 1;
            }
            let frame = match self.frame(buffer.get(at..).unwrap_or_default(), at < seen.searched) {
                Found::Frame(frame) => frame,
                // A wrong length may have swallowed the beginning of a good frame.
                Found::Unfinished if seen.silent => return Err(Split::Bad(FrameFault::Cut, 1)),
                Found::Unfinished => return Err(Split::More { searched: at }),
                Found::Nothing if at > 0 => return Err(Split::Bad(FrameFault::Cut, at)),
                Found::Nothing => return Err(Split::Bad(FrameFault::Malformed, 1)),
            };
            let end = at + frame.length;
            if !frame.is_right {
                return Err(Split::Frame(Cut { own_check: OwnCheck::Wrong, ..Cut::plain(end) }));
            }
            let place = at + frame.information.start..at + frame.information.end;
            let content = buffer.get(place.clone()).unwrap_or_default();
            let has_llc = LLC.iter().any(|llc| content.starts_with(llc));
            match (at, has_llc) {
                // Frames that only manage the link say nothing.
                (0, false) if content.is_empty() => return Err(Split::Pass(end)),
                // The rest of a message whose beginning was not seen.
                (0, false) => return Err(Split::Bad(FrameFault::Cut, end)),
                // A new message begins: the rest of this one is lost.
                (1.., true) if at > start => return Err(Split::Bad(FrameFault::Cut, at)),
                _ => {}
            }
            if joined.is_empty() && !frame.is_segment {
                return Ok(Field { end, last: place, content: Cow::Borrowed(content) });
            }
            joined.extend_from_slice(content);
            if !frame.is_segment {
                return Ok(Field { end, last: place, content: Cow::Owned(joined) });
            }
            at = end;
        }
    }

    /// The frame that begins with a flag. One that was verified before is not verified again.
    fn frame(&self, buffer: &[u8], is_verified: bool) -> Found {
        let Some([format, low]) = buffer.get(1..3) else { return Found::Unfinished };
        let length = usize::from(format & 0x07) << 8 | usize::from(*low);
        // Format type 3; two addresses, control field and check sequence are the least.
        if format >> 4 != 0xA || length < 7 {
            return Found::Nothing;
        }
        // The flag, and what the length counts.
        let Some((frame, behind)) = buffer.split_at_checked(1 + length) else {
            return Found::Unfinished;
        };
        match behind.first() {
            None => return Found::Unfinished,
            Some(&FLAG) => {}
            Some(_) => return Found::Nothing,
        }
        let information_end = frame.len() - CHECK;
        // Addresses end with a byte whose lowest bit is set.
        let address = |from: usize| {
            let bytes = frame.get(from..information_end)?.iter().take(4);
            Some(from + bytes.clone().position(|byte| byte & 1 == 1)? + 1)
        };
        let Some(control) = address(3).and_then(address) else { return Found::Nothing };
        let head = control + 1;
        // Without information field the header's check sequence is the frame's.
        let information = match information_end.checked_sub(head) {
            Some(0) => head..head,
            Some(CHECK..) => head + CHECK..information_end,
            _ => return Found::Nothing,
        };
        let is_right = is_verified
            || (self.ends_with_check(&frame[1..])
                && (information.is_empty() || self.ends_with_check(&frame[1..information.start])));
        let is_segment = format & 0x08 != 0;
        Found::Frame(Frame { length: frame.len(), is_right, is_segment, information })
    }

    /// Whether the last two bytes are the check sequence of those before.
    fn ends_with_check(&self, bytes: &[u8]) -> bool {
        bytes.split_last_chunk().is_some_and(|(checked, check)| {
            self.crc.of(checked) == u32::from(u16::from_le_bytes(*check))
        })
    }
}

/// Frames up to here, whose check sequences are right.
fn right(end: usize) -> Cut {
    Cut { own_check: OwnCheck::Right, ..Cut::plain(end) }
}

/// A block of a general block transfer (IEC 62056-5-3, 7.3.13): the tag E0, whether it is the last one in bit 7
/// of the next byte, its number, the number of an acknowledged block, and a part of the message.
struct Block<'a> {
    is_last: bool,
    number: u16,
    content: &'a [u8],
}

impl Block<'_> {
    fn of(information: &[u8]) -> Option<Block<'_>> {
        let llc = LLC.iter().find_map(|llc| information.strip_prefix(*llc));
        let [0xE0, control, high, low, _, _, rest @ ..] = llc.unwrap_or(information) else {
            return None;
        };
        let (length, content) = match rest {
            [length @ ..=0x7F, content @ ..] => (usize::from(*length), content),
            [0x81, length, content @ ..] => (usize::from(*length), content),
            [0x82, high, low, content @ ..] => {
                (usize::from(*high) << 8 | usize::from(*low), content)
            }
            _ => return None,
        };
        let content = content.get(..length)?;
        let number = u16::from_be_bytes([*high, *low]);
        Some(Block { is_last: control & 0x80 != 0, number, content })
    }
}

//! The transport of SML: escape sequences around a file, fill bytes and a checksum.

use super::{
    Cut, FrameFault, FrameSize, OwnCheck, Rule, Seen, Split, Splitter, before_start, find,
};
use crate::codec::checksum::NarrowCrc;
use bytes::Bytes;
use serde::Deserialize;

/// Files of the Smart Message Language (SML 1.04, section 8, transport version 1), which meters push
/// through their optical head: from `1B1B1B1B 01010101` to `1B1B1B1B 1A`, the number of fill bytes and the
/// checksum. The decoder gets the messages, without fill bytes. The rule itself verifies the checksum, a
/// CRC-16/IBM-SDLC over everything before it.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Sml {
    /// Longest file in bytes, 1 to 64KiB.
    pub limit: FrameSize,
}

const ESCAPE: &[u8] = &[0x1B; 4];
const START: &[u8] = &[0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];

impl Sml {
    pub(super) fn build(&self) -> Rule {
        // The content may be longer while its escape sequences stand in it.
        let around = 2 * START.len() + self.limit.0;
        let files = Files { crc: NarrowCrc::of_16_bits(crc::CRC_16_IBM_SDLC) };
        Rule { around, ..Rule::new(self.limit, files) }
    }
}

struct Files {
    crc: NarrowCrc,
}

impl Splitter for Files {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        match before_start(buffer, START) {
            0 if buffer.len() < START.len() => return Split::More { searched: 0 },
            0 => {}
            garbage => return Split::Skip(garbage),
        }
        // Escape sequences stand where four bytes begin, counted from the start. In a file that lost
        // bytes none is found any more; then the next start tells.
        let from = seen.searched.max(START.len());
        let mut at = from;
        while let Some(group) = buffer.get(at..at + 4) {
            if group != ESCAPE {
                at += 4;
                continue;
            }
            let Some(command) = buffer.get(at + 4..at + 8) else { break };
            match command {
                // The literal bytes.
                ESCAPE => at += 8,
                [0x1A, fill, sum @ ..] => {
                    return match restart(buffer, at, from) {
                        Some(again) => Split::Bad(FrameFault::Cut, again),
                        None => self.file(buffer, at, *fill, sum),
                    };
                }
                // A start, or what transport version 1 does not know.
                _ => {
                    return match restart(buffer, at + 8, from) {
                        Some(again) => Split::Bad(FrameFault::Cut, again),
                        None => Split::Bad(FrameFault::Malformed, at + 4),
                    };
                }
            }
        }
        match restart(buffer, buffer.len(), from) {
            Some(again) => Split::Bad(FrameFault::Cut, again),
            None => Split::More { searched: at },
        }
    }
}

impl Files {
    /// A file whose last escape sequence is at `end`.
    fn file(&self, buffer: &[u8], end: usize, fill: u8, sum: &[u8]) -> Split {
        let whole = end + 8;
        let checked = buffer.get(..whole - sum.len()).unwrap_or_default();
        let computed = self.crc.of(checked).to_le_bytes();
        let is_right = computed.starts_with(sum);
        let content = START.len()..end.saturating_sub(usize::from(fill));
        if is_right && (fill > 3 || content.end < content.start) {
            return Split::Bad(FrameFault::Malformed, whole);
        }
        let unescaped = buffer.get(content.clone()).and_then(unescape);
        let own_check = if is_right { OwnCheck::Right } else { OwnCheck::Wrong };
        let frame = content.start..content.end.max(content.start);
        Split::Frame(Cut { frame, unescaped, own_check, ..Cut::plain(whole) })
    }
}

/// Where the next file begins, before `end`. A start may have begun before what was searched already.
fn restart(buffer: &[u8], end: usize, from: usize) -> Option<usize> {
    let from = from.saturating_sub(START.len()).max(1);
    find(buffer.get(..end)?, START, from)
}

/// The content with its escape sequences resolved; `None` where there are none.
fn unescape(content: &[u8]) -> Option<Bytes> {
    let mut plain: Option<Vec<u8>> = None;
    let mut groups = content.chunks(4).enumerate();
    while let Some((n, group)) = groups.next() {
        if group == ESCAPE {
            plain.get_or_insert_with(|| content.iter().take(4 * n).copied().collect());
            groups.next();
        }
        if let Some(plain) = &mut plain {
            plain.extend_from_slice(group);
        }
    }
    plain.map(Bytes::from)
}

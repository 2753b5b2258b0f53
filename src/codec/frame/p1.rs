//! Telegrams of electricity meters, from `/` to `!` and the checksum behind it.

use super::{Cut, FrameFault, FrameSize, OwnCheck, Rule, Seen, Silence, Split, Splitter, find};
use crate::codec::checksum::NarrowCrc;
use serde::Deserialize;
use std::time::Duration;

/// Telegrams of the P1 port of electricity meters (DSMR and its relatives) and of IEC 62056-21 mode D:
/// `/ISK5…!F24A`. The decoder gets what stands between `/` and `!`. The rule itself verifies the checksum, a
/// CRC-16/ARC over everything from `/` to `!`. It has one to four digits; older meters have none.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct P1 {
    /// Whether a telegram without checksum is bad. Otherwise it is taken, and counted as `unchecked`.
    pub require_checksum: bool,
    /// Longest telegram in bytes, 1 to 64KiB.
    pub limit: FrameSize,
}

/// Digits of the checksum.
const DIGITS: usize = 4;

/// What the first bytes of a telegram are: `/` and the maker's three letters (IEC 62056-21, 6.3.2).
const HEAD: usize = 4;

impl P1 {
    pub(super) fn build(&self) -> Rule {
        /// A checksum of fewer digits ends with the telegram's line, or else with a silence that is longer than
        /// between two bursts of a USB adapter.
        const SILENCE: Duration = Duration::from_millis(200);
        let telegrams = Telegrams {
            crc: NarrowCrc::of_16_bits(crc::CRC_16_ARC),
            require_checksum: self.require_checksum,
        };
        let around = 2 + DIGITS;
        let silence = Silence::DropsFrame(SILENCE);
        Rule { around, silence, ..Rule::new(self.limit, telegrams) }
    }
}

struct Telegrams {
    crc: NarrowCrc,
    require_checksum: bool,
}

impl Splitter for Telegrams {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        let breaks = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if breaks > 0 {
            return Split::Pass(breaks);
        }
        match start(buffer, 0) {
            Start::At(0) => {}
            Start::MayBe(0) => return Split::More { searched: 0 },
            Start::At(garbage) | Start::MayBe(garbage) => return Split::Skip(garbage),
            Start::Nowhere => return Split::Skip(buffer.len()),
        }
        let searched = seen.searched.max(HEAD);
        let end = end(buffer, searched);
        // Another start before the end: this telegram lost its end.
        let window = end.map_or(buffer, |end| &buffer[..end]);
        if let Start::At(again) = start(window, searched + 1 - HEAD) {
            return Split::Bad(FrameFault::Cut, again);
        }
        let Some(end) = end else { return Split::More { searched: buffer.len() } };
        let digits = buffer[end + 1..].iter().take(DIGITS).take_while(|it| it.is_ascii_hexdigit());
        let whole = end + 1 + digits.count();
        if whole == buffer.len() && whole < end + 1 + DIGITS && !seen.silent {
            return Split::More { searched: end };
        }
        // A damaged digit does not make a telegram without checksum of one that has it.
        let is_ended = matches!(buffer.get(whole), None | Some(b'\r' | b'\n'));
        let own_check = match std::str::from_utf8(&buffer[end + 1..whole]) {
            Ok("") if is_ended && !self.require_checksum => OwnCheck::Missing,
            Ok(digits)
                if (is_ended || digits.len() == DIGITS)
                    && u32::from_str_radix(digits, 16) == Ok(self.crc.of(&buffer[..=end])) =>
            {
                OwnCheck::Right
            }
            _ => OwnCheck::Wrong,
        };
        Split::Frame(Cut { frame: 1..end, checked: 0..end, own_check, ..Cut::plain(whole) })
    }
}

/// The first `!` at `from` or behind it that ends a telegram: behind a line or a bracket. A damaged byte within
/// a line ends none.
fn end(buffer: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(mark) = find(buffer, b"!", at) {
        if matches!(buffer[..mark].last(), Some(b'\n' | b')')) {
            return Some(mark);
        }
        at = mark + 1;
    }
    None
}

/// Where a telegram begins.
enum Start {
    At(usize),
    /// The letters that would decide have not come yet.
    MayBe(usize),
    Nowhere,
}

/// The first start at `from` or behind it.
fn start(buffer: &[u8], from: usize) -> Start {
    let mut at = from;
    while let Some(slash) = find(buffer, b"/", at) {
        let letters = buffer[slash + 1..].iter().take(HEAD - 1);
        match (letters.clone().all(u8::is_ascii_alphabetic), letters.len() == HEAD - 1) {
            (true, true) => return Start::At(slash),
            (true, false) => return Start::MayBe(slash),
            (false, _) => at = slash + 1,
        }
    }
    Start::Nowhere
}

//! A reply among RTU frames, which only their length and their CRC tell apart.

use super::super::crc16;
use super::{Expected, Head, REFUSED, Scan};

/// The longest frame (SL 2.5.1).
const LONGEST: usize = 256;

impl Expected {
    /// A frame begins at the first byte and behind each whole frame. Elsewhere, behind noise, only a
    /// whole frame with the right CRC is one.
    pub(super) fn search_rtu(&self, received: &[u8], is_last: bool) -> Scan {
        let (mut at, mut foreign) = (0, 0);
        let mut beginning = 0;
        // A reply that began behind noise may go on until here; what it holds is no frame.
        let mut ours_until = 0;
        while let Some(rest) = received.get(at..).filter(|rest| !rest.is_empty()) {
            let may_wait = at == beginning && !is_last;
            let mut is_damaged = None;
            match self.head(rest) {
                Head::Fits(len) => match rest.get(..len + 2) {
                    Some(frame) if has_crc(frame) => {
                        if let Some(found) = frame.get(..len).and_then(|frame| self.found(frame)) {
                            return found.scan(at + len, at + len + 2, foreign);
                        }
                    }
                    Some(_) if at == beginning => is_damaged = Some(at + len + 2),
                    Some(_) => {}
                    None if may_wait => return Scan::More { drop: at, foreign },
                    None if is_last => {}
                    None => ours_until = ours_until.max(at + len + 2),
                },
                Head::Incomplete if may_wait => return Scan::More { drop: at, foreign },
                Head::Incomplete | Head::Other => {}
            }
            if at >= ours_until || is_damaged.is_some() {
                match Other::of(rest) {
                    Other::Whole(len) => {
                        at += len;
                        beginning = at;
                        foreign += 1;
                        continue;
                    }
                    Other::Incomplete if may_wait => return Scan::More { drop: at, foreign },
                    Other::Incomplete | Other::Noise => {}
                }
            }
            if let Some(len) = is_damaged {
                return Scan::BadChecksum { len, foreign };
            }
            at += 1;
        }
        let noise = if is_last { 0 } else { LONGEST };
        Scan::More { drop: beginning.max(received.len().saturating_sub(noise)), foreign }
    }
}

impl Expected {
    /// How many bytes are missing of the reply that these begin, as far as its length is known.
    pub(super) fn missing_of_rtu(&self, received: &[u8]) -> Option<usize> {
        match self.head(received) {
            Head::Fits(len) => (len + 2).checked_sub(received.len()),
            Head::Incomplete | Head::Other => None,
        }
    }
}

/// Whether the CRC at a frame's end fits, low byte first (SL 2.5.1.2).
fn has_crc(frame: &[u8]) -> bool {
    matches!(frame, [covered @ .., low, high] if crc16(covered).to_le_bytes() == [*low, *high])
}

/// What begins with bytes that are not the reply.
enum Other {
    /// A frame of so many bytes, whose CRC fits.
    Whole(usize),
    /// By its first bytes it can become an answer of some slave.
    Incomplete,
    Noise,
}

impl Other {
    fn of(bytes: &[u8]) -> Other {
        let (answer, request) = lengths(bytes);
        let is_whole = |len: &usize| bytes.get(..*len).is_some_and(has_crc);
        if let Some(len) = [answer, request].into_iter().flatten().find(is_whole) {
            return Other::Whole(len);
        }
        let is_short = answer.is_none_or(|len| len > bytes.len());
        if is_short && is_plausible(bytes) { Other::Incomplete } else { Other::Noise }
    }
}

/// The length of the frame that bytes begin with, if it is whole, its CRC fits, and masters and slaves
/// write such frames.
#[cfg(feature = "tools")]
pub fn whole_rtu_frame(bytes: &[u8]) -> Option<usize> {
    let is_function =
        |function: u8| matches!(function & !REFUSED, 1..=8 | 11 | 12 | 15..=17 | 20..=24);
    match (bytes, Other::of(bytes)) {
        ([0..=247, function, ..], Other::Whole(len)) if is_function(*function) => Some(len),
        _ => None,
    }
}

/// How long a frame is, as an answer and as a request (a master's, or the echo of our own), if its
/// function says it.
fn lengths(frame: &[u8]) -> (Option<usize>, Option<usize>) {
    let count = |at: usize, more: usize| frame.get(at).map(|count| usize::from(*count) + more);
    let Some(function) = frame.get(1) else { return (None, None) };
    match function {
        1..=4 => (count(2, 5), Some(8)),
        5 | 6 | 8 | 11 => (Some(8), None),
        15 | 16 => (Some(8), count(6, 9)),
        7 => (Some(5), Some(4)),
        12 | 17 => (count(2, 5), Some(4)),
        20 | 21 => (count(2, 5), count(2, 5)),
        22 => (Some(10), None),
        23 => (count(2, 5), count(10, 13)),
        _ if function & REFUSED != 0 => (Some(5), None),
        _ => (None, None),
    }
}

/// Whether it is worth waiting for the rest of a frame that begins so: an answer that the tables'
/// functions have, from an address that slaves have (SL 2.2).
fn is_plausible(bytes: &[u8]) -> bool {
    let Some(1..=247) = bytes.first() else { return false };
    match (bytes.get(1), bytes.get(2)) {
        (None, _) | (Some(1..=6 | 15 | 16 | 0x81..=0x86 | 0x8F | 0x90), None) => true,
        (Some(1 | 2), Some(count)) => (1..=250).contains(count),
        (Some(3 | 4), Some(count)) => (2..=250).contains(count) && count % 2 == 0,
        (Some(5 | 6 | 15 | 16), Some(_)) => true,
        (Some(0x81..=0x86 | 0x8F | 0x90), Some(code)) => (1..=11).contains(code),
        _ => false,
    }
}

//! A reply among ASCII frames, each from `:` to a line break.

use super::super::lrc;
use super::{Expected, Found, Head, Payload, Scan};
use crate::base::scalar::hex_byte;

/// The longest frame in characters (SL 2.5.2).
const LONGEST: usize = 513;

impl Expected {
    pub(super) fn search_ascii(&self, received: &[u8], is_last: bool) -> Scan {
        let (mut at, mut foreign) = (0, 0);
        while let Some(start) = find(received, at, |byte| byte == b':') {
            let begins = start + 1;
            let end = find(received, begins, |byte| byte == b'\n' || byte == b':');
            let Some(end) = end else {
                if received.len() - start < LONGEST && !is_last {
                    return Scan::More { drop: start, foreign };
                }
                break;
            };
            // A colon begins another frame.
            at = if received.get(end) == Some(&b'\n') { end + 1 } else { end };
            let line = received.get(begins..end).and_then(|line| line.strip_suffix(b"\r"));
            let Some(digits) = line.filter(|_| at > end) else { continue };
            match self.line(digits) {
                Line::Found(Found::Answer(count), frame) => {
                    let payload = frame.get(frame.len() - count..).unwrap_or_default();
                    let payload = Payload::Owned(payload.to_vec());
                    return Scan::Answer { payload, len: at, foreign };
                }
                Line::Found(Found::Exception(code), _) => {
                    return Scan::Exception { code, len: at, foreign };
                }
                Line::Foreign => foreign += 1,
                Line::Damaged => return Scan::BadChecksum { len: at, foreign },
                Line::Noise => {}
            }
        }
        Scan::More { drop: received.len(), foreign }
    }

    fn line(&self, digits: &[u8]) -> Line {
        if let Some(mut frame) = decoded(digits)
            && frame.len() > 2
            && lrc(&frame) == 0
        {
            frame.pop();
            let fits = self.head(&frame) == Head::Fits(frame.len());
            let found = self.found(&frame).filter(|_| fits);
            return found.map_or(Line::Foreign, |found| Line::Found(found, frame));
        }
        let head = digits.get(..6).and_then(decoded).map(|head| self.head(&head));
        match head {
            Some(Head::Fits(len)) if digits.len() == 2 * (len + 1) => Line::Damaged,
            _ => Line::Noise,
        }
    }
}

/// What stands between `:` and the line break.
enum Line {
    /// The reply, with the bytes from its unit to the end of its data.
    Found(Found, Vec<u8>),
    /// A whole frame that is not the reply.
    Foreign,
    /// The reply, if its checksum fitted.
    Damaged,
    Noise,
}

fn find(bytes: &[u8], from: usize, is_it: impl Fn(u8) -> bool) -> Option<usize> {
    Some(from + bytes.get(from..)?.iter().position(|byte| is_it(*byte))?)
}

/// The bytes that pairs of digits spell, in either case.
fn decoded(digits: &[u8]) -> Option<Vec<u8>> {
    digits.chunks(2).map(hex_byte).collect()
}

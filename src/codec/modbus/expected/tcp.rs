//! A reply among Modbus TCP frames, which begin with their transaction and their length.

use super::{Expected, Head, Scan};

/// The longest frame (TCP 4.1).
const LONGEST: usize = 260;
/// The bytes of the MBAP header before the unit (TCP 3.1.3).
const HEADER: usize = 6;

impl Expected {
    /// A frame begins at the first byte and behind each whole frame. Elsewhere, where the stream is out
    /// of step, only the reply itself is one.
    pub(super) fn search_tcp(&self, received: &[u8], is_last: bool) -> Scan {
        let (mut at, mut foreign) = (0, 0);
        let mut beginning = 0;
        while let Some(rest) = received.get(at..).filter(|rest| !rest.is_empty()) {
            let is_beginning = at == beginning;
            let may_wait = is_beginning && !is_last;
            match Header::of(rest) {
                Header::Incomplete if may_wait => return Scan::More { drop: at, foreign },
                Header::Whole { transaction, len } => match rest.get(HEADER..HEADER + len) {
                    Some(frame) => {
                        let end = at + HEADER + len;
                        let fits = transaction == self.transaction
                            && self.head(frame) == Head::Fits(frame.len());
                        if let Some(found) = self.found(frame).filter(|_| fits) {
                            return found.scan(end, end, foreign);
                        }
                        if is_beginning {
                            at = end;
                            beginning = end;
                            foreign += 1;
                            continue;
                        }
                    }
                    None if may_wait => return Scan::More { drop: at, foreign },
                    None => {}
                },
                Header::Incomplete | Header::Wrong => {}
            }
            at += 1;
        }
        let noise = if is_last { 0 } else { LONGEST };
        Scan::More { drop: beginning.max(received.len().saturating_sub(noise)), foreign }
    }
}

enum Header {
    /// Of a frame with so many bytes from its unit on.
    Whole {
        transaction: u16,
        len: usize,
    },
    Incomplete,
    Wrong,
}

impl Header {
    /// The protocol is 0; unit and function, and at most 253 bytes of function and data follow.
    fn of(bytes: &[u8]) -> Header {
        match bytes {
            [a, b, 0, 0, 0, len @ 2..=254, ..] => {
                Header::Whole { transaction: u16::from_be_bytes([*a, *b]), len: usize::from(*len) }
            }
            [_, _, protocol @ ..] if protocol.iter().take(3).any(|byte| *byte != 0) => {
                Header::Wrong
            }
            [_, _, _, _, _, _, ..] => Header::Wrong,
            _ => Header::Incomplete,
        }
    }
}

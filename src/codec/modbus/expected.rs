//! The reply that a request awaits, found among all that comes on the line.

mod ascii;
mod rtu;
mod tcp;

#[cfg(feature = "tools")]
pub use rtu::whole_rtu_frame;

use super::{Exception, Mode, Reply, Request};
use std::ops::Range;

/// What a reply must look like: unit, function, byte count (reads) or echoed address and value
/// (writes), and the transaction (Modbus TCP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    mode: Mode,
    unit: u8,
    function: u8,
    reply: Reply,
    transaction: u16,
    len: usize,
}

/// What the bytes received since the request was written are. `foreign` counts complete frames of
/// another unit, function, length or transaction, which end nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// No reply yet. The first `drop` bytes can be no part of it; the `foreign` frames are among them.
    More { drop: usize, foreign: u32 },
    /// The regular answer, which ends after `len` bytes.
    Answer { payload: Payload, len: usize, foreign: u32 },
    /// The unit refuses the request; this ends after `len` bytes.
    Exception { code: Exception, len: usize, foreign: u32 },
    /// Unit, function and length fit, the checksum does not. This ends after `len` bytes.
    BadChecksum { len: usize, foreign: u32 },
}

/// The registers or packed bits of an answer; a write's answer has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A range of what was received.
    At(Range<usize>),
    /// The bytes that hexadecimal digits spelled.
    Owned(Vec<u8>),
}

impl Payload {
    pub fn of<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        match self {
            Payload::At(range) => received.get(range.clone()).unwrap_or_default(),
            Payload::Owned(bytes) => bytes,
        }
    }
}

impl Expected {
    pub fn new(mode: Mode, unit: u8, request: &Request, transaction: u16) -> Expected {
        let (function, reply) = (request.function(), request.reply());
        let len = request.answer_len(mode);
        Expected { mode, unit, function, reply, transaction, len }
    }

    /// Bytes of the regular answer on the line.
    pub fn answer_len(&self) -> usize {
        self.len
    }

    /// Whether an answer, or an exception, that another request awaits would be taken for this one's.
    pub fn takes_answers_to(&self, other: &Expected, is_exception: bool) -> bool {
        let is_same =
            (self.mode, self.unit, self.function) == (other.mode, other.unit, other.function);
        // Modbus TCP numbers its transactions.
        self.mode != Mode::Tcp && is_same && (is_exception || self.reply == other.reply)
    }

    /// Looks at the bytes received since the request was written.
    pub fn scan(&self, received: &[u8]) -> Scan {
        self.search(received, false)
    }

    /// The same when nothing more will come: what looked like the beginning of a frame was noise, and
    /// an answer may stand behind it.
    pub fn scan_last(&self, received: &[u8]) -> Scan {
        self.search(received, true)
    }

    /// How many bytes must still come until there is a reply, where these say so: before they have come
    /// [`Expected::scan`] finds nothing.
    pub fn missing(&self, received: &[u8]) -> Option<usize> {
        match self.mode {
            Mode::Rtu => self.missing_of_rtu(received),
            Mode::Ascii | Mode::Tcp => None,
        }
    }

    fn search(&self, received: &[u8], is_last: bool) -> Scan {
        match self.mode {
            Mode::Rtu => self.search_rtu(received, is_last),
            Mode::Ascii => self.search_ascii(received, is_last),
            Mode::Tcp => self.search_tcp(received, is_last),
        }
    }

    /// How far some bytes, from a frame's unit on, agree with what is awaited.
    fn head(&self, bytes: &[u8]) -> Head {
        let (function, rest) = match bytes {
            [unit, ..] if *unit != self.unit => return Head::Other,
            [_, function, rest @ ..] => (*function, rest),
            _ => return Head::Incomplete,
        };
        if function == self.function | REFUSED {
            return Head::Fits(3);
        }
        match (self.reply, rest.first()) {
            _ if function != self.function => Head::Other,
            (Reply::Echo(_), _) => Head::Fits(6),
            (Reply::Bytes(_), None) => Head::Incomplete,
            (Reply::Bytes(count), Some(n)) if *n == count => Head::Fits(3 + usize::from(count)),
            (Reply::Bytes(_), Some(_)) => Head::Other,
        }
    }

    /// What a whole frame with such a head is, from its unit to the end of its data; `None` if it
    /// echoes another address or value than was written.
    fn found(&self, frame: &[u8]) -> Option<Found> {
        match (frame, self.reply) {
            ([_, function, code, ..], _) if *function == self.function | REFUSED => {
                Some(Found::Exception(Exception(*code)))
            }
            ([_, _, _, payload @ ..], Reply::Bytes(_)) => Some(Found::Answer(payload.len())),
            ([_, _, echo @ ..], Reply::Echo(written)) if *echo == written => Some(Found::Answer(0)),
            _ => None,
        }
    }
}

/// The bit of a function code that says that the request is refused (AP 7).
const REFUSED: u8 = 0x80;

/// What the first bytes of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Of another unit, function or byte count.
    Other,
    /// These agree as far as they are there.
    Incomplete,
    /// They agree: a reply with so many bytes from its unit to the end of its data.
    Fits(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// So many bytes at the end of the data are the payload.
    Answer(usize),
    Exception(Exception),
}

impl Found {
    /// The same as a result, of a frame whose data ends at `end`, and all of it at `len`.
    fn scan(self, end: usize, len: usize, foreign: u32) -> Scan {
        match self {
            Found::Answer(count) => {
                Scan::Answer { payload: Payload::At(end - count..end), len, foreign }
            }
            Found::Exception(code) => Scan::Exception { code, len, foreign },
        }
    }
}

#[cfg(test)]
mod tests;

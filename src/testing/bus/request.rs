//! What a slave hears: a master's frame, in each mode.

use crate::base::scalar::parse_hex;
use crate::codec::modbus::{Mode, frame};

/// A complete frame at the beginning of what a master wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Bytes of the frame on the line.
    pub(super) len: usize,
    pub(super) unit: u8,
    pub(super) transaction: u16,
    /// Function code and data.
    pub(super) pdu: Vec<u8>,
}

impl Heard {
    /// `None` while it is incomplete, and for what is no request with a right checksum.
    pub(super) fn first_of(mode: Mode, bytes: &[u8]) -> Option<Heard> {
        let heard = match mode {
            Mode::Rtu => {
                let len = match bytes.get(1)? {
                    15 | 16 => 9 + usize::from(*bytes.get(6)?),
                    _ => 8,
                };
                let [unit, pdu @ .., _, _] = bytes.get(..len)? else { return None };
                Heard { len, unit: *unit, transaction: 0, pdu: pdu.to_vec() }
            }
            Mode::Tcp => {
                let [high, low, 0, 0, 0, rest, unit, ..] = bytes else { return None };
                let len = 6 + usize::from(*rest);
                let pdu = bytes.get(7..len)?.to_vec();
                let transaction = u16::from_be_bytes([*high, *low]);
                Heard { len, unit: *unit, transaction, pdu }
            }
            Mode::Ascii => {
                let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
                let digits = std::str::from_utf8(bytes.get(1..end)?).ok()?;
                let decoded = parse_hex(digits).ok()?;
                let [unit, pdu @ .., _] = decoded.as_slice() else { return None };
                Heard { len: end + 2, unit: *unit, transaction: 0, pdu: pdu.to_vec() }
            }
        };
        let same = frame(mode, heard.unit, heard.transaction, &heard.pdu);
        bytes.get(..heard.len).filter(|bytes| bytes.eq_ignore_ascii_case(&same))?;
        Some(heard)
    }
}

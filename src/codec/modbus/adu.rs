//! A whole frame at the beginning of some bytes, whatever it asks or answers.

use super::{Mode, frame};
use crate::base::scalar::parse_hex;

/// An application data unit (AP 4.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Adu {
    /// Its bytes on the line.
    pub len: usize,
    pub unit: u8,
    pub transaction: u16,
    /// Function code and data.
    pub pdu: Vec<u8>,
}

impl Adu {
    /// `None` while it is incomplete, and where the checksum is wrong. An RTU frame does not say how long it
    /// is: `pdu_len` knows that, of the bytes from the function code on, once enough of them are there.
    pub fn first_of(mode: Mode, bytes: &[u8], pdu_len: fn(&[u8]) -> Option<usize>) -> Option<Adu> {
        let adu = match mode {
            Mode::Rtu => {
                let (unit, behind) = bytes.split_first()?;
                let pdu = behind.get(..pdu_len(behind)?)?.to_vec();
                Adu { len: pdu.len() + 3, unit: *unit, transaction: 0, pdu }
            }
            Mode::Tcp => {
                let [high, low, 0, 0, 0, rest, unit, ..] = bytes else { return None };
                let len = 6 + usize::from(*rest);
                let pdu = bytes.get(7..len)?.to_vec();
                Adu { len, unit: *unit, transaction: u16::from_be_bytes([*high, *low]), pdu }
            }
            Mode::Ascii => {
                let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
                let digits = std::str::from_utf8(bytes.get(1..end)?).ok()?;
                let decoded = parse_hex(digits).ok()?;
                let [unit, pdu @ .., _] = decoded.as_slice() else { return None };
                Adu { len: end + 2, unit: *unit, transaction: 0, pdu: pdu.to_vec() }
            }
        };
        let same = frame(mode, adu.unit, adu.transaction, &adu.pdu);
        bytes.get(..adu.len).filter(|bytes| bytes.eq_ignore_ascii_case(&same))?;
        Some(adu)
    }
}

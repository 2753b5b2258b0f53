//! What a slave hears: a master's frame, in each mode.

use crate::codec::modbus::Mode;
use crate::codec::modbus::adu::Adu;

/// A complete request at the beginning of what a master wrote; `None` while it is incomplete, and for
/// what is no request with a right checksum.
pub(super) fn heard(mode: Mode, bytes: &[u8]) -> Option<Adu> {
    Adu::first_of(mode, bytes, |pdu| {
        Some(match pdu.first()? {
            15 | 16 => 6 + usize::from(*pdu.get(5)?),
            // Read Device Identification, Report Server ID.
            0x2B => 4,
            0x11 => 1,
            _ => 5,
        })
    })
}

//! Fields of a packet's body (MQTT 5.0, 1.5; 3.1.1, 1.5 and 2.3.1).

use super::property::Place;
use super::{PacketError, PacketId, Properties, Reason, Version};
use crate::mqtt::topic::Qos;
use bytes::{BufMut, Bytes, BytesMut};

/// Takes fields off the front of a body; a body that ends too early is an error, never a panic.
#[derive(Debug)]
pub(super) struct Reader {
    kind: u8,
    body: Bytes,
}

impl Reader {
    pub(super) fn new(kind: u8, body: Bytes) -> Reader {
        Reader { kind, body }
    }

    pub(super) fn bytes(&mut self, n: usize) -> Result<Bytes, PacketError> {
        if self.body.len() < n {
            return Err(PacketError::Short(self.kind));
        }
        Ok(self.body.split_to(n))
    }

    /// The next `n` bytes as a body of their own.
    pub(super) fn part(&mut self, n: usize) -> Result<Reader, PacketError> {
        Ok(Reader { kind: self.kind, body: self.bytes(n)? })
    }

    pub(super) fn u8(&mut self) -> Result<u8, PacketError> {
        Ok(self.bytes(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, PacketError> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, PacketError> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A number of one to four bytes in its shortest form (1.5.5).
    pub(super) fn varint(&mut self) -> Result<u32, PacketError> {
        match varint(&self.body)? {
            Some((number, len)) => {
                let _ = self.body.split_to(len);
                Ok(number)
            }
            None => Err(PacketError::Short(self.kind)),
        }
    }

    pub(super) fn id(&mut self) -> Result<PacketId, PacketError> {
        packet_id(self.u16()?)
    }

    /// Bytes behind their length (1.5.6).
    pub(super) fn binary(&mut self) -> Result<Bytes, PacketError> {
        let n = self.u16()?;
        self.bytes(usize::from(n))
    }

    /// A text behind its length: UTF-8 without U+0000 (1.5.4).
    pub(super) fn text(&mut self) -> Result<String, PacketError> {
        let bytes = self.binary()?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(PacketError::Value("a text is not valid UTF-8")),
        }
    }

    /// A reason code that this type of packet may carry.
    pub(super) fn reason(&mut self) -> Result<Reason, PacketError> {
        let code = self.u8()?;
        Reason::in_packet(code, self.kind).ok_or(PacketError::Reason { kind: self.kind, code })
    }

    /// Reason and properties at the end of a packet. Each may be left out where it says nothing
    /// (3.4.2.1, 3.14.2.1); before 5.0 there is neither.
    pub(super) fn reason_and_properties(
        &mut self,
        version: Version,
        place: Place,
    ) -> Result<(Reason, Properties), PacketError> {
        if !version.is_5() || self.is_empty() {
            return Ok((Reason::SUCCESS, Properties::NONE));
        }
        let reason = self.reason()?;
        let properties = match self.is_empty() {
            true => Properties::NONE,
            false => Properties::read(self, version, place)?,
        };
        Ok((reason, properties))
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.body)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    pub(super) fn end(&self) -> Result<(), PacketError> {
        if self.body.is_empty() { Ok(()) } else { Err(PacketError::Long(self.kind)) }
    }
}

/// A packet identifier, which is never 0 (2.2.1).
pub(super) fn packet_id(number: u16) -> Result<PacketId, PacketError> {
    PacketId::new(number).ok_or(PacketError::Value("packet identifier 0"))
}

/// A QoS of two bits.
pub(super) fn qos(bits: u8) -> Result<Qos, PacketError> {
    Qos::try_from(u64::from(bits)).map_err(|_| PacketError::Value("QoS 3"))
}

/// A length or number takes more than four bytes or is not in its shortest form (1.5.5).
const VARINT: PacketError = PacketError::Value("malformed variable byte integer");

/// The number at the front of some bytes, and how many bytes it takes; `None` while it is not whole.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, PacketError> {
    let mut number = 0;
    for (n, byte) in bytes.iter().take(4).enumerate() {
        number |= u32::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            // A last byte of 0 behind others would be a longer form of a smaller number.
            if n > 0 && *byte == 0 {
                return Err(VARINT);
            }
            return Ok(Some((number, n + 1)));
        }
    }
    if bytes.len() >= 4 { Err(VARINT) } else { Ok(None) }
}

/// Bytes of a number in its shortest form.
pub(super) fn varint_len(number: u32) -> usize {
    match number {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// A number of at most 268,435,455 in its shortest form, at the front of four bytes. Returns how many
/// of them it takes.
pub(super) fn varint_bytes(number: u32, bytes: &mut [u8]) -> usize {
    let mut rest = number.min(super::MAX_REMAINING as u32);
    let len = varint_len(rest);
    for (n, byte) in bytes.iter_mut().take(len).enumerate() {
        let more = if n + 1 < len { 0x80 } else { 0 };
        *byte = (rest & 0x7f) as u8 | more;
        rest >>= 7;
    }
    len
}

/// Bytes of a reason and properties at the end of a packet, see [`put_reason_and_properties`].
pub(super) fn reason_and_properties_len(
    reason: Reason,
    properties: &Properties,
    version: Version,
) -> usize {
    if !version.is_5() {
        0
    } else if properties.is_empty() {
        usize::from(reason != Reason::SUCCESS)
    } else {
        1 + properties.len(version)
    }
}

/// Writes a reason and properties; each is left out where it says nothing.
pub(super) fn put_reason_and_properties(
    out: &mut BytesMut,
    reason: Reason,
    properties: &Properties,
    version: Version,
) {
    let len = reason_and_properties_len(reason, properties, version);
    if len > 0 {
        out.put_u8(reason.code());
    }
    if len > 1 {
        properties.write(out, version);
    }
}

/// Writes a number of at most 268,435,455 in its shortest form.
pub(super) fn put_varint(out: &mut BytesMut, number: u32) {
    let mut bytes = [0; 4];
    let len = varint_bytes(number, &mut bytes);
    out.put_slice(&bytes[..len]);
}

/// Writes bytes behind their length. What is longer than 65,535 bytes cannot be written and is cut:
/// topics and filters are never that long, and the session refuses what else is.
pub(super) fn put_binary(out: &mut BytesMut, bytes: &[u8]) {
    let n = bytes.len().min(usize::from(u16::MAX));
    out.put_u16(n as u16);
    out.put_slice(&bytes[..n]);
}

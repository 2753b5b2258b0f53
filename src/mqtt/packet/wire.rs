//! Fields of a packet's body (MQTT 3.1.1, 1.5 and 2.3.1).

use super::{PacketError, PacketId};
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

    pub(super) fn u8(&mut self) -> Result<u8, PacketError> {
        Ok(self.bytes(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, PacketError> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn id(&mut self) -> Result<PacketId, PacketError> {
        PacketId::new(self.u16()?).ok_or(PacketError::ZeroId)
    }

    /// Bytes behind their length (1.5.3 without the UTF-8).
    pub(super) fn binary(&mut self) -> Result<Bytes, PacketError> {
        let n = self.u16()?;
        self.bytes(usize::from(n))
    }

    /// A text behind its length: UTF-8 without U+0000 (1.5.3).
    pub(super) fn text(&mut self) -> Result<String, PacketError> {
        let bytes = self.binary()?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(PacketError::Utf8),
        }
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

/// Writes bytes behind their length. What is longer than 65,535 bytes is cut; the types that are
/// written here do not let it come to that.
pub(super) fn put_binary(out: &mut BytesMut, bytes: &[u8]) {
    let n = bytes.len().min(usize::from(u16::MAX));
    out.put_u16(n as u16);
    out.put_slice(&bytes[..n]);
}

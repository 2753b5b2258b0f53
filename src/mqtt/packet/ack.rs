//! Acknowledgements of a message: PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7).

use super::property::Place;
use super::wire::{Reader, put_reason_and_properties, reason_and_properties_len};
use super::{Header, PacketError, PacketId, Properties, Reason, Version};
use bytes::{BufMut, BytesMut};

pub(super) const PUBACK: u8 = 4;
pub(super) const PUBREC: u8 = 5;
pub(super) const PUBREL: u8 = 6;
pub(super) const PUBCOMP: u8 = 7;

/// A step in the delivery of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The packet identifier of the message.
    pub id: PacketId,
    /// The reason code; success before 5.0.
    pub reason: Reason,
    /// The properties; only in 5.0.
    pub properties: Properties,
}

impl Ack {
    /// An acknowledgement without properties.
    pub fn new(id: PacketId, reason: Reason) -> Ack {
        Ack { id, reason, properties: Properties::NONE }
    }

    pub(super) fn read(body: &mut Reader, version: Version) -> Result<Ack, PacketError> {
        let id = body.id()?;
        let (reason, properties) = body.reason_and_properties(version, Place::Ack)?;
        Ok(Ack { id, reason, properties })
    }

    pub(super) fn write(&self, kind: u8, out: &mut BytesMut, version: Version) {
        let flags = if kind == PUBREL { 0b0010 } else { 0 };
        let len = 2 + reason_and_properties_len(self.reason, &self.properties, version);
        Header::write(kind, flags, len, out);
        out.put_u16(self.id.get());
        put_reason_and_properties(out, self.reason, &self.properties, version);
    }
}

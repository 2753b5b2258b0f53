//! Acknowledgements of a message: PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7).

use super::property::Place;
use super::reason::Carrier;
use super::wire::Reader;
use super::{Header, PacketError, PacketId, Properties, Reason, Version};
use bytes::{BufMut, BytesMut};

pub(super) const PUBACK: u8 = 4;
pub(super) const PUBREC: u8 = 5;
pub(super) const PUBREL: u8 = 6;
pub(super) const PUBCOMP: u8 = 7;

/// A step in the delivery of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The message's identifier.
    pub id: PacketId,
    /// How it went; success before 5.0.
    pub reason: Reason,
    /// Only in 5.0.
    pub properties: Properties,
}

impl Ack {
    /// An acknowledgement without more words.
    pub fn new(id: PacketId, reason: Reason) -> Ack {
        Ack { id, reason, properties: Properties::NONE }
    }

    pub(super) fn read(kind: u8, body: &mut Reader, version: Version) -> Result<Ack, PacketError> {
        let id = body.id()?;
        if !version.is_5() || body.is_empty() {
            return Ok(Ack::new(id, Reason::SUCCESS));
        }
        let carrier = match kind {
            PUBACK | PUBREC => Carrier::PubAckOrRec,
            _ => Carrier::PubRelOrComp,
        };
        let code = body.u8()?;
        let reason = Reason::in_packet(code, carrier).ok_or(PacketError::Reason { kind, code })?;
        // Properties may be left out altogether (3.4.2.2.1).
        let properties = match body.is_empty() {
            true => Properties::NONE,
            false => Properties::read(body, version, Place::Ack)?,
        };
        Ok(Ack { id, reason, properties })
    }

    pub(super) fn write(&self, kind: u8, out: &mut BytesMut, version: Version) {
        let flags = if kind == PUBREL { 0b0010 } else { 0 };
        let has_properties = !self.properties.is_empty() && version.is_5();
        let has_reason = version.is_5() && (has_properties || self.reason != Reason::SUCCESS);
        let mut len = 2 + usize::from(has_reason);
        len += if has_properties { self.properties.len(version) } else { 0 };
        Header::write(kind, flags, len, out);
        out.put_u16(self.id.get());
        if has_reason {
            out.put_u8(self.reason.code());
        }
        if has_properties {
            self.properties.write(out, version);
        }
    }
}

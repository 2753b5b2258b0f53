//! SUBACK (3.9) and UNSUBACK (3.11).

use super::property::Place;
use super::wire::Reader;
use super::{Header, PacketError, PacketId, Properties, Reason, Version};
use bytes::{BufMut, BytesMut};

pub(super) const SUBACK: u8 = 9;
pub(super) const UNSUBACK: u8 = 11;

/// The broker's answer to SUBSCRIBE or UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The packet identifier of the request that it answers.
    pub id: PacketId,
    /// For each filter of the request, in its order: the QoS granted to a subscription, or how it
    /// went. UNSUBACK has none before 5.0.
    pub reasons: Vec<Reason>,
    /// Properties, from 5.0 on.
    pub properties: Properties,
}

impl SubAck {
    pub(super) fn read(
        kind: u8,
        body: &mut Reader,
        version: Version,
    ) -> Result<SubAck, PacketError> {
        let id = body.id()?;
        let properties = Properties::read(body, version, Place::Ack)?;
        let mut reasons = Vec::new();
        if kind == UNSUBACK && !version.is_5() {
            return Ok(SubAck { id, reasons, properties });
        }
        while !body.is_empty() {
            let reason = body.reason()?;
            // Before 5.0 there are 0 to 2 and a failure, and 3.1 does not know the failure.
            if !version.is_5() && !matches!(reason.code(), 0..=2 | 0x80) {
                return Err(PacketError::Reason { kind, code: reason.code() });
            }
            reasons.push(reason);
        }
        if reasons.is_empty() {
            return Err(PacketError::Short(kind));
        }
        Ok(SubAck { id, reasons, properties })
    }

    pub(super) fn write(&self, kind: u8, out: &mut BytesMut, version: Version) {
        let is_bare = kind == UNSUBACK && !version.is_5();
        let reasons = if is_bare { &[] } else { self.reasons.as_slice() };
        Header::write(kind, 0, 2 + self.properties.len(version) + reasons.len(), out);
        out.put_u16(self.id.get());
        self.properties.write(out, version);
        for reason in reasons {
            let failed = !version.is_5() && reason.is_error();
            out.put_u8(if failed { Reason::UNSPECIFIED_ERROR.code() } else { reason.code() });
        }
    }
}

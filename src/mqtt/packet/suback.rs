//! SUBACK (3.9) and UNSUBACK (3.11).

use super::property::Place;
use super::reason::Carrier;
use super::wire::Reader;
use super::{Header, PacketError, PacketId, Properties, Reason, Version};
use bytes::{BufMut, BytesMut};

pub(super) const SUBACK: u8 = 9;
pub(super) const UNSUBACK: u8 = 11;

/// The broker's answer to SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The SUBSCRIBE that it answers.
    pub id: PacketId,
    /// For each filter, in its order: the QoS granted, or why not.
    pub reasons: Vec<Reason>,
    /// Only in 5.0.
    pub properties: Properties,
}

/// The broker's answer to UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// The UNSUBSCRIBE that it answers.
    pub id: PacketId,
    /// For each filter, in its order; none before 5.0.
    pub reasons: Vec<Reason>,
    /// Only in 5.0.
    pub properties: Properties,
}

impl SubAck {
    pub(super) fn read(body: &mut Reader, version: Version) -> Result<SubAck, PacketError> {
        let id = body.id()?;
        let properties = Properties::read(body, version, Place::Ack)?;
        let reasons = read_reasons(SUBACK, Carrier::SubAck, body)?;
        // Before 5.0 there are 0 to 2 and a failure, and 3.1 does not know the failure.
        let known = |reason: &Reason| version.is_5() || matches!(reason.code(), 0..=2 | 0x80);
        match reasons.iter().find(|reason| !known(reason)) {
            Some(reason) => Err(PacketError::Reason { kind: SUBACK, code: reason.code() }),
            None if reasons.is_empty() => Err(PacketError::Short(SUBACK)),
            None => Ok(SubAck { id, reasons, properties }),
        }
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        let len = 2 + self.properties.len(version) + self.reasons.len();
        Header::write(SUBACK, 0, len, out);
        out.put_u16(self.id.get());
        self.properties.write(out, version);
        for reason in &self.reasons {
            let failed = !version.is_5() && reason.is_error();
            out.put_u8(if failed { Reason::UNSPECIFIED_ERROR.code() } else { reason.code() });
        }
    }
}

impl UnsubAck {
    pub(super) fn read(body: &mut Reader, version: Version) -> Result<UnsubAck, PacketError> {
        let id = body.id()?;
        if !version.is_5() {
            return Ok(UnsubAck { id, reasons: Vec::new(), properties: Properties::NONE });
        }
        let properties = Properties::read(body, version, Place::Ack)?;
        let reasons = read_reasons(UNSUBACK, Carrier::UnsubAck, body)?;
        if reasons.is_empty() {
            return Err(PacketError::Short(UNSUBACK));
        }
        Ok(UnsubAck { id, reasons, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        let reasons = if version.is_5() { self.reasons.as_slice() } else { &[] };
        Header::write(UNSUBACK, 0, 2 + self.properties.len(version) + reasons.len(), out);
        out.put_u16(self.id.get());
        self.properties.write(out, version);
        for reason in reasons {
            out.put_u8(reason.code());
        }
    }
}

fn read_reasons(kind: u8, carrier: Carrier, body: &mut Reader) -> Result<Vec<Reason>, PacketError> {
    let mut reasons = Vec::new();
    while !body.is_empty() {
        let code = body.u8()?;
        reasons.push(Reason::in_packet(code, carrier).ok_or(PacketError::Reason { kind, code })?);
    }
    Ok(reasons)
}

//! CONNACK (3.2).

use super::property::Place;
use super::wire::Reader;
use super::{Header, PacketError, Properties, Reason, Version};
use bytes::{BufMut, BytesMut};

pub(super) const KIND: u8 = 2;

/// The broker's answer to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the broker has kept a session of this client (3.2.2.1.1).
    pub session_present: bool,
    /// Whether the client is let in, and else why not. The return codes 1 to 5 of 3.x are the
    /// reasons that say the same.
    pub reason: Reason,
    /// The limits of the broker; only in 5.0.
    pub properties: Properties,
}

impl ConnAck {
    /// An answer without properties.
    pub fn new(session_present: bool, reason: Reason) -> ConnAck {
        ConnAck { session_present, reason, properties: Properties::NONE }
    }

    pub(super) fn read(body: &mut Reader, version: Version) -> Result<ConnAck, PacketError> {
        let flags = body.u8()?;
        let code = body.u8()?;
        // A broker of 3.x refuses a CONNECT of 5.0 in its own words (3.1.1, 3.1.2.2). Without
        // properties, not even their length, it lets nobody of 5.0 in ([MQTT-2.2.2-1]): it did not
        // look at the version, and would take that length for a part of each message.
        let reason = match version.is_5() && !body.is_empty() {
            true => Reason::in_packet(code, KIND),
            false if version.is_5() && code == 0 => return Err(PacketError::Short(KIND)),
            false => Reason::from_return_code(code),
        };
        let reason = reason.ok_or(PacketError::Reason { kind: KIND, code })?;
        // 3.1 gives the flags no meaning.
        let flags = if version == Version::V31 { 0 } else { flags };
        if flags > 1 {
            return Err(PacketError::Value("the CONNACK flags cannot be"));
        }
        // With a refusal the flag means nothing ([MQTT-3.2.2-6]), and the reason is worth more than a
        // complaint about it.
        let session_present = flags == 1 && !reason.is_error();
        let properties = match body.is_empty() {
            true => Properties::NONE,
            false => Properties::read(body, version, Place::ConnAck)?,
        };
        Ok(ConnAck { session_present, reason, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        Header::write(KIND, 0, 2 + self.properties.len(version), out);
        out.put_u8(u8::from(self.session_present));
        out.put_u8(if version.is_5() { self.reason.code() } else { self.reason.return_code() });
        self.properties.write(out, version);
    }
}

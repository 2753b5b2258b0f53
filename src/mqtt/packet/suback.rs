//! SUBACK (3.9).

use super::wire::Reader;
use super::{Header, PacketError, PacketId};
use crate::mqtt::topic::Qos;
use bytes::{BufMut, BytesMut};

pub(super) const KIND: u8 = 9;

const FAILURE: u8 = 0x80;

/// The broker's answer to SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The SUBSCRIBE that it answers.
    pub id: PacketId,
    /// For each filter, in its order, the QoS granted; `None`: refused.
    pub granted: Vec<Option<Qos>>,
}

impl SubAck {
    pub(super) fn read(body: &mut Reader) -> Result<SubAck, PacketError> {
        let id = body.id()?;
        let mut granted = Vec::new();
        while !body.is_empty() {
            granted.push(match body.u8()? {
                FAILURE => None,
                0 => Some(Qos::AtMostOnce),
                1 => Some(Qos::AtLeastOnce),
                other => return Err(PacketError::Qos(other)),
            });
        }
        if granted.is_empty() {
            return Err(PacketError::Short(KIND));
        }
        Ok(SubAck { id, granted })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        Header::write(KIND, 0, 2 + self.granted.len(), out);
        out.put_u16(self.id.get());
        for granted in &self.granted {
            out.put_u8(granted.map_or(FAILURE, Qos::bits));
        }
    }
}

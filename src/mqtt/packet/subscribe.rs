//! SUBSCRIBE (3.8).

use super::wire::{Reader, put_binary};
use super::{Header, PacketError, PacketId};
use crate::mqtt::topic::{Qos, TopicFilter};
use bytes::{BufMut, BytesMut};

pub(super) const KIND: u8 = 8;

/// A client subscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Ties SUBACK to it.
    pub id: PacketId,
    /// What to, each with the highest QoS wanted; at least one (3.8.3).
    pub filters: Vec<(TopicFilter, Qos)>,
}

impl Subscribe {
    pub(super) fn read(body: &mut Reader) -> Result<Subscribe, PacketError> {
        let id = body.id()?;
        let mut filters = Vec::new();
        while !body.is_empty() {
            let filter = body.text()?.parse()?;
            let bits = body.u8()?;
            // QoS 2 is asked for by others; it is granted as 1.
            let qos = match bits {
                0 => Qos::AtMostOnce,
                1 | 2 => Qos::AtLeastOnce,
                _ => return Err(PacketError::Qos(bits)),
            };
            filters.push((filter, qos));
        }
        if filters.is_empty() {
            return Err(PacketError::Value("SUBSCRIBE without a filter"));
        }
        Ok(Subscribe { id, filters })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let filters = self.filters.iter().map(|(filter, _)| filter.as_str().len() + 3);
        Header::write(KIND, 0b0010, 2 + filters.sum::<usize>(), out);
        out.put_u16(self.id.get());
        for (filter, qos) in &self.filters {
            put_binary(out, filter.as_str().as_bytes());
            out.put_u8(qos.bits());
        }
    }
}

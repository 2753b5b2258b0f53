//! PUBLISH (3.3).

use super::wire::{Reader, put_binary};
use super::{Decoded, Header, PacketError, PacketId};
use crate::mqtt::topic::{Qos, Topic};
use bytes::{Buf, BufMut, Bytes, BytesMut};

pub(super) const KIND: u8 = 3;

const RETAIN: u8 = 0b0001;
const DUP: u8 = 0b1000;

/// A message on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where to.
    pub topic: Topic,
    /// What; shares the memory that was read.
    pub payload: Bytes,
    /// Only with QoS 1.
    pub id: Option<PacketId>,
    /// Sent before, as far as the sender knows (3.3.1.1).
    pub dup: bool,
    /// To be kept; towards a subscriber: was kept from before (3.3.1.3).
    pub retain: bool,
}

impl Publish {
    /// QoS 1 has an identifier, QoS 0 has none.
    pub fn qos(&self) -> Qos {
        if self.id.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce }
    }

    pub(super) fn read(flags: u8, body: &mut Reader) -> Result<Publish, PacketError> {
        let qos = qos(flags)?;
        let topic = Topic::from_utf8(body.binary()?)?;
        let id = if qos == Qos::AtLeastOnce { Some(body.id()?) } else { None };
        let retain = flags & RETAIN != 0;
        Ok(Publish { topic, payload: body.rest(), id, dup: flags & DUP != 0, retain })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let flags = if self.dup { DUP } else { 0 } | self.qos().bits() << 1 | u8::from(self.retain);
        let id_len = if self.id.is_some() { 2 } else { 0 };
        Header::write(KIND, flags, 2 + self.topic.len() + id_len + self.payload.len(), out);
        put_binary(out, self.topic.as_str().as_bytes());
        if let Some(id) = self.id {
            out.put_u16(id.get());
        }
        out.put_slice(&self.payload);
    }
}

fn qos(flags: u8) -> Result<Qos, PacketError> {
    let bits = flags >> 1 & 0b11;
    let qos = Qos::try_from(u64::from(bits)).map_err(|_| PacketError::Qos(bits))?;
    // A message that is not repeated cannot be a repetition (3.3.1.1).
    if qos == Qos::AtMostOnce && flags & DUP != 0 {
        return Err(PacketError::Flags { kind: KIND, flags });
    }
    Ok(qos)
}

/// The header of a message that is larger than the limit: enough to acknowledge and report it.
pub(super) fn oversize(
    buffer: &mut BytesMut,
    header: Header,
) -> Result<Option<Decoded>, PacketError> {
    let qos = qos(header.flags)?;
    let Some(body) = buffer.get(header.len..) else { return Ok(None) };
    let Some(topic_len) = body.get(..2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])))
    else {
        return Ok(None);
    };
    let head = 2 + topic_len + if qos == Qos::AtLeastOnce { 2 } else { 0 };
    if head > header.remaining {
        return Err(PacketError::Short(KIND));
    }
    // At most 64 KiB: the topic's length has two bytes.
    if body.len() < head {
        return Ok(None);
    }
    let topic = String::from_utf8_lossy(&body[2..2 + topic_len.min(256)]).into_owned();
    let id = match qos {
        Qos::AtMostOnce => None,
        Qos::AtLeastOnce => {
            let bytes = [body[head - 2], body[head - 1]];
            Some(PacketId::new(u16::from_be_bytes(bytes)).ok_or(PacketError::ZeroId)?)
        }
    };
    buffer.advance(header.len + head);
    Ok(Some(Decoded::Oversize { id, topic, skip: header.remaining - head }))
}

//! PUBLISH (3.3).

use super::property::Place;
use super::wire::{self, Reader, put_binary};
use super::{Decoded, Header, PacketError, PacketId, Properties, Version};
use crate::mqtt::topic::{Qos, Topic, TopicError};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt;

pub(super) const KIND: u8 = 3;

const RETAIN: u8 = 0b0001;
const DUP: u8 = 0b1000;

/// A message on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The topic; `None` where only the topic alias names it (5.0, 3.3.2.3.4).
    pub topic: Option<Topic>,
    /// The payload; it shares the memory that was read.
    pub payload: Bytes,
    /// The QoS.
    pub qos: Qos,
    /// The packet identifier, with QoS 1 and 2.
    pub id: Option<PacketId>,
    /// The DUP flag: the message may have been sent before (3.3.1.1).
    pub dup: bool,
    /// The RETAIN flag; towards a subscriber: whether the message is a retained one (3.3.1.3).
    pub retain: bool,
    /// Only in 5.0.
    pub properties: Properties,
}

impl Publish {
    pub(super) fn read(
        flags: u8,
        body: &mut Reader,
        version: Version,
    ) -> Result<Publish, PacketError> {
        let qos = qos(flags)?;
        let topic = body.binary()?;
        let id = if qos == Qos::AtMostOnce { None } else { Some(body.id()?) };
        let properties = Properties::read(body, version, Place::Publish)?;
        let topic = match topic.is_empty() && properties.topic_alias().is_some() {
            true => None,
            false => match Topic::from_utf8(topic) {
                Err(TopicError::Wildcard { text: topic, .. }) => {
                    let alias = properties.topic_alias().copied();
                    let message = WildcardTopic { qos, id, alias, topic };
                    return Err(PacketError::WildcardTopic(Box::new(message)));
                }
                topic => Some(topic?),
            },
        };
        let (dup, retain) = (flags & DUP != 0, flags & RETAIN != 0);
        Ok(Publish { topic, payload: body.rest(), qos, id, dup, retain, properties })
    }

    pub(crate) fn borrowed(&self) -> Outgoing<'_> {
        let &Publish { ref topic, ref payload, qos, id, dup, retain, ref properties } = self;
        let topic = topic.as_ref().map_or(&[][..], Topic::as_bytes);
        Outgoing { topic, payload, qos, id, dup, retain, properties }
    }

    /// Bytes of the whole packet.
    pub fn size(&self, version: Version) -> usize {
        self.borrowed().size(version)
    }
}

/// A message to write, which borrows what it is made of; an empty topic stands for that of an alias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) qos: Qos,
    pub(crate) id: Option<PacketId>,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) properties: &'a Properties,
}

impl Outgoing<'_> {
    pub(crate) fn write(&self, out: &mut BytesMut, version: Version) {
        let flags = if self.dup { DUP } else { 0 } | self.qos.bits() << 1 | u8::from(self.retain);
        Header::write(KIND, flags, self.remaining(version), out);
        put_binary(out, self.topic);
        if let Some(id) = self.id {
            out.put_u16(id.get());
        }
        self.properties.write(out, version);
        out.put_slice(self.payload);
    }

    /// Bytes behind the fixed header.
    fn remaining(&self, version: Version) -> usize {
        let topic = 2 + self.topic.len();
        let id = if self.id.is_some() { 2 } else { 0 };
        topic + id + self.properties.len(version) + self.payload.len()
    }

    /// Bytes of the whole packet.
    pub(crate) fn size(&self, version: Version) -> usize {
        let remaining = self.remaining(version);
        // More than four bytes can say is more than any limit.
        1 + wire::varint_len(u32::try_from(remaining).unwrap_or(u32::MAX)) + remaining
    }
}

/// For the log, without the payload, in the words of mosquitto.
impl fmt::Display for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dup, qos, retain) = (u8::from(self.dup), self.qos.bits(), u8::from(self.retain));
        let id = self.id.map_or(0, PacketId::get);
        // A topic is UTF-8.
        let topic = std::str::from_utf8(self.topic).unwrap_or_default();
        write!(f, "PUBLISH (d{dup}, q{qos}, r{retain}, m{id}, '{topic}', ")?;
        write!(f, "... ({} bytes))", self.payload.len())
    }
}

fn qos(flags: u8) -> Result<Qos, PacketError> {
    let qos = wire::qos(flags >> 1 & 0b11)?;
    // A message that is not repeated cannot be a repetition (3.3.1.1).
    if qos == Qos::AtMostOnce && flags & DUP != 0 {
        return Err(PacketError::Flags { kind: KIND, flags });
    }
    Ok(qos)
}

/// A message whose topic has a wildcard: what is needed to acknowledge and skip it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WildcardTopic {
    /// The QoS.
    pub qos: Qos,
    /// The packet identifier to acknowledge it with.
    pub id: Option<PacketId>,
    /// The topic alias that the message sets.
    pub alias: Option<u16>,
    /// The topic.
    pub topic: String,
}

/// A message above the maximum packet size: its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// The QoS.
    pub qos: Qos,
    /// The packet identifier to acknowledge it with.
    pub id: Option<PacketId>,
    /// Its topic, as far as it can be shown: the first 256 bytes.
    pub topic: String,
    /// Bytes of the message that follow in the stream.
    pub skip: usize,
}

/// Takes the head of a message that is too large off the buffer: topic and identifier. Properties
/// and payload are left to be skipped.
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
    let head = 2 + topic_len + if qos == Qos::AtMostOnce { 0 } else { 2 };
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
        Qos::AtLeastOnce | Qos::ExactlyOnce => {
            let bytes = [body[head - 2], body[head - 1]];
            Some(wire::packet_id(u16::from_be_bytes(bytes))?)
        }
    };
    buffer.advance(header.len + head);
    Ok(Some(Decoded::Oversize(Oversize { qos, id, topic, skip: header.remaining - head })))
}

//! MQTT control packets, both directions. MQTT 3.1.1 (OASIS standard), sections 2 and 3; numbers in
//! parentheses name its sections.
//!
//! Each kind has a file with its `read` and `write`; this one frames them.

mod ack;
mod connack;
mod connect;
mod publish;
mod suback;
mod subscribe;
mod unsubscribe;
mod wire;

pub use connack::{ConnAck, Refusal};
pub use connect::{Connect, Will};
pub use publish::Publish;
pub use suback::SubAck;
pub use subscribe::Subscribe;
pub use unsubscribe::Unsubscribe;

use bytes::{Buf, BufMut, BytesMut};
use std::fmt;
use std::num::NonZeroU16;
use wire::Reader;

/// The largest remaining length that four bytes can say (2.2.3).
pub const MAX_REMAINING: usize = 268_435_455;

/// An identifier that ties an acknowledgement to its packet (2.3.1); never 0.
pub type PacketId = NonZeroU16;

/// A control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Client asks to be let in (3.1).
    Connect(Connect),
    /// Broker answers (3.2).
    ConnAck(ConnAck),
    /// A message (3.3).
    Publish(Publish),
    /// QoS 1 message taken (3.4).
    PubAck(PacketId),
    /// Client subscribes (3.8).
    Subscribe(Subscribe),
    /// Broker answers for each filter (3.9).
    SubAck(SubAck),
    /// Client gives filters up (3.10).
    Unsubscribe(Unsubscribe),
    /// Broker has given them up (3.11).
    UnsubAck(PacketId),
    /// Are you there? (3.12)
    PingReq,
    /// Yes (3.13).
    PingResp,
    /// Client leaves in good order (3.14).
    Disconnect,
}

/// Why bytes are no packet. After any of these the stream is out of step and must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The remaining length takes more than four bytes or is not the shortest form (2.2.3).
    #[error("malformed remaining length")]
    RemainingLength,
    /// A packet other than a message is larger than we take.
    #[error("a packet of type {kind} with {remaining} bytes is larger than we take")]
    TooLarge {
        /// Packet type.
        kind: u8,
        /// Its remaining length in bytes.
        remaining: usize,
    },
    /// A packet type that 3.1.1 does not know, or that QoS 0 and 1 do not need.
    #[error("unexpected packet type {0}")]
    Type(u8),
    /// Flags that are reserved for this type (2.2.2).
    #[error("flags {flags:#06b} are not allowed in a packet of type {kind}")]
    Flags {
        /// Packet type.
        kind: u8,
        /// The four bits.
        flags: u8,
    },
    /// The packet ends within a field.
    #[error("a packet of type {0} ends too early")]
    Short(u8),
    /// Bytes behind the last field.
    #[error("a packet of type {0} has bytes behind its end")]
    Long(u8),
    /// A text is not UTF-8, or contains U+0000 (1.5.3).
    #[error("a text is not valid UTF-8")]
    Utf8,
    /// A packet identifier 0 (2.3.1).
    #[error("packet identifier 0")]
    ZeroId,
    /// A topic with a wildcard, an empty one, or a malformed filter (3.3.2.1, 4.7).
    #[error("{0}")]
    Topic(#[from] super::topic::TopicError),
    /// QoS 3, or 2 where it was not asked for (3.3.1.2).
    #[error("QoS {0}")]
    Qos(u8),
    /// A field has a value that the standard does not allow.
    #[error("{0}")]
    Value(&'static str),
}

/// What a buffer holds at its front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A packet, taken out of the buffer.
    Packet(Packet),
    /// A message of more bytes than the limit. Its header was taken out of the buffer; `skip` more
    /// bytes of the stream belong to it.
    Oversize {
        /// To acknowledge it with, at QoS 1.
        id: Option<PacketId>,
        /// Its topic, as far as it can be shown.
        topic: String,
        /// Bytes of the stream that are to be thrown away.
        skip: usize,
    },
}

impl Packet {
    /// Takes the packet at the front of a buffer; `None` while it is not whole. A message that
    /// takes more than `limit` bytes is reported by its header alone, any other packet of that size
    /// is an error.
    pub fn decode(buffer: &mut BytesMut, limit: usize) -> Result<Option<Decoded>, PacketError> {
        let Some(header) = Header::peek(buffer)? else { return Ok(None) };
        if header.remaining > limit {
            if header.kind == publish::KIND {
                return publish::oversize(buffer, header);
            }
            let Header { kind, remaining, .. } = header;
            return Err(PacketError::TooLarge { kind, remaining });
        }
        if buffer.len() - header.len < header.remaining {
            return Ok(None);
        }
        buffer.advance(header.len);
        let mut body = Reader::new(header.kind, buffer.split_to(header.remaining).freeze());
        let packet = Packet::read(header, &mut body)?;
        body.end()?;
        Ok(Some(Decoded::Packet(packet)))
    }

    fn read(header: Header, body: &mut Reader) -> Result<Packet, PacketError> {
        let Header { kind, flags, .. } = header;
        let expected = match kind {
            subscribe::KIND | unsubscribe::KIND => 0b0010,
            _ => 0,
        };
        if kind != publish::KIND && flags != expected {
            return Err(PacketError::Flags { kind, flags });
        }
        match kind {
            connect::KIND => Connect::read(body).map(Packet::Connect),
            connack::KIND => ConnAck::read(body).map(Packet::ConnAck),
            publish::KIND => Publish::read(flags, body).map(Packet::Publish),
            ack::PUBACK => ack::read(body).map(Packet::PubAck),
            subscribe::KIND => Subscribe::read(body).map(Packet::Subscribe),
            suback::KIND => SubAck::read(body).map(Packet::SubAck),
            unsubscribe::KIND => Unsubscribe::read(body).map(Packet::Unsubscribe),
            ack::UNSUBACK => ack::read(body).map(Packet::UnsubAck),
            PINGREQ => Ok(Packet::PingReq),
            PINGRESP => Ok(Packet::PingResp),
            DISCONNECT => Ok(Packet::Disconnect),
            other => Err(PacketError::Type(other)),
        }
    }

    /// Appends the packet to a buffer.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Packet::Connect(connect) => connect.write(out),
            Packet::ConnAck(connack) => connack.write(out),
            Packet::Publish(publish) => publish.write(out),
            Packet::PubAck(id) => ack::write(ack::PUBACK, *id, out),
            Packet::Subscribe(subscribe) => subscribe.write(out),
            Packet::SubAck(suback) => suback.write(out),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.write(out),
            Packet::UnsubAck(id) => ack::write(ack::UNSUBACK, *id, out),
            Packet::PingReq => out.put_slice(&[PINGREQ << 4, 0]),
            Packet::PingResp => out.put_slice(&[PINGRESP << 4, 0]),
            Packet::Disconnect => out.put_slice(&[DISCONNECT << 4, 0]),
        }
    }
}

const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

/// For the log: what the packet says, but no payload and no password.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Packet::Connect(c) => {
                write!(f, "CONNECT {:?} keep alive {}", c.client_id, c.keep_alive)
            }
            Packet::ConnAck(ConnAck { session_present, refusal: None }) => {
                write!(f, "CONNACK accepted, session present {session_present}")
            }
            Packet::ConnAck(ConnAck { refusal: Some(why), .. }) => write!(f, "CONNACK {why}"),
            Packet::Publish(p) => {
                let id = p.id.map_or(0, PacketId::get);
                write!(f, "PUBLISH {} id {id} {} bytes", p.topic, p.payload.len())
            }
            Packet::PubAck(id) => write!(f, "PUBACK id {id}"),
            Packet::Subscribe(s) => {
                write!(f, "SUBSCRIBE id {} to {} filters", s.id, s.filters.len())
            }
            Packet::SubAck(s) => write!(f, "SUBACK id {}", s.id),
            Packet::Unsubscribe(s) => {
                write!(f, "UNSUBSCRIBE id {} from {} filters", s.id, s.filters.len())
            }
            Packet::UnsubAck(id) => write!(f, "UNSUBACK id {id}"),
            Packet::PingReq => f.write_str("PINGREQ"),
            Packet::PingResp => f.write_str("PINGRESP"),
            Packet::Disconnect => f.write_str("DISCONNECT"),
        }
    }
}

/// The fixed header (2.2).
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: u8,
    flags: u8,
    /// Its own bytes, 2 to 5.
    len: usize,
    /// Bytes that follow it.
    remaining: usize,
}

impl Header {
    fn peek(buffer: &[u8]) -> Result<Option<Header>, PacketError> {
        let Some((first, rest)) = buffer.split_first() else { return Ok(None) };
        let mut remaining = 0;
        for (n, byte) in rest.iter().take(4).enumerate() {
            remaining |= usize::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                // A last byte of 0 behind others would be a longer form of a smaller number.
                if n > 0 && *byte == 0 {
                    return Err(PacketError::RemainingLength);
                }
                let (kind, flags) = (first >> 4, first & 0x0f);
                return Ok(Some(Header { kind, flags, len: n + 2, remaining }));
            }
        }
        if rest.len() >= 4 { Err(PacketError::RemainingLength) } else { Ok(None) }
    }

    /// Writes a fixed header, with the remaining length in its shortest form.
    fn write(kind: u8, flags: u8, remaining: usize, out: &mut BytesMut) {
        out.put_u8(kind << 4 | flags);
        let mut rest = remaining.min(MAX_REMAINING);
        loop {
            let low = (rest & 0x7f) as u8;
            rest >>= 7;
            if rest == 0 {
                return out.put_u8(low);
            }
            out.put_u8(low | 0x80);
        }
    }
}

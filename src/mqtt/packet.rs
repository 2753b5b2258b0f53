//! MQTT control packets, both directions: MQTT 5.0, 3.1.1 and 3.1. Numbers in parentheses name the
//! sections of the standard, 5.0 where nothing else is said. The versions differ here and nowhere
//! else.
//!
//! Each kind has a file with its `read` and `write`; this one frames them.

mod ack;
mod connack;
mod connect;
mod disconnect;
mod property;
mod publish;
mod reason;
mod suback;
mod subscribe;
mod unsubscribe;
mod version;
mod wire;

pub use ack::Ack;
pub use connack::ConnAck;
pub use connect::Connect;
pub use disconnect::{Auth, Disconnect};
#[cfg(feature = "shell")]
pub(crate) use property::Place;
pub use property::{Pair, Properties, Property, Varint};
pub(crate) use publish::Outgoing;
pub use publish::{Oversize, Publish, WildcardTopic};
pub use reason::Reason;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, Subscription};
pub use unsubscribe::Unsubscribe;
pub use version::{NotVersion, Version, VersionChoice};

use super::topic::TopicError;
use bytes::{Buf, BufMut, BytesMut};
use std::fmt;
use std::num::NonZeroU16;
use wire::Reader;

/// The largest remaining length that four bytes can say (2.1.4).
pub const MAX_REMAINING: usize = 268_435_455;

/// An identifier that ties an acknowledgement to its packet (2.2.1); never 0.
pub type PacketId = NonZeroU16;

/// A control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// CONNECT (3.1).
    Connect(Connect),
    /// CONNACK, the broker's answer to CONNECT (3.2).
    ConnAck(ConnAck),
    /// PUBLISH (3.3).
    Publish(Publish),
    /// PUBACK acknowledges a message of QoS 1 (3.4).
    PubAck(Ack),
    /// PUBREC: a message of QoS 2 was received (3.5).
    PubRec(Ack),
    /// PUBREL: the message will not be sent again (3.6).
    PubRel(Ack),
    /// PUBCOMP: its packet identifier is free (3.7).
    PubComp(Ack),
    /// SUBSCRIBE (3.8).
    Subscribe(Subscribe),
    /// SUBACK, with a reason for each filter (3.9).
    SubAck(SubAck),
    /// UNSUBSCRIBE (3.10).
    Unsubscribe(Unsubscribe),
    /// UNSUBACK, with a reason for each filter from 5.0 on (3.11).
    UnsubAck(SubAck),
    /// PINGREQ (3.12).
    PingReq,
    /// PINGRESP (3.13).
    PingResp,
    /// DISCONNECT (3.14).
    Disconnect(Disconnect),
    /// AUTH, a step of the authentication exchange (3.15).
    Auth(Auth),
}

/// Why bytes are no packet. After any of these but [`PacketError::WildcardTopic`] the stream is out of
/// step and must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// A packet other than a message is larger than we take.
    #[error("a packet of type {kind} with {size} bytes is larger than we take")]
    TooLarge {
        /// Packet type.
        kind: u8,
        /// Its bytes.
        size: usize,
    },
    /// A packet type that the version does not know (2.1.2).
    #[error("unexpected packet type {0}")]
    Type(u8),
    /// Flags that are reserved for this type (2.1.3).
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
    /// A topic with a wildcard, an empty one, or a malformed filter (3.3.2.1, 4.7).
    #[error("{0}")]
    Topic(#[from] TopicError),
    /// A message whose topic has a wildcard, which is for filters only (3.3.2.1). It was taken off the
    /// buffer, so that who wants to bear with it can go on: some brokers make such topics of theirs.
    #[error("{:?} has a wildcard; wildcards are for subscriptions", .0.topic)]
    WildcardTopic(Box<WildcardTopic>),
    /// A topic alias 0 (3.3.2.3.4).
    #[error("a topic alias 0")]
    ZeroAlias,
    /// An unknown protocol level (3.1.2.2).
    #[error("protocol level {0}")]
    Version(u8),
    /// A reason code that the packet may not carry (2.4).
    #[error("reason {code:#04x} is not allowed in a packet of type {kind}")]
    Reason {
        /// Packet type.
        kind: u8,
        /// The reason code.
        code: u8,
    },
    /// An unknown property, or one that the packet may not carry (2.2.2.2).
    #[error("property {0:#04x} has no place there")]
    Property(u32),
    /// A field has a value that the standard does not allow.
    #[error("{0}")]
    Value(&'static str),
    /// A well-formed packet that the standard calls a protocol error.
    #[error("{0}")]
    Protocol(&'static str),
}

impl PacketError {
    /// The reason code of the DISCONNECT that reports it (4.13).
    pub fn reason(&self) -> Reason {
        match self {
            PacketError::TooLarge { .. } => Reason::PACKET_TOO_LARGE,
            // 0x90 is for a topic that is right and not taken (3.14.2.1).
            PacketError::Topic(TopicError::Empty) => Reason::PROTOCOL_ERROR,
            PacketError::ZeroAlias => Reason::TOPIC_ALIAS_INVALID,
            PacketError::Version(_) => Reason::UNSUPPORTED_PROTOCOL_VERSION,
            PacketError::Protocol(_) | PacketError::Type(_) => Reason::PROTOCOL_ERROR,
            _ => Reason::MALFORMED_PACKET,
        }
    }
}

/// What a buffer holds at its front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A packet, taken out of the buffer.
    Packet(Packet),
    /// A message of more bytes than the limit. Its head was taken out of the buffer; `skip` more
    /// bytes of the stream belong to it.
    Oversize(Oversize),
}

impl Packet {
    /// Takes the packet at the front of a buffer; `None` while it is not whole. `version` is what
    /// the link speaks; CONNECT brings its own. A message that takes more than `limit` bytes, fixed
    /// header included, is reported by its head alone, any other packet of that size is an error.
    pub fn decode(
        buffer: &mut BytesMut,
        limit: usize,
        version: Version,
    ) -> Result<Option<Decoded>, PacketError> {
        let Some(header) = Header::peek(buffer)? else { return Ok(None) };
        let size = header.len + header.remaining;
        if size > limit {
            if header.kind == publish::KIND {
                return publish::oversize(buffer, header);
            }
            return Err(PacketError::TooLarge { kind: header.kind, size });
        }
        if buffer.len() < size {
            return Ok(None);
        }
        buffer.advance(header.len);
        let mut body = Reader::new(header.kind, buffer.split_to(header.remaining).freeze());
        let packet = Packet::read(header, &mut body, version)?;
        body.end()?;
        Ok(Some(Decoded::Packet(packet)))
    }

    fn read(header: Header, body: &mut Reader, version: Version) -> Result<Packet, PacketError> {
        let Header { kind, flags, .. } = header;
        let expected = match kind {
            subscribe::KIND | unsubscribe::KIND | ack::PUBREL => 0b0010,
            _ => 0,
        };
        // 3.1 repeats these three with DUP.
        let repeated = version == Version::V31 && expected != 0 && flags == 0b1010;
        if kind != publish::KIND && flags != expected && !repeated {
            return Err(PacketError::Flags { kind, flags });
        }
        match kind {
            connect::KIND => Connect::read(body).map(Packet::Connect),
            connack::KIND => ConnAck::read(body, version).map(Packet::ConnAck),
            publish::KIND => Publish::read(flags, body, version).map(Packet::Publish),
            ack::PUBACK => Ack::read(body, version).map(Packet::PubAck),
            ack::PUBREC => Ack::read(body, version).map(Packet::PubRec),
            ack::PUBREL => Ack::read(body, version).map(Packet::PubRel),
            ack::PUBCOMP => Ack::read(body, version).map(Packet::PubComp),
            subscribe::KIND => Subscribe::read(body, version).map(Packet::Subscribe),
            suback::SUBACK => SubAck::read(kind, body, version).map(Packet::SubAck),
            unsubscribe::KIND => Unsubscribe::read(body, version).map(Packet::Unsubscribe),
            suback::UNSUBACK => SubAck::read(kind, body, version).map(Packet::UnsubAck),
            PINGREQ => Ok(Packet::PingReq),
            PINGRESP => Ok(Packet::PingResp),
            disconnect::DISCONNECT => Disconnect::read(body, version).map(Packet::Disconnect),
            disconnect::AUTH if version.is_5() => Auth::read(body).map(Packet::Auth),
            other => Err(PacketError::Type(other)),
        }
    }

    /// Appends the packet to a buffer, in the words of a version; CONNECT brings its own. What a
    /// version does not know is left out, and AUTH altogether.
    pub fn encode(&self, out: &mut BytesMut, version: Version) {
        match self {
            Packet::Connect(connect) => connect.write(out),
            Packet::ConnAck(connack) => connack.write(out, version),
            Packet::Publish(publish) => publish.borrowed().write(out, version),
            Packet::PubAck(ack) => ack.write(ack::PUBACK, out, version),
            Packet::PubRec(ack) => ack.write(ack::PUBREC, out, version),
            Packet::PubRel(ack) => ack.write(ack::PUBREL, out, version),
            Packet::PubComp(ack) => ack.write(ack::PUBCOMP, out, version),
            Packet::Subscribe(subscribe) => subscribe.write(out, version),
            Packet::SubAck(suback) => suback.write(suback::SUBACK, out, version),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.write(out, version),
            Packet::UnsubAck(suback) => suback.write(suback::UNSUBACK, out, version),
            Packet::PingReq => out.put_slice(&[PINGREQ << 4, 0]),
            Packet::PingResp => out.put_slice(&[PINGRESP << 4, 0]),
            Packet::Disconnect(disconnect) => disconnect.write(out, version),
            Packet::Auth(auth) if version.is_5() => auth.write(out),
            Packet::Auth(_) => {}
        }
    }
}

const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;

/// For the log: what the packet says, but no payload and no password. In the words of mosquitto.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ack = |f: &mut fmt::Formatter<'_>, name: &str, ack: &Ack| {
            write!(f, "{name} (m{}, rc{})", ack.id, ack.reason.code())
        };
        match self {
            Packet::Connect(c) => {
                let (clean, keep_alive) = (u8::from(c.clean), c.keep_alive);
                write!(f, "CONNECT ({:?}, v{}, c{clean}, k{keep_alive})", c.client_id, c.version)
            }
            Packet::ConnAck(c) => {
                write!(f, "CONNACK (s{}, {})", u8::from(c.session_present), c.reason)
            }
            Packet::Publish(publish) => publish.borrowed().fmt(f),
            Packet::PubAck(a) => ack(f, "PUBACK", a),
            Packet::PubRec(a) => ack(f, "PUBREC", a),
            Packet::PubRel(a) => ack(f, "PUBREL", a),
            Packet::PubComp(a) => ack(f, "PUBCOMP", a),
            Packet::Subscribe(s) => {
                write!(f, "SUBSCRIBE (m{}", s.id)?;
                for one in &s.filters {
                    write!(f, ", '{}' q{}", one.filter.as_str(), one.qos.bits())?;
                }
                f.write_str(")")
            }
            Packet::SubAck(s) => write!(f, "SUBACK (m{}, {:?})", s.id, s.reasons),
            Packet::Unsubscribe(u) => {
                write!(f, "UNSUBSCRIBE (m{}", u.id)?;
                for filter in &u.filters {
                    write!(f, ", '{}'", filter.as_str())?;
                }
                f.write_str(")")
            }
            Packet::UnsubAck(u) => write!(f, "UNSUBACK (m{}, {:?})", u.id, u.reasons),
            Packet::PingReq => f.write_str("PINGREQ"),
            Packet::PingResp => f.write_str("PINGRESP"),
            Packet::Disconnect(d) => write!(f, "DISCONNECT ({})", d.reason),
            Packet::Auth(a) => write!(f, "AUTH ({})", a.reason),
        }
    }
}

/// The fixed header (2.1).
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
        let Some((remaining, len)) = wire::varint(rest)? else { return Ok(None) };
        let (kind, flags) = (first >> 4, first & 0x0f);
        Ok(Some(Header { kind, flags, len: 1 + len, remaining: remaining as usize }))
    }

    /// Writes a fixed header, with the remaining length in its shortest form.
    fn write(kind: u8, flags: u8, remaining: usize, out: &mut BytesMut) {
        let mut head = [kind << 4 | flags, 0, 0, 0, 0];
        let len = wire::varint_bytes(remaining.min(MAX_REMAINING) as u32, &mut head[1..]);
        out.put_slice(&head[..=len]);
    }
}

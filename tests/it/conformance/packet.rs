//! Bytes that are taken for a packet, or refused, and how.

use bytes::{Bytes, BytesMut};
use tty2mqtt::mqtt::packet::Version::V5;
use tty2mqtt::mqtt::packet::{Connect, Decoded, Packet, PacketId, Properties, Property, Publish};
use tty2mqtt::mqtt::packet::{Reason, Version};
use tty2mqtt::mqtt::topic::Qos;

/// A packet: its first byte and its body.
pub fn wire(first: u8, body: &[u8]) -> BytesMut {
    assert!(body.len() < 128);
    let mut packet = BytesMut::from(&[first, body.len() as u8][..]);
    packet.extend_from_slice(body);
    packet
}

pub fn decode(version: Version, first: u8, body: &[u8]) -> Option<Packet> {
    match Packet::decode(&mut wire(first, body), 1 << 20, version) {
        Ok(Some(Decoded::Packet(packet))) => Some(packet),
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    }
}

#[track_caller]
pub fn taken(version: Version, first: u8, body: &[u8]) -> Packet {
    decode(version, first, body).unwrap_or_else(|| panic!("{first:#x} {body:02X?} is refused"))
}

/// Refused, and by the reason that DISCONNECT then gives.
#[track_caller]
pub fn refused_as(reason: Reason, version: Version, first: u8, body: &[u8]) {
    match Packet::decode(&mut wire(first, body), 1 << 20, version) {
        Err(error) => assert_eq!(error.reason(), reason, "{error}"),
        Ok(other) => panic!("{first:#x} {body:02X?} is taken: {other:?}"),
    }
}

#[track_caller]
pub fn malformed(version: Version, first: u8, body: &[u8]) {
    refused_as(Reason::MALFORMED_PACKET, version, first, body);
}

#[track_caller]
pub fn protocol_error(version: Version, first: u8, body: &[u8]) {
    refused_as(Reason::PROTOCOL_ERROR, version, first, body);
}

pub fn encode(packet: &Packet, version: Version) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(&mut out, version);
    out.freeze()
}

pub fn id() -> PacketId {
    PacketId::new(1).unwrap()
}

pub fn connect(version: Version) -> Connect {
    Connect {
        version,
        client_id: "a".into(),
        clean: true,
        keep_alive: 0,
        will: None,
        user: None,
        password: None,
        properties: Properties::NONE,
    }
}

pub fn message(qos: Qos) -> Publish {
    Publish {
        topic: Some("a".parse().unwrap()),
        payload: Bytes::new(),
        qos,
        id: (qos != Qos::AtMostOnce).then(id),
        dup: false,
        retain: false,
        properties: Properties::NONE,
    }
}

pub fn publish_with(property: Property) -> Vec<u8> {
    let properties = Properties(vec![property]);
    let packet = Packet::Publish(Publish { properties, ..message(Qos::AtMostOnce) });
    encode(&packet, V5)[2..].to_vec()
}

/// Texts that are no UTF-8: a stray byte, an overlong form, a surrogate, a code point too high, and
/// one that ends in the middle.
pub const NO_UTF8: [&[u8]; 5] =
    [b"\xFF", b"\xC0\xAF", b"\xED\xA0\x80", b"\xF5\x80\x80\x80", b"\xE2\x82"];

pub fn field(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text].concat()
}

//! Strings, numbers and flags (1.5, 2.1, 2.2).

use crate::conformance::packet::{
    NO_UTF8, decode, encode, field, malformed, message, publish_with, taken,
};
use bytes::BytesMut;
use tty2mqtt::mqtt::packet::Version::{V5, V31, V311};
use tty2mqtt::mqtt::packet::{Packet, Property, Varint};
use tty2mqtt::mqtt::topic::Qos;

#[test]
fn mqtt_1_5_4_1_a_string_is_well_formed_utf8() {
    for bad in NO_UTF8 {
        // A reason in words.
        let properties = [b"\x1F".as_slice(), &field(bad)].concat();
        let body = [b"\x00\x01\x80", &[properties.len() as u8][..], &properties].concat();
        malformed(V5, 0x40, &body);
    }
    taken(V5, 0x40, b"\x00\x01\x80\x06\x1F\x00\x03\xE2\x82\xAC");
}

#[test]
fn mqtt_1_5_4_2_a_string_has_no_u0000() {
    malformed(V5, 0x40, b"\x00\x01\x80\x06\x1F\x00\x03a\x00b");
    malformed(V5, 0x20, b"\x00\x00\x04\x12\x00\x01\x00");
}

#[test]
fn mqtt_1_5_4_3_a_byte_order_mark_stays() {
    let Packet::PubAck(ack) = taken(V5, 0x40, b"\x00\x01\x80\x07\x1F\x00\x04\xEF\xBB\xBFa") else {
        panic!()
    };
    assert_eq!(ack.properties.reason_string().unwrap(), "\u{FEFF}a");
    assert!(encode(&Packet::PubAck(ack), V5).ends_with(b"\xEF\xBB\xBFa"));
}

#[test]
fn mqtt_1_5_5_1_a_number_has_its_shortest_form() {
    // As the remaining length, where a packet of any size may end.
    for (long, short) in
        [(&b"\xD0\x80\x00"[..], &b"\xD0\x00"[..]), (b"\x40\x82\x00\x00\x01", b"\x40\x02\x00\x01")]
    {
        assert!(Packet::decode(&mut BytesMut::from(long), 100, V5).is_err());
        assert!(Packet::decode(&mut BytesMut::from(short), 100, V5).is_ok());
    }
    // As the length of properties, as the identifier of one, and as its value.
    malformed(V5, 0x40, b"\x00\x01\x80\x80\x00");
    malformed(V5, 0x40, b"\x00\x01\x80\x05\x9F\x00\x00\x01a");
    malformed(V5, 0x30, b"\x00\x01a\x03\x0B\x81\x00");
    for (number, form) in [
        (1, &b"\x0B\x01"[..]),
        (127, b"\x0B\x7F"),
        (128, b"\x0B\x80\x01"),
        (16_383, b"\x0B\xFF\x7F"),
        (16_384, b"\x0B\x80\x80\x01"),
        (2_097_151, b"\x0B\xFF\xFF\x7F"),
        (2_097_152, b"\x0B\x80\x80\x80\x01"),
        (268_435_455, b"\x0B\xFF\xFF\xFF\x7F"),
    ] {
        let body = publish_with(Property::SubscriptionId(Varint(number)));
        assert_eq!(&body[4..], form);
        taken(V5, 0x30, &body);
    }
}

#[test]
fn mqtt_1_5_7_1_both_strings_of_a_pair_are_strings() {
    taken(V5, 0x40, b"\x00\x01\x80\x07\x26\x00\x01a\x00\x01b");
    for bad in NO_UTF8.into_iter().chain([&b"\x00"[..]]) {
        for pair in [[bad, b"b"], [b"a", bad]] {
            let pair = [field(pair[0]), field(pair[1])].concat();
            let body = [b"\x00\x01\x80", &[1 + pair.len() as u8, 0x26][..], &pair].concat();
            malformed(V5, 0x40, &body);
        }
    }
}

#[test]
fn mqtt_2_1_3_1_reserved_flags_have_their_value() {
    let bodies: [(u8, &[u8]); 13] = [
        (0x10, b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a"),
        (0x20, b"\x00\x00\x00"),
        (0x40, b"\x00\x01"),
        (0x50, b"\x00\x01"),
        (0x62, b"\x00\x01"),
        (0x70, b"\x00\x01"),
        (0x82, b"\x00\x01\x00\x00\x01a\x00"),
        (0x90, b"\x00\x01\x00\x00"),
        (0xA2, b"\x00\x01\x00\x00\x01a"),
        (0xB0, b"\x00\x01\x00\x00"),
        (0xC0, b""),
        (0xD0, b""),
        (0xE0, b""),
    ];
    for (first, body) in bodies.into_iter().chain([(0xF0, &b"\x00\x04\x15\x00\x01m"[..])]) {
        assert_eq!(encode(&taken(V5, first, body), V5)[0], first);
        for flags in 0..16 {
            if flags != first & 0xF {
                malformed(V5, first & 0xF0 | flags, body);
            }
        }
    }
    // Type 0 is no type.
    assert!(decode(V5, 0x00, b"").is_none());
}

#[test]
fn mqtt_2_2_1_2_no_identifier_with_qos_0() {
    for version in [V31, V311, V5] {
        let body = &encode(&Packet::Publish(message(Qos::AtMostOnce)), version)[2..];
        let bare: &[u8] = if version == V5 { b"\x00\x01a\x00" } else { b"\x00\x01a" };
        assert_eq!(body, bare);
        let Packet::Publish(publish) = taken(version, 0x30, body) else { panic!() };
        assert_eq!(publish.id, None);
    }
    // With QoS 1 and 2 there is one, and it is not 0.
    for first in [0x32, 0x34] {
        malformed(V5, first, b"\x00\x01a");
        assert!(decode(V5, first, b"\x00\x01a\x00\x00\x00").is_none());
    }
}

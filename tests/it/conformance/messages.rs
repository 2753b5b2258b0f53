//! Messages, what ends them, and the last packets of a link (3.3, 3.6, 3.14, 3.15).

use crate::conformance::packet::{
    NO_UTF8, decode, encode, field, id, malformed, message, protocol_error, publish_with,
    refused_as, taken,
};
use tty2mqtt::mqtt::packet::Version::{V5, V311};
use tty2mqtt::mqtt::packet::{Ack, Disconnect, Packet, Property, Reason};
use tty2mqtt::mqtt::topic::{Qos, Topic};

#[test]
fn mqtt_3_3_1_2_no_dup_with_qos_0() {
    malformed(V5, 0x38, b"\x00\x01a\x00");
    taken(V5, 0x3A, b"\x00\x01a\x00\x01\x00");
}

#[test]
fn mqtt_3_3_1_4_there_is_no_qos_3() {
    for first in [0x36, 0x37, 0x3E, 0x3F] {
        malformed(V5, first, b"\x00\x01a\x00\x01\x00");
    }
}

#[test]
fn mqtt_3_3_2_1_a_message_begins_with_its_topic_in_utf8() {
    assert_eq!(&encode(&Packet::Publish(message(Qos::AtLeastOnce)), V5)[2..5], b"\x00\x01a");
    for bad in NO_UTF8 {
        malformed(V5, 0x30, &[&field(bad)[..], b"\x00"].concat());
    }
    // An empty one only with an alias.
    assert!(decode(V5, 0x30, b"\x00\x00\x00").is_none());
    assert!(decode(V311, 0x30, b"\x00\x00").is_none());
    taken(V5, 0x30, b"\x00\x00\x03\x23\x00\x01");
}

#[test]
fn mqtt_3_3_2_2_no_wildcard_in_a_topic() {
    for bad in ["+", "#", "a/+", "a/#", "a+b"] {
        assert!(bad.parse::<Topic>().is_err(), "{bad}");
        assert!(decode(V5, 0x30, &[&field(bad.as_bytes())[..], b"\x00"].concat()).is_none());
    }
}

#[test]
fn mqtt_3_3_2_8_a_topic_alias_is_not_0() {
    let body = publish_with(Property::TopicAlias(0));
    // Ours come from the session, which counts from 1; it is the one that is received.
    refused_as(Reason::TOPIC_ALIAS_INVALID, V5, 0x30, &body);
}

#[test]
fn mqtt_3_3_2_13_response_topic_and_content_type_are_utf8() {
    for kind in [0x08, 0x03] {
        for bad in NO_UTF8 {
            let len = [3 + bad.len() as u8, kind];
            let body = [b"\x00\x01a", &len[..], &field(bad)].concat();
            malformed(V5, 0x30, &body);
        }
    }
}

#[test]
fn mqtt_3_3_2_14_no_wildcard_in_a_response_topic() {
    for bad in ["+", "a/#"] {
        protocol_error(V5, 0x30, &publish_with(Property::ResponseTopic(bad.into())));
    }
    taken(V5, 0x30, &publish_with(Property::ResponseTopic("a/b".into())));
}

#[test]
fn mqtt_3_6_1_1_flags_of_pubrel() {
    assert_eq!(encode(&Packet::PubRel(Ack::new(id(), Reason::SUCCESS)), V5)[0], 0x62);
    malformed(V5, 0x60, b"\x00\x01");
}

#[test]
fn mqtt_3_14_1_1_flags_of_disconnect() {
    assert_eq!(encode(&Packet::Disconnect(Disconnect::new(Reason::SUCCESS)), V5)[..], [0xE0, 0]);
    malformed(V5, 0xE1, b"\x00");
}

#[test]
fn mqtt_3_15_1_1_flags_of_auth() {
    malformed(V5, 0xF2, b"\x00\x04\x15\x00\x01m");
    // There is none before 5.0.
    assert!(decode(V311, 0xF0, b"\x00\x04\x15\x00\x01m").is_none());
}

#[test]
fn mqtt_3_15_2_2_auth_names_its_method() {
    // Only an AUTH that says nothing at all may leave it out.
    protocol_error(V5, 0xF0, b"\x18");
    protocol_error(V5, 0xF0, b"\x18\x00");
    protocol_error(V5, 0xF0, b"\x18\x04\x16\x00\x01d");
    taken(V5, 0xF0, b"\x18\x04\x15\x00\x01m");
    taken(V5, 0xF0, b"");
}

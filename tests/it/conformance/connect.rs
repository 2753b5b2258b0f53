//! CONNECT and CONNACK (3.1, 3.2).

use crate::conformance::packet::{
    NO_UTF8, connect, decode, encode, field, malformed, refused_as, taken,
};
use bytes::Bytes;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::Version::{V5, V31, V311};
use tty2mqtt::mqtt::packet::{Connect, Packet, Reason};
use tty2mqtt::mqtt::topic::Qos;

fn will() -> Message {
    Message {
        topic: "t".parse().unwrap(),
        payload: Bytes::from_static(b"p"),
        qos: Qos::AtLeastOnce,
        retain: true,
        properties: None,
    }
}

#[test]
fn mqtt_3_1_2_1_the_protocol_is_called_mqtt() {
    assert_eq!(&encode(&Packet::Connect(connect(V5)), V5)[2..9], b"\x00\x04MQTT\x05");
    assert_eq!(&encode(&Packet::Connect(connect(V311)), V311)[2..9], b"\x00\x04MQTT\x04");
    assert!(encode(&Packet::Connect(connect(V31)), V31)[2..].starts_with(b"\x00\x06MQIsdp\x03"));
    assert!(decode(V5, 0x10, b"\x00\x04MQTX\x05\x02\x00\x00\x00\x00\x01a").is_none());
    refused_as(
        Reason::UNSUPPORTED_PROTOCOL_VERSION,
        V5,
        0x10,
        b"\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x01a",
    );
}

const CONNECT_FLAGS: usize = 9;

#[test]
fn mqtt_3_1_2_3_the_reserved_connect_flag_is_0() {
    let full = Connect {
        will: Some(will()),
        user: Some("u".into()),
        password: Some("p".to_owned().into()),
        ..connect(V5)
    };
    assert_eq!(encode(&Packet::Connect(full), V5)[CONNECT_FLAGS] & 1, 0);
    malformed(V5, 0x10, b"\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01a");
}

#[test]
fn mqtt_3_1_2_6_a_will_brings_properties_topic_and_payload() {
    let packet = Packet::Connect(Connect { will: Some(will()), ..connect(V5) });
    let bytes = encode(&packet, V5);
    assert_eq!(bytes[CONNECT_FLAGS], 0b0010_1110);
    assert!(bytes.ends_with(b"\x00\x01a\x00\x00\x01t\x00\x01p"));
    assert_eq!(taken(V5, 0x10, &bytes[2..]), packet);
    // Cut behind the identifier, the properties, the topic.
    for end in [1 + 4 + 3, 4 + 3, 3] {
        malformed(V5, 0x10, &bytes[2..bytes.len() - end]);
    }
}

#[test]
fn mqtt_3_1_2_12_no_will_of_qos_3() {
    malformed(V5, 0x10, b"\x00\x04MQTT\x05\x1E\x00\x00\x00\x00\x01a\x00\x00\x01t\x00\x00");
}

#[test]
fn mqtt_3_1_2_13_without_a_will_its_flags_are_0() {
    assert_eq!(encode(&Packet::Connect(connect(V5)), V5)[CONNECT_FLAGS], 0b10);
    for flags in [0b0010_0010, 0b0000_1010, 0b0001_0010] {
        malformed(
            V5,
            0x10,
            &[b"\x00\x04MQTT\x05", &[flags][..], b"\x00\x00\x00\x00\x01a"].concat(),
        );
    }
}

#[test]
fn mqtt_3_1_2_16_user_and_password_are_there_if_their_flags_say_so() {
    for (user, password, flags, end) in [
        (None, None, 0x02, &b"\x00\x01a"[..]),
        (Some("u"), None, 0x82, b"\x00\x01a\x00\x01u"),
        (Some("u"), Some("p"), 0xC2, b"\x00\x01a\x00\x01u\x00\x01p"),
        (None, Some("p"), 0x42, b"\x00\x01a\x00\x01p"),
    ] {
        let packet = Packet::Connect(Connect {
            user: user.map(str::to_owned),
            password: password.map(|text| text.to_owned().into()),
            ..connect(V5)
        });
        let bytes = encode(&packet, V5);
        assert_eq!(bytes[CONNECT_FLAGS], flags);
        assert!(bytes.ends_with(end));
        assert_eq!(taken(V5, 0x10, &bytes[2..]), packet);
        // A flag more, and the field is missing; a flag less, and it is one too many.
        let mut body = bytes[2..].to_vec();
        body[CONNECT_FLAGS - 2] ^= 0x80;
        malformed(V5, 0x10, &body);
        body[CONNECT_FLAGS - 2] ^= 0xC0;
        malformed(V5, 0x10, &body);
    }
}

#[test]
fn mqtt_3_1_3_1_the_payload_of_connect_has_its_order() {
    let packet = Packet::Connect(Connect {
        will: Some(will()),
        user: Some("u".into()),
        password: Some("q".to_owned().into()),
        ..connect(V5)
    });
    let bytes = encode(&packet, V5);
    assert!(bytes.ends_with(b"\x00\x01a\x00\x00\x01t\x00\x01p\x00\x01u\x00\x01q"));
}

#[test]
fn mqtt_3_1_3_11_will_topic_and_user_name_are_utf8() {
    for bad in NO_UTF8.into_iter().chain([&b"\x00"[..]]) {
        let head = b"\x00\x04MQTT\x05";
        let will = [&head[..], b"\x06\x00\x00\x00\x00\x01a\x00", &field(bad), b"\x00\x00"].concat();
        malformed(V5, 0x10, &will);
        let user = [&head[..], b"\x82\x00\x00\x00\x00\x01a", &field(bad)].concat();
        malformed(V5, 0x10, &user);
        let id = [&head[..], b"\x02\x00\x00\x00", &field(bad)].concat();
        malformed(V5, 0x10, &id);
    }
}

#[test]
fn mqtt_3_2_2_1_the_reserved_connack_flags_are_0() {
    for flags in 2..=255 {
        malformed(V5, 0x20, &[flags, 0, 0]);
    }
    taken(V5, 0x20, &[0, 0, 0]);
    taken(V5, 0x20, &[1, 0, 0]);
}

#[test]
fn mqtt_3_2_2_6_no_session_with_a_refusal() {
    // That is the broker's to keep to. A refusal is one, whatever it says of a session.
    for flag in [0, 1] {
        let Some(Packet::ConnAck(answer)) = decode(V5, 0x20, &[flag, 0x87, 0]) else { panic!() };
        assert_eq!((answer.session_present, answer.reason), (false, Reason::NOT_AUTHORIZED));
    }
}

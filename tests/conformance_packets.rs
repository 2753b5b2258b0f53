//! Statements of MQTT 5.0 about packets, one test for each; the numbers are theirs. Which statement
//! is tested where says `conformance.tsv`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use bytes::{Bytes, BytesMut};
use tty2mqtt::mqtt::packet::Version::{self, V5, V31, V311};
use tty2mqtt::mqtt::packet::{Ack, Connect, Decoded, Packet, PacketId, Properties, Property};
use tty2mqtt::mqtt::packet::{Disconnect, Publish, Reason, Subscribe, Subscription, Unsubscribe};
use tty2mqtt::mqtt::packet::{Varint, Will};
use tty2mqtt::mqtt::topic::{Qos, Topic, TopicFilter};

/// A packet: its first byte and its body.
fn wire(first: u8, body: &[u8]) -> BytesMut {
    assert!(body.len() < 128);
    let mut packet = BytesMut::from(&[first, body.len() as u8][..]);
    packet.extend_from_slice(body);
    packet
}

fn decode(version: Version, first: u8, body: &[u8]) -> Option<Packet> {
    match Packet::decode(&mut wire(first, body), 1 << 20, version) {
        Ok(Some(Decoded::Packet(packet))) => Some(packet),
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    }
}

#[track_caller]
fn taken(version: Version, first: u8, body: &[u8]) -> Packet {
    decode(version, first, body).unwrap_or_else(|| panic!("{first:#x} {body:02X?} is refused"))
}

/// Refused, and by the reason that DISCONNECT then gives.
#[track_caller]
fn refused_as(reason: Reason, version: Version, first: u8, body: &[u8]) {
    match Packet::decode(&mut wire(first, body), 1 << 20, version) {
        Err(error) => assert_eq!(error.reason(), reason, "{error}"),
        Ok(other) => panic!("{first:#x} {body:02X?} is taken: {other:?}"),
    }
}

#[track_caller]
fn malformed(version: Version, first: u8, body: &[u8]) {
    refused_as(Reason::MALFORMED_PACKET, version, first, body);
}

#[track_caller]
fn protocol_error(version: Version, first: u8, body: &[u8]) {
    refused_as(Reason::PROTOCOL_ERROR, version, first, body);
}

fn encode(packet: &Packet, version: Version) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(&mut out, version);
    out.freeze()
}

fn id() -> PacketId {
    PacketId::new(1).unwrap()
}

fn connect(version: Version) -> Connect {
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

fn will() -> Will {
    Will {
        topic: "t".parse().unwrap(),
        payload: Bytes::from_static(b"p"),
        qos: Qos::AtLeastOnce,
        retain: true,
        properties: Properties::NONE,
    }
}

fn message(qos: Qos) -> Publish {
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

fn publish_with(property: Property) -> Vec<u8> {
    let properties = Properties(vec![property]);
    let packet = Packet::Publish(Publish { properties, ..message(Qos::AtMostOnce) });
    encode(&packet, V5)[2..].to_vec()
}

/// Texts that are no UTF-8: a stray byte, an overlong form, a surrogate, a code point too high, and
/// one that ends in the middle.
const NO_UTF8: [&[u8]; 5] =
    [b"\xFF", b"\xC0\xAF", b"\xED\xA0\x80", b"\xF5\x80\x80\x80", b"\xE2\x82"];

fn field(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text].concat()
}

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

#[test]
fn mqtt_2_2_2_1_no_properties_are_a_length_of_0() {
    for (packet, expected) in [
        (Packet::Connect(connect(V5)), &b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a"[..]),
        (Packet::Publish(message(Qos::AtMostOnce)), b"\x30\x04\x00\x01a\x00"),
        (Packet::Subscribe(subscribe(&["a"])), b"\x82\x07\x00\x01\x00\x00\x01a\x00"),
        (Packet::Unsubscribe(unsubscribe(&["a"])), b"\xA2\x06\x00\x01\x00\x00\x01a"),
    ] {
        assert_eq!(&encode(&packet, V5)[..], expected);
    }
    // Where it is no option it must not be missing.
    malformed(V5, 0x30, b"\x00\x01a");
    malformed(V5, 0x90, b"\x00\x01");
}

fn subscribe(filters: &[&str]) -> Subscribe {
    let filter = |text: &&str| Subscription::new(text.parse().unwrap(), Qos::AtMostOnce);
    let filters = filters.iter().map(filter).collect();
    Subscribe { id: id(), filters, properties: Properties::NONE }
}

fn unsubscribe(filters: &[&str]) -> Unsubscribe {
    let filters = filters.iter().map(|text| text.parse().unwrap()).collect();
    Unsubscribe { id: id(), filters, properties: Properties::NONE }
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
    assert!(decode(V5, 0x20, &[1, 0x87, 0]).is_none());
    taken(V5, 0x20, &[0, 0x87, 0]);
}

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
    protocol_error(V5, 0x30, &body);
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

/// Every code that is no reason of the packet is refused.
fn reasons(first: u8, before: &[u8], behind: &[u8], allowed: &[u8]) {
    for code in 0..=255_u8 {
        let body = [before, &[code][..], behind].concat();
        match allowed.contains(&code) {
            true => drop(taken(V5, first, &body)),
            false => protocol_or_malformed(first, &body),
        }
    }
}

#[track_caller]
fn protocol_or_malformed(first: u8, body: &[u8]) {
    assert!(decode(V5, first, body).is_none(), "{first:#x} {body:02X?}");
}

const PUBACK: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];

#[test]
fn mqtt_3_4_2_1_reasons_of_puback() {
    reasons(0x40, b"\x00\x01", b"", &PUBACK);
}

#[test]
fn mqtt_3_5_2_1_reasons_of_pubrec() {
    reasons(0x50, b"\x00\x01", b"", &PUBACK);
}

#[test]
fn mqtt_3_6_2_1_reasons_of_pubrel() {
    reasons(0x62, b"\x00\x01", b"", &[0x00, 0x92]);
}

#[test]
fn mqtt_3_7_2_1_reasons_of_pubcomp() {
    reasons(0x70, b"\x00\x01", b"", &[0x00, 0x92]);
}

#[test]
fn mqtt_3_9_3_2_reasons_of_suback_and_unsuback() {
    let suback = [0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    reasons(0x90, b"\x00\x01\x00", b"", &suback);
    reasons(0xB0, b"\x00\x01\x00", b"", &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]);
}

#[test]
fn mqtt_3_14_2_1_reasons_of_disconnect() {
    let mut allowed = vec![0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F];
    allowed.extend([0x90].into_iter().chain(0x93..=0xA2));
    reasons(0xE0, b"", b"", &allowed);
}

#[test]
fn mqtt_3_15_2_1_reasons_of_auth() {
    reasons(0xF0, b"", b"\x04\x15\x00\x01m", &[0x00, 0x18, 0x19]);
}

#[test]
fn mqtt_3_4_2_2_a_property_comes_once_and_where_it_belongs() {
    // A reason in words, twice.
    let twice = b"\x08\x1F\x00\x01a\x1F\x00\x01a";
    for first in [0x40, 0x50] {
        protocol_error(V5, first, &[b"\x00\x01\x80", &twice[..]].concat());
    }
    for first in [0x62, 0x70] {
        protocol_error(V5, first, &[b"\x00\x01\x92", &twice[..]].concat());
    }
    protocol_error(V5, 0xE0, &[b"\x00", &twice[..]].concat());
    protocol_error(V5, 0xF0, b"\x00\x0C\x15\x00\x01m\x1F\x00\x01a\x1F\x00\x01a");
    // A user property, as often as one likes.
    taken(V5, 0x40, b"\x00\x01\x80\x0E\x26\x00\x01a\x00\x01b\x26\x00\x01a\x00\x01b");
    // A topic alias in an acknowledgement, and a property that there is not.
    assert!(decode(V5, 0x40, b"\x00\x01\x80\x03\x23\x00\x01").is_none());
    malformed(V5, 0x40, b"\x00\x01\x80\x02\x7F\x00");
}

#[test]
fn mqtt_3_6_1_1_flags_of_pubrel() {
    assert_eq!(encode(&Packet::PubRel(Ack::new(id(), Reason::SUCCESS)), V5)[0], 0x62);
    malformed(V5, 0x60, b"\x00\x01");
}

#[test]
fn mqtt_3_8_1_1_flags_of_subscribe() {
    assert_eq!(encode(&Packet::Subscribe(subscribe(&["a"])), V5)[0], 0x82);
    malformed(V5, 0x80, b"\x00\x01\x00\x00\x01a\x00");
}

#[test]
fn mqtt_3_8_3_1_filters_are_utf8() {
    for bad in NO_UTF8 {
        malformed(V5, 0x82, &[b"\x00\x01\x00", &field(bad)[..], b"\x00"].concat());
        malformed(V5, 0xA2, &[b"\x00\x01\x00", &field(bad)[..]].concat());
    }
}

#[test]
fn mqtt_3_8_3_2_subscribe_has_a_filter() {
    protocol_error(V5, 0x82, b"\x00\x01\x00");
    // Each with its options, of which reserved bits, QoS 3 and retain handling 3 are none.
    malformed(V5, 0x82, b"\x00\x01\x00\x00\x01a");
    for options in [0x40, 0x80] {
        malformed(V5, 0x82, &[b"\x00\x01\x00\x00\x01a", &[options][..]].concat());
    }
    assert!(decode(V5, 0x82, b"\x00\x01\x00\x00\x01a\x03").is_none());
    protocol_error(V5, 0x82, b"\x00\x01\x00\x00\x01a\x30");
}

#[test]
fn mqtt_3_8_3_4_no_local_is_not_for_shared_subscriptions() {
    protocol_error(V5, 0x82, b"\x00\x01\x00\x00\x0A$share/g/a\x04");
    let mut packet = subscribe(&["$share/g/a"]);
    packet.filters[0].no_local = true;
    assert!(encode(&Packet::Subscribe(packet), V5).ends_with(b"a\x00"));
}

#[test]
fn mqtt_3_10_1_1_flags_of_unsubscribe() {
    assert_eq!(encode(&Packet::Unsubscribe(unsubscribe(&["a"])), V5)[0], 0xA2);
    malformed(V5, 0xA0, b"\x00\x01\x00\x00\x01a");
}

#[test]
fn mqtt_3_10_3_1_filters_of_unsubscribe_are_packed() {
    let bytes = encode(&Packet::Unsubscribe(unsubscribe(&["a", "b/+"])), V5);
    assert!(bytes.ends_with(b"\x00\x00\x01a\x00\x03b/+"));
}

#[test]
fn mqtt_3_10_3_2_unsubscribe_has_a_filter() {
    protocol_error(V5, 0xA2, b"\x00\x01\x00");
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

#[test]
fn mqtt_4_7_1_1_the_multi_level_wildcard_is_the_last_level() {
    for good in ["#", "a/#", "/#", "+/#", "$share/g/#"] {
        assert!(good.parse::<TopicFilter>().is_ok(), "{good}");
    }
    for bad in ["a#", "#/a", "a/#/b", "a/b#", "##"] {
        assert!(bad.parse::<TopicFilter>().is_err(), "{bad}");
        let body = [b"\x00\x01\x00", &field(bad.as_bytes())[..], b"\x00"].concat();
        assert!(decode(V5, 0x82, &body).is_none());
    }
}

#[test]
fn mqtt_4_7_1_2_the_single_level_wildcard_is_a_level() {
    for good in ["+", "+/+", "a/+/b", "/+", "+/"] {
        assert!(good.parse::<TopicFilter>().is_ok(), "{good}");
    }
    for bad in ["a+", "+a/b", "a/b+/c", "++"] {
        assert!(bad.parse::<TopicFilter>().is_err(), "{bad}");
        let body = [b"\x00\x01\x00", &field(bad.as_bytes())[..], b"\x00"].concat();
        assert!(decode(V5, 0x82, &body).is_none());
    }
}

#[test]
fn mqtt_4_7_3_1_topics_and_filters_have_a_character() {
    assert!("".parse::<Topic>().is_err());
    assert!("".parse::<TopicFilter>().is_err());
    assert!(decode(V5, 0x30, b"\x00\x00\x00").is_none());
    assert!(decode(V5, 0x82, b"\x00\x01\x00\x00\x00\x00").is_none());
}

#[test]
fn mqtt_4_7_3_2_topics_and_filters_have_no_u0000() {
    assert!("a\0".parse::<Topic>().is_err());
    assert!("a\0".parse::<TopicFilter>().is_err());
    assert!(decode(V5, 0x30, b"\x00\x02a\x00\x00").is_none());
    assert!(decode(V5, 0x82, b"\x00\x01\x00\x00\x02a\x00\x00").is_none());
}

#[test]
fn mqtt_4_7_3_3_topics_and_filters_have_at_most_65535_bytes() {
    let longest = "é".repeat(32_767) + "a";
    assert_eq!(longest.len(), 65_535);
    assert!(longest.parse::<Topic>().is_ok());
    assert!(longest.parse::<TopicFilter>().is_ok());
    assert!((longest.clone() + "a").parse::<Topic>().is_err());
    assert!((longest + "a").parse::<TopicFilter>().is_err());
}

#[test]
fn mqtt_4_8_2_1_a_shared_subscription_has_a_name_and_a_filter() {
    for good in ["$share/g/a", "$share/g/+/b", "$share/g//", "$shared/a"] {
        assert!(good.parse::<TopicFilter>().is_ok(), "{good}");
    }
    for bad in ["$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/a#/b", "$share/#"] {
        assert!(bad.parse::<TopicFilter>().is_err(), "{bad}");
        let body = [b"\x00\x01\x00", &field(bad.as_bytes())[..], b"\x00"].concat();
        assert!(decode(V5, 0x82, &body).is_none());
    }
}

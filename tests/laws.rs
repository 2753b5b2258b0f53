//! Laws that hold for any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde::Deserialize;
use tty2mqtt::config::tree::Node;
use tty2mqtt::decode::Decode;
use tty2mqtt::mqtt::packet::{ConnAck, Connect, Decoded, Packet, PacketId, Publish, Refusal};
use tty2mqtt::mqtt::packet::{SubAck, Subscribe, Unsubscribe, Will};
use tty2mqtt::mqtt::topic::Qos;

fn read<T: for<'de> Deserialize<'de>>(yaml: &str) -> T {
    let tree = serde_yaml::from_str(yaml).unwrap();
    T::deserialize(Node(&tree)).unwrap()
}

/// Bytes among which the special ones of all rules are common.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(
        b"\r\n$*/!\xC0\xDB\xDC\xDD\x7E\x7D\x5E\x10\x02\x03\xFF\x42\x09\x00".to_vec(),
    );
    prop::collection::vec(prop_oneof![special, any::<u8>()], 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_stop_a_decoder(n in 0_usize..9, bytes in stream()) {
        let decode: Decode = read([
            "text",
            "bytes",
            "{bytes: {as: base64}}",
            "{fields: {names: [a, {name: b, scale: 0.1}, {name: c, type: number}]}}",
            "pairs",
            r#"{pairs: {between: "\n", equals: "(", close: ")", unit: "*"}}"#,
            "json",
            "sexpr",
            "{binary: {fields: [{name: a, at: 1, type: i24}, {name: b, at: 0, type: f64, decimals: 3},
                {name: c, at: 2, type: bcd, length: 16}, {name: d, at: 0, type: text, length: 9},
                {name: e, at: 0, type: u64, bits: '60-63', scale: -1e9}]}}",
        ][n]);
        let decoder = decode.build().unwrap();
        let decoded = decoder.decode(&bytes);
        // Whatever is a number goes into JSON as it is.
        for reading in &decoded.readings {
            if let tty2mqtt::value::Value::Number(number) = &reading.value {
                prop_assert!(serde_json::from_str::<serde_json::Value>(number).is_ok(), "{}", number);
            }
        }
    }

    #[test]
    fn packets_survive_the_wire(packet in packet()) {
        let mut wire = BytesMut::new();
        packet.encode(&mut wire);
        let whole = wire.clone();
        prop_assert_eq!(Packet::decode(&mut wire, 1 << 20), Ok(Some(Decoded::Packet(packet.clone()))));
        prop_assert!(wire.is_empty());
        // Cut anywhere, it is not there yet.
        for end in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..end]);
            prop_assert_eq!(Packet::decode(&mut part, 1 << 20), Ok(None));
            prop_assert_eq!(part.len(), end);
        }
    }

    #[test]
    fn random_bytes_never_stop_the_packet_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(bytes.as_slice());
        let mut left = buffer.len() + 1;
        while buffer.len() < left {
            left = buffer.len();
            if !matches!(Packet::decode(&mut buffer, 64), Ok(Some(_))) {
                break;
            }
        }
    }
}

fn id() -> impl Strategy<Value = PacketId> {
    any::<PacketId>()
}

fn qos() -> impl Strategy<Value = Qos> {
    prop::sample::select(vec![Qos::AtMostOnce, Qos::AtLeastOnce])
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn packet() -> impl Strategy<Value = Packet> {
    let topic = || "[a-zé$ ]{1,5}(/[a-z]{0,5}){0,3}".prop_map(|text: String| text.parse().unwrap());
    let filter =
        || "([a-z]{1,5}/){0,3}([+#]|[a-z]{1,4})".prop_map(|text: String| text.parse().unwrap());
    let will = (topic(), payload(), qos(), any::<bool>())
        .prop_map(|(topic, payload, qos, retain)| Will { topic, payload, qos, retain });
    let connect = (
        "[a-z0-9]{0,30}",
        any::<bool>(),
        any::<u16>(),
        prop::option::of(will),
        prop::option::of(("[a-z]{0,9}", prop::option::of("[a-zß]{0,9}"))),
    );
    let connect = connect.prop_map(|(client_id, clean, keep_alive, will, login)| {
        let (user, password) = match login {
            Some((user, password)) => (Some(user), password.map(Into::into)),
            None => (None, None),
        };
        Packet::Connect(Connect { client_id, clean, keep_alive, will, user, password })
    });
    let publish = (topic(), payload(), prop::option::of((id(), any::<bool>())), any::<bool>());
    let publish = publish.prop_map(|(topic, payload, id, retain)| {
        let (id, dup) = id.map_or((None, false), |(id, dup)| (Some(id), dup));
        Packet::Publish(Publish { topic, payload, id, dup, retain })
    });
    let subscribe = (id(), prop::collection::vec((filter(), qos()), 1..4));
    let unsubscribe = (id(), prop::collection::vec(filter(), 1..4));
    let suback = (id(), prop::collection::vec(prop::option::of(qos()), 1..4));
    prop_oneof![
        connect,
        publish,
        id().prop_map(Packet::PubAck),
        subscribe.prop_map(|(id, filters)| Packet::Subscribe(Subscribe { id, filters })),
        unsubscribe.prop_map(|(id, filters)| Packet::Unsubscribe(Unsubscribe { id, filters })),
        id().prop_map(Packet::UnsubAck),
        suback.prop_map(|(id, granted)| Packet::SubAck(SubAck { id, granted })),
        any::<bool>().prop_map(|session_present| {
            Packet::ConnAck(ConnAck { session_present, refusal: None })
        }),
        (1_u8..6).prop_map(|code| {
            let refusals = [
                Refusal::Version,
                Refusal::ClientId,
                Refusal::Unavailable,
                Refusal::BadUserOrPassword,
                Refusal::NotAuthorised,
            ];
            let refusal = Some(refusals[usize::from(code) - 1]);
            Packet::ConnAck(ConnAck { session_present: false, refusal })
        }),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        Just(Packet::Disconnect),
    ]
}

#[test]
fn what_is_no_packet_is_an_error() {
    for (bytes, what) in [
        (&b"\x30\xFF\xFF\xFF\xFF\x01"[..], "a remaining length of five bytes"),
        (b"\x40\x82\x00\x00\x01", "a remaining length that is not the shortest"),
        (b"\x41\x02\x00\x01", "flags of PUBACK"),
        (b"\x80\x06\x00\x01\x00\x01a\x00", "flags of SUBSCRIBE"),
        (b"\xA0\x05\x00\x01\x00\x01a", "flags of UNSUBSCRIBE"),
        (b"\x82\x02\x00\x01", "SUBSCRIBE without a filter"),
        (b"\xA2\x02\x00\x01", "UNSUBSCRIBE without a filter"),
        (b"\x90\x02\x00\x01", "SUBACK without an answer"),
        (b"\xC0\x01\x00", "PINGREQ with a body"),
        (b"\x82\xFF\xFF\xFF\x7F", "a SUBSCRIBE of 256 MiB, known by its header"),
        (b"\x10\x0D\x00\x04MQTT\x04\x01\x00\x00\x00\x01a", "the reserved connect flag"),
        (b"\x10\x0D\x00\x04MQTT\x04\x42\x00\x00\x00\x01a", "a password without a user"),
        (b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x01a", "protocol level 5"),
        (b"\x40\x02\x00\x00", "packet identifier 0"),
        (b"\x40\x03\x00\x01\x00", "bytes behind the end"),
        (b"\x36\x05\x00\x01a\x00\x01", "QoS 3"),
        (b"\x34\x05\x00\x01a\x00\x01", "QoS 2, which we never ask for"),
        (b"\x38\x03\x00\x01a", "DUP with QoS 0"),
        (b"\x30\x05\x00\x03a/+", "a wildcard in a topic"),
        (b"\x30\x03\x00\x01\xFF", "a topic that is no UTF-8"),
        (b"\x30\x03\x00\x01\x00", "NUL in a topic"),
        (b"\x30\x02\x00\x00", "an empty topic"),
        (b"\x20\x02\x02\x00", "CONNACK flags"),
        (b"\x20\x02\x01\x05", "a session with a refusal"),
        (b"\x90\x03\x00\x01\x03", "SUBACK code 3"),
        (b"\x00\x00", "packet type 0"),
        (b"\xF0\x00", "packet type 15"),
    ] {
        assert!(Packet::decode(&mut BytesMut::from(bytes), 1 << 20).is_err(), "{what}");
    }
}

#[test]
fn a_message_too_large_is_reported_by_its_head_and_skipped() {
    let mut wire = BytesMut::new();
    let publish = Publish {
        topic: "a/b".parse().unwrap(),
        payload: vec![7; 5000].into(),
        id: PacketId::new(9),
        dup: false,
        retain: false,
    };
    Packet::Publish(publish).encode(&mut wire);
    // Its head is enough.
    let mut part = BytesMut::from(&wire[..20]);
    let expected = Decoded::Oversize { id: PacketId::new(9), topic: "a/b".into(), skip: 5000 };
    assert_eq!(Packet::decode(&mut part, 1000), Ok(Some(expected)));
}

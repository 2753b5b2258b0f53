//! Laws that hold for any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde::Deserialize;
use std::time::{Duration, Instant};
use tty2mqtt::config::tree::Node;
use tty2mqtt::decode::Decode;
use tty2mqtt::frame::{Checksum, Framer, Framing};
use tty2mqtt::mqtt::packet::{ConnAck, Connect, Decoded, Packet, PacketId, Publish, Refusal};
use tty2mqtt::mqtt::packet::{SubAck, Subscribe, Unsubscribe, Will};
use tty2mqtt::mqtt::topic::Qos;

/// Every rule, with limits small enough to be met by random bytes.
const FRAMINGS: [(&str, Option<&str>); 12] = [
    ("{lines: {limit: 64}}", None),
    (r#"{lines: {terminator: "\r\n", limit: 64}}"#, None),
    ("{lines: {limit: 64}}", Some("{xor8: {format: hex, separator: '*'}}")),
    (r#"{delimited: {start: "$", end: "\n", limit: 64}}"#, None),
    (r#"{delimited: {start: "/", end: "!", trailer: 6, limit: 64}}"#, Some("crc16-arc")),
    ("{delimited: {escape: slip, limit: 64}}", None),
    ("{delimited: {escape: hdlc, limit: 64}}", Some("crc16-x25")),
    ("{delimited: {escape: dle, limit: 64}}", None),
    ("{fixed: {size: 9, start: 'hex:FF'}}", Some("sum8")),
    ("{length: {start: 'hex:42', offset: 1, limit: 64}}", None),
    ("{length: {offset: 0, size: 2, endian: little, limit: 64}}", Some("sum16")),
    ("{gap: {limit: 64}}", None),
];

const LIMIT: usize = 64;

fn read<T: for<'de> Deserialize<'de>>(yaml: &str) -> T {
    let tree = serde_yaml::from_str(yaml).unwrap();
    T::deserialize(Node(&tree)).unwrap()
}

fn framer(n: usize) -> Framer {
    let (framing, checksum) = FRAMINGS[n];
    let checksum: Option<Checksum> = checksum.map(read);
    let line = "9600 8N1".parse().unwrap();
    read::<Framing>(framing).build(checksum.as_ref(), Some(&line)).unwrap()
}

/// All frames of a stream that comes at one moment, a second after opening.
fn frames<'a>(framer: &mut Framer, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let opened = Instant::now();
    framer.open(opened);
    let at = opened + Duration::from_secs(1);
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(chunk, at);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    let mut end = at + Duration::from_secs(1);
    while let Some(due) = framer.deadline() {
        end = end.max(due);
        framer.timeout(end);
        frames.extend(std::iter::from_fn(|| framer.frame()));
    }
    frames
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
    fn any_split_into_reads_gives_the_same_frames(
        n in 0..FRAMINGS.len(),
        bytes in stream(),
        cuts in prop::collection::vec(1_usize..40, 1..60),
    ) {
        let whole = frames(&mut framer(n), [bytes.as_slice()]);
        let mut rest = bytes.as_slice();
        let mut chunks = Vec::new();
        for size in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(whole, frames(&mut framer(n), chunks), "{:?}", FRAMINGS[n]);
    }

    #[test]
    fn every_byte_is_accounted_for_and_no_frame_passes_the_limit(
        n in 0..FRAMINGS.len(),
        bytes in stream(),
    ) {
        let mut framer = framer(n);
        let frames = frames(&mut framer, bytes.chunks(7));
        let counts = framer.counts();
        prop_assert_eq!(counts.bytes, bytes.len() as u64);
        prop_assert_eq!(counts.frames, frames.len() as u64);
        prop_assert!(counts.skipped <= counts.bytes);
        prop_assert!(frames.iter().all(|frame| frame.len() <= LIMIT + 2));
    }

    #[test]
    fn what_was_escaped_comes_out_again(content in prop::collection::vec(any::<u8>(), 1..60)) {
        for (n, flag, escape, mask) in [(5, 0xC0, 0xDB, None), (6, 0x7E, 0x7D, Some(0x20))] {
            let mut plain = content.clone();
            if n == 6 {
                plain.extend(crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&content).to_le_bytes());
            }
            let mut wire = vec![flag];
            for byte in plain {
                match (byte == flag, byte == escape, mask) {
                    (false, false, _) => wire.push(byte),
                    (_, _, Some(mask)) => wire.extend([escape, byte ^ mask]),
                    (true, _, None) => wire.extend([escape, 0xDC]),
                    (_, true, None) => wire.extend([escape, 0xDD]),
                }
            }
            wire.push(flag);
            prop_assert_eq!(frames(&mut framer(n), [wire.as_slice()]), [Bytes::from(content.clone())]);
        }
    }

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
fn the_limit_holds_before_an_end_is_seen() {
    // Bytes that begin a frame in each rule and never end it.
    for (n, flood) in [(0, b'x'), (3, b'x'), (4, b'x'), (5, b'x'), (6, b'x'), (7, b'x'), (11, b'x')]
    {
        let mut framer = framer(n);
        let opened = Instant::now();
        framer.open(opened);
        let at = opened + Duration::from_secs(1);
        let start: &[u8] = match n {
            3 => b"$",
            4 => b"/",
            7 => b"\x10\x02",
            _ => b"",
        };
        framer.push(start, at);
        for _ in 0..100 {
            framer.push(&[flood; 50], at);
            assert_eq!(framer.frame(), None);
        }
        let counts = framer.counts();
        let held = counts.bytes - counts.skipped;
        assert!(held <= 64 + 130, "{:?} holds {held} bytes", FRAMINGS[n]);
        assert_eq!(counts.too_long, 1, "{:?}", FRAMINGS[n]);
    }
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

#[test]
fn a_line_that_comes_byte_by_byte_costs_linear_time() {
    // A rule that looked at everything again at each byte would take minutes for this.
    let mut framer = {
        let line = "115200 8N1".parse().unwrap();
        read::<Framing>("{lines: {limit: 64KiB}}").build(None, Some(&line)).unwrap()
    };
    let line = vec![b'x'; 60_000];
    let mut frames = 0;
    for _ in 0..20 {
        let chunks = line.chunks(1).chain([b"\n".as_slice()]);
        let opened = Instant::now();
        framer.open(opened);
        for chunk in chunks {
            framer.push(chunk, opened + Duration::from_secs(1));
            frames += u32::from(framer.frame().is_some());
        }
    }
    assert_eq!(frames, 20);
}

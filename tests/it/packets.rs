//! MQTT packets of every version: what is written can be read, what is no packet is an error.
//! Numbers are sections of MQTT 5.0.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Ack, Auth, ConnAck, Connect, Decoded, Disconnect, Oversize, Packet};
use tty2mqtt::mqtt::packet::{PacketError, PacketId, Pair, Properties, Property, Publish, Reason};
use tty2mqtt::mqtt::packet::{RetainHandling, SubAck, Subscribe, Subscription};
use tty2mqtt::mqtt::packet::{Unsubscribe, Varint, Version};
use tty2mqtt::mqtt::topic::Qos;

const LIMIT: usize = 1 << 20;

fn decode(bytes: &[u8], version: Version) -> Result<Option<Decoded>, PacketError> {
    Packet::decode(&mut BytesMut::from(bytes), LIMIT, version)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packets_survive_the_wire((version, packet) in packet()) {
        let mut wire = BytesMut::new();
        packet.encode(&mut wire, version);
        let whole = wire.clone();
        if let Packet::Publish(publish) = &packet {
            prop_assert_eq!(publish.size(version), whole.len());
        }
        let decoded = Packet::decode(&mut wire, LIMIT, version);
        prop_assert_eq!(decoded, Ok(Some(Decoded::Packet(packet.clone()))));
        prop_assert!(wire.is_empty());
        // Cut anywhere, it is not there yet.
        for end in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..end]);
            prop_assert_eq!(Packet::decode(&mut part, LIMIT, version), Ok(None));
            prop_assert_eq!(part.len(), end);
        }
    }

    #[test]
    fn random_bytes_never_stop_the_packet_decoder(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        version in version(),
    ) {
        let mut buffer = BytesMut::from(bytes.as_slice());
        let mut left = buffer.len() + 1;
        while buffer.len() < left {
            left = buffer.len();
            if !matches!(Packet::decode(&mut buffer, 64, version), Ok(Some(_))) {
                break;
            }
        }
    }

    #[test]
    fn a_packet_with_a_wrong_byte_is_another_packet_or_an_error(
        (version, packet) in packet(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut wire = BytesMut::new();
        packet.encode(&mut wire, version);
        let at = at.index(wire.len());
        wire[at] = byte;
        // What is read at all can be written, and is read the same again.
        if let Ok(Some(Decoded::Packet(read))) = Packet::decode(&mut wire, LIMIT, version) {
            let version = match &read {
                Packet::Connect(connect) => connect.version,
                _ => version,
            };
            let mut again = BytesMut::new();
            read.encode(&mut again, version);
            let again = Packet::decode(&mut again, LIMIT, version);
            prop_assert_eq!(again, Ok(Some(Decoded::Packet(read))));
        }
    }
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(vec![Version::V31, Version::V311, Version::V5])
}

fn id() -> impl Strategy<Value = PacketId> {
    any::<PacketId>()
}

fn qos() -> impl Strategy<Value = Qos> {
    prop::sample::select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé€ ]{0,9}"
}

/// Any property that may stand in a packet of its kind; each but the repeatable ones once.
fn properties(version: Version, ids: &'static [u8]) -> BoxedStrategy<Properties> {
    if version != Version::V5 {
        return Just(Properties::NONE).boxed();
    }
    let one = |id: u8| -> BoxedStrategy<Property> {
        match id {
            0x01 => any::<bool>().prop_map(Property::PayloadFormat).boxed(),
            0x02 => any::<u32>().prop_map(Property::MessageExpiry).boxed(),
            0x03 => text().prop_map(Property::ContentType).boxed(),
            0x08 => "[a-z/]{1,9}".prop_map(Property::ResponseTopic).boxed(),
            0x09 => bytes().prop_map(Property::CorrelationData).boxed(),
            0x0B => {
                (1..268_435_456_u32).prop_map(|id| Property::SubscriptionId(Varint(id))).boxed()
            }
            0x11 => any::<u32>().prop_map(Property::SessionExpiry).boxed(),
            0x12 => text().prop_map(Property::AssignedClientId).boxed(),
            0x13 => any::<u16>().prop_map(Property::ServerKeepAlive).boxed(),
            0x15 => text().prop_map(Property::AuthMethod).boxed(),
            0x17 => any::<bool>().prop_map(Property::RequestProblemInfo).boxed(),
            0x18 => any::<u32>().prop_map(Property::WillDelay).boxed(),
            0x19 => any::<bool>().prop_map(Property::RequestResponseInfo).boxed(),
            0x1A => text().prop_map(Property::ResponseInfo).boxed(),
            0x1C => text().prop_map(Property::ServerReference).boxed(),
            0x1F => text().prop_map(Property::ReasonString).boxed(),
            0x21 => (1..=u16::MAX).prop_map(Property::ReceiveMaximum).boxed(),
            0x22 => any::<u16>().prop_map(Property::TopicAliasMaximum).boxed(),
            0x23 => (1..=u16::MAX).prop_map(Property::TopicAlias).boxed(),
            0x24 => (0..2_u8).prop_map(Property::MaximumQos).boxed(),
            0x25 => any::<bool>().prop_map(Property::RetainAvailable).boxed(),
            0x27 => (1..=u32::MAX).prop_map(Property::MaximumPacketSize).boxed(),
            0x28 => any::<bool>().prop_map(Property::WildcardAvailable).boxed(),
            0x29 => any::<bool>().prop_map(Property::SubscriptionIdAvailable).boxed(),
            0x2A => any::<bool>().prop_map(Property::SharedAvailable).boxed(),
            _ => (text(), text()).prop_map(|(k, v)| Property::UserProperty(Pair(k, v))).boxed(),
        }
    };
    let some = prop::sample::subsequence(ids, 0..=ids.len());
    let some = some.prop_flat_map(move |ids| ids.into_iter().map(one).collect::<Vec<_>>());
    let user = prop::collection::vec((text(), text()), 0..3);
    (some, user)
        .prop_map(|(some, user)| {
            let user = user.into_iter().map(|(key, value)| Property::user(key, value));
            some.into_iter().chain(user).collect()
        })
        .boxed()
}

fn reason(version: Version, codes: &'static [Reason]) -> BoxedStrategy<Reason> {
    match version {
        Version::V5 => prop::sample::select(codes).boxed(),
        _ => Just(Reason::SUCCESS).boxed(),
    }
}

const MESSAGE: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09];
const PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23];
const ACK: &[u8] = &[0x1F];

fn packet() -> impl Strategy<Value = (Version, Packet)> {
    version().prop_flat_map(|version| (Just(version), packet_of(version)))
}

fn packet_of(version: Version) -> impl Strategy<Value = Packet> {
    let ack = |reasons| {
        (id(), reason(version, reasons), properties(version, ACK))
            .prop_map(|(id, reason, properties)| Ack { id, reason, properties })
    };
    let pub_ack: &[Reason] = &[
        Reason::SUCCESS,
        Reason::NO_MATCHING_SUBSCRIBERS,
        Reason::UNSPECIFIED_ERROR,
        Reason::NOT_AUTHORIZED,
        Reason::QUOTA_EXCEEDED,
    ];
    let pub_rel: &[Reason] = &[Reason::SUCCESS, Reason::PACKET_IDENTIFIER_NOT_FOUND];
    let disconnect: &[Reason] =
        &[Reason::SUCCESS, Reason::DISCONNECT_WITH_WILL, Reason::SESSION_TAKEN_OVER];
    let auth: &[Reason] =
        &[Reason::SUCCESS, Reason::CONTINUE_AUTHENTICATION, Reason::RE_AUTHENTICATE];
    let unsuback: &[Reason] = &[Reason::SUCCESS, Reason::NO_SUBSCRIPTION_EXISTED];
    let filters = || prop::collection::vec(filter(), 1..4);
    let unsuback = (
        id(),
        prop::collection::vec(prop::sample::select(unsuback), 1..4),
        properties(version, ACK),
    );
    let unsuback = unsuback.prop_map(move |(id, reasons, properties)| {
        let reasons = if version == Version::V5 { reasons } else { Vec::new() };
        Packet::UnsubAck(SubAck { id, reasons, properties })
    });
    let granted = vec![
        Reason::SUCCESS,
        Reason::GRANTED_QOS_1,
        Reason::GRANTED_QOS_2,
        Reason::UNSPECIFIED_ERROR,
    ];
    let suback = (
        id(),
        prop::collection::vec(prop::sample::select(granted), 1..4),
        properties(version, ACK),
    );
    let goodbye = (reason(version, disconnect), properties(version, &[0x11, 0x1C, 0x1F]));
    let auth = (reason(Version::V5, auth), properties(Version::V5, &[0x15, 0x1F]));
    let pings = prop_oneof![Just(Packet::PingReq), Just(Packet::PingResp)];
    prop_oneof![
        connect(version),
        connack(version),
        publish(version),
        ack(pub_ack).prop_map(Packet::PubAck),
        ack(pub_ack).prop_map(Packet::PubRec),
        ack(pub_rel).prop_map(Packet::PubRel),
        ack(pub_rel).prop_map(Packet::PubComp),
        (id(), prop::collection::vec(subscription(version), 1..4), properties(version, &[0x0B]))
            .prop_map(|(id, filters, properties)| {
                Packet::Subscribe(Subscribe { id, filters, properties })
            }),
        suback.prop_map(|(id, reasons, properties)| {
            Packet::SubAck(SubAck { id, reasons, properties })
        }),
        (id(), filters(), properties(version, &[])).prop_map(|(id, filters, properties)| {
            let filters = filters.into_iter().map(|text| text.parse().unwrap()).collect();
            Packet::Unsubscribe(Unsubscribe { id, filters, properties })
        }),
        unsuback,
        goodbye.prop_map(|(reason, properties)| {
            Packet::Disconnect(Disconnect { reason, properties })
        }),
        (auth, pings).prop_map(move |((reason, mut properties), ping)| match version {
            Version::V5 => {
                // It names its method unless it says nothing at all.
                let silent = reason == Reason::SUCCESS && properties.is_empty();
                if !silent && properties.auth_method().is_none() {
                    properties.0.push(Property::AuthMethod("m".into()));
                }
                Packet::Auth(Auth { reason, properties })
            }
            _ => ping,
        }),
    ]
}

fn topic() -> impl Strategy<Value = String> {
    "[a-zé$ ]{1,5}(/[a-z]{0,5}){0,3}"
}

fn filter() -> impl Strategy<Value = String> {
    "([a-z]{1,5}/){0,3}([+#]|[a-z]{1,4})"
}

fn subscription(version: Version) -> impl Strategy<Value = Subscription> {
    let handling = prop::sample::select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let plain = Subscription::new(filter.parse().unwrap(), qos);
            match version {
                Version::V5 => {
                    Subscription { no_local, retain_as_published, retain_handling, ..plain }
                }
                _ => plain,
            }
        },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let will = (topic(), bytes(), qos(), any::<bool>(), properties(version, MESSAGE)).prop_map(
        |(topic, payload, qos, retain, properties)| Message {
            topic: topic.parse().unwrap(),
            payload,
            qos,
            retain,
            properties: (!properties.is_empty()).then(|| properties.into()),
        },
    );
    let login = (prop::option::of("[a-z]{0,9}"), prop::option::of(bytes()));
    let ids = &[0x11, 0x15, 0x17, 0x19, 0x21, 0x22, 0x27];
    let fields = ("[a-z0-9]{0,30}", any::<bool>(), any::<u16>(), properties(version, ids));
    (fields, prop::option::of(will), login).prop_map(
        move |((client_id, clean, keep_alive, properties), will, (user, password))| {
            let password = password.map(|bytes| bytes.to_vec().into());
            let password = password.filter(|_| user.is_some() || version == Version::V5);
            Packet::Connect(Connect {
                version,
                client_id,
                clean,
                keep_alive,
                will,
                user,
                password,
                properties,
            })
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Packet> {
    let reasons = vec![
        Reason::SUCCESS,
        Reason::UNSUPPORTED_PROTOCOL_VERSION,
        Reason::CLIENT_IDENTIFIER_NOT_VALID,
        Reason::SERVER_UNAVAILABLE,
        Reason::BAD_USER_NAME_OR_PASSWORD,
        Reason::NOT_AUTHORIZED,
    ];
    let ids =
        &[0x11, 0x12, 0x13, 0x15, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2A];
    (any::<bool>(), prop::sample::select(reasons), properties(version, ids)).prop_map(
        move |(session_present, reason, properties)| {
            let session_present =
                session_present && reason == Reason::SUCCESS && version != Version::V31;
            Packet::ConnAck(ConnAck { session_present, reason, properties })
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet> {
    (topic(), bytes(), (qos(), id(), any::<bool>()), any::<bool>(), properties(version, PUBLISH))
        .prop_map(|(topic, payload, (qos, id, dup), retain, properties)| {
            let acknowledged = qos != Qos::AtMostOnce;
            Packet::Publish(Publish {
                topic: Some(topic.parse().unwrap()),
                payload,
                qos,
                id: acknowledged.then_some(id),
                dup: dup && acknowledged,
                retain,
                properties,
            })
        })
}

#[test]
fn what_is_no_packet_in_any_version_is_an_error() {
    for (bytes, what) in [
        (&b"\x30\xFF\xFF\xFF\xFF\x01"[..], "a remaining length of five bytes"),
        (b"\x40\x82\x00\x00\x01", "a remaining length that is not the shortest"),
        (b"\x41\x02\x00\x01", "flags of PUBACK"),
        (b"\x60\x02\x00\x01", "flags of PUBREL"),
        (b"\x80\x06\x00\x01\x00\x01a\x00", "flags of SUBSCRIBE"),
        (b"\xA0\x05\x00\x01\x00\x01a", "flags of UNSUBSCRIBE"),
        (b"\x82\x02\x00\x01", "SUBSCRIBE without a filter"),
        (b"\xA2\x02\x00\x01", "UNSUBSCRIBE without a filter"),
        (b"\x90\x02\x00\x01", "SUBACK without an answer"),
        (b"\xC0\x01\x00", "PINGREQ with a body"),
        (b"\x82\xFF\xFF\xFF\x7F", "a SUBSCRIBE of 256 MiB, known by its header"),
        (b"\x10\x0D\x00\x04MQTT\x04\x01\x00\x00\x00\x01a", "the reserved connect flag"),
        (b"\x10\x0D\x00\x04MQTT\x04\x42\x00\x00\x00\x01a", "a password without a user"),
        (b"\x10\x0D\x00\x04MQTT\x06\x02\x00\x00\x00\x01a", "protocol level 6"),
        (b"\x10\x0D\x00\x04MQTX\x04\x02\x00\x00\x00\x01a", "another protocol"),
        (b"\x40\x02\x00\x00", "packet identifier 0"),
        (b"\x36\x05\x00\x01a\x00\x01", "QoS 3"),
        (b"\x38\x03\x00\x01a", "DUP with QoS 0"),
        (b"\x30\x03\x00\x01\xFF", "a topic that is no UTF-8"),
        (b"\x30\x03\x00\x01\x00", "NUL in a topic"),
        (b"\x00\x00", "packet type 0"),
    ] {
        for version in [Version::V31, Version::V311, Version::V5] {
            assert!(decode(bytes, version).is_err(), "{what} in {version}");
        }
    }
}

#[test]
fn what_is_no_packet_of_3_1_1_is_an_error() {
    for (bytes, what) in [
        (&b"\x40\x03\x00\x01\x00"[..], "bytes behind the end"),
        (b"\x30\x05\x00\x03a/+", "a wildcard in a topic"),
        (b"\x30\x02\x00\x00", "an empty topic"),
        (b"\x20\x02\x02\x00", "CONNACK flags"),
        (b"\x90\x03\x00\x01\x03", "SUBACK code 3"),
        (b"\x90\x03\x00\x01\x87", "a SUBACK code of 5.0"),
        (b"\x82\x06\x00\x01\x00\x01a\x04", "options of 5.0"),
        (b"\xF0\x00", "AUTH"),
        (b"\xE0\x01\x00", "a DISCONNECT with a reason"),
    ] {
        assert!(decode(bytes, Version::V311).is_err(), "{what}");
    }
}

#[test]
fn what_is_no_packet_of_5_0_is_an_error() {
    for (bytes, what) in [
        (&b"\x30\x04\x00\x01a\x05"[..], "properties behind the end"),
        (b"\x30\x06\x00\x01a\x02\x7F\x00", "an unknown property (2.2.2.2)"),
        (b"\x30\x06\x00\x01a\x02\x24\x01", "a property of another packet (2.2.2.2)"),
        (b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", "a property twice (2.2.2)"),
        (b"\x30\x06\x00\x01a\x02\x01\x02", "a payload format 2 (3.3.2.3.2)"),
        (b"\x30\x07\x00\x01a\x03\x23\x00\x00", "a topic alias 0 (3.3.2.3.4)"),
        (b"\x30\x06\x00\x01a\x02\x0B\x00", "a subscription identifier 0 (3.3.2.3.8)"),
        (b"\x30\x08\x00\x01a\x04\x08\x00\x01#", "a response topic with a wildcard (3.3.2.3.5)"),
        (b"\x30\x03\x00\x00\x00", "no topic and no alias (3.3.2.1)"),
        (b"\x30\x08\x00\x01a\x04\x0B\x80\x80\x80", "a number that does not end (1.5.5)"),
        (b"\x30\x07\x00\x01a\x03\x0B\x81\x00", "a number that is not the shortest (1.5.5)"),
        (b"\x40\x03\x00\x01\x01", "PUBACK with the reason 1 (3.4.2.1)"),
        (b"\x62\x03\x00\x01\x87", "PUBREL with a reason of PUBREC (3.6.2.1)"),
        (b"\x20\x03\x00\x01\x00", "CONNACK with the reason 1 (3.2.2.2)"),
        (b"\x20\x06\x00\x00\x03\x21\x00\x00", "a receive maximum of 0 (3.2.2.3.3)"),
        (b"\x20\x05\x00\x00\x02\x24\x02", "a maximum QoS of 2 (3.2.2.3.4)"),
        (b"\x20\x08\x00\x00\x05\x27\x00\x00\x00\x00", "a maximum packet size of 0 (3.2.2.3.6)"),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x30", "retain handling 3 (3.8.3.1)"),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x40", "reserved options (3.8.3.1)"),
        (b"\x82\x0F\x00\x01\x00\x00\x09$share/a/\x00", "a share without a filter (4.8.2)"),
        (b"\x82\x10\x00\x01\x00\x00\x0A$share/a/b\x04", "no local on a share (3.8.3.1)"),
        (b"\x90\x04\x00\x01\x00\x03", "SUBACK with the reason 3 (3.9.3)"),
        (b"\xB0\x03\x00\x01\x00", "UNSUBACK without a reason (3.11.3)"),
        (b"\xE0\x01\x01", "DISCONNECT with the reason 1 (3.14.2.1)"),
        (b"\xF0\x01\x01", "AUTH with the reason 1 (3.15.2.1)"),
        (b"\xF1\x00", "flags of AUTH (2.1.3)"),
    ] {
        assert!(decode(bytes, Version::V5).is_err(), "{what}");
    }
}

#[test]
fn short_forms_of_5_0_mean_success() {
    let id = PacketId::MIN;
    let ack = |reason| Ack::new(id, reason);
    for (bytes, expected) in [
        (&b"\x40\x02\x00\x01"[..], Packet::PubAck(ack(Reason::SUCCESS))),
        (b"\x50\x03\x00\x01\x10", Packet::PubRec(ack(Reason::NO_MATCHING_SUBSCRIBERS))),
        (b"\x70\x04\x00\x01\x92\x00", Packet::PubComp(ack(Reason::PACKET_IDENTIFIER_NOT_FOUND))),
        (b"\xE0\x00", Packet::Disconnect(Disconnect::new(Reason::SUCCESS))),
        (b"\xE0\x01\x8E", Packet::Disconnect(Disconnect::new(Reason::SESSION_TAKEN_OVER))),
        // A broker of 3.1.1 answers a CONNECT of 5.0 in its own words.
        (
            b"\x20\x02\x00\x01",
            Packet::ConnAck(ConnAck::new(false, Reason::UNSUPPORTED_PROTOCOL_VERSION)),
        ),
    ] {
        assert_eq!(decode(bytes, Version::V5), Ok(Some(Decoded::Packet(expected))), "{bytes:?}");
    }
}

#[test]
fn mqtt_3_1_repeats_requests_with_dup_and_knows_no_session_flag() {
    let pubrel = Packet::PubRel(Ack::new(PacketId::MIN, Reason::SUCCESS));
    let bytes = b"\x6A\x02\x00\x01";
    assert_eq!(decode(bytes, Version::V31), Ok(Some(Decoded::Packet(pubrel))));
    assert!(decode(bytes, Version::V311).is_err());
    let accepted = Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS));
    assert_eq!(decode(b"\x20\x02\x01\x00", Version::V31), Ok(Some(Decoded::Packet(accepted))));
}

#[test]
fn a_message_too_large_is_reported_by_its_head_and_skipped() {
    let publish = Publish {
        topic: Some("a/b".parse().unwrap()),
        payload: vec![7; 5000].into(),
        qos: Qos::ExactlyOnce,
        id: PacketId::new(9),
        dup: false,
        retain: false,
        properties: Properties::NONE,
    };
    let expected = |skip| {
        let (qos, id) = (Qos::ExactlyOnce, PacketId::new(9));
        Decoded::Oversize(Oversize { qos, id, topic: "a/b".into(), skip })
    };
    // In 5.0 its properties are among what is skipped.
    for (version, skip) in [(Version::V311, 5000), (Version::V5, 5001)] {
        let mut wire = BytesMut::new();
        Packet::Publish(publish.clone()).encode(&mut wire, version);
        // Its head is enough.
        let mut part = BytesMut::from(&wire[..20]);
        assert_eq!(Packet::decode(&mut part, 1000, version), Ok(Some(expected(skip))));
        let size = wire.len();
        let too_large = |limit| Packet::decode(&mut wire.clone(), limit, version).unwrap().unwrap();
        assert!(matches!(too_large(size - 1), Decoded::Oversize(_)));
        assert!(matches!(too_large(size), Decoded::Packet(_)));
    }
}

//! Packets of 3.1.1 and 5.0 with everything that they may hold.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{
    Ack, Auth, ConnAck, Connect, Decoded, Disconnect, Packet, PacketId, Properties, Property,
    Publish, Reason, RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe, Varint, Version,
};
use tty2mqtt::mqtt::topic::{Qos, Topic, TopicFilter};

fn id() -> impl Strategy<Value = PacketId> {
    any::<PacketId>()
}

fn qos() -> impl Strategy<Value = Qos> {
    select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé€😀 /]{0,12}"
}

fn binary() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn topic() -> impl Strategy<Value = Topic> {
    "[a-zé$ ]{1,5}(/[a-z]{0,5}){0,3}".prop_map(|text| text.parse().unwrap())
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    "(\\$share/[a-z]{1,3}/)?([a-z]{1,5}/|\\+/){0,3}([+#]|[a-z]{1,4})"
        .prop_map(|text| text.parse().unwrap())
}

fn user() -> impl Strategy<Value = Property> {
    (text(), text()).prop_map(|(key, value)| Property::user(key, value))
}

fn number() -> impl Strategy<Value = u32> {
    (any::<u32>(), 0..32_u32).prop_map(|(number, shift)| number >> shift)
}

fn above_0() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn subscription_id() -> impl Strategy<Value = Property> {
    number().prop_map(|id| Property::SubscriptionId(Varint(id % 268_435_455 + 1)))
}

/// Each of some properties or not, in any order, with user properties among them.
fn some(all: Vec<BoxedStrategy<Property>>) -> BoxedStrategy<Properties> {
    let n = all.len();
    (all, subsequence((0..n).collect::<Vec<_>>(), 0..=n), prop::collection::vec(user(), 0..3))
        .prop_flat_map(|(all, chosen, users)| {
            let chosen = chosen.into_iter().map(|n| all[n].clone());
            Just(chosen.chain(users).collect::<Vec<_>>()).prop_shuffle()
        })
        .prop_map(|properties| {
            let mut properties = Properties(properties);
            // Data without a method would be an error (3.1.2.11.10).
            if properties.auth_method().is_none() {
                properties.0.retain(|property| !matches!(property, Property::AuthData(_)));
            }
            properties
        })
        .boxed()
}

macro_rules! list {
    ($($kind:ident($value:expr)),* $(,)?) => {
        vec![$($value.prop_map(Property::$kind).boxed()),*]
    };
}

fn message() -> Vec<BoxedStrategy<Property>> {
    list![
        PayloadFormat(any::<bool>()),
        MessageExpiry(number()),
        ContentType(text()),
        ResponseTopic("[a-z/]{1,9}"),
        CorrelationData(binary()),
    ]
}

fn will() -> impl Strategy<Value = Message> {
    let mut properties = message();
    properties.extend(list![WillDelay(number())]);
    (topic(), binary(), qos(), any::<bool>(), some(properties)).prop_map(
        |(topic, payload, qos, retain, properties)| Message {
            topic,
            payload,
            qos,
            retain,
            properties: (!properties.is_empty()).then(|| properties.into()),
        },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let properties = some(list![
        SessionExpiry(number()),
        ReceiveMaximum(above_0()),
        MaximumPacketSize(1..u32::MAX),
        TopicAliasMaximum(any::<u16>()),
        RequestResponseInfo(any::<bool>()),
        RequestProblemInfo(any::<bool>()),
        AuthMethod(text()),
        AuthData(binary()),
    ]);
    (
        "[a-z0-9]{0,30}",
        any::<bool>(),
        any::<u16>(),
        prop::option::of(will()),
        prop::option::of((text(), prop::option::of(binary()))),
        properties,
    )
        .prop_map(move |(client_id, clean, keep_alive, will, login, properties)| {
            let (user, password) = login.map_or((None, None), |(user, password)| {
                (Some(user), password.map(|password| password.to_vec().into()))
            });
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
        })
}

fn connack(version: Version) -> impl Strategy<Value = Packet> {
    let properties = some(list![
        SessionExpiry(number()),
        ReceiveMaximum(above_0()),
        MaximumQos(0..=1_u8),
        RetainAvailable(any::<bool>()),
        MaximumPacketSize(1..u32::MAX),
        AssignedClientId(text()),
        TopicAliasMaximum(any::<u16>()),
        ReasonString(text()),
        WildcardAvailable(any::<bool>()),
        SubscriptionIdAvailable(any::<bool>()),
        SharedAvailable(any::<bool>()),
        ServerKeepAlive(any::<u16>()),
        ResponseInfo(text()),
        ServerReference(text()),
        AuthMethod(text()),
        AuthData(binary()),
    ]);
    let template: &[u8] =
        if version == Version::V5 { b"\x20\x03\x00*\x00" } else { b"\x20\x02\x00*" };
    (any::<bool>(), select(reasons(template, version)), properties).prop_map(
        |(present, reason, properties)| {
            let session_present = present && !reason.is_error();
            Packet::ConnAck(ConnAck { session_present, reason, properties })
        },
    )
}

fn publish(version: Version) -> impl Strategy<Value = Packet> {
    let mut properties = message();
    properties.extend(list![TopicAlias(above_0())]);
    let properties = (some(properties), prop::collection::vec(subscription_id(), 0..3));
    (topic(), any::<bool>(), binary(), qos(), id(), any::<[bool; 2]>(), properties).prop_map(
        move |(topic, alias, payload, qos, id, [dup, retain], (mut properties, ids))| {
            properties.0.extend(ids);
            let by_alias = alias && properties.topic_alias().is_some() && version == Version::V5;
            Packet::Publish(Publish {
                topic: if by_alias { None } else { Some(topic) },
                payload,
                qos,
                id: (qos != Qos::AtMostOnce).then_some(id),
                dup: dup && qos != Qos::AtMostOnce,
                retain,
                properties,
            })
        },
    )
}

fn ack(version: Version, kind: u8, make: fn(Ack) -> Packet) -> BoxedStrategy<Packet> {
    let reasons = match version {
        Version::V5 => reasons(&[kind, 3, 0, 1, b'*'], version),
        _ => vec![Reason::SUCCESS],
    };
    (id(), select(reasons), some(list![ReasonString(text())]))
        .prop_map(move |(id, reason, properties)| make(Ack { id, reason, properties }))
        .boxed()
}

fn subscribe() -> impl Strategy<Value = Packet> {
    let handling = vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let subscription = (filter(), qos(), any::<[bool; 2]>(), select(handling)).prop_map(
        |(filter, qos, [no_local, retain_as_published], retain_handling)| Subscription {
            // Not on a shared subscription (3.8.3.1).
            no_local: no_local && !filter.is_shared(),
            filter,
            qos,
            retain_as_published,
            retain_handling,
        },
    );
    let properties = some(vec![subscription_id().boxed()]);
    (id(), prop::collection::vec(subscription, 1..4), properties).prop_map(
        |(id, filters, properties)| Packet::Subscribe(Subscribe { id, filters, properties }),
    )
}

fn suback(version: Version) -> impl Strategy<Value = Packet> {
    let template: &[u8] =
        if version == Version::V5 { b"\x90\x04\x00\x01\x00*" } else { b"\x90\x03\x00\x01*" };
    let reasons = prop::collection::vec(select(reasons(template, version)), 1..4);
    (id(), reasons, some(list![ReasonString(text())]))
        .prop_map(|(id, reasons, properties)| Packet::SubAck(SubAck { id, reasons, properties }))
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet> {
    let reasons = match version {
        Version::V5 => reasons(b"\xB0\x04\x00\x01\x00*", version),
        _ => Vec::new(),
    };
    let reasons = match reasons.is_empty() {
        true => Just(Vec::new()).boxed(),
        false => prop::collection::vec(select(reasons), 1..4).boxed(),
    };
    (id(), reasons, some(list![ReasonString(text())]))
        .prop_map(|(id, reasons, properties)| Packet::UnsubAck(SubAck { id, reasons, properties }))
}

/// Every packet that a version has, as it is once it was on the wire.
pub fn packet(version: Version) -> BoxedStrategy<Packet> {
    let unsubscribe = (id(), prop::collection::vec(filter(), 1..4), some(Vec::new()));
    let unsubscribe = unsubscribe.prop_map(|(id, filters, properties)| {
        Packet::Unsubscribe(Unsubscribe { id, filters, properties })
    });
    let mut all = vec![
        connect(version).boxed(),
        connack(version).boxed(),
        publish(version).boxed(),
        ack(version, 0x40, Packet::PubAck),
        ack(version, 0x50, Packet::PubRec),
        ack(version, 0x62, Packet::PubRel),
        ack(version, 0x70, Packet::PubComp),
        subscribe().boxed(),
        suback(version).boxed(),
        unsubscribe.boxed(),
        unsuback(version).boxed(),
        Just(Packet::PingReq).boxed(),
        Just(Packet::PingResp).boxed(),
    ];
    if version == Version::V5 {
        let properties =
            list![SessionExpiry(number()), ReasonString(text()), ServerReference(text())];
        let disconnect = (select(reasons(b"\xE0\x01*", version)), some(properties));
        all.push(
            disconnect
                .prop_map(|(reason, properties)| {
                    Packet::Disconnect(Disconnect { reason, properties })
                })
                .boxed(),
        );
        let reasons = select(reasons(b"\xF0\x06*\x04\x15\x00\x01m", version));
        let auth = (reasons, text(), some(list![AuthData(binary()), ReasonString(text())]));
        all.push(
            auth.prop_map(|(reason, method, mut properties)| {
                properties.0.push(Property::AuthMethod(method));
                Packet::Auth(Auth { reason, properties })
            })
            .boxed(),
        );
    } else {
        all.push(Just(Packet::Disconnect(Disconnect::new(Reason::SUCCESS))).boxed());
    }
    prop::strategy::Union::new(all)
        .prop_map(move |packet| match version {
            Version::V5 => packet,
            _ => without_properties(packet),
        })
        .boxed()
}

/// Before 5.0 there are none, and SUBSCRIBE has a QoS only.
fn without_properties(mut packet: Packet) -> Packet {
    match &mut packet {
        Packet::Connect(it) => {
            it.properties = Properties::NONE;
            if let Some(will) = &mut it.will {
                will.properties = None;
            }
        }
        Packet::ConnAck(it) => it.properties = Properties::NONE,
        Packet::Publish(it) => it.properties = Properties::NONE,
        Packet::PubAck(it) | Packet::PubRec(it) | Packet::PubRel(it) | Packet::PubComp(it) => {
            it.properties = Properties::NONE;
        }
        Packet::Subscribe(it) => {
            it.properties = Properties::NONE;
            for filter in &mut it.filters {
                *filter = Subscription::new(filter.filter.clone(), filter.qos);
            }
        }
        Packet::SubAck(it) => it.properties = Properties::NONE,
        Packet::Unsubscribe(it) => it.properties = Properties::NONE,
        Packet::UnsubAck(it) => it.properties = Properties::NONE,
        Packet::Disconnect(it) => it.properties = Properties::NONE,
        Packet::Auth(_) | Packet::PingReq | Packet::PingResp => {}
    }
    packet
}

/// The reasons that a kind of packet may carry: those that are taken in the place of the `*`.
fn reasons(template: &[u8], version: Version) -> Vec<Reason> {
    let at = template.iter().rposition(|byte| *byte == b'*').unwrap();
    let reason = |code: u8| {
        let mut packet = BytesMut::from(template);
        packet[at] = code;
        match Packet::decode(&mut packet, 100, version) {
            Ok(Some(Decoded::Packet(packet))) => match packet {
                Packet::ConnAck(it) => Some(it.reason),
                Packet::PubAck(it) | Packet::PubRec(it) => Some(it.reason),
                Packet::PubRel(it) | Packet::PubComp(it) => Some(it.reason),
                Packet::SubAck(it) => Some(it.reasons[0]),
                Packet::UnsubAck(it) => Some(it.reasons[0]),
                Packet::Disconnect(it) => Some(it.reason),
                Packet::Auth(it) => Some(it.reason),
                _ => None,
            },
            _ => None,
        }
    };
    // 3.x has six return codes for CONNACK; those above are reserved.
    let last = if version == Version::V5 || template[0] != 0x20 { 255 } else { 5 };
    (0..=last).filter_map(reason).collect()
}

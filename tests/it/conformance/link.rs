//! How a link begins and ends, and what the broker allows (3.1, 3.2, 3.14, 4.13).

use crate::support::talk::{SECOND, Said, Talk, ack, from_broker, id, message, options, with};
use bytes::BytesMut;
use tty2mqtt::mqtt::packet::{ConnAck, SubAck, Varint, Version};
use tty2mqtt::mqtt::packet::{
    Disconnect, Packet, Properties, Property, Publish, Reason, Subscription,
};
use tty2mqtt::mqtt::session::{Clean, Event, Options};
use tty2mqtt::mqtt::topic::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn mqtt_2_2_1_6_suback_and_unsuback_have_the_identifier_of_what_they_answer() {
    let mut talk = Talk::up(Vec::new());
    let reasons = vec![Reason::SUCCESS];
    talk.session
        .subscribe(vec![Subscription::new("t".parse().unwrap(), AtMostOnce)], &Properties::NONE);
    assert_eq!(talk.hears(), ["SUBSCRIBE 1"]);
    let suback = SubAck { id: id(2), reasons: reasons.clone(), properties: Properties::NONE };
    assert!(talk.say(suback.into()).is_err());
    let mut talk = Talk::up(Vec::new());
    talk.session.unsubscribe(vec!["t".parse().unwrap()], &Properties::NONE);
    assert_eq!(talk.hears(), ["UNSUBSCRIBE 1"]);
    let unsuback = SubAck { id: id(2), reasons, properties: Properties::NONE };
    assert!(talk.say(Said(Packet::UnsubAck(unsuback))).is_err());
}

#[test]
fn mqtt_3_1_2_20_silence_ends_with_pingreq_within_the_keep_alive() {
    let mut talk = Talk::new(Options { keepalive: 60 * SECOND, ..options() });
    assert_eq!(talk.knock().keep_alive, 60);
    talk.say(ConnAck::new(false, Reason::SUCCESS).into()).unwrap();
    let start = talk.now;
    talk.wait(60 * SECOND).unwrap();
    assert_eq!(talk.hears(), ["PINGREQ"]);
    assert!(talk.now - start <= 60 * SECOND);
}

#[test]
fn mqtt_3_1_2_21_the_keep_alive_is_the_brokers() {
    let mut talk = Talk::up(vec![Property::ServerKeepAlive(5)]);
    let start = talk.now;
    talk.wait(60 * SECOND).unwrap();
    assert_eq!(talk.hears(), ["PINGREQ"]);
    assert!(talk.now - start <= 5 * SECOND);
}

#[test]
fn mqtt_3_1_2_23_the_session_outlives_the_link() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", AtLeastOnce);
    talk.publish("b", ExactlyOnce);
    talk.hear();
    talk.say(ack(Packet::PubRec, 2)).unwrap();
    talk.say(from_broker("c", ExactlyOnce, 9).into()).unwrap();
    assert_eq!(talk.takes(), ["c"]);
    talk.hear();
    talk.again();
    assert_eq!(talk.hears(), ["PUBREL 2", "PUBLISH a 1 dup"]);
    talk.say(Publish { dup: true, ..from_broker("c", ExactlyOnce, 9) }.into()).unwrap();
    assert!(talk.takes().is_empty());
}

#[test]
fn mqtt_3_1_3_2_the_client_identifier_stays_the_same() {
    let mut talk = Talk::new(Options { client_id: String::new(), ..options() });
    assert_eq!(talk.knock().client_id, "");
    let properties = Properties(vec![Property::AssignedClientId("made-up".into())]);
    let answer = ConnAck { session_present: false, reason: Reason::SUCCESS, properties };
    talk.say(answer.into()).unwrap();
    assert_eq!(talk.knock().client_id, "made-up");
    assert_eq!(talk.knock().client_id, "made-up");
}

#[test]
fn mqtt_3_2_2_4_no_session_where_a_new_one_was_asked_for() {
    let mut talk = Talk::new(Options { clean: Clean::Always, ..options() });
    assert!(talk.connect(true, Vec::new()).is_err());
    talk.publish("a", AtMostOnce);
    assert!(!talk.hears().iter().any(|said| said.starts_with("PUBLISH")));
}

#[test]
fn mqtt_3_2_2_15_no_packet_larger_than_the_broker_takes() {
    let mut talk = Talk::up(vec![Property::MaximumPacketSize(60)]);
    talk.publish(&"x".repeat(100), AtLeastOnce);
    talk.publish("a", AtLeastOnce);
    let filters = ["a", "b", "c"].map(|level| format!("{level}/{}", "y".repeat(40)));
    let wanted = filters.map(|text| Subscription::new(text.parse().unwrap(), AtMostOnce));
    talk.session.subscribe(wanted.to_vec(), &Properties::NONE);
    let too_long = Subscription::new("z".repeat(80).parse().unwrap(), AtMostOnce);
    talk.session.subscribe(vec![too_long], &Properties::NONE);
    talk.session.unsubscribe(vec!["z".repeat(80).parse().unwrap()], &Properties::NONE);
    let packets = talk.hear();
    for packet in &packets {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes, Version::V5);
        assert!(bytes.len() <= 60, "{} bytes: {packet}", bytes.len());
    }
    assert!(packets.iter().any(|packet| matches!(packet, Packet::Publish(_))));
    assert_eq!(packets.iter().filter(|it| matches!(it, Packet::Subscribe(_))).count(), 3);
}

#[test]
fn mqtt_3_2_2_17_no_alias_above_the_brokers_maximum() {
    for maximum in [0, 2] {
        let mut talk = Talk::up(vec![Property::TopicAliasMaximum(maximum)]);
        for topic in ["a", "b", "c", "d", "a", "b", "c", "d"] {
            talk.outbox.push(message(topic, "x", AtMostOnce));
        }
        for packet in talk.hear() {
            let Packet::Publish(publish) = packet else { panic!() };
            let alias = publish.properties.topic_alias().copied();
            assert!(alias.unwrap_or(0) <= maximum);
            assert!(alias != Some(0));
            assert!(publish.topic.is_some() || alias.is_some());
        }
    }
}

#[test]
fn mqtt_3_2_2_21_what_the_broker_cannot_do_is_not_asked() {
    let id = Properties(vec![Property::SubscriptionId(Varint(1))]);
    for (cannot, filter, properties) in [
        (Property::WildcardAvailable(false), "a/+", &Properties::NONE),
        (Property::SharedAvailable(false), "$share/g/a", &Properties::NONE),
        (Property::SubscriptionIdAvailable(false), "a", &id),
    ] {
        let mut talk = Talk::up(vec![cannot]);
        let wanted = Subscription::new(filter.parse().unwrap(), AtMostOnce);
        talk.session.subscribe(vec![wanted], properties);
        assert!(talk.hears().is_empty());
        let mut told = std::iter::from_fn(|| talk.session.event());
        assert!(told.any(|event| matches!(event, Event::Subscribed { granted: Err(_), .. })));
    }
}

#[test]
fn mqtt_3_3_2_10_aliases_end_with_the_link() {
    let mut talk = Talk::up(vec![Property::TopicAliasMaximum(1)]);
    let topics = |talk: &mut Talk| -> Vec<bool> {
        talk.publish("x", AtMostOnce);
        let named = |packet: Packet| matches!(packet, Packet::Publish(it) if it.topic.is_some());
        talk.hear().into_iter().map(named).collect()
    };
    assert_eq!([topics(&mut talk), topics(&mut talk)], [[true], [false]]);
    talk.connect(true, vec![Property::TopicAliasMaximum(1)]).unwrap();
    assert_eq!(topics(&mut talk), [true]);
    // The broker's too.
    talk.say(with(Property::TopicAlias(1), from_broker("a", AtMostOnce, 0)).into()).unwrap();
    let nameless = || Publish {
        topic: None,
        ..with(Property::TopicAlias(1), from_broker("b", AtMostOnce, 0))
    };
    talk.say(nameless().into()).unwrap();
    assert_eq!(talk.takes(), ["a", "b"]);
    talk.again();
    assert!(talk.say(nameless().into()).is_err());
}

#[test]
fn mqtt_3_14_4_1_nothing_behind_disconnect() {
    let mut talk = Talk::up(Vec::new());
    talk.session.disconnect(Reason::SUCCESS);
    talk.publish("a", AtMostOnce);
    assert_eq!(talk.hears(), ["DISCONNECT 00"]);
    talk.wait(600 * SECOND).unwrap();
    assert!(talk.hears().is_empty());
}

#[test]
fn mqtt_4_13_2_1_an_error_is_said_and_ends_the_link() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", AtMostOnce);
    // A second CONNACK.
    let error = talk.say(ConnAck::new(false, Reason::SUCCESS).into()).unwrap_err();
    assert_eq!(error.reason(), Reason::PROTOCOL_ERROR);
    assert_eq!(talk.hears(), ["DISCONNECT 82"]);
    // What the broker says with such a reason ends it too, without an answer.
    let mut talk = Talk::up(Vec::new());
    assert!(talk.say(Disconnect::new(Reason::SERVER_BUSY).into()).is_err());
    assert!(talk.hears().is_empty());
    let mut talk = Talk::new(options());
    talk.knock();
    assert!(talk.say(ConnAck::new(false, Reason::BANNED).into()).is_err());
    assert!(talk.hears().is_empty());
}

//! Messages from the broker (3.3, 4.3, 4.5, 4.6).

use crate::support::talk::{Talk, ack, from_broker, options, with};
use tty2mqtt::mqtt::packet::{ConnAck, Packet, Property, Publish, Reason};
use tty2mqtt::mqtt::session::{AckToken, Ending, Event, Options};
use tty2mqtt::mqtt::topic::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn mqtt_2_2_1_5_acknowledgements_have_the_identifier_of_their_message() {
    let mut talk = Talk::up(Vec::new());
    talk.say(from_broker("a", AtLeastOnce, 700).into()).unwrap();
    talk.say(from_broker("b", ExactlyOnce, 800).into()).unwrap();
    talk.takes();
    assert_eq!(talk.hears(), ["PUBACK 700", "PUBREC 800"]);
    talk.say(ack(Packet::PubRel, 800)).unwrap();
    assert_eq!(talk.hears(), ["PUBCOMP 800"]);
}

#[test]
fn mqtt_3_1_2_24_a_packet_that_is_larger_than_we_said_is_passed_over() {
    let mut talk = Talk::new(Options { largest: 200, ..options() });
    assert_eq!(talk.knock().properties.maximum_packet_size(), Some(&200));
    talk.say(ConnAck::new(false, Reason::SUCCESS).into()).unwrap();
    for (qos, number, answer) in [(AtLeastOnce, 3, "PUBACK 3"), (ExactlyOnce, 4, "PUBREC 4")] {
        talk.say(from_broker(&"x".repeat(200), qos, number).into()).unwrap();
        assert!(talk.takes().is_empty());
        assert_eq!(talk.hears(), [answer]);
    }
    // Its repetition too.
    let repeated = Publish { dup: true, ..from_broker(&"x".repeat(200), ExactlyOnce, 4) };
    talk.say(repeated.into()).unwrap();
    assert!(talk.takes().is_empty());
    assert_eq!(talk.hears(), ["PUBREC 4"]);
}

#[test]
fn mqtt_3_1_2_26_no_alias_above_the_maximum_that_we_said() {
    for (maximum, alias) in [(4, 5), (0, 1)] {
        let mut talk = Talk::new(Options { topic_aliases: maximum, ..options() });
        let said = talk.knock().properties.topic_alias_maximum().copied();
        assert_eq!(said.unwrap_or(0), maximum);
        talk.say(ConnAck::new(false, Reason::SUCCESS).into()).unwrap();
        let publish = with(Property::TopicAlias(alias), from_broker("a", AtMostOnce, 0));
        let error = talk.say(publish.into()).unwrap_err();
        assert_eq!(error.reason(), Reason::TOPIC_ALIAS_INVALID);
        assert_eq!(talk.hears(), ["DISCONNECT 94"]);
    }
}

#[test]
fn mqtt_3_3_2_12_an_alias_may_get_another_topic() {
    let mut talk = Talk::up(Vec::new());
    let alias = |topic: &str| Publish {
        topic: topic.parse().ok(),
        ..with(Property::TopicAlias(1), from_broker("", AtMostOnce, 0))
    };
    for topic in ["a", "", "b", ""] {
        talk.say(alias(topic).into()).unwrap();
    }
    let topics = std::iter::from_fn(|| talk.session.event()).filter_map(|event| match event {
        Event::Message(received) => Some(received.topic.to_string()),
        _ => None,
    });
    assert_eq!(topics.collect::<Vec<_>>(), ["a", "a", "b", "b"]);
}

#[test]
fn mqtt_3_4_2_2_acknowledgements_carry_no_words() {
    let mut talk = Talk::up(vec![Property::MaximumPacketSize(20)]);
    talk.publish("a", ExactlyOnce);
    talk.hear();
    talk.say(ack(Packet::PubRec, 1)).unwrap();
    talk.say(from_broker("b", AtLeastOnce, 5).into()).unwrap();
    talk.say(from_broker("c", ExactlyOnce, 6).into()).unwrap();
    talk.takes();
    talk.say(ack(Packet::PubRel, 6)).unwrap();
    talk.session.disconnect(Reason::SUCCESS);
    let packets = talk.hear();
    assert_eq!(packets.len(), 5);
    for packet in packets {
        match packet {
            Packet::PubAck(it) | Packet::PubRec(it) | Packet::PubRel(it) | Packet::PubComp(it) => {
                assert!(it.properties.is_empty());
            }
            Packet::Disconnect(it) => assert!(it.properties.is_empty()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn mqtt_4_3_2_4_qos_1_of_a_receiver() {
    let mut talk = Talk::up(Vec::new());
    talk.say(from_broker("a", AtLeastOnce, 5).into()).unwrap();
    // Nobody has it yet.
    assert!(talk.hears().is_empty());
    assert_eq!(talk.takes(), ["a"]);
    assert_eq!(talk.hears(), ["PUBACK 5"]);
    // Under the same identifier it is a new message.
    talk.say(from_broker("a", AtLeastOnce, 5).into()).unwrap();
    assert_eq!(talk.takes(), ["a"]);
}

#[test]
fn mqtt_4_3_3_8_qos_2_of_a_receiver() {
    let mut talk = Talk::up(Vec::new());
    talk.say(from_broker("a", ExactlyOnce, 5).into()).unwrap();
    assert_eq!(talk.takes(), ["a"]);
    assert_eq!(talk.hears(), ["PUBREC 5"]);
    // Until PUBREL comes it is the same message, on a new link too.
    for _ in 0..2 {
        talk.say(Publish { dup: true, ..from_broker("a", ExactlyOnce, 5) }.into()).unwrap();
        assert!(talk.takes().is_empty());
        assert_eq!(talk.hears(), ["PUBREC 5"]);
        talk.again();
    }
    talk.say(ack(Packet::PubRel, 5)).unwrap();
    assert_eq!(talk.hears(), ["PUBCOMP 5"]);
    // And behind it another one.
    talk.say(from_broker("b", ExactlyOnce, 5).into()).unwrap();
    assert_eq!(talk.takes(), ["b"]);
}

#[test]
fn mqtt_4_5_0_2_what_nobody_asked_for_is_acknowledged_too() {
    let mut talk = Talk::up(Vec::new());
    let stranger = Publish { topic: "stranger".parse().ok(), ..from_broker("a", AtLeastOnce, 5) };
    talk.say(stranger.into()).unwrap();
    talk.takes();
    assert_eq!(talk.hears(), ["PUBACK 5"]);
}

#[test]
fn mqtt_4_6_0_2_answers_go_in_the_order_of_the_messages() {
    let mut talk = Talk::new(Options { manual_ack: true, ..options() });
    talk.connect(false, Vec::new()).unwrap();
    let qos = [AtLeastOnce, ExactlyOnce, AtLeastOnce, ExactlyOnce];
    for (number, qos) in (5..).zip(qos) {
        talk.say(from_broker("a", qos, number).into()).unwrap();
    }
    let tokens = std::iter::from_fn(|| talk.session.event()).filter_map(|event| match event {
        Event::Message(received) => received.token,
        _ => None,
    });
    // Whoever has them is done in another order.
    for token in tokens.collect::<Vec<_>>().into_iter().rev() {
        talk.session.acknowledge(token, Reason::SUCCESS);
    }
    assert_eq!(talk.hears(), ["PUBACK 5", "PUBREC 6", "PUBACK 7", "PUBREC 8"]);
}

#[test]
fn a_kept_session_may_bring_more_at_once_than_we_take() {
    // As mosquitto does; it is read no further while there is no room.
    let options = Options { receive_maximum: 2, manual_ack: true, ..options() };
    let mut talk = Talk::new(options);
    talk.connect(true, Vec::new()).unwrap();
    for number in 1..=3 {
        assert_eq!(talk.session.wants_input(), number < 3);
        talk.say(from_broker("a", AtLeastOnce, number).into()).unwrap();
    }
    let mut tokens = Vec::new();
    while let Some(event) = talk.session.event() {
        if let Event::Message(message) = event {
            tokens.extend(message.token);
        }
    }
    assert_eq!(tokens.len(), 3);
    assert!(!talk.session.wants_input());
    for token in tokens {
        talk.session.acknowledge(token, Reason::SUCCESS);
    }
    assert!(talk.session.wants_input());
}

/// Takes all events, and returns the tokens of the messages among them.
fn tokens(talk: &mut Talk) -> Vec<AckToken> {
    let events = std::iter::from_fn(|| talk.session.event());
    let tokens = events.filter_map(|event| match event {
        Event::Message(message) => message.token,
        _ => None,
    });
    tokens.collect()
}

#[test]
fn what_somebody_still_has_is_not_told_again_and_is_answered_when_he_is_done() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let answer = if qos == AtLeastOnce { "PUBACK" } else { "PUBREC" };
        let answers = |numbers: &[u16]| {
            numbers.iter().map(|number| format!("{answer} {number}")).collect::<Vec<_>>()
        };
        let mut talk = Talk::new(Options { manual_ack: true, ..options() });
        talk.connect(false, Vec::new()).unwrap();
        for number in 5..=7 {
            talk.say(from_broker("a", qos, number).into()).unwrap();
        }
        let before = tokens(&mut talk);
        assert_eq!(before.len(), 3);
        // The last one is done with, but its turn has not come.
        talk.session.acknowledge(before[2], Reason::SUCCESS);
        assert!(talk.hears().is_empty());
        talk.session.disconnected(Ending::HangUp);
        // So is the first one, while there is no link.
        talk.session.acknowledge(before[0], Reason::SUCCESS);
        talk.connect(true, Vec::new()).unwrap();
        for number in 5..=7 {
            let publish = Publish { dup: true, ..from_broker("a", qos, number) };
            talk.say(publish.into()).unwrap();
        }
        talk.say(from_broker("a", qos, 8).into()).unwrap();
        let new = tokens(&mut talk);
        assert_eq!(new.len(), 1, "{qos:?}");
        assert_eq!(talk.hears(), answers(&[5]));
        talk.session.acknowledge(new[0], Reason::SUCCESS);
        talk.session.acknowledge(before[1], Reason::SUCCESS);
        assert_eq!(talk.hears(), answers(&[6, 7, 8]));
        // A session that the broker lost is another matter.
        talk.say(from_broker("a", qos, 9).into()).unwrap();
        let lost = tokens(&mut talk);
        talk.session.disconnected(Ending::HangUp);
        talk.connect(false, Vec::new()).unwrap();
        talk.say(from_broker("a", qos, 9).into()).unwrap();
        assert_eq!(tokens(&mut talk).len(), 1);
        talk.session.acknowledge(lost[0], Reason::SUCCESS);
        assert!(talk.hears().is_empty());
    }
}

//! Messages of ours (3.3, 4.3, 4.4, 4.6, 4.9).

use crate::support::talk::{SECOND, Said, Talk, ack, from_broker, id, message, options};
use bytes::BytesMut;
use tty2mqtt::mqtt::fifo::Fifo;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{
    Ack, Packet, Properties, Property, Reason, Subscription, Varint, Version,
};
use tty2mqtt::mqtt::session::Options;
use tty2mqtt::mqtt::source::{Outcome, Source};
use tty2mqtt::mqtt::topic::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn mqtt_2_2_1_3_a_new_packet_has_an_identifier_that_is_not_in_use() {
    let mut talk = Talk::new(Options { inflight: 10, ..options() });
    talk.connect(false, Vec::new()).unwrap();
    talk.publish("a", AtLeastOnce);
    talk.publish("b", ExactlyOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 1", "PUBLISH b 2"]);
    talk.say(ack(Packet::PubRec, 2)).unwrap();
    assert_eq!(talk.hears(), ["PUBREL 2"]);
    // Far more messages than there are identifiers: those two stay in use.
    for n in 0..70_000 {
        talk.publish("c", AtLeastOnce);
        let [Packet::Publish(publish)] = &talk.hear()[..] else { panic!("{n}") };
        let number = publish.id.unwrap().get();
        assert!(number > 2, "{number} is in use");
        talk.say(ack(Packet::PubAck, number)).unwrap();
    }
}

#[test]
fn mqtt_3_2_2_11_no_qos_above_the_brokers_maximum() {
    for (maximum, expected) in [(0, AtMostOnce), (1, AtLeastOnce)] {
        let mut talk = Talk::up(vec![Property::MaximumQos(maximum)]);
        talk.publish("a", ExactlyOnce);
        let [Packet::Publish(publish)] = &talk.hear()[..] else { panic!() };
        assert_eq!(publish.qos, expected);
    }
}

#[test]
fn mqtt_3_2_2_14_nothing_to_be_kept_where_the_broker_keeps_nothing() {
    let mut talk = Talk::up(vec![Property::RetainAvailable(false)]);
    talk.outbox.push(Message { retain: true, ..message("t", "a", AtMostOnce) });
    let [Packet::Publish(publish)] = &talk.hear()[..] else { panic!() };
    assert!(!publish.retain);
}

#[test]
fn mqtt_3_3_1_1_what_is_sent_again_has_dup() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", AtLeastOnce);
    talk.publish("b", ExactlyOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 1", "PUBLISH b 2"]);
    talk.again();
    assert_eq!(talk.hears(), ["PUBLISH a 1 dup", "PUBLISH b 2 dup"]);
}

#[test]
fn mqtt_3_3_4_6_a_message_of_ours_has_no_subscription_identifier() {
    let mut talk = Talk::up(Vec::new());
    let received = Properties(vec![
        Property::ContentType("text".into()),
        Property::SubscriptionId(Varint(7)),
        Property::TopicAlias(9),
    ]);
    // As when one passes on what came in.
    let passed_on = Message { properties: Some(received.into()), ..message("t", "a", AtMostOnce) };
    talk.outbox.push(passed_on);
    let [Packet::Publish(publish)] = &talk.hear()[..] else { panic!() };
    assert_eq!(publish.properties.0, [Property::ContentType("text".into())]);
}

#[test]
fn mqtt_3_3_4_9_a_full_window_holds_up_messages_only() {
    let mut talk = Talk::up(vec![Property::ReceiveMaximum(1)]);
    talk.publish("a", AtLeastOnce);
    talk.publish("b", AtLeastOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 1"]);
    talk.session
        .subscribe(vec![Subscription::new("t".parse().unwrap(), AtMostOnce)], &Properties::NONE);
    talk.say(from_broker("c", AtLeastOnce, 5).into()).unwrap();
    talk.takes();
    assert_eq!(talk.hears(), ["PUBACK 5", "SUBSCRIBE 2"]);
}

#[test]
fn mqtt_4_3_1_1_qos_0_is_sent_once_without_dup() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", AtMostOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 0"]);
    talk.again();
    assert!(talk.hears().is_empty());
}

#[test]
fn mqtt_4_3_2_1_qos_1_of_a_sender() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", AtLeastOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 1"]);
    // Unacknowledged until PUBACK comes.
    talk.again();
    assert_eq!(talk.hears(), ["PUBLISH a 1 dup"]);
    talk.say(ack(Packet::PubAck, 1)).unwrap();
    talk.again();
    assert!(talk.hears().is_empty());
    assert!(talk.outbox.is_empty());
}

#[test]
fn mqtt_4_3_3_1_qos_2_of_a_sender() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", ExactlyOnce);
    assert_eq!(talk.hears(), ["PUBLISH a 1"]);
    talk.say(ack(Packet::PubRec, 1)).unwrap();
    assert_eq!(talk.hears(), ["PUBREL 1"]);
    // Never again the message once PUBREL was sent.
    for _ in 0..3 {
        talk.again();
        assert_eq!(talk.hears(), ["PUBREL 1"]);
    }
    talk.say(ack(Packet::PubComp, 1)).unwrap();
    talk.again();
    assert!(talk.hears().is_empty());
}

#[test]
fn mqtt_4_3_3_7_a_message_that_was_sent_does_not_expire() {
    let mut talk = Talk::up(Vec::new());
    let expiry = Properties(vec![Property::MessageExpiry(1)]);
    talk.outbox.push(Message { properties: Some(expiry.into()), ..message("t", "a", ExactlyOnce) });
    assert_eq!(talk.hears(), ["PUBLISH a 1"]);
    talk.now += 5 * SECOND;
    talk.again();
    assert_eq!(talk.hears(), ["PUBLISH a 1 dup"]);
    talk.say(ack(Packet::PubRec, 1)).unwrap();
    assert_eq!(talk.hears(), ["PUBREL 1"]);
}

#[test]
fn mqtt_4_4_0_1_nothing_is_repeated_while_the_link_stands() {
    let mut talk = Talk::up(Vec::new());
    talk.publish("a", AtLeastOnce);
    talk.publish("b", ExactlyOnce);
    talk.hear();
    for _ in 0..100 {
        talk.now += SECOND;
        let _ = talk.session.timeout(talk.now);
        assert!(!talk.hears().iter().any(|said| said.starts_with("PUB")));
    }
}

#[test]
fn mqtt_4_4_0_2_what_is_refused_is_not_repeated() {
    let refusal = || Ack::new(id(1), Reason::NOT_AUTHORIZED);
    for (answer, qos) in
        [(Packet::PubAck(refusal()), AtLeastOnce), (Packet::PubRec(refusal()), ExactlyOnce)]
    {
        let mut talk = Talk::up(Vec::new());
        talk.publish("a", qos);
        talk.hear();
        talk.say(Said(answer)).unwrap();
        assert!(talk.hears().is_empty());
        talk.again();
        assert!(talk.hears().is_empty());
        assert!(talk.outbox.is_empty());
    }
}

#[test]
fn mqtt_4_4_0_2_what_is_not_taken_now_goes_as_a_new_message_later() {
    for reason in
        [Reason::QUOTA_EXCEEDED, Reason::UNSPECIFIED_ERROR, Reason::IMPLEMENTATION_SPECIFIC_ERROR]
    {
        let mut talk = Talk::up(Vec::new());
        for (text, qos) in [("a", AtLeastOnce), ("b", ExactlyOnce), ("c", AtLeastOnce)] {
            talk.publish(text, qos);
        }
        assert_eq!(talk.hears(), ["PUBLISH a 1", "PUBLISH b 2", "PUBLISH c 3"]);
        talk.say(Said(Packet::PubRec(Ack::new(id(2), reason)))).unwrap();
        talk.say(Said(Packet::PubAck(Ack::new(id(1), reason)))).unwrap();
        talk.say(ack(Packet::PubAck, 3)).unwrap();
        talk.publish("d", AtLeastOnce);
        assert!(talk.hears().is_empty(), "the broker has a rest");
        talk.again();
        assert!(talk.hears().is_empty(), "over a reconnect, too");
        let due = talk.outbox.deadline().unwrap();
        assert!(due >= talk.now + SECOND / 2 && due <= talk.now + SECOND);
        talk.outbox.tick(due);
        // In their old order, under new identifiers and without DUP.
        assert_eq!(talk.hears(), ["PUBLISH a 4", "PUBLISH b 5", "PUBLISH d 6"]);
        assert_eq!(talk.outbox.counts().refused, 0);
    }
}

#[test]
fn what_is_never_taken_is_given_up_after_ten_tries() {
    let mut talk = Talk::up(Vec::new());
    let start = talk.now;
    talk.publish("a", AtLeastOnce);
    talk.publish("b", AtLeastOnce);
    for n in 0..10 {
        assert_eq!(talk.outbox.counts().refused, 0, "after {n}");
        for packet in talk.hear() {
            let Packet::Publish(publish) = packet else { panic!("{packet}") };
            let answer = Ack::new(publish.id.unwrap(), Reason::QUOTA_EXCEEDED);
            talk.say(Said(Packet::PubAck(answer))).unwrap();
        }
        if let Some(due) = talk.outbox.deadline() {
            assert!(due <= talk.now + 60 * SECOND);
            talk.now = due;
            talk.outbox.tick(due);
        }
    }
    assert!(talk.now >= start + 120 * SECOND, "a minute over the quota costs nothing");
    assert_eq!(talk.outbox.counts().refused, 2);
    assert!(talk.outbox.is_empty() && talk.hears().is_empty());
    // Nobody waits for a minute behind a broker that takes messages again.
    talk.publish("c", AtLeastOnce);
    talk.publish("d", AtLeastOnce);
    assert_eq!(talk.hears(), ["PUBLISH c 21", "PUBLISH d 22"]);
    talk.say(ack(Packet::PubAck, 21)).unwrap();
    talk.say(Said(Packet::PubAck(Ack::new(id(22), Reason::QUOTA_EXCEEDED)))).unwrap();
    assert!(talk.outbox.deadline().unwrap() <= talk.now + SECOND);
}

#[test]
fn who_waits_for_the_answer_hears_a_refusal_at_once() {
    let mut talk = Talk::up(Vec::new());
    let mut queue = Fifo::default();
    queue.try_once();
    let message = queue.push(message("t", "a", AtLeastOnce));
    talk.session.send(&mut queue);
    let mut answer = BytesMut::new();
    let refused = Packet::PubAck(Ack::new(id(1), Reason::QUOTA_EXCEEDED));
    refused.encode(&mut answer, Version::V5);
    talk.session.receive(&mut answer, &mut queue, talk.now).unwrap();
    let outcome = Outcome::Refused(Reason::QUOTA_EXCEEDED);
    assert_eq!(queue.outcome(), Some((message, outcome)));
    assert!(queue.is_empty());
}

#[test]
fn mqtt_4_6_0_1_messages_are_repeated_in_their_order() {
    let mut talk = Talk::up(Vec::new());
    let qos = [AtLeastOnce, ExactlyOnce, AtLeastOnce, ExactlyOnce, AtLeastOnce];
    for (text, qos) in ["a", "b", "c", "d", "e"].into_iter().zip(qos) {
        talk.publish(text, qos);
    }
    talk.hear();
    talk.say(ack(Packet::PubAck, 3)).unwrap();
    talk.again();
    let expected = ["PUBLISH a 1 dup", "PUBLISH b 2 dup", "PUBLISH d 4 dup", "PUBLISH e 5 dup"];
    assert_eq!(talk.hears(), expected);
}

#[test]
fn mqtt_4_6_0_4_pubrel_goes_in_the_order_of_pubrec() {
    let mut talk = Talk::up(Vec::new());
    for text in ["a", "b", "c"] {
        talk.publish(text, ExactlyOnce);
    }
    talk.hear();
    for number in [3, 1, 2] {
        talk.say(ack(Packet::PubRec, number)).unwrap();
    }
    assert_eq!(talk.hears(), ["PUBREL 3", "PUBREL 1", "PUBREL 2"]);
    talk.again();
    assert_eq!(talk.hears(), ["PUBREL 3", "PUBREL 1", "PUBREL 2"]);
}

#[test]
fn mqtt_4_9_0_1_no_more_messages_at_once_than_the_broker_takes() {
    let mut talk = Talk::up(vec![Property::ReceiveMaximum(2)]);
    for text in ["a", "b", "c"] {
        talk.publish(text, ExactlyOnce);
    }
    assert_eq!(talk.hears(), ["PUBLISH a 1", "PUBLISH b 2"]);
    // PUBREC does not end it, PUBCOMP does.
    talk.say(ack(Packet::PubRec, 1)).unwrap();
    assert_eq!(talk.hears(), ["PUBREL 1"]);
    talk.say(ack(Packet::PubComp, 1)).unwrap();
    assert_eq!(talk.hears(), ["PUBLISH c 3"]);
    // The next link begins with all of it.
    talk.connect(true, vec![Property::ReceiveMaximum(1)]).unwrap();
    assert_eq!(talk.hears(), ["PUBLISH b 2 dup"]);
}

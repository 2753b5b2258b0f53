//! Dialogues between the session and a broker, one for each rule that a client must keep. Numbers
//! are sections of MQTT 3.1.1.

use crate::support::talk::{SECOND, Said, Talk, message};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tty2mqtt::mqtt::packet::{Ack, ConnAck, Disconnect, Packet, PacketId, Properties};
use tty2mqtt::mqtt::packet::{Pair, Property, Publish, Reason, SubAck, Subscription, Version};
use tty2mqtt::mqtt::session::{Clean, Ending, Event, Options, SessionError};
use tty2mqtt::mqtt::source::Source;
use tty2mqtt::mqtt::topic::{Qos, TopicFilter};
use tty2mqtt::testing::base::scalar::Size;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

impl Talk {
    fn with(clean: bool, inflight: u16, filters: &[&str]) -> Talk {
        let clean = if clean { Clean::Always } else { Clean::Never };
        let mut talk = Talk::new(Options { clean, inflight, ..options() });
        let wanted = |filter: &&str| Subscription::new(filter.parse().unwrap(), Qos::AtLeastOnce);
        talk.session.subscribe(filters.iter().map(wanted).collect(), &Properties::NONE);
        talk
    }

    /// Connected, with what was said so far forgotten.
    fn connected(clean: bool, inflight: u16) -> Talk {
        let mut talk = Talk::with(clean, inflight, &[]);
        talk.reconnect(false);
        talk
    }

    fn reconnect(&mut self, session_present: bool) {
        self.connect(session_present, Vec::new()).unwrap();
        let answer = ConnAck::new(session_present, Reason::SUCCESS);
        assert_eq!(self.session.event(), Some(Event::Connected(answer)));
    }

    /// Connected with a keepalive.
    fn kept_alive(keepalive: Duration) -> Talk {
        let mut talk = Talk::new(Options { clean: Clean::Always, keepalive, ..options() });
        talk.reconnect(false);
        talk
    }

    /// Time passes; a deadline that came is told.
    fn waits(&mut self, time: Duration) -> Result<(), SessionError> {
        self.now += time;
        match self.session.deadline() {
            Some(due) if due <= self.now => self.session.timeout(self.now),
            _ => Ok(()),
        }
    }

    /// The link takes the next bytes of the output.
    fn writes(&mut self, n: usize) {
        self.session.wrote(n, self.now);
    }

    /// `payload:id` of each message that the client sends now, with `!` for DUP.
    fn publishes(&mut self) -> Vec<String> {
        let packets = self.hear().into_iter().map(|packet| match packet {
            Packet::Publish(Publish { payload, id, dup, .. }) => {
                let dup = if dup { "!" } else { "" };
                let id = id.map_or(0, PacketId::get);
                format!("{}:{id}{dup}", String::from_utf8(payload.to_vec()).unwrap())
            }
            other => panic!("{other}"),
        });
        packets.collect()
    }

    fn ack(&mut self, id: u16) {
        self.say(Said(Packet::PubAck(ack(id)))).unwrap();
    }
}

/// MQTT 3.1.1, a minute of keepalive, ten messages in flight.
fn options() -> Options {
    Options {
        client_id: "router".into(),
        version: Some(Version::V311),
        inflight: 10,
        ..Options::default()
    }
}

/// From the broker; QoS 1 if it has an identifier.
fn publish(topic: &str, payload: impl Into<Bytes>, id: u16) -> Publish {
    Publish {
        topic: Some(topic.parse().unwrap()),
        payload: payload.into(),
        qos: if id > 0 { Qos::AtLeastOnce } else { Qos::AtMostOnce },
        id: PacketId::new(id),
        dup: false,
        retain: false,
        properties: Properties::NONE,
    }
}

fn ack(id: u16) -> Ack {
    Ack::new(PacketId::new(id).unwrap(), Reason::SUCCESS)
}

fn suback(id: u16, filters: usize) -> Packet {
    let reasons = vec![Reason::GRANTED_QOS_1; filters];
    let properties = Properties::NONE;
    Packet::SubAck(SubAck { id: PacketId::new(id).unwrap(), reasons, properties })
}

#[test]
fn what_is_unacknowledged_is_sent_again_with_dup_and_before_anything_new_4_4() {
    let mut talk = Talk::connected(false, 10);
    for text in ["a", "b", "c"] {
        talk.publish(text, Qos::AtLeastOnce);
    }
    assert_eq!(talk.publishes(), ["a:1", "b:2", "c:3"]);
    talk.ack(2);
    talk.publish("d", Qos::AtLeastOnce);
    talk.reconnect(true);
    assert_eq!(talk.publishes(), ["a:1!", "c:3!", "d:4"]);
}

#[test]
fn a_lost_session_gets_all_of_it_anew_without_dup() {
    let mut talk = Talk::connected(false, 10);
    for text in ["a", "b"] {
        talk.publish(text, Qos::AtLeastOnce);
    }
    assert_eq!(talk.publishes(), ["a:1", "b:2"]);
    talk.reconnect(false);
    assert_eq!(talk.publishes(), ["a:1", "b:2"]);
    talk.ack(1);
    talk.ack(2);
    assert!(talk.outbox.is_empty());
}

#[test]
fn a_link_that_breaks_again_and_again_loses_nothing() {
    let mut talk = Talk::connected(false, 10);
    for text in ["a", "b", "c"] {
        talk.publish(text, Qos::AtLeastOnce);
    }
    talk.publishes();
    for _ in 0..3 {
        talk.reconnect(true);
        talk.session.disconnected(Ending::Other);
    }
    talk.reconnect(true);
    assert_eq!(talk.publishes(), ["a:1!", "b:2!", "c:3!"]);
}

#[test]
fn identifiers_in_use_are_not_given_out_again_2_3_1() {
    let mut talk = Talk::connected(true, u16::MAX);
    talk.publish("stuck", Qos::AtLeastOnce);
    assert_eq!(talk.publishes(), ["stuck:1"]);
    for n in 0..70_000_u32 {
        talk.publish("x", Qos::AtLeastOnce);
        let [Packet::Publish(publish)] = &talk.hear()[..] else { panic!("one message") };
        let id = publish.id.unwrap().get();
        assert_ne!(id, 1, "after {n} messages");
        talk.ack(id);
    }
}

#[test]
fn a_small_full_window_answers_each_acknowledgement_with_a_message() {
    let mut talk = Talk::connected(true, 4);
    for text in ["a", "b", "c", "d", "e", "f"] {
        talk.publish(text, Qos::AtLeastOnce);
    }
    assert_eq!(talk.publishes(), ["a:1", "b:2", "c:3", "d:4"]);
    talk.ack(1);
    assert_eq!(talk.publishes(), ["e:5"]);
    talk.ack(2);
    assert_eq!(talk.publishes(), ["f:6"]);
}

#[test]
fn a_large_full_window_waits_and_goes_on_when_half_is_free() {
    let mut talk = Talk::connected(true, 50);
    for _ in 0..300 {
        talk.publish("x", Qos::AtLeastOnce);
    }
    assert_eq!(talk.publishes().len(), 50);
    for id in 1..25 {
        talk.ack(id);
        assert!(talk.publishes().is_empty());
    }
    talk.ack(25);
    assert_eq!(talk.publishes().len(), 25);
}

#[test]
fn own_traffic_does_not_hide_a_dead_peer_3_1_2_10() {
    let mut talk = Talk::connected(true, 10);
    for _ in 0..60 {
        talk.now += SECOND;
        talk.publish("x", Qos::AtMostOnce);
        assert_eq!(talk.publishes(), ["x:0"]);
        talk.session.timeout(talk.now).unwrap();
    }
    assert_eq!(talk.hear(), [Packet::PingReq], "nothing came for a minute");
}

#[test]
fn inbound_traffic_does_not_spare_the_broker_our_sign_of_life() {
    let mut talk = Talk::connected(true, 10);
    talk.now += 59 * SECOND;
    let publish = publish("t", "x", 0);
    talk.say(Said(Packet::Publish(publish))).unwrap();
    talk.now += SECOND;
    talk.session.timeout(talk.now).unwrap();
    assert_eq!(talk.hear(), [Packet::PingReq]);
}

#[test]
fn a_missing_pingresp_ends_the_link_ten_seconds_after_the_ping_was_written() {
    let mut talk = Talk::connected(true, 10);
    talk.now += 60 * SECOND;
    assert_eq!(talk.session.deadline(), Some(talk.now));
    talk.session.timeout(talk.now).unwrap();
    assert_eq!(talk.session.deadline(), None, "a ping that is not written yet has no deadline");
    talk.now += 5 * SECOND;
    assert_eq!(talk.hear(), [Packet::PingReq]);
    // One ping at a time, whatever else happens.
    talk.now += 9 * SECOND;
    talk.session.timeout(talk.now).unwrap();
    assert!(talk.hear().is_empty());
    talk.now += SECOND;
    let error = talk.session.timeout(talk.now).unwrap_err();
    assert_eq!(error, SessionError::NoPingResp);
}

#[test]
fn a_pingresp_is_good_for_another_interval() {
    let mut talk = Talk::connected(true, 10);
    for _ in 0..3 {
        talk.now += 60 * SECOND;
        talk.session.timeout(talk.now).unwrap();
        assert_eq!(talk.hear(), [Packet::PingReq]);
        talk.say(Said(Packet::PingResp)).unwrap();
    }
}

#[test]
fn a_broker_that_never_answers_connect_is_given_up() {
    let mut talk = Talk::with(true, 10, &[]);
    talk.session.connect(talk.now).unwrap();
    let due = talk.session.deadline().unwrap();
    assert_eq!(due, talk.now + 10 * SECOND);
    assert_eq!(talk.session.timeout(due), Err(SessionError::NoConnAck));
}

#[test]
fn a_broker_that_leaves_version_5_unanswered_twice_is_asked_in_3_1_1() {
    let mut talk = Talk::new(Options { version: None, ..options() });
    for expected in [Version::V5, Version::V5, Version::V311] {
        talk.session.connect(talk.now).unwrap();
        let said = talk.hear();
        assert!(matches!(&said[..], [Packet::Connect(it)] if it.version == expected), "{said:?}");
        assert_eq!(talk.waits(10 * SECOND), Err(SessionError::NoConnAck));
        talk.session.disconnected(Ending::Other);
    }
}

#[test]
fn a_broker_that_takes_qos_2_as_qos_1_has_the_message() {
    let mut talk = Talk::connected(true, 10);
    talk.publish("a", Qos::ExactlyOnce);
    talk.hear();
    talk.ack(1);
    assert!(talk.outbox.is_empty());
    assert_eq!(talk.session.stray_acks(), 0);
    // With PUBREC it is settled that the broker knows QoS 2.
    talk.publish("b", Qos::ExactlyOnce);
    talk.hear();
    talk.say(Said(Packet::PubRec(ack(2)))).unwrap();
    talk.ack(2);
    assert_eq!(talk.outbox.messages(), 1);
    assert_eq!(talk.session.stray_acks(), 1);
}

#[test]
fn a_refusal_says_whether_somebody_must_change_a_setting() {
    for (why, needs_operator) in [
        (Reason::SERVER_UNAVAILABLE, false),
        (Reason::BAD_USER_NAME_OR_PASSWORD, true),
        (Reason::NOT_AUTHORIZED, true),
        (Reason::CLIENT_IDENTIFIER_NOT_VALID, true),
    ] {
        let mut talk = Talk::with(true, 10, &[]);
        talk.session.connect(talk.now).unwrap();
        let answer = ConnAck::new(false, why);
        let error = talk.say(Said(Packet::ConnAck(answer.clone()))).unwrap_err();
        assert_eq!(error, SessionError::Refused(answer));
        assert_eq!(error.needs_operator(), needs_operator);
    }
}

#[test]
fn nothing_is_sent_before_connack() {
    let mut talk = Talk::with(true, 10, &[]);
    talk.publish("x", Qos::AtLeastOnce);
    talk.session.connect(talk.now).unwrap();
    assert!(matches!(talk.hear()[..], [Packet::Connect(_)]));
    assert!(talk.hear().is_empty());
}

#[test]
fn subscriptions_are_made_at_each_connect_and_their_refusal_is_told() {
    let mut talk = Talk::with(false, 10, &["a/#", "b"]);
    for session_present in [false, true] {
        talk.session.disconnected(Ending::Other);
        talk.session.connect(talk.now).unwrap();
        talk.hear();
        talk.say(Said(Packet::ConnAck(ConnAck::new(session_present, Reason::SUCCESS)))).unwrap();
        talk.session.event();
        let [Packet::Subscribe(subscribe)] = &talk.hear()[..] else { panic!("no SUBSCRIBE") };
        assert_eq!(subscribe.filters.len(), 2);
        let reasons = vec![Reason::GRANTED_QOS_1, Reason::UNSPECIFIED_ERROR];
        let (id, properties) = (subscribe.id, Properties::NONE);
        talk.say(Said(Packet::SubAck(SubAck { id, reasons, properties }))).unwrap();
        let granted = |event: Option<Event>| match event {
            Some(Event::Subscribed { granted, .. }) => granted,
            other => panic!("{other:?}"),
        };
        assert_eq!(granted(talk.session.event()), Ok(Qos::AtLeastOnce));
        assert_eq!(granted(talk.session.event()), Err(Reason::UNSPECIFIED_ERROR));
    }
}

#[test]
fn a_message_is_acknowledged_when_it_was_taken_and_not_before() {
    let mut talk = Talk::connected(true, 10);
    let publish = publish("relay", "on", 7);
    talk.say(Said(Packet::Publish(publish))).unwrap();
    assert!(talk.hear().is_empty());
    assert!(matches!(talk.session.event(), Some(Event::Message(_))));
    assert_eq!(talk.hear(), [Packet::PubAck(ack(7))]);
}

#[test]
fn a_message_too_large_is_passed_over_acknowledged_and_told() {
    let mut talk = Talk::connected(true, 10);
    let mut wire = BytesMut::new();
    for size in [1 << 20, 1] {
        let publish = publish("big", vec![b'x'; size], 3);
        Packet::Publish(publish).encode(&mut wire, Version::V311);
    }
    // In pieces, as it comes from a socket.
    let mut input = BytesMut::new();
    while !wire.is_empty() {
        let n = wire.len().min(4096);
        input.unsplit(wire.split_to(n));
        talk.session.receive(&mut input, &mut talk.outbox, talk.now).unwrap();
        assert!(input.len() < 300_000, "it is not held in memory");
    }
    let expected = Event::Oversize {
        topic: "big".into(),
        qos: Qos::AtLeastOnce,
        bytes: 1 << 20,
        start: vec![b'x'; 1024].into(),
    };
    assert_eq!(talk.session.event(), Some(expected));
    assert!(matches!(talk.session.event(), Some(Event::Message(_))));
    assert_eq!(talk.hear().len(), 2, "both are acknowledged");
}

#[test]
fn an_acknowledgement_of_nothing_is_ignored() {
    let mut talk = Talk::connected(true, 10);
    talk.ack(99);
    talk.publish("a", Qos::AtLeastOnce);
    assert_eq!(talk.publishes(), ["a:1"]);
}

#[test]
fn nothing_behind_a_violation_is_handled() {
    let mut talk = Talk::connected(true, 10);
    talk.publish("a", Qos::AtLeastOnce);
    talk.publishes();
    let mut wire = BytesMut::from(&b"\xF0\x00"[..]);
    Packet::PubAck(ack(1)).encode(&mut wire, Version::V311);
    let result = talk.session.receive(&mut wire, &mut talk.outbox, talk.now);
    assert!(result.is_err());
    assert_eq!(talk.outbox.messages(), 1, "the acknowledgement behind it does not count");
}

#[test]
fn a_second_connack_or_a_clients_packet_is_a_violation() {
    for packet in [
        Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS)),
        Packet::PingReq,
        Packet::Disconnect(Disconnect::new(Reason::SUCCESS)),
    ] {
        let mut talk = Talk::connected(true, 10);
        assert!(matches!(talk.say(Said(packet)), Err(SessionError::Protocol(..))));
    }
}

#[test]
fn the_output_is_bounded_while_the_link_takes_nothing() {
    let mut talk = Talk::connected(true, 10);
    for _ in 0..2000 {
        talk.publish(&"x".repeat(1000), Qos::AtMostOnce);
    }
    talk.session.send(&mut talk.outbox);
    let len = talk.session.output().len();
    assert!(len < 70 * 1024, "{len}");
}

#[test]
fn only_connack_may_come_first() {
    for packet in [Packet::PingResp, Packet::PubAck(ack(1)), suback(1, 1)] {
        let mut talk = Talk::with(true, 10, &[]);
        talk.session.connect(talk.now).unwrap();
        let text = packet.to_string();
        assert!(matches!(talk.say(Said(packet)), Err(SessionError::Protocol(..))), "{text}");
    }
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_answers_nothing_and_loses_nothing() {
    let mut talk = Talk::with(false, 10, &["cmd"]);
    talk.reconnect(false);
    talk.publish("a", Qos::AtLeastOnce);
    assert_eq!(talk.hear().len(), 2);
    // A PUBACK for the SUBSCRIBE: its SUBACK is awaited all the same.
    talk.ack(1);
    assert_eq!(talk.session.stray_acks(), 1);
    talk.say(Said(suback(1, 1))).unwrap();
    // A SUBACK for the message ends the link, and the message goes again.
    assert!(matches!(talk.say(Said(suback(2, 1))), Err(SessionError::Protocol(..))));
    talk.reconnect(true);
    assert!(matches!(
        talk.hear()[..],
        [Packet::Subscribe(_), Packet::Publish(Publish { dup: true, .. })]
    ));
}

#[test]
fn stray_acknowledgements_and_requeued_messages_are_counted() {
    let mut talk = Talk::connected(false, 10);
    for text in ["a", "b", "c"] {
        talk.publish(text, Qos::AtLeastOnce);
    }
    talk.publishes();
    for id in [1, 1, 77] {
        talk.ack(id);
    }
    talk.reconnect(false);
    assert_eq!(talk.session.stray_acks(), 2);
    assert_eq!(talk.outbox.counts().requeued, 2);
}

#[test]
fn filters_are_given_up_with_the_properties_of_their_call() {
    let mut talk = Talk::new(Options { version: Some(Version::V5), ..options() });
    talk.reconnect(false);
    let why = |text: &str| {
        Properties::from_iter([Property::UserProperty(Pair("why".into(), text.to_owned()))])
    };
    let filter = |text: &str| text.parse::<TopicFilter>().unwrap();
    talk.session.unsubscribe(vec![filter("a"), filter("b")], &why("moved"));
    talk.session.unsubscribe(vec![filter("c")], &Properties::NONE);
    let said = talk.hear().into_iter().map(|packet| match packet {
        Packet::Unsubscribe(unsubscribe) => (unsubscribe.filters, unsubscribe.properties),
        other => panic!("{other}"),
    });
    let expected =
        [(vec![filter("a"), filter("b")], why("moved")), (vec![filter("c")], Properties::NONE)];
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[test]
fn the_largest_window_leaves_identifiers_for_subscriptions() {
    let bounds = OutboxBounds {
        messages: 100_000,
        bytes: Size::from_bytes(64 << 20),
        ..OutboxBounds::default()
    };
    let mut talk = Talk::with(false, u16::MAX, &["cmd"]);
    talk.outbox = Outbox::new(&bounds);
    talk.reconnect(false);
    for _ in 0..70_000 {
        talk.publish("x", Qos::AtLeastOnce);
    }
    while !talk.hear().is_empty() {}
    talk.reconnect(true);
    assert!(matches!(talk.hear()[0], Packet::Subscribe(_)));
}

#[test]
fn unanswered_subscriptions_hold_no_identifier_over_a_reconnect() {
    let mut talk = Talk::with(false, 10, &["cmd"]);
    for _ in 0..66_000 {
        talk.session.disconnected(Ending::Other);
        talk.session.connect(talk.now).unwrap();
        talk.writes(usize::MAX);
        let answer = ConnAck::new(true, Reason::SUCCESS);
        talk.say(Said(Packet::ConnAck(answer))).unwrap();
        talk.session.send(&mut talk.outbox);
        assert!(!talk.session.output().is_empty(), "no SUBSCRIBE");
    }
}

#[test]
fn the_deadline_of_a_ping_counts_from_the_end_of_its_write() {
    let mut talk = Talk::kept_alive(60 * SECOND);
    talk.waits(60 * SECOND).unwrap();
    talk.now += 5 * SECOND;
    talk.writes(1);
    assert_eq!(talk.session.deadline(), None, "half of PINGREQ is no ping");
    talk.now += 5 * SECOND;
    talk.writes(1);
    assert_eq!(talk.session.deadline(), Some(talk.now + 10 * SECOND));
}

#[test]
fn a_ping_finds_room_behind_a_full_output() {
    let mut talk = Talk::kept_alive(60 * SECOND);
    for _ in 0..100 {
        talk.publish(&"x".repeat(1000), Qos::AtMostOnce);
    }
    talk.session.send(&mut talk.outbox);
    for _ in 0..2 {
        talk.waits(60 * SECOND).unwrap();
        let output = talk.session.output();
        assert!(output.ends_with(b"\xC0\x00") && !output.ends_with(b"\xC0\x00\xC0\x00"));
    }
}

#[test]
fn a_ping_has_no_more_time_than_the_keepalive() {
    let mut talk = Talk::kept_alive(5 * SECOND);
    talk.waits(5 * SECOND).unwrap();
    assert_eq!(talk.hear(), [Packet::PingReq]);
    assert_eq!(talk.waits(5 * SECOND), Err(SessionError::NoPingResp));
}

#[test]
fn a_keepalive_of_0_means_no_pings_3_1_2_10() {
    let mut talk = Talk::kept_alive(Duration::ZERO);
    assert_eq!(talk.session.deadline(), None);
    assert_eq!(talk.waits(3600 * SECOND), Ok(()));
    assert_eq!(talk.hear(), []);
}

#[test]
fn a_lost_acknowledgement_ends_the_link_and_the_message_goes_again_4_4() {
    let mut talk = Talk::connected(false, 10);
    for text in ["a", "b"] {
        talk.publish(text, Qos::AtLeastOnce);
    }
    talk.publishes();
    talk.ack(2);
    let mut ended = Ok(());
    // Pings are answered all the time: the broker is there, and nobody would notice.
    for _ in 0..61 {
        ended = talk.waits(SECOND);
        if ended.is_err() {
            break;
        }
        if talk.hear() == [Packet::PingReq] {
            talk.say(Said(Packet::PingResp)).unwrap();
        }
    }
    assert_eq!(ended, Err(SessionError::NoAnswer));
    talk.reconnect(true);
    assert_eq!(talk.publishes(), ["a:1!"]);
}

#[test]
fn the_time_for_an_acknowledgement_starts_when_its_packet_was_written() {
    let mut talk = Talk::kept_alive(3600 * SECOND);
    talk.publish(&"x".repeat(200), Qos::AtLeastOnce);
    talk.session.send(&mut talk.outbox);
    // A slow link takes a byte a second.
    while !talk.session.output().is_empty() {
        assert_eq!(talk.waits(SECOND), Ok(()));
        talk.writes(1);
    }
    assert_eq!(talk.waits(59 * SECOND), Ok(()));
    assert_eq!(talk.waits(SECOND), Err(SessionError::NoAnswer));
}

#[test]
fn the_round_trip_is_from_the_write_of_a_packet_to_its_answer() {
    let mut talk = Talk::connected(true, 10);
    assert_eq!(talk.session.round_trip(), None);
    talk.publish("a", Qos::AtLeastOnce);
    talk.session.send(&mut talk.outbox);
    // A stuck write is no doing of the broker's.
    talk.waits(SECOND).unwrap();
    talk.publish("b", Qos::AtLeastOnce);
    assert_eq!(talk.publishes(), ["a:1", "b:2"]);
    talk.waits(2 * SECOND).unwrap();
    talk.ack(2);
    assert_eq!(talk.session.round_trip(), None);
    talk.waits(3 * SECOND).unwrap();
    talk.ack(1);
    assert_eq!(talk.session.round_trip(), Some(5 * SECOND));
    talk.publish("c", Qos::AtLeastOnce);
    talk.hear();
    talk.waits(SECOND / 2).unwrap();
    assert_eq!(talk.session.round_trip(), Some(5 * SECOND));
    talk.ack(3);
    assert_eq!(talk.session.round_trip(), Some(SECOND / 2));
    talk.reconnect(false);
    assert_eq!(talk.session.round_trip(), None);
}

#[test]
fn a_broker_that_talks_and_does_not_listen_is_not_listened_to() {
    let mut talk = Talk::connected(true, 10);
    let publish = publish("t", "x", 1);
    let mut taken = 0;
    while talk.session.wants_input() {
        talk.say(Said(Packet::Publish(publish.clone()))).unwrap();
        while talk.session.event().is_some() {}
        taken += 1;
        assert!(taken < 100_000, "acknowledgements pile up without end");
    }
    let n = talk.session.output().len();
    talk.writes(n);
    assert!(talk.session.wants_input());
}

#[test]
fn disconnect_is_the_last_word_3_14_4() {
    let mut talk = Talk::connected(true, 10);
    talk.session.disconnect(Reason::SUCCESS);
    talk.publish("late", Qos::AtMostOnce);
    assert_eq!(talk.hear(), [Packet::Disconnect(Disconnect::new(Reason::SUCCESS))]);
}

#[test]
fn the_birth_message_goes_before_a_backlog_and_is_not_repeated() {
    let mut talk = Talk::connected(false, 10);
    talk.publish("backlog", Qos::AtLeastOnce);
    talk.outbox.push_first(message("t", "online", Qos::AtLeastOnce));
    assert_eq!(talk.publishes(), ["online:1", "backlog:2"]);
    talk.reconnect(true);
    talk.outbox.push_first(message("t", "online", Qos::AtLeastOnce));
    assert_eq!(talk.publishes(), ["backlog:2!", "online:3"]);
}

#[test]
fn an_identifier_that_we_gave_is_never_replaced() {
    let assigned = |client_id: &str, by_broker: &str| {
        let options = Options { client_id: client_id.into(), clean: Clean::Never, ..options() };
        let mut talk = Talk::new(Options { version: Some(Version::V5), ..options });
        let mut ids = Vec::new();
        for _ in 0..2 {
            talk.session.connect(talk.now).unwrap();
            let [Packet::Connect(connect)] = &talk.hear()[..] else { panic!("no CONNECT") };
            ids.push(connect.client_id.clone());
            let properties = Properties(vec![Property::AssignedClientId(by_broker.into())]);
            let answer = ConnAck { properties, ..ConnAck::new(false, Reason::SUCCESS) };
            talk.say(Said(Packet::ConnAck(answer))).unwrap();
            talk.session.disconnected(Ending::HangUp);
        }
        ids
    };
    assert_eq!(assigned("mine", "evil"), ["mine", "mine"]);
    assert_eq!(assigned("", "made-up"), ["", "made-up"]);
}

#[test]
fn a_return_code_that_brokers_give_for_two_things_names_both_remedies() {
    let told = |code: u8| {
        let version = Some(Version::V311);
        let mut talk = Talk::new(Options { version, ..options() });
        talk.session.connect(talk.now).unwrap();
        let mut input = BytesMut::from(&[0x20, 2, 0, code][..]);
        let result = talk.session.receive(&mut input, &mut talk.outbox, talk.now);
        result.unwrap_err().to_string()
    };
    let both = [
        (1, ["this version of MQTT", "malformed"]),
        (2, ["`broker.client_id`", "`broker.keepalive`"]),
        (3, ["not available", "`broker.will`"]),
        (5, ["`broker.user`", "`broker.client_id`"]),
    ];
    for (code, remedies) in both {
        let text = told(code);
        assert!(remedies.iter().all(|remedy| text.contains(remedy)), "{code}: {text}");
    }
}

#[test]
fn an_answer_can_be_asked_for_once_at_a_time() {
    let mut talk = Talk::connected(true, 10);
    assert!(talk.session.ask_for_pong());
    assert!(!talk.session.ask_for_pong(), "one is under way");
    assert_eq!(talk.hear(), [Packet::PingReq]);
    talk.say(Said(Packet::PingResp)).unwrap();
    assert!(talk.session.ask_for_pong());
}

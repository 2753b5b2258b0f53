//! Dialogues between the session and a broker, one for each rule that a client must keep. Numbers
//! are sections of MQTT 3.1.1.

use bytes::{Buf, Bytes, BytesMut};
use std::time::{Duration, Instant};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{Ack, ConnAck, Decoded, Disconnect, Packet, PacketId, Properties};
use tty2mqtt::mqtt::packet::{Pair, Property, Publish, Reason, SubAck, Subscription, Version};
use tty2mqtt::mqtt::session::{Clean, Ending, Event, Options, Session, SessionError};
use tty2mqtt::mqtt::topic::{Qos, TopicFilter};
use tty2mqtt::testing::base::scalar::Size;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

const SECOND: Duration = Duration::from_secs(1);

/// A client and a broker that follows a script, on a clock of their own.
struct Dialogue {
    session: Session,
    outbox: Outbox,
    now: Instant,
}

impl Dialogue {
    fn with(clean: bool, inflight: u16, filters: &[&str]) -> Dialogue {
        let mut dialogue = Dialogue::of(Options {
            clean: if clean { Clean::Always } else { Clean::Never },
            inflight,
            ..options()
        });
        let wanted = |filter: &&str| Subscription::new(filter.parse().unwrap(), Qos::AtLeastOnce);
        let wanted = filters.iter().map(wanted).collect();
        dialogue.session.subscribe(wanted, &Properties::NONE);
        dialogue
    }

    fn of(options: Options) -> Dialogue {
        let session = Session::new(options);
        Dialogue { session, outbox: Outbox::new(&OutboxBounds::default()), now: Instant::now() }
    }

    /// Connected, with what was said so far forgotten.
    fn connected(clean: bool, inflight: u16) -> Dialogue {
        let mut dialogue = Dialogue::with(clean, inflight, &[]);
        dialogue.reconnect(false);
        dialogue
    }

    fn reconnect(&mut self, session_present: bool) {
        self.session.disconnected(Ending::Other);
        self.session.connect(self.now).unwrap();
        let [Packet::Connect(_)] = self.says()[..] else { panic!("no CONNECT") };
        let answer = ConnAck::new(session_present, Reason::SUCCESS);
        self.broker(Packet::ConnAck(answer.clone())).unwrap();
        assert_eq!(self.session.event(), Some(Event::Connected(answer)));
    }

    /// Connected with a keepalive.
    fn kept_alive(keepalive: Duration) -> Dialogue {
        let mut dialogue = Dialogue::of(Options { clean: Clean::Always, keepalive, ..options() });
        dialogue.reconnect(false);
        dialogue
    }

    fn push(&mut self, text: &str, qos: Qos) {
        self.outbox.push(message(text, qos));
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
    fn takes(&mut self, n: usize) {
        self.session.output().advance(n);
        self.session.wrote(self.now);
    }

    /// What the client sends now.
    fn says(&mut self) -> Vec<Packet> {
        self.session.send(&mut self.outbox);
        let mut output = self.session.output().split();
        self.session.wrote(self.now);
        let mut packets = Vec::new();
        while let Some(Decoded::Packet(packet)) =
            Packet::decode(&mut output, 1 << 20, self.session.version()).unwrap()
        {
            packets.push(packet);
        }
        packets
    }

    /// `payload:id` of each message that the client sends now, with `!` for DUP.
    fn publishes(&mut self) -> Vec<String> {
        let packets = self.says().into_iter().map(|packet| match packet {
            Packet::Publish(Publish { payload, id, dup, .. }) => {
                let dup = if dup { "!" } else { "" };
                let id = id.map_or(0, PacketId::get);
                format!("{}:{id}{dup}", String::from_utf8(payload.to_vec()).unwrap())
            }
            other => panic!("{other}"),
        });
        packets.collect()
    }

    fn broker(&mut self, packet: Packet) -> Result<(), SessionError> {
        let mut bytes = BytesMut::new();
        packet.encode(&mut bytes, self.session.version());
        self.session.receive(&mut bytes, &mut self.outbox, self.now)
    }

    fn ack(&mut self, id: u16) {
        self.broker(Packet::PubAck(ack(id))).unwrap();
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

fn message(text: &str, qos: Qos) -> Message {
    Message { qos, ..Message::new("t".parse().unwrap(), text.to_owned()) }
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
    let mut dialogue = Dialogue::connected(false, 10);
    for text in ["a", "b", "c"] {
        dialogue.push(text, Qos::AtLeastOnce);
    }
    assert_eq!(dialogue.publishes(), ["a:1", "b:2", "c:3"]);
    dialogue.ack(2);
    dialogue.push("d", Qos::AtLeastOnce);
    dialogue.reconnect(true);
    assert_eq!(dialogue.publishes(), ["a:1!", "c:3!", "d:4"]);
}

#[test]
fn a_lost_session_gets_all_of_it_anew_without_dup() {
    let mut dialogue = Dialogue::connected(false, 10);
    for text in ["a", "b"] {
        dialogue.push(text, Qos::AtLeastOnce);
    }
    assert_eq!(dialogue.publishes(), ["a:1", "b:2"]);
    dialogue.reconnect(false);
    assert_eq!(dialogue.publishes(), ["a:1", "b:2"]);
    dialogue.ack(1);
    dialogue.ack(2);
    assert!(dialogue.outbox.is_empty());
}

#[test]
fn a_link_that_breaks_again_and_again_loses_nothing() {
    let mut dialogue = Dialogue::connected(false, 10);
    for text in ["a", "b", "c"] {
        dialogue.push(text, Qos::AtLeastOnce);
    }
    dialogue.publishes();
    for _ in 0..3 {
        dialogue.reconnect(true);
        dialogue.session.disconnected(Ending::Other);
    }
    dialogue.reconnect(true);
    assert_eq!(dialogue.publishes(), ["a:1!", "b:2!", "c:3!"]);
}

#[test]
fn identifiers_in_use_are_not_given_out_again_2_3_1() {
    let mut dialogue = Dialogue::connected(true, u16::MAX);
    dialogue.push("stuck", Qos::AtLeastOnce);
    assert_eq!(dialogue.publishes(), ["stuck:1"]);
    for n in 0..70_000_u32 {
        dialogue.push("x", Qos::AtLeastOnce);
        let [Packet::Publish(publish)] = &dialogue.says()[..] else { panic!("one message") };
        let id = publish.id.unwrap().get();
        assert_ne!(id, 1, "after {n} messages");
        dialogue.ack(id);
    }
}

#[test]
fn a_small_full_window_answers_each_acknowledgement_with_a_message() {
    let mut dialogue = Dialogue::connected(true, 4);
    for text in ["a", "b", "c", "d", "e", "f"] {
        dialogue.push(text, Qos::AtLeastOnce);
    }
    assert_eq!(dialogue.publishes(), ["a:1", "b:2", "c:3", "d:4"]);
    dialogue.ack(1);
    assert_eq!(dialogue.publishes(), ["e:5"]);
    dialogue.ack(2);
    assert_eq!(dialogue.publishes(), ["f:6"]);
}

#[test]
fn a_large_full_window_waits_and_goes_on_when_half_is_free() {
    let mut dialogue = Dialogue::connected(true, 50);
    for _ in 0..300 {
        dialogue.push("x", Qos::AtLeastOnce);
    }
    assert_eq!(dialogue.publishes().len(), 50);
    for id in 1..25 {
        dialogue.ack(id);
        assert!(dialogue.publishes().is_empty());
    }
    dialogue.ack(25);
    assert_eq!(dialogue.publishes().len(), 25);
}

#[test]
fn own_traffic_does_not_hide_a_dead_peer_3_1_2_10() {
    let mut dialogue = Dialogue::connected(true, 10);
    for _ in 0..60 {
        dialogue.now += SECOND;
        dialogue.push("x", Qos::AtMostOnce);
        assert_eq!(dialogue.publishes(), ["x:0"]);
        dialogue.session.timeout(dialogue.now).unwrap();
    }
    assert_eq!(dialogue.says(), [Packet::PingReq], "nothing came for a minute");
}

#[test]
fn inbound_traffic_does_not_spare_the_broker_our_sign_of_life() {
    let mut dialogue = Dialogue::connected(true, 10);
    dialogue.now += 59 * SECOND;
    let publish = publish("t", "x", 0);
    dialogue.broker(Packet::Publish(publish)).unwrap();
    dialogue.now += SECOND;
    dialogue.session.timeout(dialogue.now).unwrap();
    assert_eq!(dialogue.says(), [Packet::PingReq]);
}

#[test]
fn a_missing_pingresp_ends_the_link_ten_seconds_after_the_ping_was_written() {
    let mut dialogue = Dialogue::connected(true, 10);
    dialogue.now += 60 * SECOND;
    assert_eq!(dialogue.session.deadline(), Some(dialogue.now));
    dialogue.session.timeout(dialogue.now).unwrap();
    assert_eq!(dialogue.session.deadline(), None, "a ping that is not written yet has no deadline");
    dialogue.now += 5 * SECOND;
    assert_eq!(dialogue.says(), [Packet::PingReq]);
    // One ping at a time, whatever else happens.
    dialogue.now += 9 * SECOND;
    dialogue.session.timeout(dialogue.now).unwrap();
    assert!(dialogue.says().is_empty());
    dialogue.now += SECOND;
    let error = dialogue.session.timeout(dialogue.now).unwrap_err();
    assert_eq!(error, SessionError::NoPingResp);
}

#[test]
fn a_pingresp_is_good_for_another_interval() {
    let mut dialogue = Dialogue::connected(true, 10);
    for _ in 0..3 {
        dialogue.now += 60 * SECOND;
        dialogue.session.timeout(dialogue.now).unwrap();
        assert_eq!(dialogue.says(), [Packet::PingReq]);
        dialogue.broker(Packet::PingResp).unwrap();
    }
}

#[test]
fn a_broker_that_never_answers_connect_is_given_up() {
    let mut dialogue = Dialogue::with(true, 10, &[]);
    dialogue.session.connect(dialogue.now).unwrap();
    let due = dialogue.session.deadline().unwrap();
    assert_eq!(due, dialogue.now + 10 * SECOND);
    assert_eq!(dialogue.session.timeout(due), Err(SessionError::NoConnAck));
}

#[test]
fn a_broker_that_leaves_version_5_unanswered_twice_is_asked_in_3_1_1() {
    let mut dialogue = Dialogue::of(Options { version: None, ..options() });
    for expected in [Version::V5, Version::V5, Version::V311] {
        dialogue.session.connect(dialogue.now).unwrap();
        let said = dialogue.says();
        assert!(matches!(&said[..], [Packet::Connect(it)] if it.version == expected), "{said:?}");
        assert_eq!(dialogue.waits(10 * SECOND), Err(SessionError::NoConnAck));
        dialogue.session.disconnected(Ending::Other);
    }
}

#[test]
fn a_broker_that_takes_qos_2_as_qos_1_has_the_message() {
    let mut dialogue = Dialogue::connected(true, 10);
    dialogue.push("a", Qos::ExactlyOnce);
    dialogue.says();
    dialogue.ack(1);
    assert!(dialogue.outbox.is_empty());
    assert_eq!(dialogue.session.stray_acks(), 0);
    // With PUBREC it is settled that the broker knows QoS 2.
    dialogue.push("b", Qos::ExactlyOnce);
    dialogue.says();
    dialogue.broker(Packet::PubRec(ack(2))).unwrap();
    dialogue.ack(2);
    assert_eq!(dialogue.outbox.len(), 1);
    assert_eq!(dialogue.session.stray_acks(), 1);
}

#[test]
fn a_refusal_says_whether_somebody_must_change_a_setting() {
    for (why, needs_operator) in [
        (Reason::SERVER_UNAVAILABLE, false),
        (Reason::BAD_USER_NAME_OR_PASSWORD, true),
        (Reason::NOT_AUTHORIZED, true),
        (Reason::CLIENT_IDENTIFIER_NOT_VALID, true),
    ] {
        let mut dialogue = Dialogue::with(true, 10, &[]);
        dialogue.session.connect(dialogue.now).unwrap();
        let answer = ConnAck::new(false, why);
        let error = dialogue.broker(Packet::ConnAck(answer.clone())).unwrap_err();
        assert_eq!(error, SessionError::Refused(answer));
        assert_eq!(error.needs_operator(), needs_operator);
    }
}

#[test]
fn nothing_is_sent_before_connack() {
    let mut dialogue = Dialogue::with(true, 10, &[]);
    dialogue.push("x", Qos::AtLeastOnce);
    dialogue.session.connect(dialogue.now).unwrap();
    assert!(matches!(dialogue.says()[..], [Packet::Connect(_)]));
    assert!(dialogue.says().is_empty());
}

#[test]
fn subscriptions_are_made_at_each_connect_and_their_refusal_is_told() {
    let mut dialogue = Dialogue::with(false, 10, &["a/#", "b"]);
    for session_present in [false, true] {
        dialogue.session.disconnected(Ending::Other);
        dialogue.session.connect(dialogue.now).unwrap();
        dialogue.says();
        dialogue.broker(Packet::ConnAck(ConnAck::new(session_present, Reason::SUCCESS))).unwrap();
        dialogue.session.event();
        let [Packet::Subscribe(subscribe)] = &dialogue.says()[..] else { panic!("no SUBSCRIBE") };
        assert_eq!(subscribe.filters.len(), 2);
        let reasons = vec![Reason::GRANTED_QOS_1, Reason::UNSPECIFIED_ERROR];
        let (id, properties) = (subscribe.id, Properties::NONE);
        dialogue.broker(Packet::SubAck(SubAck { id, reasons, properties })).unwrap();
        let granted = |event: Option<Event>| match event {
            Some(Event::Subscribed { granted, .. }) => granted,
            other => panic!("{other:?}"),
        };
        assert_eq!(granted(dialogue.session.event()), Ok(Qos::AtLeastOnce));
        assert_eq!(granted(dialogue.session.event()), Err(Reason::UNSPECIFIED_ERROR));
    }
}

#[test]
fn a_message_is_acknowledged_when_it_was_taken_and_not_before() {
    let mut dialogue = Dialogue::connected(true, 10);
    let publish = publish("relay", "on", 7);
    dialogue.broker(Packet::Publish(publish)).unwrap();
    assert!(dialogue.says().is_empty());
    assert!(matches!(dialogue.session.event(), Some(Event::Message(_))));
    assert_eq!(dialogue.says(), [Packet::PubAck(ack(7))]);
}

#[test]
fn a_message_too_large_is_passed_over_acknowledged_and_told() {
    let mut dialogue = Dialogue::connected(true, 10);
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
        dialogue.session.receive(&mut input, &mut dialogue.outbox, dialogue.now).unwrap();
        assert!(input.len() < 300_000, "it is not held in memory");
    }
    let expected = Event::Oversize {
        topic: "big".into(),
        qos: Qos::AtLeastOnce,
        bytes: 1 << 20,
        start: vec![b'x'; 1024].into(),
    };
    assert_eq!(dialogue.session.event(), Some(expected));
    assert!(matches!(dialogue.session.event(), Some(Event::Message(_))));
    assert_eq!(dialogue.says().len(), 2, "both are acknowledged");
}

#[test]
fn an_acknowledgement_of_nothing_is_ignored() {
    let mut dialogue = Dialogue::connected(true, 10);
    dialogue.ack(99);
    dialogue.push("a", Qos::AtLeastOnce);
    assert_eq!(dialogue.publishes(), ["a:1"]);
}

#[test]
fn nothing_behind_a_violation_is_handled() {
    let mut dialogue = Dialogue::connected(true, 10);
    dialogue.push("a", Qos::AtLeastOnce);
    dialogue.publishes();
    let mut wire = BytesMut::from(&b"\xF0\x00"[..]);
    Packet::PubAck(ack(1)).encode(&mut wire, Version::V311);
    let result = dialogue.session.receive(&mut wire, &mut dialogue.outbox, dialogue.now);
    assert!(result.is_err());
    assert_eq!(dialogue.outbox.len(), 1, "the acknowledgement behind it does not count");
}

#[test]
fn a_second_connack_or_a_clients_packet_is_a_violation() {
    for packet in [
        Packet::ConnAck(ConnAck::new(false, Reason::SUCCESS)),
        Packet::PingReq,
        Packet::Disconnect(Disconnect::new(Reason::SUCCESS)),
    ] {
        let mut dialogue = Dialogue::connected(true, 10);
        assert!(matches!(dialogue.broker(packet), Err(SessionError::Protocol(..))));
    }
}

#[test]
fn the_output_is_bounded_while_the_link_takes_nothing() {
    let mut dialogue = Dialogue::connected(true, 10);
    for _ in 0..2000 {
        dialogue.push(&"x".repeat(1000), Qos::AtMostOnce);
    }
    dialogue.session.send(&mut dialogue.outbox);
    let len = dialogue.session.output().len();
    assert!(len < 70 * 1024, "{len}");
}

#[test]
fn only_connack_may_come_first() {
    for packet in [Packet::PingResp, Packet::PubAck(ack(1)), suback(1, 1)] {
        let mut dialogue = Dialogue::with(true, 10, &[]);
        dialogue.session.connect(dialogue.now).unwrap();
        let text = packet.to_string();
        assert!(matches!(dialogue.broker(packet), Err(SessionError::Protocol(..))), "{text}");
    }
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_answers_nothing_and_loses_nothing() {
    let mut dialogue = Dialogue::with(false, 10, &["cmd"]);
    dialogue.reconnect(false);
    dialogue.push("a", Qos::AtLeastOnce);
    assert_eq!(dialogue.says().len(), 2);
    // A PUBACK for the SUBSCRIBE: its SUBACK is awaited all the same.
    dialogue.ack(1);
    assert_eq!(dialogue.session.stray_acks(), 1);
    dialogue.broker(suback(1, 1)).unwrap();
    // A SUBACK for the message ends the link, and the message goes again.
    assert!(matches!(dialogue.broker(suback(2, 1)), Err(SessionError::Protocol(..))));
    dialogue.reconnect(true);
    assert!(matches!(
        dialogue.says()[..],
        [Packet::Subscribe(_), Packet::Publish(Publish { dup: true, .. })]
    ));
}

#[test]
fn stray_acknowledgements_and_requeued_messages_are_counted() {
    let mut dialogue = Dialogue::connected(false, 10);
    for text in ["a", "b", "c"] {
        dialogue.push(text, Qos::AtLeastOnce);
    }
    dialogue.publishes();
    for id in [1, 1, 77] {
        dialogue.ack(id);
    }
    dialogue.reconnect(false);
    assert_eq!(dialogue.session.stray_acks(), 2);
    assert_eq!(dialogue.outbox.counts().requeued, 2);
}

#[test]
fn filters_are_given_up_with_the_properties_of_their_call() {
    let mut dialogue = Dialogue::of(Options { version: Some(Version::V5), ..options() });
    dialogue.reconnect(false);
    let why = |text: &str| {
        Properties::from_iter([Property::UserProperty(Pair("why".into(), text.to_owned()))])
    };
    let filter = |text: &str| text.parse::<TopicFilter>().unwrap();
    dialogue.session.unsubscribe_with(vec![filter("a"), filter("b")], &why("moved"));
    dialogue.session.unsubscribe(vec![filter("c")]);
    let said = dialogue.says().into_iter().map(|packet| match packet {
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
    let mut dialogue = Dialogue::with(false, u16::MAX, &["cmd"]);
    dialogue.outbox = Outbox::new(&bounds);
    dialogue.reconnect(false);
    for _ in 0..70_000 {
        dialogue.push("x", Qos::AtLeastOnce);
    }
    while !dialogue.says().is_empty() {}
    dialogue.reconnect(true);
    assert!(matches!(dialogue.says()[0], Packet::Subscribe(_)));
}

#[test]
fn unanswered_subscriptions_hold_no_identifier_over_a_reconnect() {
    let mut dialogue = Dialogue::with(false, 10, &["cmd"]);
    for _ in 0..66_000 {
        dialogue.session.disconnected(Ending::Other);
        dialogue.session.connect(dialogue.now).unwrap();
        dialogue.session.output().clear();
        let answer = ConnAck::new(true, Reason::SUCCESS);
        dialogue.broker(Packet::ConnAck(answer)).unwrap();
        dialogue.session.send(&mut dialogue.outbox);
        assert!(!dialogue.session.output().is_empty(), "no SUBSCRIBE");
    }
}

#[test]
fn the_deadline_of_a_ping_counts_from_the_end_of_its_write() {
    let mut dialogue = Dialogue::kept_alive(60 * SECOND);
    dialogue.waits(60 * SECOND).unwrap();
    dialogue.now += 5 * SECOND;
    dialogue.takes(1);
    assert_eq!(dialogue.session.deadline(), None, "half of PINGREQ is no ping");
    dialogue.now += 5 * SECOND;
    dialogue.takes(1);
    assert_eq!(dialogue.session.deadline(), Some(dialogue.now + 10 * SECOND));
}

#[test]
fn a_ping_finds_room_behind_a_full_output() {
    let mut dialogue = Dialogue::kept_alive(60 * SECOND);
    for _ in 0..100 {
        dialogue.push(&"x".repeat(1000), Qos::AtMostOnce);
    }
    dialogue.session.send(&mut dialogue.outbox);
    for _ in 0..2 {
        dialogue.waits(60 * SECOND).unwrap();
        let output = dialogue.session.output();
        assert!(output.ends_with(b"\xC0\x00") && !output.ends_with(b"\xC0\x00\xC0\x00"));
    }
}

#[test]
fn a_ping_has_no_more_time_than_the_keepalive() {
    let mut dialogue = Dialogue::kept_alive(5 * SECOND);
    dialogue.waits(5 * SECOND).unwrap();
    assert_eq!(dialogue.says(), [Packet::PingReq]);
    assert_eq!(dialogue.waits(5 * SECOND), Err(SessionError::NoPingResp));
}

#[test]
fn a_keepalive_of_0_means_no_pings_3_1_2_10() {
    let mut dialogue = Dialogue::kept_alive(Duration::ZERO);
    assert_eq!(dialogue.session.deadline(), None);
    assert_eq!(dialogue.waits(3600 * SECOND), Ok(()));
    assert_eq!(dialogue.says(), []);
}

#[test]
fn a_lost_acknowledgement_ends_the_link_and_the_message_goes_again_4_4() {
    let mut dialogue = Dialogue::connected(false, 10);
    for text in ["a", "b"] {
        dialogue.push(text, Qos::AtLeastOnce);
    }
    dialogue.publishes();
    dialogue.ack(2);
    let mut ended = Ok(());
    // Pings are answered all the time: the broker is there, and nobody would notice.
    for _ in 0..61 {
        ended = dialogue.waits(SECOND);
        if ended.is_err() {
            break;
        }
        if dialogue.says() == [Packet::PingReq] {
            dialogue.broker(Packet::PingResp).unwrap();
        }
    }
    assert_eq!(ended, Err(SessionError::NoAnswer));
    dialogue.reconnect(true);
    assert_eq!(dialogue.publishes(), ["a:1!"]);
}

#[test]
fn the_time_for_an_acknowledgement_starts_when_its_packet_was_written() {
    let mut dialogue = Dialogue::kept_alive(3600 * SECOND);
    dialogue.push(&"x".repeat(200), Qos::AtLeastOnce);
    dialogue.session.send(&mut dialogue.outbox);
    // A slow link takes a byte a second.
    while !dialogue.session.output().is_empty() {
        assert_eq!(dialogue.waits(SECOND), Ok(()));
        dialogue.takes(1);
    }
    assert_eq!(dialogue.waits(59 * SECOND), Ok(()));
    assert_eq!(dialogue.waits(SECOND), Err(SessionError::NoAnswer));
}

#[test]
fn the_round_trip_is_from_the_write_of_a_packet_to_its_answer() {
    let mut dialogue = Dialogue::connected(true, 10);
    assert_eq!(dialogue.session.round_trip(), None);
    dialogue.push("a", Qos::AtLeastOnce);
    dialogue.session.send(&mut dialogue.outbox);
    // A stuck write is no doing of the broker's.
    dialogue.waits(SECOND).unwrap();
    dialogue.push("b", Qos::AtLeastOnce);
    assert_eq!(dialogue.publishes(), ["a:1", "b:2"]);
    dialogue.waits(2 * SECOND).unwrap();
    dialogue.ack(2);
    assert_eq!(dialogue.session.round_trip(), None);
    dialogue.waits(3 * SECOND).unwrap();
    dialogue.ack(1);
    assert_eq!(dialogue.session.round_trip(), Some(5 * SECOND));
    dialogue.push("c", Qos::AtLeastOnce);
    dialogue.says();
    dialogue.waits(SECOND / 2).unwrap();
    assert_eq!(dialogue.session.round_trip(), Some(5 * SECOND));
    dialogue.ack(3);
    assert_eq!(dialogue.session.round_trip(), Some(SECOND / 2));
    dialogue.reconnect(false);
    assert_eq!(dialogue.session.round_trip(), None);
}

#[test]
fn a_broker_that_talks_and_does_not_listen_is_not_listened_to() {
    let mut dialogue = Dialogue::connected(true, 10);
    let publish = publish("t", "x", 1);
    let mut taken = 0;
    while dialogue.session.wants_input() {
        dialogue.broker(Packet::Publish(publish.clone())).unwrap();
        while dialogue.session.event().is_some() {}
        taken += 1;
        assert!(taken < 100_000, "acknowledgements pile up without end");
    }
    let n = dialogue.session.output().len();
    dialogue.takes(n);
    assert!(dialogue.session.wants_input());
}

#[test]
fn disconnect_is_the_last_word_3_14_4() {
    let mut dialogue = Dialogue::connected(true, 10);
    dialogue.session.disconnect(Reason::SUCCESS);
    dialogue.push("late", Qos::AtMostOnce);
    assert_eq!(dialogue.says(), [Packet::Disconnect(Disconnect::new(Reason::SUCCESS))]);
}

#[test]
fn the_birth_message_goes_before_a_backlog_and_is_not_repeated() {
    let mut dialogue = Dialogue::connected(false, 10);
    dialogue.push("backlog", Qos::AtLeastOnce);
    dialogue.outbox.push_first(message("online", Qos::AtLeastOnce));
    assert_eq!(dialogue.publishes(), ["online:1", "backlog:2"]);
    dialogue.reconnect(true);
    dialogue.outbox.push_first(message("online", Qos::AtLeastOnce));
    assert_eq!(dialogue.publishes(), ["backlog:2!", "online:3"]);
}

#[test]
fn an_identifier_that_we_gave_is_never_replaced() {
    let assigned = |client_id: &str, by_broker: &str| {
        let options = Options { client_id: client_id.into(), clean: Clean::Never, ..options() };
        let mut dialogue = Dialogue::of(Options { version: Some(Version::V5), ..options });
        let mut ids = Vec::new();
        for _ in 0..2 {
            dialogue.session.connect(dialogue.now).unwrap();
            let [Packet::Connect(connect)] = &dialogue.says()[..] else { panic!("no CONNECT") };
            ids.push(connect.client_id.clone());
            let properties = Properties(vec![Property::AssignedClientId(by_broker.into())]);
            let answer = ConnAck { properties, ..ConnAck::new(false, Reason::SUCCESS) };
            dialogue.broker(Packet::ConnAck(answer)).unwrap();
            dialogue.session.disconnected(Ending::HangUp);
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
        let mut dialogue = Dialogue::of(Options { version, ..options() });
        dialogue.session.connect(dialogue.now).unwrap();
        let mut input = BytesMut::from(&[0x20, 2, 0, code][..]);
        let result = dialogue.session.receive(&mut input, &mut dialogue.outbox, dialogue.now);
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
    let mut dialogue = Dialogue::connected(true, 10);
    assert!(dialogue.session.ask_for_pong());
    assert!(!dialogue.session.ask_for_pong(), "one is under way");
    assert_eq!(dialogue.says(), [Packet::PingReq]);
    dialogue.broker(Packet::PingResp).unwrap();
    assert!(dialogue.session.ask_for_pong());
}

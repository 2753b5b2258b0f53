//! The outbox against its rules, and against a plain model.

use super::*;
use crate::base::durability::Durability;
use crate::base::scalar::Size;
use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::source::Source;
use crate::mqtt::topic::Qos;
use crate::outbox::journal::JournalEvent;
use crate::outbox::settings::Drop;
use proptest::prelude::*;
use std::time::Instant;

fn message(text: &str) -> Entry {
    let topic = text.split('=').next().unwrap();
    Message::new(topic.parse().unwrap(), text.to_owned()).into()
}

/// A message that the broker keeps.
fn retained(text: &str) -> Entry {
    let entry = message(text);
    Entry { message: Message { retain: true, ..entry.message }, ..entry }
}

fn status(text: &str) -> Entry {
    Entry { latest_only: true, ..retained(text) }
}

fn with_payload(payload: Vec<u8>, text: &str) -> Entry {
    let entry = message(text);
    Entry { message: Message { payload: payload.into(), ..entry.message }, ..entry }
}

fn with_qos(qos: Qos, text: &str) -> Entry {
    let entry = message(text);
    Entry { message: Message { qos, ..entry.message }, ..entry }
}

fn outbox(messages: u32, drop: Drop) -> Outbox {
    let bytes = Size::from_bytes(1 << 20);
    Outbox::new(&OutboxBounds { messages, bytes, drop, ..OutboxBounds::default() })
}

fn drain(outbox: &mut Outbox) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(message) = outbox.front() {
        texts.push(String::from_utf8(message.payload.to_vec()).unwrap());
        if let Some(ticket) = outbox.sent(Qos::AtLeastOnce) {
            outbox.settled(ticket, Reason::SUCCESS);
        }
    }
    texts
}

#[test]
fn a_full_outbox_drops_by_its_policy() {
    for (policy, expected) in [(Drop::Oldest, ["c", "d"]), (Drop::Newest, ["a", "b"])] {
        let mut outbox = outbox(2, policy);
        for text in ["a", "b", "c", "d"] {
            outbox.push(message(text));
        }
        assert_eq!(outbox.counts().dropped, 2);
        assert_eq!(drain(&mut outbox), expected);
        assert_eq!((outbox.messages(), outbox.bytes()), (0, 0));
    }
}

#[test]
fn what_is_in_flight_is_never_dropped() {
    let mut outbox = outbox(2, Drop::Oldest);
    outbox.push(message("a"));
    let ticket = outbox.sent(Qos::AtLeastOnce).unwrap();
    for text in ["b", "c"] {
        outbox.push(message(text));
    }
    assert_eq!(outbox.retransmit(ticket).unwrap().payload, "a");
    outbox.requeue();
    assert_eq!(drain(&mut outbox), ["a", "c"]);
}

#[test]
fn qos_0_goes_first() {
    let mut outbox = outbox(3, Drop::Oldest);
    for (text, qos) in [("a", 1), ("b", 0), ("c", 1), ("d", 0), ("e", 1), ("f", 1)] {
        outbox.push(with_qos(Qos::try_from(qos).unwrap(), text));
    }
    assert_eq!(drain(&mut outbox), ["c", "e", "f"]);
}

#[test]
fn a_chatty_port_does_not_push_out_the_others() {
    for policy in [Drop::Oldest, Drop::Newest] {
        let mut outbox = outbox(12, policy);
        outbox.bounds.bytes = Size::from_bytes(12 * message("a00").cost());
        outbox.share(2);
        let from = |port, n| Entry {
            port,
            ..message(&format!("{}{n:02}", ["", "a", "b"][port as usize]))
        };
        outbox.push(from(2, 0));
        for n in 0..50 {
            outbox.push(from(1, n));
        }
        outbox.push(from(2, 1));
        let left = drain(&mut outbox);
        assert!(left.contains(&"b00".to_owned()), "{policy:?} {left:?}");
        let drops: Vec<_> = outbox.drops().collect();
        // The latecomer finds room, because the other one is beyond its share.
        let expected = [(1, Drops { full: 40, ..Drops::default() })];
        assert!(left.contains(&"b01".to_owned()), "{policy:?} {left:?}");
        assert_eq!(drops, expected, "{policy:?}");
        // Another port has this number now.
        outbox.given_anew(1);
        let drops: Vec<_> = outbox.drops().collect();
        assert_eq!(drops, [(0, Drops { full: 40, ..Drops::default() })]);
    }
}

#[test]
fn what_only_memory_has_does_not_keep_others_from_the_journal() {
    for policy in [Drop::Oldest, Drop::Newest] {
        let mut outbox = outbox(1000, policy);
        outbox.bounds.bytes = Size::from_bytes(100 * message("a000").cost());
        outbox.share(2);
        outbox.open_journal(JournalSeq(0), &[]);
        outbox.disconnected(Instant::now());
        let from = |port, n, durability| Entry {
            port,
            durability: Some(durability),
            ..message(&format!("{}{n:03}", ["", "a", "b"][port as usize]))
        };
        let mut stored = 0;
        for n in 0..400 {
            outbox.push(from(1, n, Durability::Memory));
            outbox.push(from(2, n, Durability::Always));
            let batch = outbox.next_batch(Instant::now()).unwrap();
            stored += batch.entries.len();
            outbox.on_event(JournalEvent::Safe(batch.entries.last().unwrap().seq));
        }
        assert_eq!(stored, 400, "{policy:?}");
        let drops: Vec<_> = outbox.drops().collect();
        assert!(matches!(drops[..], [(1, Drops { full: 300.., .. })]), "{policy:?} {drops:?}");
        let waiting = outbox.journal_status().unwrap().waiting_alone;
        assert!(
            (300..400).contains(&waiting) && outbox.messages() > 90,
            "{waiting} {}",
            outbox.messages()
        );
    }
}

#[test]
fn bytes_are_bounded_too_and_a_giant_is_refused() {
    let mut outbox = outbox(1000, Drop::Oldest);
    outbox.bounds.bytes = Size::from_bytes(3 * message("a").cost());
    for text in ["a", "b", "c", "d"] {
        outbox.push(message(text));
    }
    assert_eq!(outbox.messages(), 3);
    outbox.push(with_payload(vec![0; 10_000], "giant"));
    assert_eq!(outbox.messages(), 3, "nothing makes way for what can never fit");
    assert_eq!((outbox.counts().dropped, outbox.counts().too_large), (2, 1));
}

#[test]
fn nothing_makes_way_for_what_finds_no_room_beside_the_messages_in_flight() {
    let mut outbox = outbox(1000, Drop::Oldest);
    outbox.bounds.bytes = Size::from_bytes(3 * message("a").cost());
    for text in ["a", "b"] {
        outbox.push(message(text));
        outbox.sent(Qos::AtLeastOnce);
    }
    outbox.push(message("c"));
    outbox.push(with_payload(vec![0; 200], "large"));
    assert_eq!((outbox.messages(), outbox.counts().dropped), (3, 1));
    outbox.requeue();
    assert_eq!(drain(&mut outbox), ["a", "b", "c"]);
}

#[test]
fn retained_messages_are_replaced_by_topic_only_when_it_is_full() {
    let mut outbox = outbox(3, Drop::Oldest);
    for text in ["x=1", "y=1", "x=2"] {
        outbox.push(retained(text));
    }
    outbox.push(retained("y=2"));
    assert_eq!(outbox.counts().replaced, 1);
    assert_eq!(drain(&mut outbox), ["x=1", "x=2", "y=2"]);
}

#[test]
fn only_the_latest_status_waits() {
    let mut outbox = outbox(10, Drop::Oldest);
    outbox.push(status("s=1"));
    outbox.push(message("a"));
    outbox.push(status("s=2"));
    assert_eq!(drain(&mut outbox), ["a", "s=2"]);
}

#[test]
fn what_was_in_flight_comes_first_again_in_its_old_order() {
    let mut outbox = outbox(10, Drop::Oldest);
    for text in ["a", "b", "c"] {
        outbox.push(message(text));
    }
    let a = outbox.sent(Qos::AtLeastOnce).unwrap();
    outbox.sent(Qos::AtLeastOnce);
    outbox.settled(a, Reason::SUCCESS);
    outbox.requeue();
    assert_eq!(drain(&mut outbox), ["b", "c"]);
    assert_eq!(outbox.counts().acknowledged, 3);
}

#[test]
fn a_status_that_was_in_flight_goes_for_the_newer_one_too() {
    let mut outbox = outbox(10, Drop::Oldest);
    outbox.push(status("s=1"));
    outbox.sent(Qos::AtLeastOnce);
    outbox.push(status("s=2"));
    assert_eq!(outbox.messages(), 2, "what is in flight is not replaced");
    outbox.requeue();
    outbox.push(status("s=3"));
    assert_eq!(drain(&mut outbox), ["s=3"]);
    assert_eq!((outbox.counts().replaced, outbox.counts().requeued), (2, 1));
}

#[test]
fn a_long_outage_leaves_no_memory_behind() {
    let mut outbox = outbox(60_000, Drop::Oldest);
    outbox.push(message("stays in front"));
    // What is replaced again and again must not leave a trace each time.
    for n in 0..100_000 {
        outbox.push(status(&format!("status/{}", n % 3)));
    }
    assert_eq!(outbox.messages(), 4);
    assert!(outbox.ports[0].capacity().0 < 2000, "{:?}", outbox.ports[0].capacity());
    for n in 0..50_000 {
        outbox.bounds.bytes = Size::from_bytes(64 << 20);
        outbox.push(retained(&format!("topic/{n}")));
    }
    drain(&mut outbox);
    let (slots, topics) = outbox.ports[0].capacity();
    assert!(slots < 1000 && topics < 1000, "{slots} {topics}");
}

#[test]
fn who_follows_hears_how_each_message_left() {
    let mut outbox = outbox(2, Drop::Oldest);
    outbox.follow();
    let tickets: Vec<_> = ["a", "b", "c", "d"].map(|text| outbox.push(message(text))).into();
    outbox.sent(Qos::AtMostOnce);
    let sending = outbox.sent(Qos::ExactlyOnce).unwrap();
    outbox.settled(sending, Reason::QUOTA_EXCEEDED);
    let e = outbox.push(message("e"));
    outbox.refuse_front(Reason::PACKET_TOO_LARGE);
    let heard: Vec<_> = std::iter::from_fn(|| outbox.outcome()).collect();
    assert_eq!(
        heard,
        [
            (tickets[0], Outcome::Dropped),
            (tickets[1], Outcome::Dropped),
            (tickets[2], Outcome::Delivered(Reason::SUCCESS)),
            (tickets[3], Outcome::Refused(Reason::QUOTA_EXCEEDED)),
            (e, Outcome::Refused(Reason::PACKET_TOO_LARGE)),
        ]
    );
    assert_eq!((outbox.counts().refused, outbox.bytes()), (2, 0));
}

#[test]
fn a_message_that_stays_unacknowledged_lets_the_others_go() {
    let mut outbox = outbox(10, Drop::Oldest);
    outbox.push(message("lost"));
    outbox.sent(Qos::AtLeastOnce);
    for _ in 0..100_000 {
        outbox.push(message("x"));
        let ticket = outbox.sent(Qos::AtLeastOnce).unwrap();
        outbox.settled(ticket, Reason::SUCCESS);
    }
    assert_eq!((outbox.messages(), outbox.in_flight.len()), (1, 1));
    assert!(outbox.ports[0].capacity().0 < 1000);
}

/// The outbox as one would explain it: two lists that are searched from the front.
#[derive(Default)]
struct Model {
    in_flight: Vec<(Option<InFlightId>, Entry)>,
    waiting: Vec<Entry>,
}

impl Model {
    fn push(&mut self, entry: Entry, most: usize, policy: Drop) {
        if self.in_flight.len() >= most {
            return;
        }
        let full = |model: &Model| model.in_flight.len() + model.waiting.len() >= most;
        while entry.latest_only || entry.message.retain && full(self) {
            // Only the oldest one of the topic that could be meant is looked at.
            let same = |e: &Entry| {
                e.message.topic == entry.message.topic && (e.message.retain || e.latest_only)
            };
            let Some(at) = self.waiting.iter().position(same) else { break };
            if self.waiting[at].message.retain != entry.message.retain {
                break;
            }
            self.waiting.remove(at);
        }
        if full(self) && policy == Drop::Oldest && !self.waiting.is_empty() {
            // QoS 0 first, but none that an older retained one of its topic stands before.
            let same = |a: &Entry, b: &Entry| {
                let is_replaceable = |e: &Entry| e.message.retain || e.latest_only;
                a.message.topic == b.message.topic && is_replaceable(a) && is_replaceable(b)
            };
            let least = (0..self.waiting.len()).find(|at| {
                let (before, entry) = (&self.waiting[..*at], &self.waiting[*at]);
                entry.message.qos == Qos::AtMostOnce && !before.iter().any(|old| same(old, entry))
            });
            self.waiting.remove(least.unwrap_or(0));
        }
        if !full(self) {
            self.waiting.push(entry);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push { topic: u8, qos: bool, retain: bool, latest_only: bool },
    Sent,
    Acknowledged(usize),
    Requeue,
}

fn step() -> impl Strategy<Value = Step> {
    let flags = (0..4_u8, any::<bool>(), any::<bool>(), any::<bool>());
    prop_oneof![
        6 => flags.prop_map(|(topic, qos, retain, latest_only)| Step::Push { topic, qos, retain, latest_only }),
        3 => Just(Step::Sent),
        2 => (0..9_usize).prop_map(Step::Acknowledged),
        1 => Just(Step::Requeue),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_two_plain_lists_do(
        most in 1..12_usize,
        oldest in any::<bool>(),
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let policy = if oldest { Drop::Oldest } else { Drop::Newest };
        let mut outbox = outbox(most as u32, policy);
        let mut model = Model::default();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { topic, qos, retain, latest_only } => {
                    let qos = if qos { Qos::AtLeastOnce } else { Qos::AtMostOnce };
                    let entry = with_qos(qos, &format!("{topic}={n}"));
                    let message = Message { retain, ..entry.message };
                    let new = Entry { message, latest_only, ..entry };
                    model.push(new.clone(), most, policy);
                    outbox.push(new);
                }
                Step::Sent => {
                    prop_assert_eq!(outbox.front(), model.waiting.first().map(|it| &it.message));
                    let qos = outbox.front().map_or(Qos::AtMostOnce, |m| m.qos);
                    let ticket = outbox.sent(qos);
                    if !model.waiting.is_empty() {
                        let entry = model.waiting.remove(0);
                        prop_assert_eq!(ticket.is_some(), entry.message.qos == Qos::AtLeastOnce);
                        if ticket.is_some() {
                            model.in_flight.push((ticket, entry));
                        }
                    }
                }
                Step::Acknowledged(at) if at < model.in_flight.len() => {
                    outbox.settled(model.in_flight.remove(at).0.unwrap(), Reason::SUCCESS);
                }
                Step::Acknowledged(_) => {}
                Step::Requeue => {
                    outbox.requeue();
                    let back = model.in_flight.drain(..).map(|(_, message)| message);
                    model.waiting.splice(0..0, back);
                }
            }
            let all = model.waiting.iter().chain(model.in_flight.iter().map(|(_, message)| message));
            let bytes: usize = all.map(Entry::cost).sum();
            prop_assert_eq!(outbox.bytes(), bytes);
            prop_assert_eq!(outbox.messages(), model.waiting.len() + model.in_flight.len());
        }
        for entry in model.waiting {
            prop_assert_eq!(outbox.front(), Some(&entry.message));
            outbox.sent(Qos::AtLeastOnce);
        }
        prop_assert_eq!(outbox.front(), None);
    }
}

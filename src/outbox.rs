//! Bounded store of messages that the broker has not acknowledged. It stands above the session:
//! when a link or a session is lost, nothing in here is.

use crate::config::{Drop, OutboxBounds};
use crate::message::Message;
use crate::mqtt::topic::Qos;
use std::collections::VecDeque;

/// Messages in the order in which they came. Sans-io.
///
/// A message is waiting, or in flight: handed to the session and not acknowledged yet. What is in
/// flight is never dropped, because the broker may have it already.
#[derive(Debug)]
pub struct Outbox {
    bounds: OutboxBounds,
    /// Entries by [`Ticket`], the front one's being `first`. A gap is a message that is done.
    entries: VecDeque<Option<Entry>>,
    first: u64,
    /// Where to look for the next waiting message: none waits before this ticket.
    next: u64,
    len: usize,
    bytes: usize,
    /// Goes before everything else: the birth message, which a backlog must not delay.
    urgent: Option<Message>,
    counts: Counts,
}

/// What the outbox calls a message that is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    message: Message,
    in_flight: bool,
}

/// What the outbox has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed to the link, repetitions included.
    pub sent: u64,
    /// QoS 1 messages that the broker acknowledged.
    pub acknowledged: u64,
    /// Messages lost because the outbox was full.
    pub dropped: u64,
    /// Messages replaced by a newer one of their topic.
    pub replaced: u64,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(bounds: &OutboxBounds) -> Outbox {
        Outbox {
            bounds: bounds.clone(),
            entries: VecDeque::new(),
            first: 0,
            next: 0,
            len: 0,
            bytes: 0,
            urgent: None,
            counts: Counts::default(),
        }
    }

    /// Takes a message in. A message that only counts as the latest replaces a waiting one of its
    /// topic; in a full outbox every retained message does. What else is in the way of the bounds
    /// goes by the policy, and is counted.
    pub fn push(&mut self, message: Message) {
        if message.cost() > self.bounds.bytes.bytes() {
            self.counts.dropped += 1;
            return;
        }
        if message.latest_only || message.retain && !self.has_room_for(&message) {
            self.remove_waiting(&message);
        }
        while !self.has_room_for(&message) {
            let oldest = match self.bounds.drop {
                Drop::Oldest => self.oldest_waiting(),
                Drop::Newest => None,
            };
            self.counts.dropped += 1;
            match oldest {
                Some(ticket) => self.remove(ticket),
                None => return,
            };
        }
        self.len += 1;
        self.bytes += message.cost();
        self.entries.push_back(Some(Entry { message, in_flight: false }));
    }

    /// Takes in a message that goes before all others, in the place of an earlier such one.
    pub fn push_first(&mut self, message: Message) {
        self.urgent = Some(message);
    }

    /// The next message to hand to the link. QoS 1 is in flight from now on under its ticket;
    /// QoS 0 and the urgent message have none, and are gone.
    pub fn take(&mut self) -> Option<(Message, Option<Ticket>)> {
        if let Some(message) = self.urgent.take() {
            self.counts.sent += 1;
            return Some((message, None));
        }
        let ticket = self.oldest_waiting()?;
        self.counts.sent += 1;
        let entry = self.entry(ticket)?;
        if entry.message.qos == Qos::AtMostOnce {
            return self.remove(ticket).map(|message| (message, None));
        }
        entry.in_flight = true;
        let message = entry.message.clone();
        self.next = ticket.0 + 1;
        Some((message, Some(ticket)))
    }

    /// The message of a ticket, to be sent once more.
    pub fn again(&mut self, ticket: Ticket) -> Option<Message> {
        let message = self.entry(ticket)?.message.clone();
        self.counts.sent += 1;
        Some(message)
    }

    /// The broker has it.
    pub fn acknowledged(&mut self, ticket: Ticket) {
        if self.remove(ticket).is_some() {
            self.counts.acknowledged += 1;
        }
    }

    /// The broker's session was lost: what was in flight waits again, in its old place.
    pub fn requeue(&mut self) {
        for entry in self.entries.iter_mut().flatten() {
            entry.in_flight = false;
        }
        self.next = self.first;
    }

    /// Whether a message waits to be taken.
    pub fn has_waiting(&mut self) -> bool {
        self.urgent.is_some() || self.oldest_waiting().is_some()
    }

    /// Messages in here, waiting and in flight.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0 && self.urgent.is_none()
    }

    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn has_room_for(&self, message: &Message) -> bool {
        self.len < self.bounds.messages as usize
            && self.bytes + message.cost() <= self.bounds.bytes.bytes()
    }

    fn entry(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let at = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)?.as_mut()
    }

    /// The oldest message that is not in flight. The search goes on from where the last one ended.
    fn oldest_waiting(&mut self) -> Option<Ticket> {
        let mut at = usize::try_from(self.next - self.first).ok()?;
        while let Some(entry) = self.entries.get(at) {
            if entry.as_ref().is_some_and(|entry| !entry.in_flight) {
                break;
            }
            at += 1;
        }
        self.next = self.first + at as u64;
        (at < self.entries.len()).then_some(Ticket(self.next))
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Message> {
        let at = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        let message = self.entries.get_mut(at)?.take()?.message;
        self.len -= 1;
        self.bytes -= message.cost();
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
        // The memory of an outage is given back once it is over.
        if self.entries.is_empty() && self.entries.capacity() > 1024 {
            self.entries.shrink_to(64);
        }
        Some(message)
    }

    /// Removes the waiting message of the same topic. It may stand anywhere, so this looks at all;
    /// lengths differ sooner than texts.
    fn remove_waiting(&mut self, newer: &Message) {
        let skip = usize::try_from(self.next - self.first).unwrap_or_default();
        let same = self.entries.iter().skip(skip).position(|entry| {
            entry.as_ref().is_some_and(|e| {
                !e.in_flight && e.message.retain == newer.retain && e.message.topic == newer.topic
            })
        });
        if let Some(at) = same {
            self.remove(Ticket(self.first + (skip + at) as u64));
            self.counts.replaced += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scalar::Size;

    fn message(text: &str) -> Message {
        Message {
            topic: text.split('=').next().unwrap().parse().unwrap(),
            payload: text.to_owned().into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            latest_only: false,
        }
    }

    fn outbox(messages: u32, drop: Drop) -> Outbox {
        Outbox::new(&OutboxBounds { messages, bytes: Size::from_bytes(1 << 20), drop })
    }

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some((message, ticket)) = outbox.take() {
            texts.push(String::from_utf8(message.payload.to_vec()).unwrap());
            if let Some(ticket) = ticket {
                outbox.acknowledged(ticket);
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
            assert_eq!((outbox.len(), outbox.bytes()), (0, 0));
        }
    }

    #[test]
    fn what_is_in_flight_is_never_dropped() {
        let mut outbox = outbox(2, Drop::Oldest);
        outbox.push(message("a"));
        let (_, ticket) = outbox.take().unwrap();
        for text in ["b", "c"] {
            outbox.push(message(text));
        }
        assert_eq!(outbox.again(ticket.unwrap()).unwrap().payload, "a");
        outbox.requeue();
        assert_eq!(drain(&mut outbox), ["a", "c"]);
    }

    #[test]
    fn bytes_are_bounded_too_and_a_giant_is_refused() {
        let mut outbox = outbox(1000, Drop::Oldest);
        outbox.bounds.bytes = Size::from_bytes(3 * message("a").cost());
        for text in ["a", "b", "c", "d"] {
            outbox.push(message(text));
        }
        assert_eq!(outbox.len(), 3);
        outbox.push(Message { payload: vec![0; 10_000].into(), ..message("giant") });
        assert_eq!(outbox.len(), 3, "nothing makes way for what can never fit");
        assert_eq!(outbox.counts().dropped, 2);
    }

    #[test]
    fn retained_messages_are_replaced_by_topic_only_when_it_is_full() {
        let retained = |text| Message { retain: true, ..message(text) };
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
        let status = |text| Message { latest_only: true, retain: true, ..message(text) };
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
        let (_, a) = outbox.take().unwrap();
        outbox.take();
        outbox.acknowledged(a.unwrap());
        outbox.requeue();
        assert_eq!(drain(&mut outbox), ["b", "c"]);
        assert_eq!(outbox.counts().acknowledged, 3);
    }
}

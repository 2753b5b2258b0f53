//! What the broker seems to end links at, out of the way of all else.

use super::{Held, Outbox, RefusedMessage, Sending};
use crate::mqtt::message::Message;
use crate::mqtt::session::Verdict;
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;
use std::collections::VecDeque;

impl Outbox {
    /// Puts the front message aside.
    pub(super) fn set_front_aside(&mut self) {
        if let Some(entry) = self.urgent.take() {
            let held = Held { ticket: self.ticket(), entry, seq: None, tries: 0 };
            self.bytes += held.entry.cost();
            return self.set_aside(held);
        }
        if let Some((at, queue)) = self.next()
            && let Some(held) = self.lanes[at].pop(queue)
        {
            self.waiting -= 1;
            self.set_aside(held);
        }
    }

    /// A message whose memory is counted goes aside, or takes the place of an older one that counts
    /// no more.
    fn set_aside(&mut self, held: Held) {
        let port = self.lane(held.entry.port);
        if held.entry.latest_only
            && let Some(old) =
                self.lanes[port].take_aside(|it| it.message.topic == held.entry.message.topic)
        {
            self.gone(&old);
            self.counts.replaced += 1;
            self.tell(old.ticket, super::Outcome::Replaced);
        }
        self.waiting += 1;
        self.lanes[port].push_aside(held);
    }

    /// Judges anew what is aside: what is good goes before all else of its port. Returns the first
    /// that is refused; the caller asks until there is none.
    pub fn reconsider(&mut self, verdict: impl Fn(&Message) -> Verdict) -> Option<RefusedMessage> {
        for at in 0..self.lanes.len() {
            let refused = |it: &Entry| matches!(verdict(&it.message), Verdict::Refused(_));
            if let Some(held) = self.lanes[at].take_aside(refused)
                && let Verdict::Refused(reason) = verdict(&held.entry.message)
            {
                self.waiting -= 1;
                self.settled(&held, reason);
                let Entry { message, port, .. } = held.entry;
                return Some(RefusedMessage { message, sender: port, reason });
            }
            let good = |it: &Entry| verdict(&it.message) == Verdict::Good;
            let mut back = VecDeque::new();
            while let Some(held) = self.lanes[at].take_aside(good) {
                back.push_front(held);
            }
            if !back.is_empty() {
                self.lanes[at].pile_up(self.bounds.ordering);
            }
            for held in back {
                self.lanes[at].push_front(held, self.bounds.ordering);
            }
        }
        None
    }

    /// The first message aside of a kind that may be sent.
    pub fn aside(&self, wanted: impl Fn(&Message) -> bool) -> Option<&Message> {
        self.first_aside(wanted).map(|entry| &entry.message)
    }

    fn first_aside(&self, wanted: impl Fn(&Message) -> bool) -> Option<&Entry> {
        let aside = self.lanes.iter().flat_map(|lane| lane.aside());
        let mut wanted = aside.filter(|held| wanted(&held.entry.message) && self.is_safe(held));
        wanted.next().map(|held| &held.entry)
    }

    /// What [`Outbox::aside`] gave was handed to the link. A status of QoS 0 stays, until it is clear
    /// whether the broker takes it: to repeat that does no harm.
    pub fn sent_aside(&mut self, wanted: impl Fn(&Message) -> bool, qos: Qos) -> Option<Sending> {
        self.counts.sent += 1;
        let stays = |it: &Entry| qos == Qos::AtMostOnce && it.latest_only;
        let first = self.first_aside(wanted)?;
        if stays(first) {
            return None;
        }
        let (port, safe) = (usize::from(first.port), first.clone());
        let held = self.lanes[port].take_aside(|it| *it == safe)?;
        self.waiting -= 1;
        if qos == Qos::AtMostOnce {
            self.forget(&held);
            return None;
        }
        Some(self.in_flight.push(held))
    }

    /// The broker has a status of QoS 0 that stayed aside.
    pub fn taken_aside(&mut self, wanted: impl Fn(&Message) -> bool) {
        for at in 0..self.lanes.len() {
            let status = |it: &Entry| {
                it.message.qos == Qos::AtMostOnce && it.latest_only && wanted(&it.message)
            };
            if let Some(held) = self.lanes[at].take_aside(status) {
                self.waiting -= 1;
                self.forget(&held);
            }
        }
    }
}

//! What the broker seems to end links at, out of the way of all else.

use super::{InFlightId, Outbox, Queued, QueuedMessage, RefusedMessage};
use crate::mqtt::message::Message;
use crate::mqtt::session::Verdict;
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;

impl Outbox {
    pub(super) fn set_front_aside(&mut self) {
        if let Some(entry) = self.urgent.take() {
            let held = self.boxed(entry);
            self.bytes += held.cost;
            return self.set_aside(held);
        }
        if let Some((at, queue)) = self.next()
            && let Some(held) = self.ports[at].pop(queue)
        {
            self.waiting -= 1;
            self.set_aside(held);
        }
    }

    /// A message whose memory is counted goes aside, or takes the place of an older one that counts
    /// no more.
    fn set_aside(&mut self, held: Queued) {
        let port = self.port_queue(held.entry.port);
        if held.entry.latest_only
            && let Some(old) =
                self.ports[port].take_aside(|it| it.entry.message.topic == held.entry.message.topic)
        {
            self.gone(&old);
            self.counts.replaced += 1;
            self.tell(old.id, super::Outcome::Replaced);
        }
        self.waiting += 1;
        self.ports[port].push_aside(held);
    }

    /// Judges again what is aside: accepted messages go back to their old place. Returns the first
    /// that is refused; the caller asks until there is none.
    pub fn reconsider(&mut self, verdict: impl Fn(&Message) -> Verdict) -> Option<RefusedMessage> {
        for at in 0..self.ports.len() {
            let refused =
                |it: &QueuedMessage| matches!(verdict(&it.entry.message), Verdict::Refused(_));
            if let Some(held) = self.ports[at].take_aside(refused)
                && let Verdict::Refused(reason) = verdict(&held.entry.message)
            {
                self.waiting -= 1;
                self.settled(&held, reason);
                let Entry { message, port, .. } = held.entry;
                return Some(RefusedMessage { message, sender: port, reason });
            }
            let good = |it: &QueuedMessage| verdict(&it.entry.message) == Verdict::Good;
            let mut returned = Vec::new();
            while let Some(held) = self.ports[at].take_aside(good) {
                returned.push(held);
            }
            if !returned.is_empty() {
                self.ports[at].give_back(returned, self.bounds.ordering);
            }
        }
        None
    }

    /// The first message aside of a kind that may be sent.
    pub fn aside(&self, wanted: impl Fn(&Message) -> bool) -> Option<&Message> {
        self.first_aside(wanted).map(|held| &held.entry.message)
    }

    fn first_aside(&self, wanted: impl Fn(&Message) -> bool) -> Option<&QueuedMessage> {
        let aside = self.ports.iter().flat_map(|port| port.aside());
        let mut wanted = aside.filter(|held| wanted(&held.entry.message) && self.is_safe(held));
        wanted.next()
    }

    /// What [`Outbox::aside`] gave was handed to the link. A status of QoS 0 stays, until it is
    /// clear whether the broker takes it: to repeat that does no harm.
    pub fn sent_aside(
        &mut self,
        wanted: impl Fn(&Message) -> bool,
        qos: Qos,
    ) -> Option<InFlightId> {
        self.counts.sent += 1;
        let stays = |it: &QueuedMessage| qos == Qos::AtMostOnce && it.entry.latest_only;
        let first = self.first_aside(wanted)?;
        if stays(first) {
            return None;
        }
        let (port, id) = (usize::from(first.entry.port), first.id);
        let held = self.ports[port].take_aside(|it| it.id == id)?;
        self.waiting -= 1;
        if qos == Qos::AtMostOnce {
            self.forget(held);
            return None;
        }
        Some(self.in_flight.push(held))
    }

    /// The broker has a status of QoS 0 that stayed aside.
    pub fn taken_aside(&mut self, wanted: impl Fn(&Message) -> bool) {
        for at in 0..self.ports.len() {
            let status = |QueuedMessage { entry, .. }: &QueuedMessage| {
                entry.latest_only && entry.message.qos == Qos::AtMostOnce && wanted(&entry.message)
            };
            if let Some(held) = self.ports[at].take_aside(status) {
                self.waiting -= 1;
                self.forget(held);
            }
        }
    }
}

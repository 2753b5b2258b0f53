//! The outbox as what the MQTT client sends from.

use super::port_queue::{Age, PortQueue};
use super::{Outbox, Queued, QueuedMessage};
use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::Verdict;
use crate::mqtt::source::{
    Deferred, InFlightId, IsWanted, MessageId, Outcome, RefusedMessage, Source,
};
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;
use std::time::Instant;

/// Where a message waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    id: MessageId,
    port: usize,
    age: Age,
}

impl Source for Outbox {
    fn tick(&mut self, now: Instant) {
        if let Some(deferred) = self.pause.end(now) {
            let in_flight = &mut self.in_flight;
            let returned = deferred.into_iter().filter_map(|id| in_flight.remove(id.0)).collect();
            self.wait_again(returned);
        }
        self.limiter.tick(now);
    }

    fn deadline(&self) -> Option<Instant> {
        if let Some(until) = self.pause.until() {
            return Some(until);
        }
        let due = self.limiter.deadline()?;
        let waits = |port: &PortQueue| {
            port.front(Age::Backlog).is_some_and(|it| self.is_old(it) && self.is_safe(it))
        };
        self.ports.iter().any(waits).then_some(due)
    }

    fn is_paused(&self) -> bool {
        self.pause.until().is_some()
    }

    fn front(&self) -> Option<&Message> {
        self.front_entry().map(|entry| &entry.message)
    }

    fn is_birth(&self) -> bool {
        self.urgent.is_some()
    }

    fn sent(&mut self, qos: Qos) -> Option<InFlightId> {
        if self.urgent.take().is_some() {
            self.counts.sent += 1;
            return None;
        }
        let queued = self.pop_front()?;
        self.send(queued, qos)
    }

    fn refuse_front(&mut self, reason: Reason) -> Option<RefusedMessage> {
        if let Some(urgent) = self.urgent.take() {
            self.counts.refused += 1;
            return Some(refused(urgent, reason));
        }
        let queued = self.pop_front()?;
        self.answered(&queued, reason);
        Some(refused(queued.entry, reason))
    }

    fn message(&self, id: InFlightId) -> Option<&Message> {
        self.in_flight.get(id.0).map(|queued| &queued.entry.message)
    }

    fn sender_of(&self, id: InFlightId) -> u16 {
        self.in_flight.get(id.0).map_or(0, |queued| queued.entry.port)
    }

    fn retransmit(&mut self, id: InFlightId) -> Option<&Message> {
        let queued = self.in_flight.get(id.0)?;
        self.counts.sent += 1;
        Some(&queued.entry.message)
    }

    fn settled(&mut self, id: InFlightId, reason: Reason) {
        if let Some(queued) = self.in_flight.remove(id.0) {
            self.answered(&queued, reason);
            self.recycle(queued);
        }
    }

    fn defer(&mut self, id: InFlightId, now: Instant) -> Option<Deferred> {
        self.pause.defer(id, &mut self.in_flight.get_mut(id.0)?.tries, now)
    }

    fn requeue(&mut self) {
        self.counts.requeued += self.in_flight.len() as u64;
        self.pause.requeued();
        let returned = std::mem::take(&mut self.in_flight).into_vec();
        self.wait_again(returned);
    }

    fn connected(&mut self) {
        self.writer.down_since = None;
        self.old = (self.last_id, self.writer.last);
        self.wait_again(Vec::new());
    }

    fn seed(&mut self, chance: u32) {
        self.pause.seed(chance);
    }

    fn quarantine_front(&mut self) {
        if let Some(entry) = self.urgent.take() {
            let queued = self.boxed(entry);
            self.quarantine(queued);
        } else if let Some((queued, _)) = self.take_front() {
            self.quarantine(queued);
        }
    }

    fn quarantined(&self, wanted: IsWanted<'_>) -> Option<&Message> {
        self.first_quarantined(wanted).map(|queued| &queued.entry.message)
    }

    /// A status of QoS 0 stays until it is clear whether the broker takes it: repeating it does no
    /// harm.
    fn sent_quarantined(&mut self, wanted: IsWanted<'_>, qos: Qos) -> Option<InFlightId> {
        let first = self.first_quarantined(wanted)?;
        if qos == Qos::AtMostOnce && first.entry.latest_only {
            self.counts.sent += 1;
            return None;
        }
        let (port, id) = (usize::from(first.entry.port), first.id);
        let queued = self.ports[port].take_quarantined(|it| it.id == id)?;
        self.send(queued, qos)
    }

    fn delivered_quarantined(&mut self, wanted: IsWanted<'_>) {
        let is_status = |QueuedMessage { entry, .. }: &QueuedMessage| {
            entry.latest_only && entry.message.qos == Qos::AtMostOnce && wanted(&entry.message)
        };
        for port in 0..self.ports.len() {
            if let Some(queued) = self.ports[port].take_quarantined(is_status) {
                self.forget(queued);
            }
        }
    }

    /// Accepted messages wait again in their old places.
    fn reconsider(&mut self, verdict: &dyn Fn(&Message) -> Verdict) -> Option<RefusedMessage> {
        let is_good = |it: &QueuedMessage| verdict(&it.entry.message) == Verdict::Good;
        let is_refused =
            |it: &QueuedMessage| matches!(verdict(&it.entry.message), Verdict::Refused(_));
        for port in &mut self.ports {
            let good = std::iter::from_fn(|| port.take_quarantined(is_good)).collect::<Vec<_>>();
            if !good.is_empty() {
                port.give_back(good, self.bounds.ordering);
            }
            if let Some(queued) = port.take_quarantined(is_refused)
                && let Verdict::Refused(reason) = verdict(&queued.entry.message)
            {
                self.answered(&queued, reason);
                return Some(refused(queued.entry, reason));
            }
        }
        None
    }

    fn refused_unacknowledged(&mut self) {
        self.counts.refused += 1;
    }

    fn is_empty(&self) -> bool {
        self.messages() == 0 && self.urgent.is_none() && self.writer.journal_only == 0
    }

    fn outcome(&mut self) -> Option<(MessageId, Outcome)> {
        self.outcomes.as_mut()?.pop_front()
    }

    /// The journal is to be read on, or much was acknowledged.
    fn wants_owner(&self) -> bool {
        self.writer.has_much_done() || self.writer.may_read() && !self.is_half_full()
    }
}

fn refused(entry: Entry, reason: Reason) -> RefusedMessage {
    RefusedMessage { message: entry.message, sender: entry.port, reason }
}

impl Outbox {
    fn is_old(&self, queued: &QueuedMessage) -> bool {
        queued.id.0 <= self.old.0 || queued.seq.is_some_and(|seq| seq <= self.old.1)
    }

    fn is_safe(&self, queued: &QueuedMessage) -> bool {
        self.writer.may_send(&queued.entry, queued.seq)
    }

    /// Where the next message waits. Fresh messages do not wait for the backlog, nor does the
    /// backlog wait for ever; of both, the oldest that may be sent goes first.
    fn next(&self) -> Option<Place> {
        let may_drain = self.limiter.may_send();
        let (mut backlog, mut fresh) = (None::<Place>, None::<Place>);
        for (port, queue) in self.ports.iter().enumerate() {
            if let Some(queued) = queue.front(Age::Backlog)
                && backlog.is_none_or(|first| queued.id < first.id)
                && (may_drain || !self.is_old(queued))
                && self.is_safe(queued)
            {
                backlog = Some(Place { id: queued.id, port, age: Age::Backlog });
            }
            if let Some(queued) = queue.front(Age::Fresh)
                && fresh.is_none_or(|first| queued.id < first.id)
                && self.is_safe(queued)
            {
                fresh = Some(Place { id: queued.id, port, age: Age::Fresh });
            }
        }
        if self.backlog_next { backlog.or(fresh) } else { fresh.or(backlog) }
    }

    /// Takes out the message that [`Source::front`] returned, or would return.
    fn take_front(&mut self) -> Option<(Queued, Age)> {
        let is_there =
            |it: &Place| self.ports[it.port].front(it.age).is_some_and(|queued| queued.id == it.id);
        let Place { port, age, .. } = self.found.take().filter(is_there).or_else(|| self.next())?;
        let queued = self.ports[port].pop(age)?;
        Some((queued, age))
    }

    fn pop_front(&mut self) -> Option<Queued> {
        let (queued, age) = self.take_front()?;
        self.backlog_next = age == Age::Fresh;
        if age == Age::Backlog && self.is_old(&queued) {
            self.limiter.sent();
        }
        Some(queued)
    }

    /// A message was handed to the link.
    fn send(&mut self, queued: Queued, qos: Qos) -> Option<InFlightId> {
        self.counts.sent += 1;
        if qos == Qos::AtMostOnce {
            self.forget(queued);
            return None;
        }
        self.last_in_flight += 1;
        self.in_flight.push_back(self.last_in_flight, queued);
        Some(InFlightId(self.last_in_flight))
    }

    /// A message of QoS 0 is gone.
    fn forget(&mut self, queued: Queued) {
        self.writer.done(&queued);
        self.tell(queued.id, Outcome::Delivered(Reason::SUCCESS));
        self.recycle(queued);
    }

    /// The broker has acknowledged or refused a message.
    fn answered(&mut self, queued: &QueuedMessage, reason: Reason) {
        self.writer.done(queued);
        if reason.is_error() {
            self.counts.refused += 1;
            self.tell(queued.id, Outcome::Refused(reason));
        } else {
            self.counts.acknowledged += 1;
            self.pause.delivered();
            self.tell(queued.id, Outcome::Delivered(reason));
        }
    }

    /// Puts a message in quarantine, where it takes the place of an older one of its topic if only
    /// the latest matters.
    fn quarantine(&mut self, queued: Queued) {
        let is_older = |it: &QueuedMessage| it.entry.message.topic == queued.entry.message.topic;
        let is_latest = queued.entry.latest_only;
        let port = self.port_queue(queued.entry.port);
        let old = if is_latest { port.take_quarantined(is_older) } else { None };
        port.quarantine(queued);
        old.iter().for_each(|old| self.replaced(old));
    }

    /// The message that [`Source::front`] returns, with what is known of it.
    pub fn front_entry(&self) -> Option<&Entry> {
        if let Some(urgent) = &self.urgent {
            return Some(urgent);
        }
        if self.is_paused() {
            return None;
        }
        let place = self.next()?;
        self.found.set(Some(place));
        self.ports[place.port].front(place.age).map(|queued| &queued.entry)
    }

    /// The message that [`Source::quarantined`] returns, with what is known of it.
    #[cfg(feature = "formats")]
    pub fn quarantined_entry(&self, wanted: IsWanted<'_>) -> Option<&Entry> {
        self.first_quarantined(wanted).map(|queued| &queued.entry)
    }

    fn first_quarantined(&self, wanted: IsWanted<'_>) -> Option<&QueuedMessage> {
        let mut all = self.ports.iter().flat_map(PortQueue::quarantined);
        all.find(|it| wanted(&it.entry.message) && self.is_safe(it))
    }
}

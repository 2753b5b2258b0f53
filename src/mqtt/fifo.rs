//! A bounded queue of messages, in memory: the [`Source`] of the client, the shell and tests.

use crate::base::deque;
use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::pause::QuotaPause;
use crate::mqtt::session::Verdict;
use crate::mqtt::source::{
    Deferred, InFlightId, IsWanted, MessageId, Outcome, RefusedMessage, Source,
};
use crate::mqtt::topic::Qos;
use std::collections::VecDeque;
use std::time::Instant;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most this many messages, those in flight included.
    pub messages: usize,
    /// At most this much memory, by [`Message::cost`].
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { messages: 50_000, bytes: 8 << 20 }
    }
}

/// Messages in the order in which they were pushed. Messages in flight are never dropped, because the
/// broker may have them already.
#[derive(Debug, Default)]
pub struct Fifo {
    bounds: Bounds,
    waiting: VecDeque<Queued>,
    quarantine: VecDeque<Queued>,
    /// In the order of their identifiers, which only grow.
    in_flight: VecDeque<(InFlightId, Queued)>,
    bytes: usize,
    last: u64,
    pause: QuotaPause,
    outcomes: VecDeque<(MessageId, Outcome)>,
    dropped: u64,
}

#[derive(Debug)]
struct Queued {
    id: MessageId,
    message: Message,
    /// How often the broker did not take it for the time being.
    tries: u8,
}

impl Fifo {
    /// An empty queue.
    pub fn new(bounds: Bounds) -> Fifo {
        Fifo { bounds, ..Fifo::default() }
    }

    /// Takes a message in. If the queue is full, the oldest messages that wait are dropped, those of
    /// QoS 0 first. [`Source::outcome`] says what became of each message; the queue's owner takes the
    /// outcomes after each step, because they are not bounded.
    pub fn push(&mut self, message: Message) -> MessageId {
        self.last += 1;
        let id = MessageId(self.last);
        let cost = message.cost();
        while cost <= self.bounds.bytes && !self.has_room_for(cost) {
            let qos_0 = self.waiting.iter().position(|it| it.message.qos == Qos::AtMostOnce);
            let oldest = || deque::take(&mut self.waiting, qos_0.unwrap_or(0));
            let Some(least) = self.quarantine.pop_front().or_else(oldest) else { break };
            self.gone(&least, Outcome::Dropped);
        }
        let fits = self.has_room_for(cost);
        let queued = Queued { id, message, tries: 0 };
        self.bytes += cost;
        if fits {
            self.waiting.push_back(queued);
        } else {
            self.gone(&queued, Outcome::Dropped);
        }
        id
    }

    fn has_room_for(&self, cost: usize) -> bool {
        self.len() < self.bounds.messages && self.bytes + cost <= self.bounds.bytes
    }

    /// A message that the broker does not take for the time being is given up at once.
    pub fn try_once(&mut self) {
        self.pause.try_once();
    }

    /// Messages that wait or are in flight.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.quarantine.len() + self.in_flight.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn gone(&mut self, queued: &Queued, outcome: Outcome) {
        self.bytes -= queued.message.cost();
        self.dropped += u64::from(outcome == Outcome::Dropped);
        self.outcomes.push_back((queued.id, outcome));
    }

    fn done(&mut self, queued: &Queued, reason: Reason) {
        if reason.is_error() {
            self.gone(queued, Outcome::Refused(reason));
        } else {
            self.pause.delivered();
            self.gone(queued, Outcome::Delivered(reason));
        }
    }

    fn refuse(&mut self, queued: Queued, reason: Reason) -> RefusedMessage {
        self.done(&queued, reason);
        RefusedMessage { message: queued.message, sender: 0, reason }
    }

    /// A message that was handed to the link.
    fn send(&mut self, queued: Queued, qos: Qos) -> Option<InFlightId> {
        if qos == Qos::AtMostOnce {
            self.gone(&queued, Outcome::Delivered(Reason::SUCCESS));
            return None;
        }
        self.last += 1;
        let id = InFlightId(self.last);
        self.in_flight.push_back((id, queued));
        Some(id)
    }

    fn find(&self, id: InFlightId) -> Option<usize> {
        self.in_flight.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    fn take(&mut self, id: InFlightId) -> Option<Queued> {
        let at = self.find(id)?;
        deque::take(&mut self.in_flight, at).map(|(_, queued)| queued)
    }

    fn find_quarantined(&self, wanted: IsWanted<'_>) -> Option<usize> {
        self.quarantine.iter().position(|it| wanted(&it.message))
    }
}

impl Source for Fifo {
    fn tick(&mut self, now: Instant) {
        for id in self.pause.end(now).unwrap_or_default() {
            if let Some(queued) = self.take(id) {
                self.waiting.push_front(queued);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.pause.until()
    }

    fn is_paused(&self) -> bool {
        self.pause.until().is_some()
    }

    fn front(&self) -> Option<&Message> {
        if self.is_paused() { None } else { self.waiting.front().map(|it| &it.message) }
    }

    fn sent(&mut self, qos: Qos) -> Option<InFlightId> {
        let queued = self.waiting.pop_front()?;
        self.send(queued, qos)
    }

    fn refuse_front(&mut self, reason: Reason) -> Option<RefusedMessage> {
        let queued = self.waiting.pop_front()?;
        Some(self.refuse(queued, reason))
    }

    fn message(&self, id: InFlightId) -> Option<&Message> {
        self.in_flight.get(self.find(id)?).map(|(_, it)| &it.message)
    }

    fn retransmit(&mut self, id: InFlightId) -> Option<&Message> {
        self.message(id)
    }

    fn settled(&mut self, id: InFlightId, reason: Reason) {
        if let Some(queued) = self.take(id) {
            self.done(&queued, reason);
        }
    }

    fn defer(&mut self, id: InFlightId, now: Instant) -> Option<Deferred> {
        let at = self.find(id)?;
        self.pause.defer(id, &mut self.in_flight.get_mut(at)?.1.tries, now)
    }

    fn requeue(&mut self) {
        self.pause.requeued();
        let in_flight = self.in_flight.drain(..).rev();
        in_flight.for_each(|(_, queued)| self.waiting.push_front(queued));
    }

    fn seed(&mut self, chance: u32) {
        self.pause.seed(chance);
    }

    fn quarantine_front(&mut self) {
        if let Some(queued) = self.waiting.pop_front() {
            self.quarantine.push_back(queued);
        }
    }

    fn quarantined(&self, wanted: IsWanted<'_>) -> Option<&Message> {
        let at = self.find_quarantined(wanted)?;
        self.quarantine.get(at).map(|it| &it.message)
    }

    fn sent_quarantined(&mut self, wanted: IsWanted<'_>, qos: Qos) -> Option<InFlightId> {
        let at = self.find_quarantined(wanted)?;
        let queued = deque::take(&mut self.quarantine, at)?;
        self.send(queued, qos)
    }

    fn reconsider(&mut self, verdict: &dyn Fn(&Message) -> Verdict) -> Option<RefusedMessage> {
        for queued in std::mem::take(&mut self.quarantine).into_iter().rev() {
            match verdict(&queued.message) {
                Verdict::Good => self.waiting.push_front(queued),
                Verdict::Aside | Verdict::Refused(_) => self.quarantine.push_front(queued),
            }
        }
        let refusal = |it: &Queued| match verdict(&it.message) {
            Verdict::Refused(reason) => Some(reason),
            Verdict::Good | Verdict::Aside => None,
        };
        let mut found = self.quarantine.iter().enumerate();
        let (at, reason) = found.find_map(|(at, it)| Some((at, refusal(it)?)))?;
        let queued = deque::take(&mut self.quarantine, at)?;
        Some(self.refuse(queued, reason))
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn outcome(&mut self) -> Option<(MessageId, Outcome)> {
        self.outcomes.pop_front()
    }
}

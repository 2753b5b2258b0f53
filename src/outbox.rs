//! Bounded store of messages that the broker has not acknowledged. It stands above the session:
//! when a link or a session is lost, nothing in here is.

mod aside;
mod backlog;
pub mod entry;
mod in_flight;
pub mod inlet;
pub mod journal;
mod journal_writer;
mod journalled;
mod memory;
mod policy;
mod port_queue;
mod queue;
pub mod settings;
mod slots;
mod source;
#[cfg(test)]
mod tests;

use crate::base::clock::Now;
use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::pause::QuotaPause;
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;
use crate::outbox::journal::JournalSeq;
use crate::outbox::settings::OutboxBounds;
use backlog::BacklogLimiter;
use in_flight::InFlight;
use journal_writer::JournalWriter;
use port_queue::{Age, PortQueue};
use std::collections::VecDeque;
use std::time::Instant;

pub use crate::mqtt::source::{InFlightId, MessageId, Outcome, RefusedMessage};
pub use journalled::JournalStatus;
pub use port_queue::Drops;

/// Messages in the order in which they came. Sans-io.
///
/// A message is waiting, or in flight: handed to the session and not acknowledged yet. What is in
/// flight is never dropped, because the broker may have it already.
///
/// When the link comes about, what waits is backlog: it goes out at a bounded rate, and what comes
/// later need not wait for it, as far as the order that was asked for lets it.
///
/// When it is full, the port that takes up most beyond its share loses messages, those of QoS 0
/// first. Half of the outbox is shared out evenly among the ports and the gateway's own messages;
/// nobody else can take a share away. What is to survive more than the broker's absence goes to the
/// journal too, and when memory gets short waits there alone.
#[derive(Debug)]
pub struct Outbox {
    bounds: OutboxBounds,
    /// What waits, by the number of the port.
    ports: Vec<PortQueue>,
    /// How many ports may send, and the gateway itself.
    senders: usize,
    waiting: usize,
    in_flight: InFlight,
    last_id: u64,
    /// Memory of all, waiting and in flight.
    bytes: usize,
    /// Goes before everything else: the birth message, which a backlog must not delay.
    urgent: Option<Entry>,
    limiter: BacklogLimiter,
    /// The last message that came before the link.
    old: (MessageId, JournalSeq),
    /// Whether a message of the backlog is next where a fresh one could be sent too.
    backlog_next: bool,
    writer: JournalWriter,
    pause: QuotaPause,
    /// What became of messages, where somebody wants to know.
    outcomes: Option<VecDeque<(MessageId, Outcome)>>,
    counts: Counts,
    /// The wall clock was set, after it had not been: what was on its way then is corrected, too.
    clock_was_set: Option<Now>,
    spares: Vec<Queued>,
}

/// A message in memory. It goes through several hands, so only a pointer to it is moved.
type Queued = Box<QueuedMessage>;

#[derive(Debug)]
struct QueuedMessage {
    id: MessageId,
    entry: Entry,
    /// See [`Entry::cost`].
    cost: usize,
    /// Its number in the journal, if it is or will be there too.
    seq: Option<JournalSeq>,
    /// How often the broker did not take it for the time being.
    tries: u8,
}

impl QueuedMessage {
    /// See [`Entry::correct`].
    fn correct(&mut self, now: Now) {
        self.entry.correct(now);
        self.cost = self.entry.cost();
    }
}

/// What the outbox has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed to the link, repetitions included.
    pub sent: u64,
    /// QoS 1 and 2 messages that the broker acknowledged.
    pub acknowledged: u64,
    /// Messages that the broker does not take.
    pub refused: u64,
    /// Messages lost because the outbox was full, or too small for them.
    pub dropped: u64,
    /// Those of `dropped` that alone are larger than the outbox.
    pub too_large: u64,
    /// Messages replaced by a newer one of their topic.
    pub replaced: u64,
    /// Messages in flight that waited again because the broker had lost the session.
    pub requeued: u64,
}

impl Outbox {
    /// An empty outbox, for one sender; see [`Outbox::share`].
    pub fn new(bounds: &OutboxBounds) -> Outbox {
        Outbox {
            bounds: bounds.clone(),
            ports: Vec::new(),
            senders: 1,
            waiting: 0,
            in_flight: InFlight::default(),
            last_id: 0,
            bytes: 0,
            urgent: None,
            limiter: BacklogLimiter::new(bounds.backlog_rate),
            old: (MessageId(0), JournalSeq(0)),
            backlog_next: false,
            writer: JournalWriter::new(bounds.durability),
            pause: QuotaPause::default(),
            outcomes: None,
            counts: Counts::default(),
            clock_was_set: None,
            spares: Vec::new(),
        }
    }

    /// Holds as much from now on; what is there already stays.
    pub fn set_bounds(&mut self, bounds: &OutboxBounds) {
        if bounds.ordering != self.bounds.ordering {
            self.ports.iter_mut().for_each(|port| port.set_order(bounds.ordering));
        }
        if bounds.backlog_rate != self.bounds.backlog_rate {
            self.limiter = BacklogLimiter::new(bounds.backlog_rate);
        }
        self.bounds = bounds.clone();
        self.writer.set_durability(bounds.durability);
    }

    /// Half of the room is shared out among so many ports and the gateway itself.
    pub fn share(&mut self, ports: usize) {
        self.senders = ports + 1;
    }

    /// The number of a port that has gone is another one's now, which did not lose what that one
    /// lost: it is counted as the gateway's.
    pub fn given_anew(&mut self, port: u16) {
        let Some(queue) = self.ports.get_mut(usize::from(port)).filter(|_| port > 0) else {
            return;
        };
        let lost = std::mem::take(&mut queue.drops);
        let gateway = &mut self.ports[0].drops;
        gateway.full += lost.full;
        gateway.too_large += lost.too_large;
        gateway.journal += lost.journal;
    }

    /// Takes a message in. A message that only counts as the latest replaces what waits of its
    /// topic; in a full outbox every retained message does. What else is in the way of the bounds
    /// goes by the policy, and is counted.
    pub fn push(&mut self, entry: impl Into<Entry>) -> MessageId {
        let mut queued = self.boxed(entry.into());
        if let Some(now) = self.clock_was_set {
            queued.correct(now);
        }
        self.port_queue(queued.entry.port);
        let id = queued.id;
        if self.writer.takes(&queued.entry) {
            self.push_stored(queued);
        } else {
            self.push_unstored(queued);
        }
        id
    }

    fn dropped(&mut self, ticket: MessageId) {
        self.counts.dropped += 1;
        self.tell(ticket, Outcome::Dropped);
    }

    fn tell(&mut self, ticket: MessageId, outcome: Outcome) {
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.push_back((ticket, outcome));
        }
    }

    /// From now on [`Outbox::outcome`] tells what becomes of each message; its owner takes them
    /// after each step, or they pile up.
    #[cfg(any(test, feature = "testing"))]
    pub fn follow(&mut self) {
        self.outcomes.get_or_insert_default();
    }

    /// What became of a message, in the order in which it happened.
    pub fn outcome(&mut self) -> Option<(MessageId, Outcome)> {
        self.outcomes.as_mut()?.pop_front()
    }

    /// Takes in a message that goes before all others, in the place of an earlier such one.
    pub fn push_first(&mut self, entry: impl Into<Entry>) {
        self.urgent = Some(entry.into());
    }

    /// There is a link: all that waits is backlog.
    pub fn connected(&mut self) {
        self.writer.down_since = None;
        self.old = (MessageId(self.last_id), self.writer.last());
        self.fresh_to_backlog();
    }

    /// The time goes on: more of the backlog may go out, and a rest may be over.
    pub fn tick(&mut self, now: Instant) {
        self.end_pause(now);
        self.limiter.tick(now);
    }

    /// When [`Outbox::front`] may have more than now, because the backlog goes out at a bounded
    /// rate or the broker is given a rest.
    pub fn deadline(&self) -> Option<Instant> {
        if let Some(until) = self.pause.until() {
            return Some(until);
        }
        let due = self.limiter.deadline()?;
        let waits = |port: &PortQueue| {
            port.front(Age::Backlog).is_some_and(|held| self.is_old(held) && self.is_safe(held))
        };
        self.ports.iter().any(waits).then_some(due)
    }

    fn is_old(&self, held: &QueuedMessage) -> bool {
        held.id <= self.old.0 || held.seq.is_some_and(|seq| seq <= self.old.1)
    }

    fn is_safe(&self, held: &QueuedMessage) -> bool {
        self.writer.may_send(&held.entry, held.seq)
    }

    /// Where the next message stands. Fresh ones do not wait for the backlog, nor does the backlog
    /// wait for ever; of either, the oldest that may be sent goes first.
    fn next(&self) -> Option<(usize, Age)> {
        let may_drain = self.limiter.may_send();
        let (mut backlog, mut fresh) = (None::<(MessageId, usize)>, None::<(MessageId, usize)>);
        for (at, port) in self.ports.iter().enumerate() {
            if let Some(queued) = port.front(Age::Backlog)
                && backlog.is_none_or(|(first, _)| queued.id < first)
                && (may_drain || !self.is_old(queued))
                && self.is_safe(queued)
            {
                backlog = Some((queued.id, at));
            }
            if let Some(queued) = port.front(Age::Fresh)
                && fresh.is_none_or(|(first, _)| queued.id < first)
                && self.is_safe(queued)
            {
                fresh = Some((queued.id, at));
            }
        }
        match (backlog, fresh) {
            (Some((_, at)), None) => Some((at, Age::Backlog)),
            (Some((_, at)), _) if self.backlog_next => Some((at, Age::Backlog)),
            (_, fresh) => fresh.map(|(_, at)| (at, Age::Fresh)),
        }
    }

    /// The next message to hand to the link; [`Outbox::sent`] follows.
    pub fn front(&self) -> Option<&Message> {
        if let Some(urgent) = &self.urgent {
            return Some(&urgent.message);
        }
        if self.pause.until().is_some() {
            return None;
        }
        let (at, queue) = self.next()?;
        self.ports[at].front(queue).map(|held| &held.entry.message)
    }

    fn pop_front(&mut self) -> Option<Queued> {
        let (at, queue) = self.next()?;
        let held = self.ports[at].pop(queue)?;
        self.waiting -= 1;
        self.backlog_next = queue == Age::Fresh;
        if queue == Age::Backlog && self.is_old(&held) {
            self.limiter.sent();
        }
        Some(held)
    }

    /// The front message was handed to the link with a QoS. With 1 and 2 it is in flight from now
    /// on; with QoS 0 it is gone, and so is the urgent message.
    pub fn sent(&mut self, qos: Qos) -> Option<InFlightId> {
        if self.urgent.take().is_some() {
            self.counts.sent += 1;
            return None;
        }
        let held = self.pop_front()?;
        self.counts.sent += 1;
        if qos == Qos::AtMostOnce {
            self.forget(held);
            return None;
        }
        Some(self.in_flight.push(held))
    }

    /// A message of QoS 0 was handed to the link.
    fn forget(&mut self, held: Queued) {
        self.bytes -= held.cost;
        self.writer.done(&held);
        self.tell(held.id, Outcome::Delivered(Reason::SUCCESS));
        self.recycle(held);
    }

    /// A message that is being sent once more.
    pub fn again(&mut self, sending: InFlightId) -> Option<&Message> {
        let held = self.in_flight.get(sending)?;
        self.counts.sent += 1;
        Some(&held.entry.message)
    }

    /// The broker has it, or does not take it, as the reason says.
    pub fn acknowledged(&mut self, sending: InFlightId, reason: Reason) {
        let Some(held) = self.in_flight.remove(sending) else { return };
        self.settled(&held, reason);
        self.recycle(held);
    }

    /// The front message cannot be sent to this broker.
    pub fn refuse_front(&mut self, reason: Reason) -> Option<RefusedMessage> {
        let entry = match self.urgent.take() {
            Some(urgent) => {
                self.counts.refused += 1;
                urgent
            }
            None => {
                let held = self.pop_front()?;
                self.settled(&held, reason);
                held.entry
            }
        };
        Some(RefusedMessage { message: entry.message, sender: entry.port, reason })
    }

    fn settled(&mut self, held: &QueuedMessage, reason: Reason) {
        self.bytes -= held.cost;
        self.writer.done(held);
        if reason.is_error() {
            self.counts.refused += 1;
            self.tell(held.id, Outcome::Refused(reason));
        } else {
            self.counts.acknowledged += 1;
            self.pause.delivered();
            self.tell(held.id, Outcome::Delivered(reason));
        }
    }

    /// The broker's session was lost: what was in flight waits again, before all else.
    pub fn requeue(&mut self) {
        self.counts.requeued += self.in_flight.len() as u64;
        self.pause.requeued();
        let returned = self.in_flight.take_all();
        self.wait_again(returned);
    }

    /// The pause may be over: what was deferred waits again, before all else of its port.
    fn end_pause(&mut self, now: Instant) {
        let Some(deferred) = self.pause.end(now) else { return };
        let in_flight = &mut self.in_flight;
        let returned = deferred.into_iter().filter_map(|id| in_flight.remove(id)).collect();
        self.wait_again(returned);
    }

    /// Messages in memory, waiting and in flight.
    pub fn len(&self) -> usize {
        self.waiting + self.in_flight.len()
    }

    /// Whether there is none, in the journal neither.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.urgent.is_none() && self.writer.journal_only == 0
    }

    /// Memory that they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The ports that lost messages, and why; 0 is the gateway itself.
    pub fn drops(&self) -> impl Iterator<Item = (u16, Drops)> + '_ {
        let drops = (0_u16..).zip(&self.ports).map(|(port, queue)| (port, queue.drops));
        drops.filter(|(_, drops)| *drops != Drops::default())
    }
}

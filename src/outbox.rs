//! Bounded store of messages that the broker has not acknowledged. It stands above the session:
//! when a link or a session is lost, nothing in here is.

mod backlog;
pub mod entry;
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
use crate::mqtt::pause::QuotaPause;
use crate::outbox::entry::Entry;
use crate::outbox::journal::JournalSeq;
use crate::outbox::settings::OutboxBounds;
use backlog::BacklogLimiter;
use journal_writer::JournalWriter;
use port_queue::PortQueue;
use slots::Slots;
use source::Place;
use std::cell::Cell;
use std::collections::VecDeque;

pub use crate::mqtt::source::{InFlightId, MessageId, Outcome, RefusedMessage};
pub use journalled::JournalStatus;
pub use port_queue::Drops;

/// Messages in the order in which they came. Sans-io.
///
/// A message is waiting, or in flight: handed to the session and not acknowledged yet. What is in
/// flight is never dropped, because the broker may have it already.
///
/// When a link comes up, what waits is the backlog, which is sent at a bounded rate. Newer messages
/// do not wait for it, as far as the ordering allows.
///
/// When the outbox is full, the port that takes up most beyond its share loses messages, those of
/// QoS 0 first. The ports and the gateway's own messages share half of the outbox evenly, and
/// nobody can take another's share. Messages that must survive more than an outage of the broker go
/// to the journal too; when memory gets short, they wait there alone.
#[derive(Debug, Default)]
pub struct Outbox {
    bounds: OutboxBounds,
    /// What waits, by the number of the port.
    ports: Vec<PortQueue>,
    /// How many ports may send, besides the gateway itself.
    senders: usize,
    /// By the numbers of their [`InFlightId`]s.
    in_flight: Slots,
    last_in_flight: u64,
    last_id: u64,
    /// Goes before everything else: the birth message, which a backlog must not delay.
    urgent: Option<Entry>,
    limiter: BacklogLimiter,
    /// The numbers of the last message that came before the link: its id's, and the journal's.
    old: (u64, JournalSeq),
    /// Whether a message of the backlog is next where a fresh one could be sent too.
    backlog_next: bool,
    /// The message that [`Source::front`](crate::mqtt::source::Source::front) returned last, so that
    /// it is not looked for twice.
    found: Cell<Option<Place>>,
    writer: JournalWriter,
    pause: QuotaPause,
    /// What became of messages; `None` where nobody asks.
    outcomes: Option<VecDeque<(MessageId, Outcome)>>,
    counts: Counts,
    /// Set when the wall clock is set: messages that were on their way then are corrected, too.
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
    /// How often the broker deferred it.
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
    /// Messages that the broker refused.
    pub refused: u64,
    /// Messages lost because the outbox was full, or too small for them.
    pub dropped: u64,
    /// Of those dropped, the messages that alone are larger than the outbox.
    pub too_large: u64,
    /// Messages replaced by a newer one of their topic.
    pub replaced: u64,
    /// Messages in flight that waited again because the broker had lost the session.
    pub requeued: u64,
}

impl Outbox {
    /// An empty outbox, for the gateway alone; see [`Outbox::share`].
    pub fn new(bounds: &OutboxBounds) -> Outbox {
        Outbox {
            bounds: bounds.clone(),
            limiter: BacklogLimiter::new(bounds.backlog_rate),
            writer: JournalWriter::new(bounds.durability),
            ..Outbox::default()
        }
    }

    /// Changes the bounds; messages that wait already stay.
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

    /// So many ports share half of the outbox with the gateway itself.
    pub fn share(&mut self, ports: usize) {
        self.senders = ports;
    }

    /// The number of a removed port belongs to another port now: what the old one lost is counted
    /// as lost by the gateway.
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

    /// Takes a message in. One that only counts as the latest replaces what waits of its topic; in
    /// a full outbox every retained message does. Other messages make way by the policy and are
    /// counted.
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

    /// From now on `Source::outcome` returns what becomes of each message. Its owner takes all of
    /// them after each step; the queue of outcomes has no bound.
    #[cfg(any(test, feature = "testing"))]
    pub fn follow(&mut self) {
        self.outcomes.get_or_insert_default();
    }

    /// Takes in a message that goes before all others, instead of an earlier one of that kind.
    pub fn push_first(&mut self, entry: impl Into<Entry>) {
        self.urgent = Some(entry.into());
    }

    /// Messages in memory, waiting and in flight.
    pub fn messages(&self) -> usize {
        self.in_flight.len() + self.ports.iter().map(PortQueue::len).sum::<usize>()
    }

    /// Memory that they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.in_flight.bytes() + self.ports.iter().map(PortQueue::bytes).sum::<usize>()
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

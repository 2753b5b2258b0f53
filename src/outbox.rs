//! Bounded store of messages that the broker has not acknowledged. It stands above the session:
//! when a link or a session is lost, nothing in here is.

mod aside;
mod drain;
pub mod entry;
mod in_flight;
pub mod inlet;
pub mod journal;
mod journalled;
mod lane;
mod rest;
pub mod settings;
mod shelf;
mod source;
#[cfg(test)]
mod tests;
mod waiting;

use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::pause::QuotaPause;
use crate::mqtt::topic::Qos;
use crate::outbox::entry::Entry;
use crate::outbox::journal::Seq;
use crate::outbox::settings::{Drop, OutboxBounds};
use drain::Drain;
use in_flight::InFlight;
use lane::{Lane, Queue};
use shelf::Shelf;
use std::collections::VecDeque;
use std::time::Instant;

pub use crate::mqtt::source::{
    InFlightId as Sending, MessageId as Ticket, Outcome, RefusedMessage,
};
pub use journalled::Journalled;
pub use lane::Drops;

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
    lanes: Vec<Lane>,
    /// How many ports may send, and the gateway itself.
    senders: usize,
    waiting: usize,
    in_flight: InFlight,
    last_ticket: u64,
    /// Memory of all, waiting and in flight.
    bytes: usize,
    /// Goes before everything else: the birth message, which a backlog must not delay.
    urgent: Option<Entry>,
    drain: Drain,
    /// The last message that came before the link.
    old: (Ticket, Seq),
    /// Whether a message of the backlog is next where a fresh one could be sent too.
    backlog_next: bool,
    shelf: Shelf,
    pause: QuotaPause,
    /// What became of messages, where somebody wants to know.
    outcomes: Option<VecDeque<(Ticket, Outcome)>>,
    counts: Counts,
}

/// A message in memory.
#[derive(Debug)]
struct Held {
    ticket: Ticket,
    entry: Entry,
    /// Its number in the journal, if it is or will be there too.
    seq: Option<Seq>,
    /// How often the broker did not take it for the time being.
    tries: u8,
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
            lanes: Vec::new(),
            senders: 1,
            waiting: 0,
            in_flight: InFlight::default(),
            last_ticket: 0,
            bytes: 0,
            urgent: None,
            drain: Drain::new(bounds.backlog_rate),
            old: (Ticket(0), Seq(0)),
            backlog_next: false,
            shelf: Shelf::new(bounds.durability),
            pause: QuotaPause::default(),
            outcomes: None,
            counts: Counts::default(),
        }
    }

    /// Holds as much from now on; what is there already stays.
    pub fn set_bounds(&mut self, bounds: &OutboxBounds) {
        if bounds.ordering != self.bounds.ordering {
            self.lanes.iter_mut().for_each(|lane| lane.set_order(bounds.ordering));
        }
        self.bounds = bounds.clone();
        self.drain.set_rate(bounds.backlog_rate);
        self.shelf.set_durability(bounds.durability);
    }

    /// Half of the room is shared out among so many ports and the gateway itself.
    pub fn share(&mut self, ports: usize) {
        self.senders = ports + 1;
    }

    /// The number of a port that has gone is another one's now, which did not lose what that one
    /// lost: it is counted as the gateway's.
    pub fn given_anew(&mut self, port: u16) {
        let Some(lane) = self.lanes.get_mut(usize::from(port)).filter(|_| port > 0) else { return };
        let lost = std::mem::take(&mut lane.drops);
        let gateway = &mut self.lanes[0].drops;
        gateway.full += lost.full;
        gateway.too_large += lost.too_large;
        gateway.journal += lost.journal;
    }

    /// Takes a message in. A message that only counts as the latest replaces what waits of its
    /// topic; in a full outbox every retained message does. What else is in the way of the bounds
    /// goes by the policy, and is counted.
    pub fn push(&mut self, entry: impl Into<Entry>) -> Ticket {
        let (entry, ticket) = (entry.into(), self.ticket());
        let port = self.lane(entry.port);
        if self.shelf.takes(&entry) {
            self.push_stored(ticket, entry);
            return ticket;
        }
        self.push_unstored(ticket, port, entry);
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// The lane of a port, which is there from now on.
    fn lane(&mut self, port: u16) -> usize {
        let port = usize::from(port);
        if self.lanes.len() <= port {
            self.lanes.resize_with(port + 1, Lane::default);
        }
        port
    }

    fn push_unstored(&mut self, ticket: Ticket, port: usize, entry: Entry) {
        while self.could_ever_have_room_for(&entry)
            && (entry.latest_only || !self.has_room_for(&entry))
        {
            let Some(old) = self.lanes[port].take_replaced(&entry) else { break };
            self.gone(&old);
            self.counts.replaced += 1;
            self.tell(old.ticket, Outcome::Replaced);
        }
        if self.make_way(ticket, &entry) {
            self.keep(Held { ticket, entry, seq: None, tries: 0 }, port);
        }
    }

    /// Drops what waits by the policy until there is room for a message, or the message itself, of
    /// which `false` tells.
    fn make_way(&mut self, ticket: Ticket, entry: &Entry) -> bool {
        let port = usize::from(entry.port);
        let may_fit = self.could_ever_have_room_for(entry);
        while may_fit && !self.has_room_for(entry) {
            let Some((at, least)) = self.victim(entry) else { break };
            self.gone(&least);
            self.lanes[at].drops.full += 1;
            self.dropped(least.ticket);
        }
        let fits = self.has_room_for(entry);
        if !fits {
            if entry.cost() > self.bounds.bytes.bytes() {
                self.counts.too_large += 1;
                self.lanes[port].drops.too_large += 1;
            } else {
                self.lanes[port].drops.full += 1;
            }
            self.dropped(ticket);
        }
        fits
    }

    /// Puts a message into its lane, behind what it must not overtake.
    fn keep(&mut self, held: Held, port: usize) {
        self.bytes += held.entry.cost();
        self.waiting += 1;
        self.lanes[port].push(held, self.bounds.ordering);
    }

    /// Takes a message out of the way of a new one, by the policy; `None` if the new one has to go.
    fn victim(&mut self, new: &Entry) -> Option<(usize, Held)> {
        let share = self.bounds.bytes.bytes() / 2 / self.senders;
        let own = usize::from(new.port);
        let size = |at: usize, lane: &Lane| lane.bytes() + if at == own { new.cost() } else { 0 };
        // Of several that are as large, the new message's own lane.
        let largest = |(at, lane): &(usize, &Lane)| (size(*at, lane), *at == own);
        let (at, lane) = self.lanes.iter().enumerate().max_by_key(largest)?;
        if at == own && self.bounds.drop == Drop::Newest {
            return None;
        }
        // Within its share nobody makes way for others.
        if at != own && lane.bytes() <= share {
            return None;
        }
        if let Some(least) = self.lanes[at].pop_least() {
            return Some((at, least));
        }
        // All of the largest is in the journal too.
        let oldest = self.bounds.drop == Drop::Oldest;
        let least = oldest.then(|| self.lanes[own].pop_least()).flatten()?;
        Some((own, least))
    }

    /// A message that waited does no more.
    fn gone(&mut self, held: &Held) {
        self.bytes -= held.entry.cost();
        self.waiting -= 1;
        self.shelf.done(held);
    }

    fn dropped(&mut self, ticket: Ticket) {
        self.counts.dropped += 1;
        self.tell(ticket, Outcome::Dropped);
    }

    fn tell(&mut self, ticket: Ticket, outcome: Outcome) {
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
    pub fn outcome(&mut self) -> Option<(Ticket, Outcome)> {
        self.outcomes.as_mut()?.pop_front()
    }

    /// Takes in a message that goes before all others, in the place of an earlier such one.
    pub fn push_first(&mut self, entry: impl Into<Entry>) {
        self.urgent = Some(entry.into());
    }

    /// There is a link: all that waits is backlog.
    pub fn connected(&mut self) {
        self.shelf.down_since = None;
        self.old = (Ticket(self.last_ticket), self.shelf.last());
        for lane in &mut self.lanes {
            lane.pile_up(self.bounds.ordering);
        }
    }

    /// The time goes on: more of the backlog may go out, and a rest may be over.
    pub fn tick(&mut self, now: Instant) {
        self.end_pause(now);
        self.drain.tick(now);
    }

    /// When [`Outbox::front`] may have more than now, because the backlog goes out at a bounded
    /// rate or the broker is given a rest.
    pub fn deadline(&self) -> Option<Instant> {
        if let Some(until) = self.pause.until() {
            return Some(until);
        }
        let due = self.drain.deadline()?;
        let waits = |lane: &Lane| {
            lane.front(Queue::Backlog).is_some_and(|held| self.is_old(held) && self.is_safe(held))
        };
        self.lanes.iter().any(waits).then_some(due)
    }

    fn is_old(&self, held: &Held) -> bool {
        held.ticket <= self.old.0 || held.seq.is_some_and(|seq| seq <= self.old.1)
    }

    fn is_safe(&self, held: &Held) -> bool {
        self.shelf.may_send(&held.entry, held.seq)
    }

    /// The first of the messages at the fronts of the lanes that may be sent.
    fn first(&self, queue: Queue) -> Option<usize> {
        let fronts = self.lanes.iter().enumerate();
        let fronts = fronts.filter_map(|(at, lane)| Some((lane.front(queue)?, at)));
        let may_drain = queue == Queue::Fresh || self.drain.may_send();
        let fronts =
            fronts.filter(|(held, _)| self.is_safe(held) && (may_drain || !self.is_old(held)));
        fronts.min_by_key(|(held, _)| held.ticket).map(|(_, at)| at)
    }

    /// Where the next message stands. Fresh ones do not wait for the backlog, nor does the backlog
    /// wait for ever.
    fn next(&self) -> Option<(usize, Queue)> {
        let queues = match self.backlog_next {
            true => [Queue::Backlog, Queue::Fresh],
            false => [Queue::Fresh, Queue::Backlog],
        };
        queues.into_iter().find_map(|queue| Some((self.first(queue)?, queue)))
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
        self.lanes[at].front(queue).map(|held| &held.entry.message)
    }

    fn pop_front(&mut self) -> Option<Held> {
        let (at, queue) = self.next()?;
        let held = self.lanes[at].pop(queue)?;
        self.waiting -= 1;
        self.backlog_next = queue == Queue::Fresh;
        if queue == Queue::Backlog && self.is_old(&held) {
            self.drain.sent();
        }
        Some(held)
    }

    /// The front message was handed to the link with a QoS. With 1 and 2 it is in flight from now
    /// on; with QoS 0 it is gone, and so is the urgent message.
    pub fn sent(&mut self, qos: Qos) -> Option<Sending> {
        if self.urgent.take().is_some() {
            self.counts.sent += 1;
            return None;
        }
        let held = self.pop_front()?;
        self.counts.sent += 1;
        if qos == Qos::AtMostOnce {
            self.forget(&held);
            return None;
        }
        Some(self.in_flight.push(held))
    }

    /// A message of QoS 0 was handed to the link.
    fn forget(&mut self, held: &Held) {
        self.bytes -= held.entry.cost();
        self.shelf.done(held);
        self.tell(held.ticket, Outcome::Delivered(Reason::SUCCESS));
    }

    /// What a message in flight was called when it was pushed.
    #[cfg(any(test, feature = "testing"))]
    pub fn ticket_of(&self, sending: Sending) -> Option<Ticket> {
        self.in_flight.held(sending).map(|held| held.ticket)
    }

    /// A message that is being sent once more.
    pub fn again(&mut self, sending: Sending) -> Option<&Message> {
        let held = self.in_flight.held(sending)?;
        self.counts.sent += 1;
        Some(&held.entry.message)
    }

    /// The broker has it, or does not take it, as the reason says.
    pub fn acknowledged(&mut self, sending: Sending, reason: Reason) {
        let Some(held) = self.in_flight.remove(sending) else { return };
        self.settled(&held, reason);
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

    fn settled(&mut self, held: &Held, reason: Reason) {
        self.bytes -= held.entry.cost();
        self.shelf.done(held);
        if reason.is_error() {
            self.counts.refused += 1;
            self.tell(held.ticket, Outcome::Refused(reason));
        } else {
            self.counts.acknowledged += 1;
            self.pause.delivered();
            self.tell(held.ticket, Outcome::Delivered(reason));
        }
    }

    /// The broker's session was lost: what was in flight waits again, before all else.
    pub fn requeue(&mut self) {
        self.counts.requeued += self.in_flight.len() as u64;
        self.pause.requeued();
        for lane in &mut self.lanes {
            lane.pile_up(self.bounds.ordering);
        }
        while let Some(held) = self.in_flight.pop_last() {
            self.waiting += 1;
            self.lanes[usize::from(held.entry.port)].push_front(held, self.bounds.ordering);
        }
    }

    /// Messages in memory, waiting and in flight.
    pub fn len(&self) -> usize {
        self.waiting + self.in_flight.len()
    }

    /// Whether there is none, in the journal neither.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.urgent.is_none() && self.shelf.away == 0
    }

    /// Memory that they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The ports that lost messages, and why; 0 is the gateway itself.
    pub fn drops(&self) -> impl Iterator<Item = (u16, Drops)> + '_ {
        let drops = (0_u16..).zip(&self.lanes).map(|(port, lane)| (port, lane.drops));
        drops.filter(|(_, drops)| *drops != Drops::default())
    }

    fn has_room_for(&self, entry: &Entry) -> bool {
        let taken = self.bytes + self.shelf.bytes();
        self.len() < self.bounds.messages as usize
            && entry.cost() <= self.bounds.bytes.bytes().saturating_sub(taken)
    }

    /// Whether there would be room if nothing waited. If not, dropping what waits would lose that
    /// too, and for nothing.
    fn could_ever_have_room_for(&self, entry: &Entry) -> bool {
        let taken = self.in_flight.bytes() + self.shelf.bytes();
        self.in_flight.len() < self.bounds.messages as usize
            && entry.cost() <= self.bounds.bytes.bytes().saturating_sub(taken)
    }
}

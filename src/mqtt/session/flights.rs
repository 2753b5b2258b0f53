//! Packets that were sent and that the broker has to answer.

use super::ids::Ids;
use crate::mqtt::packet::PacketId;
use crate::outbox::Ticket;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the oldest packet may stay unanswered once it was written. MQTT 3.1.1 has a client
/// repeat a message on a new link only (4.4), so an answer that got lost would hold a place in the
/// window for ever. Long, because brokers that write to a disk first may take their time.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// The largest window. It leaves some of the 65,535 identifiers for everything else, so that a
/// subscription never waits for one.
const LARGEST_WINDOW: usize = 65_000;

/// What is in flight, over any number of links one after the other.
#[derive(Debug)]
pub(super) struct Flights {
    /// Sent on this link and not answered, oldest first.
    sent: VecDeque<Flight>,
    /// Messages that were sent on an earlier link of this session and not answered: to be sent
    /// again, oldest first.
    again: VecDeque<(PacketId, Ticket)>,
    ids: Ids,
    window: usize,
    /// The window is filled again when half of it is free, so that many messages share a write
    /// and not each acknowledgement makes one.
    full: bool,
    /// When the front of `sent` must have been answered; `None` until it was written.
    due: Option<Instant>,
}

/// A packet that the broker has to answer.
#[derive(Debug)]
struct Flight {
    id: PacketId,
    what: Sent,
    /// Where it ends among all bytes of the link's output.
    end: u64,
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// A message of the outbox.
    Message(Ticket),
    /// A message that is not worth repeating: the next connect makes a new one.
    Birth,
    /// All subscriptions.
    Subscribe,
}

impl Flights {
    pub(super) fn new(window: u16) -> Flights {
        Flights {
            sent: VecDeque::new(),
            again: VecDeque::new(),
            ids: Ids::default(),
            window: usize::from(window).clamp(1, LARGEST_WINDOW),
            full: false,
            due: None,
        }
    }

    /// An identifier for a packet that is about to be sent; [`Flights::sent`] follows.
    pub(super) fn id(&mut self) -> Option<PacketId> {
        self.ids.take()
    }

    /// A packet was put into the output, where it ends at `end`.
    pub(super) fn sent(&mut self, id: PacketId, what: Sent, end: u64) {
        self.sent.push_back(Flight { id, what, end });
        self.full |= self.sent.len() >= self.window;
    }

    /// The next message to be sent again, on a resumed session; [`Flights::sent`] follows.
    pub(super) fn again(&mut self) -> Option<(PacketId, Ticket)> {
        self.again.pop_front()
    }

    /// Whether a new message may go: everything old went, and the window has room.
    pub(super) fn has_room(&mut self) -> bool {
        self.full &= self.sent.len() > self.window / 2;
        self.again.is_empty() && !self.full
    }

    /// Whether nothing new can be sent before acknowledgements come.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// PUBACK: what it acknowledges. Its identifier is free again.
    pub(super) fn acknowledged(&mut self, id: PacketId) -> Option<Sent> {
        self.land(id, |what| what != Sent::Subscribe)
    }

    /// SUBACK: whether it answers the subscriptions. The identifier is free again.
    pub(super) fn subscribed(&mut self, id: PacketId) -> bool {
        self.land(id, |what| what == Sent::Subscribe).is_some()
    }

    fn land(&mut self, id: PacketId, fits: impl Fn(Sent) -> bool) -> Option<Sent> {
        // Brokers answer in order, so the first look nearly always finds it.
        let at = self.sent.iter().position(|flight| flight.id == id && fits(flight.what))?;
        let flight = self.sent.remove(at)?;
        self.ids.give_back(id);
        if at == 0 {
            self.due = None;
        }
        Some(flight.what)
    }

    /// So much of the output was written by now: starts the time for the oldest answer.
    pub(super) fn watch(&mut self, written: u64, now: Instant) {
        if self.due.is_none() && self.sent.front().is_some_and(|flight| flight.end <= written) {
            self.due = Some(now + ANSWER_DEADLINE);
        }
    }

    /// When the oldest answer is overdue.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The broker knows nothing of what is in flight.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.again.clear();
        self.ids = Ids::default();
        self.full = false;
        self.due = None;
    }

    /// The link is gone: its messages are to be sent again. What each link makes anew is not kept.
    pub(super) fn link_lost(&mut self) {
        // What was sent on this link is older than what had not been sent again yet.
        while let Some(Flight { id, what, .. }) = self.sent.pop_back() {
            match what {
                Sent::Message(ticket) => self.again.push_front((id, ticket)),
                Sent::Birth | Sent::Subscribe => self.ids.give_back(id),
            }
        }
        self.full = false;
        self.due = None;
    }
}

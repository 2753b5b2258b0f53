//! The seam between the client and what it sends: the [`Source`] of messages, and how they leave it.

use crate::mqtt::message::Message;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::Verdict;
use crate::mqtt::topic::Qos;
use std::time::{Duration, Instant};

/// Names a message of a source from its push to its end. A newer message has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId(pub(crate) u64);

/// Names a message that is in flight. One that was sent later has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InFlightId(pub(crate) u64);

/// How a message left its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it; QoS 0: it was handed to the link.
    Delivered(Reason),
    /// The broker refuses it.
    Refused(Reason),
    /// It was dropped because the source was full.
    Dropped,
    /// A newer message of its topic took its place.
    Replaced,
}

/// A message that the broker refuses, and the sender that it came from, as the source numbers its
/// senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMessage {
    /// The message.
    pub message: Message,
    /// Its sender's number.
    pub sender: u16,
    /// The broker's reason.
    pub reason: Reason,
}

/// What follows when the broker does not take a message for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferred {
    /// A pause begins now, and lasts this long: nothing is sent until it is over.
    For(Duration),
    /// The pause goes on that there is already.
    Already,
}

/// Picks messages, or judges them.
pub type IsWanted<'a> = &'a dyn Fn(&Message) -> bool;

/// What the client sends from. The gateway's outbox is one, a [`Fifo`](super::fifo::Fifo) another.
///
/// A message waits, or is in flight: handed to the session and not acknowledged yet; a source keeps
/// what is in flight, because it may have to be sent again. Messages that the broker seems to end
/// links at are in quarantine: they wait beside the others and are tried alone.
pub trait Source: Send {
    /// Time has passed: a pause may be over, and more may be sent.
    fn tick(&mut self, now: Instant);

    /// When [`Source::tick`] may let more messages go.
    fn deadline(&self) -> Option<Instant>;

    /// Whether a pause is on, see [`Source::defer`].
    fn is_paused(&self) -> bool;

    /// The next message to send, if one may be sent now. One of the calls that take it follows:
    /// [`Source::sent`], [`Source::refuse_front`] or [`Source::quarantine_front`].
    fn front(&self) -> Option<&Message>;

    /// Whether the front message is one that goes before all others, once on each link.
    fn is_birth(&self) -> bool {
        false
    }

    /// The front message was handed to the link with a QoS. Above 0 it is in flight from now on,
    /// but for a birth message; with QoS 0 it is gone.
    fn sent(&mut self, qos: Qos) -> Option<InFlightId>;

    /// The broker, or one of its limits, refuses the front message.
    fn refuse_front(&mut self, reason: Reason) -> Option<RefusedMessage>;

    /// A message in flight.
    fn message(&self, id: InFlightId) -> Option<&Message>;

    /// The number of the sender of a message in flight.
    fn sender_of(&self, _id: InFlightId) -> u16 {
        0
    }

    /// A message in flight is sent once more.
    fn retransmit(&mut self, id: InFlightId) -> Option<&Message>;

    /// The broker has acknowledged or refused a message in flight.
    fn settled(&mut self, id: InFlightId, reason: Reason);

    /// The broker does not take a message in flight for the time being, as over a quota: it waits
    /// for the end of a pause and is sent again then, in its old place. `None` if that was tried
    /// often enough.
    fn defer(&mut self, id: InFlightId, now: Instant) -> Option<Deferred>;

    /// The broker has lost the session: what was in flight waits again, before all else.
    fn requeue(&mut self);

    /// The will of the CONNECT that is about to be sent, where each has one of its own.
    fn will(&mut self) -> Option<Message> {
        None
    }

    /// The broker has accepted the connection: what waits from now on is older than the link.
    fn connected(&mut self) {}

    /// What the lengths of pauses are made from, which many clients must not have in common: any
    /// number, evenly spread over its range.
    fn seed(&mut self, chance: u32);

    /// Puts the front message in quarantine.
    fn quarantine_front(&mut self);

    /// The first message in quarantine of a kind, if it may be sent.
    fn quarantined(&self, wanted: IsWanted<'_>) -> Option<&Message>;

    /// What [`Source::quarantined`] returned was handed to the link.
    fn sent_quarantined(&mut self, wanted: IsWanted<'_>, qos: Qos) -> Option<InFlightId>;

    /// The broker has a message of QoS 0 that stayed in quarantine until that was clear.
    fn delivered_quarantined(&mut self, _wanted: IsWanted<'_>) {}

    /// Judges the messages in quarantine again: those that are good wait again before all else.
    /// Returns the first that is refused; the caller asks until there is none.
    fn reconsider(&mut self, verdict: &dyn Fn(&Message) -> Verdict) -> Option<RefusedMessage>;

    /// The broker refused a message of QoS 0 that is gone.
    fn refused_unacknowledged(&mut self) {}

    /// Whether no message waits or is in flight.
    fn is_empty(&self) -> bool;

    /// What became of a message, in the order in which it happened, where that is followed.
    fn outcome(&mut self) -> Option<(MessageId, Outcome)> {
        None
    }

    /// Whether its owner should look after it without delay.
    fn wants_owner(&self) -> bool {
        false
    }
}

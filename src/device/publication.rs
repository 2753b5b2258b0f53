//! What a device emits: a message, what it is to survive, and when it was measured.

use crate::base::clock::Now;
use crate::base::durability::Durability;
use crate::mqtt::message::Message;

/// A message made of readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub message: Message,
    /// What it survives while it waits for the broker; `None`: what the outbox says.
    pub durability: Option<Durability>,
    /// When its readings were measured, to the millisecond.
    pub measured: Now,
}

//! What waits of one port.

use super::Ticket;
use super::waiting::Waiting;
use crate::message::Message;

/// The messages of one port that wait, and what it lost.
#[derive(Debug, Default)]
pub(super) struct Lane {
    waiting: Waiting,
    bytes: usize,
    pub(super) drops: Drops,
}

/// How many messages of a port were lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The outbox was full.
    pub full: u64,
    /// They alone were larger than the outbox.
    pub too_large: u64,
}

impl Lane {
    /// Memory of what waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn front(&self) -> Option<(Ticket, &Message)> {
        self.waiting.front()
    }

    pub(super) fn push_back(&mut self, ticket: Ticket, message: Message) {
        self.bytes += message.cost();
        self.waiting.push_back(ticket, message);
    }

    pub(super) fn push_front(&mut self, ticket: Ticket, message: Message) {
        self.bytes += message.cost();
        self.waiting.push_front(ticket, message);
    }

    pub(super) fn pop_front(&mut self) -> Option<(Ticket, Message)> {
        let taken = self.waiting.pop_front();
        self.less(taken)
    }

    /// What is missed least.
    pub(super) fn pop_least(&mut self) -> Option<(Ticket, Message)> {
        let taken = self.waiting.pop_least();
        self.less(taken)
    }

    pub(super) fn take_replaced(&mut self, newer: &Message) -> Option<(Ticket, Message)> {
        let taken = self.waiting.take_replaced(newer);
        self.less(taken)
    }

    fn less(&mut self, taken: Option<(Ticket, Message)>) -> Option<(Ticket, Message)> {
        self.bytes -= taken.as_ref().map_or(0, |(_, message)| message.cost());
        taken
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        self.waiting.capacity()
    }
}

//! Messages that were handed to the session and are not acknowledged.

use super::slots::Slots;
use super::{InFlightId, Queued, QueuedMessage};

/// Messages that are in flight, by numbers that only grow.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    messages: Slots,
    last: u64,
    bytes: usize,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Memory of all, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, queued: Queued) -> InFlightId {
        self.last += 1;
        self.bytes += queued.cost;
        self.messages.push_back(self.last, queued);
        InFlightId(self.last)
    }

    pub(super) fn get(&self, sending: InFlightId) -> Option<&QueuedMessage> {
        self.messages.get(sending.0)
    }

    pub(super) fn get_mut(&mut self, sending: InFlightId) -> Option<&mut QueuedMessage> {
        self.messages.get_mut(sending.0)
    }

    pub(super) fn remove(&mut self, sending: InFlightId) -> Option<Queued> {
        let queued = self.messages.remove(sending.0)?;
        self.bytes -= queued.cost;
        Some(queued)
    }

    pub(super) fn take_all(&mut self) -> Vec<Queued> {
        self.bytes = 0;
        std::mem::take(&mut self.messages).into_vec()
    }

    /// All of them, in the order in which they were sent.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut QueuedMessage> {
        self.messages.iter_mut()
    }
}

//! Messages that were handed to the session and are not acknowledged.

use super::{Held, Sending};
use std::collections::VecDeque;

/// Messages that are in flight, by numbers that only grow.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// A gap is one that was acknowledged; the first is none.
    messages: VecDeque<(Sending, Option<Held>)>,
    last: u64,
    len: usize,
    bytes: usize,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Memory of all, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, held: Held) -> Sending {
        self.last += 1;
        self.len += 1;
        self.bytes += held.entry.cost();
        self.messages.push_back((Sending(self.last), Some(held)));
        Sending(self.last)
    }

    fn find(&self, sending: Sending) -> Option<usize> {
        // Brokers answer in order, so the first look nearly always finds it.
        match self.messages.front() {
            Some((first, _)) if *first == sending => Some(0),
            _ => self.messages.binary_search_by_key(&sending, |(sending, _)| *sending).ok(),
        }
    }

    pub(super) fn held(&self, sending: Sending) -> Option<&Held> {
        self.messages.get(self.find(sending)?)?.1.as_ref()
    }

    pub(super) fn get_mut(&mut self, sending: Sending) -> Option<&mut Held> {
        let at = self.find(sending)?;
        self.messages.get_mut(at)?.1.as_mut()
    }

    pub(super) fn remove(&mut self, sending: Sending) -> Option<Held> {
        let at = self.find(sending)?;
        let held = self.messages.get_mut(at)?.1.take()?;
        self.len -= 1;
        self.bytes -= held.entry.cost();
        while let Some((_, None)) = self.messages.front() {
            self.messages.pop_front();
        }
        // One that stays unacknowledged does not keep the gaps behind it.
        if self.messages.len() > 2 * self.len + 256 {
            self.messages.retain(|(_, held)| held.is_some());
        }
        Some(held)
    }

    pub(super) fn pop_last(&mut self) -> Option<Held> {
        loop {
            if let Some(held) = self.messages.pop_back()?.1 {
                self.len -= 1;
                self.bytes -= held.entry.cost();
                return Some(held);
            }
        }
    }

    /// All of them, in the order in which they were sent.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.messages.iter_mut().filter_map(|(_, held)| held.as_mut())
    }
}

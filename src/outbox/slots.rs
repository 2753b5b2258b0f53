//! Messages in the order of their numbers, from which any can be taken out.

use super::{Queued, QueuedMessage};
use crate::base::clock::Now;
use std::collections::VecDeque;

/// A ring in which what leaves the middle leaves a gap, so that nothing is moved. Every operation
/// takes constant time on average, but for a look-up in the middle, which is a binary search: an
/// outage fills the outbox, and a slow processor must keep up then too.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The first one is never a gap.
    slots: VecDeque<Slot>,
    len: usize,
    /// Memory of all messages, in bytes.
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    queued: Option<Queued>,
}

/// Memory for at most this many slots is not worth giving back.
pub(super) const SMALL: usize = 256;

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    // This is called several times for each message, and a size-optimised build would not inline
    // it.
    #[inline(always)]
    pub(super) fn front(&self) -> Option<&QueuedMessage> {
        self.slots.front()?.queued.as_deref()
    }

    /// Puts a message behind all others; its number is the greatest.
    pub(super) fn push_back(&mut self, number: u64, queued: Queued) {
        self.len += 1;
        self.bytes += queued.cost;
        self.slots.push_back(Slot { number, queued: Some(queued) });
    }

    pub(super) fn pop_front(&mut self) -> Option<Queued> {
        let queued = self.slots.pop_front()?.queued?;
        self.removed(&queued);
        Some(queued)
    }

    fn find(&self, number: u64) -> Option<usize> {
        // Most messages leave in their order, so the first look nearly always finds them.
        match self.slots.front() {
            Some(first) if first.number == number => Some(0),
            _ => self.slots.binary_search_by_key(&number, |slot| slot.number).ok(),
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&QueuedMessage> {
        self.slots.get(self.find(number)?)?.queued.as_deref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut QueuedMessage> {
        let at = self.find(number)?;
        self.slots.get_mut(at)?.queued.as_deref_mut()
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Queued> {
        let at = self.find(number)?;
        if at == 0 {
            return self.pop_front();
        }
        let queued = self.slots.get_mut(at)?.queued.take()?;
        self.removed(&queued);
        Some(queued)
    }

    fn removed(&mut self, queued: &QueuedMessage) {
        self.len -= 1;
        self.bytes -= queued.cost;
        self.tidy();
    }

    /// All messages, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &QueuedMessage> {
        self.slots.iter().filter_map(|slot| slot.queued.as_deref())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut QueuedMessage> {
        self.slots.iter_mut().filter_map(|slot| slot.queued.as_deref_mut())
    }

    /// The messages from a number on, in their order.
    pub(super) fn iter_from(&self, number: u64) -> impl Iterator<Item = &QueuedMessage> {
        let start = self.slots.partition_point(|slot| slot.number < number);
        self.slots.range(start..).filter_map(|slot| slot.queued.as_deref())
    }

    /// Says in the messages when they were measured.
    pub(super) fn correct(&mut self, now: Now) {
        self.iter_mut().for_each(|queued| queued.correct(now));
        self.bytes = self.iter().map(|queued| queued.cost).sum();
    }

    pub(super) fn into_vec(self) -> Vec<Queued> {
        self.slots.into_iter().filter_map(|slot| slot.queued).collect()
    }

    /// Takes in all of another one, each message at the place of its number.
    pub(super) fn append(&mut self, mut other: Slots) {
        self.len += other.len;
        self.bytes += other.bytes;
        let ends = self.slots.back().zip(other.slots.front());
        let is_sorted = ends.is_none_or(|(last, first)| last.number < first.number);
        self.slots.append(&mut other.slots);
        if !is_sorted {
            // A message may come back whose gap is still there.
            self.slots.retain(|slot| slot.queued.is_some());
            self.slots.make_contiguous().sort_unstable_by_key(|slot| slot.number);
        }
    }

    /// Gives back the gaps at the front, and the memory that other gaps and an outage leave behind.
    /// Whenever it moves messages it halves something, so that its cost is spread over what
    /// happened since.
    fn tidy(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.queued.is_none()) {
            self.slots.pop_front();
        }
        if self.slots.len() > 2 * self.len + SMALL {
            self.slots.retain(|slot| slot.queued.is_some());
        }
        if self.slots.capacity() > 4 * self.slots.len() + SMALL {
            self.slots.shrink_to(2 * self.slots.len() + SMALL / 2);
        }
    }

    /// Slots that there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}

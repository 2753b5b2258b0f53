//! Messages that wait, in order, and where the ones that a newer one may replace stand.

use super::Held;
use crate::mqtt::topic::{Qos, Topic};
use crate::outbox::entry::Entry;
use std::collections::{HashMap, VecDeque};

/// A queue in which a message can be found by its topic. Every operation takes constant time on
/// average, however many wait: an outage fills the queue, and a slow processor must keep up then
/// too.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// A gap is a message that was replaced; the front is never one.
    slots: VecDeque<Option<Slot>>,
    /// The [`Place`] of the front.
    first: Place,
    len: usize,
    /// Messages that may be replaced. What waits under a topic is taken oldest first, so links to
    /// the next newer one are enough.
    by_topic: HashMap<Topic, Chain>,
    /// Where messages of QoS 0 stand, oldest first; some have gone since.
    qos_0: VecDeque<Place>,
    /// All that wait before this place are in the journal.
    stored: Place,
}

/// The number of a slot. It stays the same while slots before it go; it wraps.
type Place = u64;

#[derive(Debug)]
struct Slot {
    held: Held,
    /// The next newer one of the same topic.
    newer: Option<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    oldest: Place,
    newest: Place,
}

/// Whether a message is one of those that can be replaced by topic. Readings are not: each of them
/// counts.
fn is_replaceable(entry: &Entry) -> bool {
    entry.message.retain || entry.latest_only
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn front(&self) -> Option<&Held> {
        Some(&self.slots.front()?.as_ref()?.held)
    }

    /// All that wait, oldest first. Their topics must stay what they are.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.slots.iter_mut().flatten().map(|slot| &mut slot.held)
    }

    pub(super) fn push_back(&mut self, held: Held) {
        let place = self.first.wrapping_add(self.slots.len() as u64);
        let message = &held.entry.message;
        if is_replaceable(&held.entry) {
            let before = self.by_topic.get_mut(&message.topic);
            match before.map(|chain| std::mem::replace(&mut chain.newest, place)) {
                Some(before) => {
                    if let Some(slot) = self.slot(before) {
                        slot.newer = Some(place);
                    }
                }
                None => self.start_chain(&message.topic, place),
            }
        }
        if message.qos == Qos::AtMostOnce {
            self.qos_0.push_back(place);
        }
        self.slots.push_back(Some(Slot { held, newer: None }));
        self.len += 1;
    }

    /// Puts a message before all others, where it was before it was taken.
    pub(super) fn push_front(&mut self, held: Held) {
        self.first = self.first.wrapping_sub(1);
        self.stored = self.first;
        let mut newer = None;
        let message = &held.entry.message;
        if is_replaceable(&held.entry) {
            match self.by_topic.get_mut(&message.topic) {
                Some(chain) => newer = Some(std::mem::replace(&mut chain.oldest, self.first)),
                None => self.start_chain(&message.topic, self.first),
            }
        }
        self.slots.push_front(Some(Slot { held, newer }));
        self.len += 1;
    }

    /// Puts all of another queue behind what waits here.
    pub(super) fn append(&mut self, later: &mut Waiting) {
        let later = std::mem::take(later);
        if self.is_empty() {
            *self = later;
        } else {
            later.slots.into_iter().flatten().for_each(|slot| self.push_back(slot.held));
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Held> {
        let slot = self.slots.front_mut()?.take()?;
        Some(self.removed(slot))
    }

    /// Takes out what is missed least: the oldest message of QoS 0, or else the oldest. What is in
    /// the journal stays.
    pub(super) fn pop_least(&mut self) -> Option<Held> {
        let is_qos_0 = |place: &Place| self.is_first_of_its_topic(*place);
        let first = self.qos_0.iter().position(is_qos_0);
        if let Some(place) = first.and_then(|at| self.qos_0.remove(at))
            && let Some(held) = self.take(place)
        {
            return Some(held);
        }
        let start = self.at(self.stored).filter(|at| *at <= self.slots.len()).unwrap_or(0);
        let is_unstored =
            |slot: &Option<Slot>| matches!(slot, Some(slot) if slot.held.seq.is_none());
        let at = start + self.slots.iter().skip(start).position(is_unstored)?;
        let place = self.first.wrapping_add(at as u64);
        self.stored = place;
        if self.is_first_of_its_topic(place) { self.take(place) } else { None }
    }

    /// Whether a message is there, and the oldest of its topic if it may be replaced: without that
    /// one the chain would lose its beginning.
    fn is_first_of_its_topic(&self, place: Place) -> bool {
        let slot = self.at(place).and_then(|at| self.slots.get(at)?.as_ref());
        slot.is_some_and(|Slot { held: Held { entry, .. }, .. }| {
            let chain = self.by_topic.get(&entry.message.topic);
            !is_replaceable(entry) || chain.is_none_or(|chain| chain.oldest == place)
        })
    }

    fn take(&mut self, place: Place) -> Option<Held> {
        let at = self.at(place)?;
        let slot = self.slots.get_mut(at).and_then(Option::take)?;
        Some(self.removed(slot))
    }

    /// Takes out the oldest message that `newer` may stand in for: of the same topic, and kept by
    /// the broker if and only if the newer one is.
    pub(super) fn take_replaced(&mut self, newer: &Entry) -> Option<Held> {
        if !is_replaceable(newer) {
            return None;
        }
        let place = self.by_topic.get(&newer.message.topic)?.oldest;
        let at = self.at(place)?;
        let is_same = |old: &mut Slot| old.held.entry.message.retain == newer.message.retain;
        let slot = self.slots.get_mut(at)?.take_if(is_same)?;
        Some(self.removed(slot))
    }

    /// Takes out all that is meant.
    pub(super) fn take_out(&mut self, is_meant: impl Fn(&Held) -> bool, out: &mut Vec<Held>) {
        if !self.slots.iter().flatten().any(|slot| is_meant(&slot.held)) {
            return;
        }
        for Slot { held, .. } in std::mem::take(self).slots.into_iter().flatten() {
            if is_meant(&held) { out.push(held) } else { self.push_back(held) }
        }
    }

    /// What waits is to be looked through for what is not in the journal: it lost some.
    pub(super) fn forget_stored(&mut self) {
        self.stored = self.first;
    }

    fn start_chain(&mut self, topic: &Topic, place: Place) {
        self.by_topic.insert(topic.clone(), Chain { oldest: place, newest: place });
    }

    fn at(&self, place: Place) -> Option<usize> {
        usize::try_from(place.wrapping_sub(self.first)).ok()
    }

    fn slot(&mut self, place: Place) -> Option<&mut Slot> {
        let at = self.at(place)?;
        self.slots.get_mut(at)?.as_mut()
    }

    /// Follows up after the oldest message of a topic has left its slot.
    fn removed(&mut self, slot: Slot) -> Held {
        let Slot { held, newer } = slot;
        let message = &held.entry.message;
        self.len -= 1;
        if is_replaceable(&held.entry) {
            match (newer, self.by_topic.get_mut(&message.topic)) {
                (Some(newer), Some(chain)) => chain.oldest = newer,
                _ => drop(self.by_topic.remove(&message.topic)),
            }
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        while self
            .qos_0
            .front()
            .is_some_and(|place| self.at(*place).is_none_or(|at| at >= self.slots.len()))
        {
            self.qos_0.pop_front();
        }
        self.tidy();
        held
    }

    /// Gives back what gaps and the end of an outage leave behind. Whenever this does anything it
    /// halves something, so that its cost is spread over what happened since.
    fn tidy(&mut self) {
        const SMALL: usize = 256;
        if self.slots.len() > 2 * self.len + SMALL {
            let old = std::mem::take(self);
            old.slots.into_iter().flatten().for_each(|slot| self.push_back(slot.held));
        }
        if self.slots.capacity() > 4 * self.slots.len() + SMALL {
            self.slots.shrink_to(2 * self.slots.len() + SMALL / 2);
        }
        if self.qos_0.capacity() > 4 * self.qos_0.len() + SMALL {
            self.qos_0.shrink_to(2 * self.qos_0.len() + SMALL / 2);
        }
        if self.by_topic.capacity() > 4 * self.by_topic.len() + SMALL {
            self.by_topic.shrink_to(2 * self.by_topic.len() + SMALL / 2);
        }
    }

    /// Slots and topics that there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        (self.slots.capacity(), self.by_topic.capacity())
    }
}

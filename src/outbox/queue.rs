//! Messages that wait, oldest first, and which of them a newer one may replace.

use super::slots::{SMALL, Slots};
use super::{MessageId, Queued, QueuedMessage};
use crate::base::clock::Now;
use crate::base::deque;
use crate::mqtt::topic::{Qos, Topic};
use crate::outbox::entry::Entry;
use std::collections::{BTreeSet, VecDeque};

/// A queue in the order of the messages' ids.
#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: Slots,
    /// Built on the first use, which most messages never see; dropped when nothing waits.
    index: Option<Box<Index>>,
}

/// Where in a queue stands what makes way for others.
#[derive(Debug, Default)]
struct Index {
    /// Messages that may be replaced.
    by_topic: BTreeSet<(Topic, MessageId)>,
    /// Messages of QoS 0, oldest first.
    qos_0: VecDeque<MessageId>,
    /// All that wait before this one are in the journal.
    journalled: u64,
}

/// Whether a newer message of its topic can replace a message. Readings are never replaced: each of
/// them matters.
fn is_replaceable(entry: &Entry) -> bool {
    entry.message.retain || entry.latest_only
}

impl Index {
    fn of(messages: &Slots) -> Box<Index> {
        let mut index = Box::<Index>::default();
        messages.iter().for_each(|queued| index.insert(queued));
        index
    }

    fn insert(&mut self, queued: &QueuedMessage) {
        let message = &queued.entry.message;
        if is_replaceable(&queued.entry) {
            self.by_topic.insert((message.topic.clone(), queued.id));
        }
        if message.qos == Qos::AtMostOnce {
            self.qos_0.push_back(queued.id);
        }
    }

    fn remove(&mut self, queued: &QueuedMessage) {
        let message = &queued.entry.message;
        if is_replaceable(&queued.entry) {
            self.by_topic.remove(&(message.topic.clone(), queued.id));
        }
        if message.qos == Qos::AtMostOnce
            && let Ok(at) = self.qos_0.binary_search(&queued.id)
        {
            deque::take(&mut self.qos_0, at);
        }
    }

    /// Whether the index holds much more memory than it needs, as after an outage.
    fn is_mostly_empty(&self) -> bool {
        self.qos_0.capacity() > 4 * self.qos_0.len() + SMALL
    }

    fn oldest(&self, topic: &Topic) -> Option<MessageId> {
        let (found, id) = self.by_topic.range((topic.clone(), MessageId(0))..).next()?;
        (found == topic).then_some(*id)
    }

    /// The oldest message of QoS 0. One stays that stands behind an older one of its topic which a
    /// newer one may replace: that says less.
    fn least(&self, messages: &Slots) -> Option<MessageId> {
        self.qos_0.iter().copied().find(|id| {
            messages.get(id.0).is_some_and(|queued| {
                let is_oldest = |oldest| oldest == *id || !is_replaceable(&queued.entry);
                self.oldest(&queued.entry.message.topic).is_none_or(is_oldest)
            })
        })
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Memory of what waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.messages.bytes()
    }

    #[inline(always)]
    pub(super) fn front(&self) -> Option<&QueuedMessage> {
        self.messages.front()
    }

    /// All that wait, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &QueuedMessage> {
        self.messages.iter()
    }

    /// All that wait, oldest first. Their topics must stay what they are.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut QueuedMessage> {
        self.messages.iter_mut()
    }

    /// Puts a message behind all others; it is newer.
    pub(super) fn push_back(&mut self, queued: Queued) {
        if let Some(index) = &mut self.index {
            index.insert(&queued);
        }
        self.messages.push_back(queued.id.0, queued);
    }

    pub(super) fn pop_front(&mut self) -> Option<Queued> {
        let queued = self.messages.pop_front();
        self.removed(queued)
    }

    /// Takes in all of another queue, each message at the place of its age.
    pub(super) fn append(&mut self, other: Queue) {
        if other.len() > 0 {
            self.messages.append(other.messages);
            self.index = None;
        }
    }

    /// See [`Entry::correct`].
    pub(super) fn correct(&mut self, now: Now) {
        self.messages.correct(now);
    }

    /// Takes out what is missed least: the oldest message of QoS 0, or else the oldest. What is in
    /// the journal stays.
    pub(super) fn pop_least(&mut self) -> Option<Queued> {
        if self.len() == 0 {
            return None;
        }
        let index = self.index.get_or_insert_with(|| Index::of(&self.messages));
        let mut least = index.least(&self.messages);
        if least.is_none() {
            let mut messages = self.messages.iter_from(index.journalled);
            least = messages.find(|queued| queued.seq.is_none()).map(|queued| queued.id);
            index.journalled = least.map_or(index.journalled, |id| id.0);
        }
        let queued = self.messages.remove(least?.0);
        self.removed(queued)
    }

    /// Takes out the oldest message that `newer` may stand in for: of the same topic, and kept by
    /// the broker if and only if the newer one is.
    pub(super) fn take_replaced(&mut self, newer: &Entry) -> Option<Queued> {
        if self.len() == 0 || !is_replaceable(newer) {
            return None;
        }
        let index = self.index.get_or_insert_with(|| Index::of(&self.messages));
        let oldest = index.oldest(&newer.message.topic)?.0;
        let is_same = |old: &&QueuedMessage| old.entry.message.retain == newer.message.retain;
        self.messages.get(oldest).filter(is_same)?;
        let queued = self.messages.remove(oldest);
        self.removed(queued)
    }

    pub(super) fn take_out(&mut self, is_meant: impl Fn(&QueuedMessage) -> bool) -> Vec<Queued> {
        self.index = None;
        let meant: Vec<_> = self.iter().filter(|it| is_meant(it)).map(|it| it.id.0).collect();
        meant.into_iter().filter_map(|id| self.messages.remove(id)).collect()
    }

    /// The journal has lost messages: the next search for one that it does not have starts at the
    /// front.
    pub(super) fn forget_journalled(&mut self) {
        self.index = None;
    }

    /// Follows up after a message has left.
    fn removed(&mut self, queued: Option<Queued>) -> Option<Queued> {
        if let (Some(index), Some(queued)) = (&mut self.index, &queued) {
            index.remove(queued);
            if self.messages.len() == 0 || index.is_mostly_empty() {
                self.index = None;
            }
        }
        queued
    }

    /// Slots that there is memory for, and topics in the index.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        let topics = self.index.as_ref().map_or(0, |index| index.by_topic.len());
        (self.messages.capacity(), topics)
    }
}

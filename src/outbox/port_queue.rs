//! The messages of one port that wait.

use super::queue::Queue;
use super::slots::Slots;
use super::{JournalSeq, Queued, QueuedMessage};
use crate::base::clock::Now;
use crate::mqtt::topic::Topic;
use crate::outbox::entry::Entry;
use crate::outbox::settings::Order;
use std::collections::HashMap;

/// The messages of one port that wait, and what it lost.
#[derive(Debug, Default)]
pub(super) struct PortQueue {
    /// Messages from before the link came up, and those that must not overtake them.
    backlog: Queue,
    /// Newer messages.
    fresh: Queue,
    /// Number of messages in the backlog by topic; kept only where the ordering is by topic.
    topics: HashMap<Topic, u32>,
    /// Messages at which the broker seems to end links, oldest first; all others overtake them.
    quarantine: Slots,
    /// Messages that wait in the journal alone, behind the backlog.
    pub(super) journal_only: u64,
    pub(super) drops: Drops,
}

/// One of the two queues of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Backlog,
    Fresh,
}

/// How many messages of a port were lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drops {
    /// The outbox was full.
    pub full: u64,
    /// They alone were larger than the outbox.
    pub too_large: u64,
    /// The journal was full, or what was in it could not be read any more.
    pub journal: u64,
}

impl PortQueue {
    pub(super) fn len(&self) -> usize {
        self.backlog.len() + self.fresh.len() + self.quarantine.len()
    }

    /// Memory of what waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.backlog.bytes() + self.fresh.bytes() + self.quarantine.bytes()
    }

    fn queue(&mut self, age: Age) -> &mut Queue {
        match age {
            Age::Backlog => &mut self.backlog,
            Age::Fresh => &mut self.fresh,
        }
    }

    pub(super) fn front(&self, age: Age) -> Option<&QueuedMessage> {
        match age {
            Age::Backlog => self.backlog.front(),
            Age::Fresh => self.fresh.front(),
        }
    }

    /// Whether a new message has to wait until the backlog is gone.
    fn is_behind(&self, topic: &Topic, order: Order) -> bool {
        match order {
            Order::Port => self.backlog.len() > 0 || self.journal_only > 0,
            // What the journal holds is not known by topic.
            Order::Topic => self.topics.contains_key(topic) || self.journal_only > 0,
            Order::None => false,
        }
    }

    /// Whether a new message would have to wait for what is in the journal alone.
    pub(super) fn is_behind_journal(&self, order: Order) -> bool {
        self.journal_only > 0 && order != Order::None
    }

    /// Takes in a new message, behind what it must not overtake.
    pub(super) fn push(&mut self, queued: Queued, order: Order) {
        if self.is_behind(&queued.entry.message.topic, order) {
            self.push_backlog(queued, order);
        } else {
            self.fresh.push_back(queued);
        }
    }

    /// Takes in a message that must not overtake the backlog.
    pub(super) fn push_backlog(&mut self, queued: Queued, order: Order) {
        count(&mut self.topics, [&*queued], order);
        self.backlog.push_back(queued);
    }

    /// Messages that were out of the queue wait again in their old places.
    pub(super) fn give_back(&mut self, returned: impl IntoIterator<Item = Queued>, order: Order) {
        self.fresh_to_backlog(order);
        returned.into_iter().for_each(|queued| self.fresh.push_back(queued));
        self.fresh_to_backlog(order);
    }

    /// All that waits is backlog from now on.
    pub(super) fn fresh_to_backlog(&mut self, order: Order) {
        count(&mut self.topics, self.fresh.iter(), order);
        self.backlog.append(std::mem::take(&mut self.fresh));
    }

    /// Changes the ordering.
    pub(super) fn set_order(&mut self, order: Order) {
        self.topics.clear();
        count(&mut self.topics, self.backlog.iter(), order);
    }

    pub(super) fn pop(&mut self, age: Age) -> Option<Queued> {
        let taken = self.queue(age).pop_front();
        self.taken(taken, age)
    }

    /// Puts a message in quarantine.
    pub(super) fn quarantine(&mut self, queued: Queued) {
        let mut slots = Slots::default();
        slots.push_back(queued.id.0, queued);
        self.quarantine.append(slots);
    }

    /// What is in quarantine, oldest first.
    pub(super) fn quarantined(&self) -> impl Iterator<Item = &QueuedMessage> {
        self.quarantine.iter()
    }

    /// Takes the first of a kind out of quarantine.
    pub(super) fn take_quarantined(
        &mut self,
        wanted: impl Fn(&QueuedMessage) -> bool,
    ) -> Option<Queued> {
        let first = self.quarantined().find(|queued| wanted(queued))?.id;
        self.quarantine.remove(first.0)
    }

    /// Takes out the message that is missed least: first what is in quarantine, unless the journal
    /// has it too, because then it takes no memory from others.
    pub(super) fn pop_least(&mut self) -> Option<Queued> {
        self.take_quarantined(|queued| queued.seq.is_none())
            .or_else(|| self.first_of_both(Queue::pop_least))
    }

    /// Takes out the message that a newer one replaces.
    pub(super) fn take_replaced(&mut self, newer: &Entry) -> Option<Queued> {
        self.first_of_both(|queue| queue.take_replaced(newer))
    }

    fn first_of_both(&mut self, take: impl Fn(&mut Queue) -> Option<Queued>) -> Option<Queued> {
        [Age::Backlog, Age::Fresh].into_iter().find_map(|age| {
            let taken = take(self.queue(age));
            self.taken(taken, age)
        })
    }

    fn taken(&mut self, taken: Option<Queued>, age: Age) -> Option<Queued> {
        if age == Age::Backlog
            && let Some(taken) = &taken
        {
            self.uncount(&taken.entry.message.topic);
        }
        taken
    }

    fn uncount(&mut self, topic: &Topic) {
        if let Some(count) = self.topics.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                self.topics.remove(topic);
            }
        }
    }

    /// All that waits, in the order in which it came.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut QueuedMessage> {
        let quarantined = self.quarantine.iter_mut();
        quarantined.chain(self.backlog.iter_mut()).chain(self.fresh.iter_mut())
    }

    /// Says in the messages when they were measured.
    pub(super) fn correct(&mut self, now: Now) {
        self.quarantine.correct(now);
        self.backlog.correct(now);
        self.fresh.correct(now);
    }

    /// The journal has lost the messages from `first` on.
    pub(super) fn forget_journalled(&mut self, first: JournalSeq) {
        for queued in self.iter_mut() {
            queued.seq = queued.seq.filter(|seq| *seq < first);
        }
        self.backlog.forget_journalled();
        self.fresh.forget_journalled();
    }

    pub(super) fn take_out(&mut self, is_meant: impl Fn(&QueuedMessage) -> bool) -> Vec<Queued> {
        let mut out: Vec<_> = std::iter::from_fn(|| self.take_quarantined(&is_meant)).collect();
        let first = out.len();
        out.extend(self.backlog.take_out(&is_meant));
        out[first..].iter().for_each(|taken| self.uncount(&taken.entry.message.topic));
        out.extend(self.fresh.take_out(&is_meant));
        out
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        self.fresh.capacity()
    }
}

/// Counts messages that come to the backlog, where the order is by topic.
fn count<'a>(
    topics: &mut HashMap<Topic, u32>,
    messages: impl IntoIterator<Item = &'a QueuedMessage>,
    order: Order,
) {
    if order == Order::Topic {
        for queued in messages {
            *topics.entry(queued.entry.message.topic.clone()).or_default() += 1;
        }
    }
}

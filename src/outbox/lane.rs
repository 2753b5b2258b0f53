//! What waits of one port.

use super::waiting::Waiting;
use super::{Held, Seq};
use crate::base::clock::Now;
use crate::mqtt::topic::Topic;
use crate::outbox::entry::Entry;
use crate::outbox::settings::Order;
use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};

/// The messages of one port that wait, and what it lost.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// What piled up while there was no link, and what must not overtake that.
    backlog: Waiting,
    /// What came since.
    fresh: Waiting,
    /// How many of the backlog have a topic; kept only where the order is by topic.
    topics: HashMap<Topic, u32>,
    /// What the broker seems to end links at; everything overtakes it.
    aside: VecDeque<Held>,
    bytes: usize,
    /// Messages that wait in the journal alone, behind the backlog.
    pub(super) away: u64,
    pub(super) drops: Drops,
}

/// One of a lane's two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
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

impl Lane {
    /// Memory of what waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn front(&self, queue: Queue) -> Option<&Held> {
        match queue {
            Queue::Backlog => self.backlog.front(),
            Queue::Fresh => self.fresh.front(),
        }
    }

    /// Whether a new message has to wait until the backlog is gone.
    fn is_behind(&self, topic: &Topic, order: Order) -> bool {
        match order {
            Order::Port => !self.backlog.is_empty() || self.away > 0,
            // What the journal holds is not known by topic.
            Order::Topic => self.topics.contains_key(topic) || self.away > 0,
            Order::None => false,
        }
    }

    /// Whether a new message would have to wait for what is in the journal alone.
    pub(super) fn is_behind_journal(&self, order: Order) -> bool {
        self.away > 0 && order != Order::None
    }

    pub(super) fn push(&mut self, held: Held, order: Order) {
        if self.is_behind(&held.entry.message.topic, order) {
            return self.push_backlog(held, order);
        }
        self.bytes += held.entry.cost();
        self.fresh.push_back(held);
    }

    /// Takes in a message that came before all that is fresh.
    pub(super) fn push_backlog(&mut self, held: Held, order: Order) {
        self.bytes += held.entry.cost();
        count(&mut self.topics, [&held], order);
        self.backlog.push_back(held);
    }

    /// Puts a message before the backlog.
    pub(super) fn push_front(&mut self, held: Held, order: Order) {
        self.bytes += held.entry.cost();
        count(&mut self.topics, [&held], order);
        self.backlog.push_front(held);
    }

    /// All that waits is backlog from now on.
    pub(super) fn pile_up(&mut self, order: Order) {
        count(&mut self.topics, self.fresh.iter_mut(), order);
        self.backlog.append(&mut self.fresh);
    }

    /// The order is another one from now on.
    pub(super) fn set_order(&mut self, order: Order) {
        self.topics.clear();
        count(&mut self.topics, self.backlog.iter_mut(), order);
    }

    pub(super) fn pop(&mut self, queue: Queue) -> Option<Held> {
        let taken = match queue {
            Queue::Backlog => self.backlog.pop_front(),
            Queue::Fresh => self.fresh.pop_front(),
        };
        self.less(taken, queue)
    }

    /// Puts a message out of the way of all others.
    pub(super) fn push_aside(&mut self, held: Held) {
        self.bytes += held.entry.cost();
        let at = self.aside.partition_point(|other| other.ticket < held.ticket);
        self.aside.insert(at, held);
    }

    /// What is out of the way, oldest first.
    pub(super) fn aside(&self) -> impl Iterator<Item = &Held> {
        self.aside.iter()
    }

    /// Takes the first of a kind that is out of the way.
    pub(super) fn take_aside(&mut self, wanted: impl Fn(&Entry) -> bool) -> Option<Held> {
        let at = self.aside.iter().position(|held| wanted(&held.entry))?;
        let taken = self.aside.remove(at)?;
        self.bytes -= taken.entry.cost();
        Some(taken)
    }

    /// What is missed least. What the broker seems not to take is missed least of all, but what the
    /// journal has takes no memory from others.
    pub(super) fn pop_least(&mut self) -> Option<Held> {
        if let Some(at) = self.aside.iter().position(|held| held.seq.is_none()) {
            let taken = self.aside.remove(at)?;
            self.bytes -= taken.entry.cost();
            return Some(taken);
        }
        let taken = self.backlog.pop_least();
        if let Some(taken) = self.less(taken, Queue::Backlog) {
            return Some(taken);
        }
        let taken = self.fresh.pop_least();
        self.less(taken, Queue::Fresh)
    }

    pub(super) fn take_replaced(&mut self, newer: &Entry) -> Option<Held> {
        let taken = self.backlog.take_replaced(newer);
        if let Some(taken) = self.less(taken, Queue::Backlog) {
            return Some(taken);
        }
        let taken = self.fresh.take_replaced(newer);
        self.less(taken, Queue::Fresh)
    }

    fn less(&mut self, taken: Option<Held>, queue: Queue) -> Option<Held> {
        let taken = taken?;
        self.bytes -= taken.entry.cost();
        if queue == Queue::Backlog
            && let Some(count) = self.topics.get_mut(&taken.entry.message.topic)
        {
            *count -= 1;
            if *count == 0 {
                self.topics.remove(&taken.entry.message.topic);
            }
        }
        Some(taken)
    }

    /// All that waits, in the order in which it came.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.aside.iter_mut().chain(self.backlog.iter_mut()).chain(self.fresh.iter_mut())
    }

    /// Says in the messages when they were measured. Returns how many bytes came and went.
    pub(super) fn correct(&mut self, now: Now) -> (usize, usize) {
        let (mut more, mut less) = (0, 0);
        for held in self.iter_mut() {
            less += held.entry.cost();
            held.entry.correct(now);
            more += held.entry.cost();
        }
        self.bytes = (self.bytes + more).saturating_sub(less);
        (more, less)
    }

    /// The journal does not have what it was given from `first` on.
    pub(super) fn forget_stored(&mut self, first: Seq) {
        for held in self.iter_mut() {
            held.seq = held.seq.filter(|seq| *seq < first);
        }
        self.backlog.forget_stored();
        self.fresh.forget_stored();
    }

    /// Takes out what the journal had to give up: all up to `last` that it holds.
    pub(super) fn give_up(&mut self, last: Seq, gone: &mut Vec<Held>) {
        self.take_out(|held| held.seq.is_some_and(|seq| seq <= last), gone);
    }

    /// Takes out all that is meant.
    pub(super) fn take_out(&mut self, is_meant: impl Fn(&Held) -> bool, out: &mut Vec<Held>) {
        while let Some(at) = self.aside.iter().position(&is_meant)
            && let Some(taken) = self.aside.remove(at)
        {
            self.bytes -= taken.entry.cost();
            out.push(taken);
        }
        for queue in [Queue::Backlog, Queue::Fresh] {
            let mut taken = Vec::new();
            match queue {
                Queue::Backlog => self.backlog.take_out(&is_meant, &mut taken),
                Queue::Fresh => self.fresh.take_out(&is_meant, &mut taken),
            }
            out.extend(taken.into_iter().filter_map(|held| self.less(Some(held), queue)));
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> (usize, usize) {
        self.fresh.capacity()
    }
}

/// Counts messages that come to the backlog, where the order is by topic.
fn count<H: Borrow<Held>>(
    topics: &mut HashMap<Topic, u32>,
    messages: impl IntoIterator<Item = H>,
    order: Order,
) {
    if order == Order::Topic {
        for held in messages {
            *topics.entry(held.borrow().entry.message.topic.clone()).or_default() += 1;
        }
    }
}

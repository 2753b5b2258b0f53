//! Messages in memory: how they come in, and which of them make way when the outbox is full.

use super::policy::{MakesWay, Policy, Usage};
use super::port_queue::PortQueue;
use super::{MessageId, Outbox, Outcome, Queued, QueuedMessage};
use crate::outbox::entry::Entry;
use crate::outbox::settings::Drop;
use bytes::Bytes;

/// At most this many boxes of former messages are kept for new ones.
const SPARES: usize = 32;

impl Outbox {
    /// Gives a message its id and a place in memory.
    pub(super) fn boxed(&mut self, entry: Entry) -> Queued {
        self.last_id += 1;
        let (id, cost) = (MessageId(self.last_id), entry.cost());
        let queued = QueuedMessage { id, entry, cost, seq: None, tries: 0 };
        match self.spares.pop() {
            Some(mut spare) => {
                *spare = queued;
                spare
            }
            None => Box::new(queued),
        }
    }

    /// A message is not needed any more. Its box may take the next one, so that as long as few wait
    /// nothing is allocated.
    pub(super) fn recycle(&mut self, mut queued: Queued) {
        if self.spares.len() < SPARES {
            let message = &mut queued.entry.message;
            message.payload = Bytes::new();
            message.properties = None;
            self.spares.push(queued);
        }
    }

    /// The queue of a port, which is there from now on.
    pub(super) fn port_queue(&mut self, port: u16) -> &mut PortQueue {
        let port = usize::from(port);
        if self.ports.len() <= port {
            self.ports.resize_with(port + 1, PortQueue::default);
        }
        &mut self.ports[port]
    }

    pub(super) fn push_unstored(&mut self, queued: Queued) {
        if queued.entry.latest_only || !self.has_room_for(queued.cost) {
            self.replace_older(&queued);
            if !self.make_way(&queued) {
                return;
            }
        }
        self.keep(queued);
    }

    /// Takes out the messages that a new one replaces: all of its topic if only the latest matters,
    /// otherwise as many as it needs room for.
    fn replace_older(&mut self, new: &QueuedMessage) {
        let port = usize::from(new.entry.port);
        while self.could_ever_have_room_for(new.cost)
            && (new.entry.latest_only || !self.has_room_for(new.cost))
            && let Some(old) = self.ports[port].take_replaced(&new.entry)
        {
            self.replaced(&old);
        }
    }

    /// Drops what waits by the policy until there is room for a message, or the message itself, of
    /// which `false` tells.
    pub(super) fn make_way(&mut self, new: &QueuedMessage) -> bool {
        let may_fit = self.could_ever_have_room_for(new.cost);
        while may_fit && !self.has_room_for(new.cost) {
            let Some(least) = self.take_victim(new) else { break };
            self.writer.done(&least);
            self.ports[usize::from(least.entry.port)].drops.full += 1;
            self.dropped(least.id);
        }
        let fits = self.has_room_for(new.cost);
        if !fits {
            let drops = &mut self.ports[usize::from(new.entry.port)].drops;
            if new.cost > self.bounds.bytes.bytes() {
                self.counts.too_large += 1;
                drops.too_large += 1;
            } else {
                drops.full += 1;
            }
            self.dropped(new.id);
        }
        fits
    }

    /// Puts a message into its port's queue, behind what it must not overtake.
    pub(super) fn keep(&mut self, queued: Queued) {
        self.ports[usize::from(queued.entry.port)].push(queued, self.bounds.ordering);
    }

    /// Takes a message out of the way of a new one, by the policy; `None` if the new one has to go.
    fn take_victim(&mut self, new: &QueuedMessage) -> Option<Queued> {
        let policy = Policy { drop: self.bounds.drop, senders: self.senders + 1 };
        let sizes = (0_u16..).zip(&self.ports);
        let usages = sizes.map(|(port, queue)| Usage { port, bytes: queue.bytes() as u64 });
        let new = Usage { port: new.entry.port, bytes: new.cost as u64 };
        let MakesWay::Least(port) = policy.makes_way(new, self.bounds.bytes.bytes() as u64, usages)
        else {
            return None;
        };
        let least = self.ports[usize::from(port)].pop_least();
        if least.is_some() || self.bounds.drop == Drop::Newest {
            return least;
        }
        // All that the port has is in the journal too.
        self.ports[usize::from(new.port)].pop_least()
    }

    /// All that waits is backlog from now on, with messages that were out of the queues, in their
    /// old places.
    pub(super) fn wait_again(&mut self, mut returned: Vec<Queued>) {
        for (port, queue) in (0_u16..).zip(&mut self.ports) {
            let of_port = returned.extract_if(.., |it| it.entry.port == port);
            queue.give_back(of_port, self.bounds.ordering);
        }
    }

    /// A newer message stands in for one that waited.
    pub(super) fn replaced(&mut self, old: &QueuedMessage) {
        self.writer.done(old);
        self.counts.replaced += 1;
        self.tell(old.id, Outcome::Replaced);
    }

    fn has_room_for(&self, cost: usize) -> bool {
        self.fits(cost, self.messages(), self.bytes())
    }

    /// Whether there would be room if nothing waited. If not, dropping what waits would lose that
    /// too, and for nothing.
    fn could_ever_have_room_for(&self, cost: usize) -> bool {
        self.fits(cost, self.in_flight.len(), self.in_flight.bytes())
    }

    /// Whether a message fits in beside others, and what is on its way to the journal.
    fn fits(&self, cost: usize, messages: usize, bytes: usize) -> bool {
        messages < self.bounds.messages as usize
            && cost <= self.bounds.bytes.bytes().saturating_sub(bytes + self.writer.bytes)
    }
}

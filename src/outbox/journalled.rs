//! What the outbox and the journal do for each other.
//!
//! The journal has what is to survive more than the broker's absence. As long as memory lasts the
//! outbox has it too; beyond that it waits in the journal alone and is read back when there is room
//! again. So memory holds the front of each lane, and the journal the rest.

use super::{Held, Outbox, Outcome, Ticket};
use crate::base::clock::Now;
use crate::mqtt::message::COST;
use crate::outbox::entry::Entry;
use crate::outbox::journal::{Report, Seq, Turn};
use std::time::Instant;

/// What the outbox says about its journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Journalled {
    /// Messages that wait in the journal alone.
    pub away: u64,
    /// Whether what is to be spilled goes to the journal now.
    pub spilling: bool,
}

impl Outbox {
    /// There is a journal, which has yet to be read: until [`Outbox::open_journal`] or
    /// [`Outbox::journal_failed`] what is to be stored waits in memory, so that it does not overtake
    /// what an earlier run has left.
    pub fn await_journal(&mut self) {
        self.shelf.is_to_open();
    }

    /// Whether the journal has yet to be read.
    pub fn awaits_journal(&self) -> bool {
        self.shelf.is_opening()
    }

    /// There is a journal now: the numbers up to `last` are given, and of each port so many
    /// messages wait in it.
    pub fn open_journal(&mut self, last: Seq, waiting: &[(u16, u64)]) {
        let was_awaited = self.shelf.is_opening();
        self.shelf.open(last);
        for (port, messages) in waiting {
            let port = self.lane(*port);
            self.lanes[port].away += messages;
            self.shelf.away += messages;
        }
        // What is spilled goes behind what was.
        self.shelf.is_spilling = self.shelf.away > 0;
        if was_awaited {
            self.queue_behind_journal();
        }
    }

    /// What came while the journal was opened goes behind what that has of its port.
    fn queue_behind_journal(&mut self) {
        let (order, shelf) = (self.bounds.ordering, &self.shelf);
        let mut moved = Vec::new();
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_behind_journal(order)) {
            lane.take_out(|held| held.seq.is_none() && shelf.takes(&held.entry), &mut moved);
        }
        moved.sort_unstable_by_key(|held| held.ticket);
        for held in moved {
            self.bytes -= held.entry.cost();
            self.waiting -= 1;
            self.push_stored(held.ticket, held.entry);
        }
    }

    /// The journal cannot write: what it does not have waits in memory, as far as that goes.
    pub fn journal_failed(&mut self, epoch: u32) {
        let entries: Vec<_> = self.shelf.fail(epoch).collect();
        let Some(first) = entries.first().map(|entry| entry.seq) else { return };
        for held in self.in_flight.iter_mut() {
            held.seq = held.seq.filter(|seq| *seq < first);
        }
        self.lanes.iter_mut().for_each(|lane| lane.forget_stored(first));
        for entry in entries.into_iter().filter(|entry| entry.away) {
            let port = self.lane(entry.entry.port);
            let ticket = self.ticket();
            self.less_away(entry.entry.port, 1);
            self.push_unstored(ticket, port, entry.entry);
        }
    }

    /// Where it stands with the journal.
    pub fn journalled(&self) -> Journalled {
        Journalled { away: self.shelf.away, spilling: self.shelf.is_spilling }
    }

    /// Takes in a message that goes to the journal: with a place in memory, or without one if
    /// memory is short or earlier messages have none either.
    pub(super) fn push_stored(&mut self, ticket: Ticket, entry: Entry) {
        let port = usize::from(entry.port);
        let order = self.bounds.ordering;
        let is_away = self.is_short_with(&entry) || self.lanes[port].is_behind_journal(order);
        if !is_away && (self.shelf.is_behind || self.shelf.is_busy()) {
            self.shelf.is_behind = true;
            // It is stored when it is its turn, behind those that came before it.
            return self.keep(Held { ticket, entry, seq: None, tries: 0 }, port);
        }
        if !is_away {
            let seq = Some(self.shelf.store(entry.clone(), false));
            return self.keep(Held { ticket, entry, seq, tries: 0 }, port);
        }
        if self.shelf.is_behind {
            self.store_what_waits(usize::MAX);
        }
        // It takes memory only until the journal has it. If there is none for that, the journal is
        // behind by all that memory can hold, or what memory alone has makes way.
        if !self.make_way(ticket, &entry) {
            return;
        }
        // What is read back comes behind all that is in memory.
        self.lanes[port].pile_up(order);
        self.lanes[port].away += 1;
        self.shelf.store(entry, true);
    }

    /// What is stored too takes three quarters of memory at most: the rest is for what is not.
    fn is_short_with(&self, entry: &Entry) -> bool {
        let most = self.bounds.bytes.bytes() / 4 * 3;
        self.bytes + entry.cost() > most || self.len() + 1 > self.bounds.messages as usize / 4 * 3
    }

    /// What the journal is to be told next, if anything. `now` decides whether the broker has been
    /// away for too long.
    pub fn turn(&mut self, now: Instant) -> Option<Turn> {
        self.spill(now);
        if self.shelf.is_behind && !self.shelf.is_busy() {
            self.store_what_waits(1000);
        }
        if self.has_room_to_read() {
            let messages = (self.bounds.messages as usize / 8).max(1);
            let most = self.bounds.bytes.bytes() / 8;
            self.shelf.read(most.min(messages.saturating_mul(COST)));
        }
        self.shelf.has_turn().then(|| self.shelf.turn())
    }

    /// Whether [`Outbox::turn`] would have something right now.
    pub fn has_turn(&self) -> bool {
        self.shelf.has_turn()
    }

    fn has_room_to_read(&self) -> bool {
        self.bytes < self.bounds.bytes.bytes() / 2
            && self.len() <= self.bounds.messages as usize / 2
    }

    /// Whether [`Outbox::turn`] should be asked without delay: what waits is to be read on, or much
    /// was acknowledged.
    pub fn wants_turn(&self) -> bool {
        self.shelf.has_much_done() || self.shelf.may_read() && self.has_room_to_read()
    }

    /// Whether the journal is behind by so much that nothing more should come for now: what waits
    /// before the outbox has room for two seconds.
    pub fn is_pressed(&self) -> bool {
        self.shelf.bytes() > self.bounds.bytes.bytes() / 8
    }

    /// Whether the journal has all that it is to have.
    pub fn is_saved(&self) -> bool {
        self.shelf.is_safe()
    }

    /// Begins and ends to spill.
    pub fn spill(&mut self, now: Instant) {
        if !self.shelf.is_working() {
            return;
        }
        let (bytes, messages) = (self.bounds.bytes.bytes(), self.bounds.messages as usize);
        let is_short = self.bytes > bytes / 2 || self.len() > messages / 2;
        let is_down = self.shelf.is_down_for(self.bounds.spill_after.duration(), now);
        if !self.shelf.is_spilling && (is_short || is_down) {
            (self.shelf.is_spilling, self.shelf.is_behind) = (true, true);
        }
        let is_up = self.shelf.down_since.is_none();
        if self.shelf.is_spilling && is_up && self.shelf.away == 0 && self.waiting == 0 {
            (self.shelf.is_spilling, self.shelf.is_behind) = (false, false);
        }
    }

    /// When [`Outbox::turn`] is to be asked because of the time.
    pub fn spills_at(&self) -> Option<Instant> {
        let since = self.shelf.down_since?;
        let spills = self.shelf.is_working() && !self.shelf.is_spilling;
        spills.then(|| since.checked_add(self.bounds.spill_after.duration()))?
    }

    /// The link is gone; see `spill_after`.
    pub fn disconnected(&mut self, now: Instant) {
        self.shelf.down_since.get_or_insert(now);
    }

    /// Whether something waits in memory alone that is to be stored.
    pub fn has_unstored(&mut self) -> bool {
        let shelf = &self.shelf;
        let mut waiting = self.lanes.iter_mut().flat_map(super::Lane::iter_mut);
        waiting.any(|held| held.seq.is_none() && shelf.is_meant_for(&held.entry))
    }

    /// The gateway ends: what may be stored is stored.
    pub fn store_all(&mut self) {
        if self.shelf.is_working() {
            self.shelf.is_spilling = true;
            self.store_what_waits(usize::MAX);
        }
    }

    /// Messages that only memory has: they end with the gateway. Those that say how it is are old
    /// by then.
    pub fn unstored(&mut self) -> usize {
        let waiting = self.lanes.iter_mut().flat_map(super::Lane::iter_mut);
        let all = self.in_flight.iter_mut().chain(waiting);
        let safe = self.shelf.safe_up_to();
        let is_lost =
            |held: &&mut Held| held.seq.is_none_or(|seq| seq > safe) && !held.entry.latest_only;
        all.filter(is_lost).count() + self.shelf.unsafe_away()
    }

    /// The clock is set now: what waits says when it was measured. What is in flight stays as the
    /// broker may have it.
    pub fn correct(&mut self, now: Now) {
        for lane in &mut self.lanes {
            let (more, less) = lane.correct(now);
            self.bytes = (self.bytes + more).saturating_sub(less);
        }
        self.shelf.correct(now);
    }

    /// Stores messages that are in memory, oldest first, at most so many.
    fn store_what_waits(&mut self, mut most: usize) {
        let waiting = self.lanes.iter_mut().flat_map(super::Lane::iter_mut);
        for held in self.in_flight.iter_mut().chain(waiting) {
            if held.seq.is_none() && self.shelf.takes(&held.entry) {
                if most == 0 {
                    return;
                }
                most -= 1;
                held.seq = Some(self.shelf.store(held.entry.clone(), false));
            }
        }
        self.shelf.is_behind = false;
    }

    /// Takes in what the journal says.
    pub fn hear(&mut self, report: Report) {
        match report {
            Report::Safe(up_to) => self.shelf.safe(up_to),
            Report::Read(entries) => {
                self.shelf.was_read(entries.is_empty());
                for (seq, entry) in entries {
                    self.read_back(seq, entry);
                }
            }
            Report::Dropped { port, up_to, away } => self.given_up(port, up_to, away),
            Report::Replaced { port, messages } => {
                self.counts.replaced += messages;
                self.less_away(port, messages);
            }
            Report::Failed { epoch, .. } => self.journal_failed(epoch),
            Report::Back { last, waiting } => self.open_journal(last, &waiting),
            Report::State(_) => {}
        }
    }

    /// A message that waited in the journal alone is in memory again, behind those before it.
    fn read_back(&mut self, seq: Seq, entry: Entry) {
        self.less_away(entry.port, 1);
        let port = self.lane(entry.port);
        self.bytes += entry.cost();
        self.waiting += 1;
        let held = Held { ticket: self.ticket(), entry, seq: Some(seq), tries: 0 };
        self.lanes[port].push_backlog(held, self.bounds.ordering);
    }

    /// The journal was full, or what was in it is not readable: a port has lost what waited up to
    /// a message, `away` of it in the journal alone.
    fn given_up(&mut self, port: u16, up_to: Seq, away: u64) {
        self.less_away(port, away);
        let port = self.lane(port);
        let mut gone = Vec::new();
        self.lanes[port].give_up(up_to, &mut gone);
        for held in &gone {
            self.bytes -= held.entry.cost();
            self.waiting -= 1;
            self.tell(held.ticket, Outcome::Dropped);
        }
        let lost = gone.len() as u64 + away;
        self.lanes[port].drops.journal += lost;
        self.counts.dropped += lost;
    }

    /// So many messages of a port wait in the journal alone no more.
    fn less_away(&mut self, port: u16, messages: u64) {
        let port = self.lane(port);
        self.lanes[port].away = self.lanes[port].away.saturating_sub(messages);
        self.shelf.away = self.shelf.away.saturating_sub(messages);
    }
}

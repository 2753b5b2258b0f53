//! What the outbox and the journal do for each other.
//!
//! The journal has the messages that must survive more than an outage of the broker. As long as
//! memory lasts the outbox has them too; beyond that they wait in the journal alone and are read
//! back when there is room again. So memory holds the front of each port's queue, and the journal
//! the rest.
use super::port_queue::PortQueue;
use super::{Outbox, Outcome, Queued, QueuedMessage};
use crate::base::clock::Now;
use crate::mqtt::message::COST;
use crate::outbox::entry::Entry;
use crate::outbox::journal::{self, JournalBatch, JournalEvent, JournalSeq, Lost};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Upper bound on how long an idle gateway delays telling the journal of acknowledgements.
const TELL: Duration = Duration::from_secs(1);

/// A journal that is behind, or being opened, and silent for this long has a disk that hangs:
/// nobody waits for it any more.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Interval between two checks whether a disk still hangs.
const LOOK: Duration = Duration::from_secs(60);

/// How the journal is, as it is published and answered; docs/CONTROL.md says what each field means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    #[serde(flatten)]
    pub state: journal::State,
    /// Messages that are in it only.
    pub waiting_alone: u64,
    /// Whether what is to be spilled goes to it now.
    pub spilling: bool,
    pub error: Option<String>,
}

impl Outbox {
    /// There is a journal, which has yet to be read. Until it is open or has failed, messages for
    /// it wait in memory, so that they do not overtake what an earlier run has left.
    pub fn await_journal(&mut self, now: Instant) {
        self.writer.is_to_open(now);
    }

    /// Whether the journal has not said yet whether it could be opened.
    pub fn is_journal_silent(&self) -> bool {
        self.writer.opening_due.is_some()
    }

    /// There is a journal now: the numbers up to `last` are given; `waiting` has the number of
    /// messages of each port in it.
    pub fn open_journal(&mut self, last: JournalSeq, waiting: &[(u16, u64)]) {
        let was_awaited = self.writer.is_opening();
        for (port, messages) in waiting {
            self.port_queue(*port).journal_only += messages;
            self.writer.journal_only += messages;
        }
        self.writer.open(last);
        if was_awaited {
            self.queue_behind_journal();
        }
    }

    /// Messages that came while the journal was opened go behind those of their port in it.
    fn queue_behind_journal(&mut self) {
        let (order, writer) = (self.bounds.ordering, &self.writer);
        let mut moved = Vec::new();
        for port in self.ports.iter_mut().filter(|port| port.is_behind_journal(order)) {
            moved.extend(port.take_out(|it| it.seq.is_none() && writer.takes(&it.entry)));
        }
        moved.sort_unstable_by_key(|queued| queued.id);
        moved.into_iter().for_each(|queued| self.push_stored(queued));
    }

    /// The journal cannot write: what it does not have waits in memory, as far as there is room.
    pub fn journal_failed(&mut self, why: String, epoch: u32) {
        let entries: Vec<_> = self.writer.fail(why, epoch).collect();
        let Some(first) = entries.first().map(|entry| entry.seq) else { return };
        for held in self.in_flight.iter_mut() {
            held.seq = held.seq.filter(|seq| *seq < first);
        }
        self.ports.iter_mut().for_each(|port| port.forget_journalled(first));
        for entry in entries.into_iter().filter(|entry| entry.journal_only) {
            self.port_queue(entry.entry.port);
            self.fewer_journal_only(entry.entry.port, 1);
            let queued = self.boxed(entry.entry);
            self.push_unstored(queued);
        }
    }

    pub fn journal_status(&self) -> Option<JournalStatus> {
        (!self.writer.is_off()).then(|| JournalStatus {
            state: self.writer.report,
            waiting_alone: self.writer.journal_only,
            spilling: self.writer.is_spilling(),
            error: self.writer.error.clone(),
        })
    }

    /// Takes in a message that goes to the journal: with a place in memory, or without one if
    /// memory is short or earlier messages have none either.
    pub(super) fn push_stored(&mut self, mut queued: Queued) {
        let port = usize::from(queued.entry.port);
        let order = self.bounds.ordering;
        let is_journal_only =
            self.is_short_with(queued.cost) || self.ports[port].is_behind_journal(order);
        if !is_journal_only && (self.writer.is_catching_up() || self.writer.is_busy()) {
            self.writer.set_catching_up(true);
            // It is stored when it is its turn, behind those that came before it.
            return self.keep(queued);
        }
        if !is_journal_only {
            queued.seq = Some(self.writer.store(queued.entry.clone()));
            return self.keep(queued);
        }
        if self.writer.is_catching_up() {
            self.store_what_waits(usize::MAX);
        }
        // The message takes memory only until the journal has it. If there is no room for that, the
        // journal is behind by all that memory can hold, or messages that only memory has make way.
        if !self.make_way(&queued) {
            return;
        }
        // What is read back comes behind all that is in memory.
        self.ports[port].fresh_to_backlog(order);
        self.ports[port].journal_only += 1;
        self.writer.store_only(queued.entry);
    }

    /// Stored messages take at most three quarters of memory: the rest is for the others.
    fn is_short_with(&self, cost: usize) -> bool {
        let most = self.bounds.bytes.bytes() / 4 * 3;
        self.bytes() + cost > most || self.messages() + 1 > self.bounds.messages as usize / 4 * 3
    }

    /// What the journal shall do next, if anything.
    pub fn next_batch(&mut self, now: Instant) -> Option<JournalBatch> {
        self.journal_tick(now);
        if self.writer.is_catching_up() && !self.writer.is_busy() {
            self.store_what_waits(1000);
        }
        if !self.is_half_full() {
            let messages = (self.bounds.messages as usize / 8).max(1);
            let most = self.bounds.bytes.bytes() / 8;
            self.writer.read(most.min(messages.saturating_mul(COST)));
        }
        self.writer.has_batch().then(|| self.writer.next_batch())
    }

    /// Below half, messages are read back from the journal; above it, they are spilled.
    pub(super) fn is_half_full(&self) -> bool {
        self.bytes() > self.bounds.bytes.bytes() / 2
            || self.messages() > self.bounds.messages as usize / 2
    }

    /// Whether the journal is so far behind that the ports should hold back their messages: the
    /// inlet has room for two seconds.
    pub fn is_pressed(&self) -> bool {
        self.writer.bytes > self.bounds.bytes.bytes() / 8
    }

    /// Whether the journal has been behind for long without a word: its disk does not even fail.
    pub fn hangs(&self, now: Instant) -> bool {
        self.writer.pressed_since.is_some_and(|since| since + PATIENCE <= now)
    }

    /// Stops waiting for a journal that should have been open by now, because its disk hangs.
    /// Returns how long the outbox waited.
    pub fn give_up_opening(&mut self, now: Instant) -> Option<Duration> {
        self.writer.opening_due.filter(|due| *due <= now)?;
        self.writer.opening_due = Some(now + LOOK);
        let why = format!("it was not opened within {} s", PATIENCE.as_secs());
        if self.writer.is_opening() {
            self.journal_failed(why, 0);
        }
        Some(PATIENCE)
    }

    /// Whether the journal has everything that it is meant to have.
    pub fn is_saved(&self) -> bool {
        self.writer.is_synced()
    }

    /// Begins and ends to spill as time passes, and notes whether the journal is behind.
    pub fn journal_tick(&mut self, now: Instant) {
        let since = self.writer.pressed_since.unwrap_or(now);
        self.writer.pressed_since = self.is_pressed().then_some(since);
        if !self.writer.is_open() {
            return;
        }
        let down = self.writer.down_since.map(|since| now.saturating_duration_since(since));
        let is_down = down.is_some_and(|down| down >= self.bounds.spill_after.duration());
        if !self.writer.is_spilling() {
            if is_down || self.is_half_full() {
                self.writer.set_spilling(true);
            }
        } else if down.is_none()
            && self.writer.journal_only == 0
            && self.messages() == self.in_flight.len()
        {
            self.writer.set_spilling(false);
        }
    }

    /// When time alone is a reason to call [`Outbox::next_batch`] and [`Outbox::give_up_opening`].
    pub fn journal_deadline(&self, now: Instant) -> Option<Instant> {
        let spills = self.writer.is_open() && !self.writer.is_spilling();
        let down_since = self.writer.down_since.filter(|_| spills);
        let spills =
            down_since.and_then(|since| since.checked_add(self.bounds.spill_after.duration()));
        let tells = self.writer.has_batch().then(|| now + TELL);
        let hangs = self.writer.pressed_since.map(|since| since + PATIENCE);
        let hangs = hangs.filter(|due| *due > now);
        [spills, tells, hangs, self.writer.opening_due].into_iter().flatten().min()
    }

    /// The link is gone; see `spill_after`.
    pub fn disconnected(&mut self, now: Instant) {
        self.writer.down_since.get_or_insert(now);
    }

    /// Whether something is to be stored for which the opening of the journal is waited for.
    pub fn awaits_journal(&mut self) -> bool {
        let writer = &self.writer;
        let mut waiting = self.ports.iter_mut().flat_map(PortQueue::iter_mut);
        writer.is_opening() && waiting.any(|it| it.seq.is_none() && writer.is_meant_for(&it.entry))
    }

    /// The gateway ends: stores what may be stored.
    pub fn store_all(&mut self) {
        if self.writer.is_open() {
            self.writer.set_spilling(true);
            self.store_what_waits(usize::MAX);
        }
    }

    /// Number of messages that only memory has: they are lost with the gateway. Status messages do
    /// not count, they will be out of date.
    pub fn unstored(&mut self) -> usize {
        let waiting = self.ports.iter_mut().flat_map(PortQueue::iter_mut);
        let all = self.in_flight.iter_mut().chain(waiting);
        let safe = self.writer.synced;
        let is_lost = |held: &&mut QueuedMessage| {
            held.seq.is_none_or(|seq| seq > safe) && !held.entry.latest_only
        };
        all.filter(is_lost).count() + self.writer.unsynced_journal_only()
    }

    /// The clock is set now: corrects the stamps of what waits. What is in flight stays as the
    /// broker may have it.
    pub fn correct(&mut self, now: Now) {
        self.clock_was_set = Some(now);
        self.ports.iter_mut().for_each(|port| port.correct(now));
        self.writer.correct(now);
    }

    /// Stores messages that are in memory, oldest first, at most `most`.
    fn store_what_waits(&mut self, mut most: usize) {
        let waiting = self.ports.iter_mut().flat_map(PortQueue::iter_mut);
        for held in self.in_flight.iter_mut().chain(waiting) {
            if held.seq.is_none() && self.writer.takes(&held.entry) {
                if most == 0 {
                    return;
                }
                most -= 1;
                held.seq = Some(self.writer.store(held.entry.clone()));
            }
        }
        self.writer.set_catching_up(false);
    }

    pub fn on_event(&mut self, event: JournalEvent) {
        self.writer.pressed_since = None;
        match event {
            JournalEvent::Safe(up_to) => self.writer.synced(up_to),
            JournalEvent::Read(messages) => {
                self.writer.was_read(messages.is_empty());
                for (seq, entry) in messages {
                    self.read_back(seq, entry);
                }
            }
            JournalEvent::Dropped(lost) => self.given_up(lost),
            JournalEvent::Replaced { port, messages } => {
                self.counts.replaced += messages;
                self.fewer_journal_only(port, messages);
            }
            JournalEvent::Failed { why, epoch } => {
                self.writer.opening_due = None;
                self.journal_failed(why, epoch);
            }
            JournalEvent::Back { last, waiting } => {
                self.writer.opening_due = None;
                self.open_journal(last, &waiting);
            }
            JournalEvent::State(state) => self.writer.report = state,
        }
    }

    /// A message that waited in the journal alone is in memory again, behind those before it.
    fn read_back(&mut self, seq: JournalSeq, entry: Entry) {
        self.fewer_journal_only(entry.port, 1);
        let mut queued = self.boxed(entry);
        queued.seq = Some(seq);
        if let Some(now) = self.clock_was_set {
            queued.correct(now);
        }
        let order = self.bounds.ordering;
        self.port_queue(queued.entry.port).push_backlog(queued, order);
    }

    /// The journal was full, or what was in it is not readable.
    fn given_up(&mut self, Lost { port, up_to, journal_only }: Lost) {
        self.fewer_journal_only(port, journal_only);
        let queue = self.port_queue(port);
        let gone = queue.take_out(|it| it.seq.is_some() && it.seq <= up_to);
        let lost = gone.len() as u64 + journal_only;
        queue.drops.journal += lost;
        self.counts.dropped += lost;
        gone.iter().for_each(|queued| self.tell(queued.id, Outcome::Dropped));
    }

    /// Fewer messages of a port wait in the journal alone.
    fn fewer_journal_only(&mut self, port: u16, messages: u64) {
        let queue = self.port_queue(port);
        queue.journal_only = queue.journal_only.saturating_sub(messages);
        self.writer.journal_only = self.writer.journal_only.saturating_sub(messages);
    }
}

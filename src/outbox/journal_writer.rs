//! The outbox's side of the conversation with the journal: what the journal will be told, and what
//! it has said.

use super::QueuedMessage;
use super::journalled::PATIENCE;
use crate::base::clock::Now;
use crate::base::durability::Durability;
use crate::outbox::entry::Entry;
use crate::outbox::journal::{self, JournalBatch, JournalSeq, ToStore};
use std::collections::VecDeque;
use std::time::Instant;

/// At most this many bytes are in a batch, so that little is on its way to the journal's thread.
const BATCH: usize = 256 << 10;

/// With at least this many messages to store, no more are queued.
const BUSY: usize = 1000;

/// What the journal will be told, and what it has said.
#[derive(Debug, Default)]
pub(super) struct JournalWriter {
    /// The durability of messages that have none of their own.
    durability: Durability,
    state: State,
    reading: Reading,
    /// The number that was given last.
    pub(super) last: JournalSeq,
    /// All messages up to this one are as safe as `sync` asks for.
    pub(super) synced: JournalSeq,
    unsent: VecDeque<ToStore>,
    /// Handed over and not safe yet: kept in case that the journal fails.
    unsynced: VecDeque<ToStore>,
    /// How often the journal has failed. What was handed over before its last failure is not
    /// written.
    epoch: u32,
    /// Memory of the messages in `unsent` and `unsynced` that have no other place in memory, in
    /// bytes.
    pub(super) bytes: usize,
    /// Messages that are not needed any more, with their ports.
    done: Vec<(JournalSeq, u16)>,
    /// Messages that wait in the journal alone.
    pub(super) journal_only: u64,
    /// Since when there has been no link.
    pub(super) down_since: Option<Instant>,
    /// When the journal should have said whether it could be opened; `None` once it has.
    pub(super) opening_due: Option<Instant>,
    /// Since when the journal has been too far behind, without an event.
    pub(super) pressed_since: Option<Instant>,
    pub(super) report: journal::State,
    pub(super) error: Option<String>,
}

/// What the journal can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    /// What an earlier run has left is being read. New messages wait to be stored: they must not
    /// overtake that.
    Opening,
    /// It cannot write; messages wait in memory.
    Failed,
    Open {
        /// Messages of durability `spill` are stored now.
        spilling: bool,
        /// Messages in memory still have to be stored.
        catching_up: bool,
    },
}

/// How messages come back from the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Idle,
    /// Messages are to be read, of this many bytes of memory.
    Wanted(usize),
    UnderWay,
    /// The journal had nothing to read when it was asked last.
    Dry,
}

impl JournalWriter {
    pub(super) fn new(durability: Durability) -> JournalWriter {
        JournalWriter { durability, ..JournalWriter::default() }
    }

    /// After a change, messages that wait already may have to be stored.
    pub(super) fn set_durability(&mut self, durability: Durability) {
        if durability != self.durability {
            self.set_catching_up(true);
        }
        self.durability = durability;
    }

    /// There will be a journal.
    pub(super) fn is_to_open(&mut self, now: Instant) {
        self.state = State::Opening;
        self.opening_due = Some(now + PATIENCE);
    }

    pub(super) fn is_off(&self) -> bool {
        self.state == State::Off
    }

    pub(super) fn is_opening(&self) -> bool {
        self.state == State::Opening
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    pub(super) fn is_spilling(&self) -> bool {
        matches!(self.state, State::Open { spilling: true, .. })
    }

    pub(super) fn is_catching_up(&self) -> bool {
        matches!(self.state, State::Open { catching_up: true, .. })
    }

    /// The journal can write; what waits in memory is to be stored, and what is spilled goes behind
    /// what was.
    pub(super) fn open(&mut self, last: JournalSeq) {
        self.state = State::Open { spilling: self.journal_only > 0, catching_up: true };
        self.last = self.last.max(last);
        self.synced = self.last;
        self.error = None;
        if self.reading == Reading::Dry {
            self.reading = Reading::Idle;
        }
    }

    /// Nothing more goes to the journal. Returns what it does not have, oldest first.
    pub(super) fn fail(&mut self, why: String, epoch: u32) -> impl Iterator<Item = ToStore> {
        self.state = State::Failed;
        self.epoch = epoch;
        self.error.get_or_insert(why);
        if self.reading != Reading::Dry {
            self.reading = Reading::Idle;
        }
        self.bytes = 0;
        let unsynced = std::mem::take(&mut self.unsynced);
        unsynced.into_iter().chain(std::mem::take(&mut self.unsent))
    }

    /// Begins to spill, with what waits in memory, or ends it.
    pub(super) fn set_spilling(&mut self, spilling: bool) {
        if self.is_open() {
            self.state = State::Open { spilling, catching_up: spilling };
        }
    }

    /// Whether messages that are in memory have yet to be stored.
    pub(super) fn set_catching_up(&mut self, behind: bool) {
        if let State::Open { catching_up, .. } = &mut self.state {
            *catching_up = behind;
        }
    }

    /// Whether a message is stored in the present state.
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        let State::Open { spilling, .. } = self.state else { return false };
        let takes = |durability| durability == Durability::Always || spilling;
        entry.outlives(self.durability).is_some_and(takes)
    }

    /// Whether a message may be sent to the broker: one of durability `always` only once it is
    /// safe.
    pub(super) fn may_send(&self, entry: &Entry, seq: Option<JournalSeq>) -> bool {
        match self.state {
            State::Off | State::Failed => true,
            State::Opening => !self.is_meant_for(entry),
            // A message that is to be stored has its number before it can be sent.
            State::Open { .. } => match entry.outlives(self.durability) {
                Some(Durability::Always) => seq.is_some_and(|seq| seq <= self.synced),
                _ => true,
            },
        }
    }

    /// Whether a message is to be stored as soon as there is a journal.
    pub(super) fn is_meant_for(&self, entry: &Entry) -> bool {
        entry.outlives(self.durability).is_some()
    }

    /// Stores a message that has a place in memory too.
    pub(super) fn store(&mut self, entry: Entry) -> JournalSeq {
        self.put(entry, false)
    }

    /// Stores a message that will wait in the journal alone. It takes memory until it is safe
    /// there.
    pub(super) fn store_only(&mut self, entry: Entry) {
        if self.reading == Reading::Dry {
            self.reading = Reading::Idle;
        }
        self.journal_only += 1;
        self.bytes += entry.cost();
        self.put(entry, true);
    }

    fn put(&mut self, mut entry: Entry, journal_only: bool) -> JournalSeq {
        entry.durability.get_or_insert(self.durability);
        self.last.0 += 1;
        self.unsent.push_back(ToStore { seq: self.last, entry, journal_only });
        self.last
    }

    /// Says in the messages that have no other place in memory when they were measured: the
    /// journal may give them back.
    pub(super) fn correct(&mut self, now: Now) {
        let both = self.unsynced.iter_mut().chain(&mut self.unsent);
        for ToStore { entry, .. } in both.filter(|new| new.journal_only) {
            let before = entry.cost();
            entry.correct(now);
            self.bytes = (self.bytes + entry.cost()).saturating_sub(before);
        }
    }

    /// Whether there is much to hand over already.
    pub(super) fn is_busy(&self) -> bool {
        self.unsent.len() >= BUSY
    }

    /// A message, which may be in the journal, is not needed any more.
    pub(super) fn done(&mut self, queued: &QueuedMessage) {
        if let Some(seq) = queued.seq {
            self.done.push((seq, queued.entry.port));
        }
    }

    /// All up to here is as safe as `sync` asks for.
    pub(super) fn synced(&mut self, up_to: JournalSeq) {
        self.synced = self.synced.max(up_to);
        let end = self.unsynced.partition_point(|new| new.seq <= up_to);
        for new in self.unsynced.drain(..end).filter(|new| new.journal_only) {
            self.bytes -= new.entry.cost();
        }
    }

    /// Asks for messages of `bytes` of memory, unless some are on their way.
    pub(super) fn read(&mut self, bytes: usize) {
        if self.may_read() {
            self.reading = Reading::Wanted(bytes);
        }
    }

    /// A disk that cannot be written can be read mostly.
    pub(super) fn may_read(&self) -> bool {
        self.journal_only > 0 && self.reading == Reading::Idle
    }

    /// The journal has answered. If it had nothing, it is not asked again before it gets more.
    pub(super) fn was_read(&mut self, nothing: bool) {
        self.reading = if nothing { Reading::Dry } else { Reading::Idle };
    }

    /// Whether there is so much to tell that it should not wait.
    pub(super) fn has_much_done(&self) -> bool {
        self.done.len() >= 256
    }

    /// Messages that were stored without a place in memory, and are not safe yet.
    pub(super) fn unsynced_journal_only(&self) -> usize {
        self.unsynced.iter().chain(&self.unsent).filter(|new| new.journal_only).count()
    }

    /// Whether all that the journal is to have is safe.
    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && !self.has_batch()
    }

    /// Whether there is something to tell to the journal.
    pub(super) fn has_batch(&self) -> bool {
        let is_to_read = matches!(self.reading, Reading::Wanted(_));
        is_to_read || !self.unsent.is_empty() || !self.done.is_empty()
    }

    pub(super) fn next_batch(&mut self) -> JournalBatch {
        let mut batch = JournalBatch { epoch: self.epoch, ..JournalBatch::default() };
        let mut bytes = 0;
        while bytes < BATCH
            && let Some(new) = self.unsent.pop_front()
        {
            bytes += new.entry.cost();
            self.unsynced.push_back(new.clone());
            batch.entries.push(new);
        }
        // The end of a message must not be told before its begin.
        if self.unsent.is_empty() {
            batch.done = std::mem::take(&mut self.done);
            if let Reading::Wanted(bytes) = self.reading {
                batch.read = Some(bytes);
                self.reading = Reading::UnderWay;
            }
        }
        batch
    }
}

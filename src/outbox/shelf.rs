//! The outbox's side of the journal: what is to be told to it, and how far it has come.

use super::Held;
use crate::base::clock::Now;
use crate::base::durability::Durability;
use crate::outbox::entry::Entry;
use crate::outbox::journal::{Seq, ToStore, Turn};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A turn of the journal takes in so much at most, so that what is on its way stays little.
const TURN: usize = 256 << 10;

/// Messages in here have a second place in memory, or none: those that are to wait in the journal
/// alone count until they are safe there.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Of messages that have none of their own.
    durability: Durability,
    state: State,
    last: Seq,
    /// All up to here are as safe as `sync` asks for.
    safe: Seq,
    /// What is spilled goes to the journal now.
    pub(super) is_spilling: bool,
    /// Messages in memory wait to be stored.
    pub(super) is_behind: bool,
    /// To be handed to the journal.
    entries: VecDeque<ToStore>,
    /// Handed over, and not safe yet: the journal may fail.
    handed: VecDeque<ToStore>,
    /// How often it has failed. What was handed over before it did is not written.
    epoch: u32,
    /// Memory of messages in those two that have no other place in memory.
    bytes: usize,
    done: Vec<(Seq, u16)>,
    read: Option<usize>,
    is_reading: bool,
    /// The journal had nothing to read when it was asked last.
    is_dry: bool,
    /// Messages that wait in the journal alone.
    pub(super) away: u64,
    /// Since when there has been no link.
    pub(super) down_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no journal.
    Off,
    /// It is read what an earlier run has left. What is to be stored waits: it must not overtake
    /// that.
    Opening,
    Working,
    /// It cannot write; what comes waits in memory.
    Failed,
}

impl Shelf {
    pub(super) fn new(durability: Durability) -> Shelf {
        Shelf {
            durability,
            state: State::Off,
            last: Seq(0),
            safe: Seq(0),
            is_spilling: false,
            is_behind: false,
            entries: VecDeque::new(),
            handed: VecDeque::new(),
            epoch: 0,
            bytes: 0,
            done: Vec::new(),
            read: None,
            is_reading: false,
            is_dry: false,
            away: 0,
            down_since: None,
        }
    }

    /// What waits already may have to be stored now.
    pub(super) fn set_durability(&mut self, durability: Durability) {
        self.is_behind |= self.is_working() && durability != self.durability;
        self.durability = durability;
    }

    /// There will be a journal.
    pub(super) fn is_to_open(&mut self) {
        self.state = State::Opening;
    }

    pub(super) fn is_opening(&self) -> bool {
        self.state == State::Opening
    }

    /// The journal can write; what waits in memory is to be stored.
    pub(super) fn open(&mut self, last: Seq) {
        self.state = State::Working;
        self.last = self.last.max(last);
        self.safe = self.last;
        (self.is_behind, self.is_dry) = (true, false);
    }

    /// Nothing more goes to the journal. Returns what it does not have, oldest first.
    pub(super) fn fail(&mut self, epoch: u32) -> impl Iterator<Item = ToStore> {
        (self.state, self.epoch) = (State::Failed, epoch);
        (self.is_spilling, self.is_behind, self.is_reading, self.read) =
            (false, false, false, None);
        self.bytes = 0;
        let handed = std::mem::take(&mut self.handed);
        handed.into_iter().chain(std::mem::take(&mut self.entries))
    }

    pub(super) fn is_working(&self) -> bool {
        self.state == State::Working
    }

    /// Whether a message goes to the journal as things are.
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        let takes = |durability| durability == Durability::Always || self.is_spilling;
        self.is_working() && entry.outlives(self.durability).is_some_and(takes)
    }

    /// Whether a message may be offered to the broker: one that always survives not before it is
    /// safe.
    pub(super) fn may_send(&self, entry: &Entry, seq: Option<Seq>) -> bool {
        // A message that is to be stored has its number before it can be sent.
        let is_stored = |seq| seq <= self.safe;
        match (self.state, entry.outlives(self.durability)) {
            (State::Opening, durability) => durability.is_none(),
            (State::Working, Some(Durability::Always)) => seq.is_some_and(is_stored),
            _ => true,
        }
    }

    /// Whether a message is to be stored as soon as there is a journal.
    pub(super) fn is_meant_for(&self, entry: &Entry) -> bool {
        entry.outlives(self.durability).is_some()
    }

    /// Gives a message to the journal, with a place in memory besides or `away`.
    pub(super) fn store(&mut self, mut entry: Entry, away: bool) -> Seq {
        entry.durability.get_or_insert(self.durability);
        self.last.0 += 1;
        if away {
            self.is_dry = false;
            self.away += 1;
            self.bytes += entry.cost();
        }
        self.entries.push_back(ToStore { seq: self.last, entry, away });
        self.last
    }

    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// Memory of what waits to be handed to the journal, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Says in the messages that have no other place in memory when they were measured: the
    /// journal may give them back.
    pub(super) fn correct(&mut self, now: Now) {
        for entry in self.handed.iter_mut().chain(&mut self.entries).filter(|entry| entry.away) {
            let before = entry.entry.cost();
            entry.entry.correct(now);
            self.bytes = (self.bytes + entry.entry.cost()).saturating_sub(before);
        }
    }

    /// Whether there is much to hand over already.
    pub(super) fn is_busy(&self) -> bool {
        self.entries.len() >= 1000
    }

    /// A message that may be in the journal is needed no more.
    pub(super) fn done(&mut self, held: &Held) {
        if let Some(seq) = held.seq {
            self.done.push((seq, held.entry.port));
        }
    }

    pub(super) fn safe(&mut self, up_to: Seq) {
        self.safe = self.safe.max(up_to);
        let end = self.handed.partition_point(|entry| entry.seq <= up_to);
        for entry in self.handed.drain(..end).filter(|entry| entry.away) {
            self.bytes -= entry.entry.cost();
        }
    }

    /// Wants messages of so much memory back, unless they are on their way.
    pub(super) fn read(&mut self, bytes: usize) {
        if self.may_read() {
            self.is_reading = true;
            self.read = Some(bytes);
        }
    }

    /// A disk that cannot be written can be read mostly.
    pub(super) fn may_read(&self) -> bool {
        self.away > 0 && !self.is_reading && !self.is_dry
    }

    /// Whether there is so much to tell that it should not wait.
    pub(super) fn has_much_done(&self) -> bool {
        self.done.len() >= 256
    }

    /// Messages that were stored without a place in memory, and are not safe yet.
    pub(super) fn unsafe_away(&self) -> usize {
        self.handed.iter().chain(&self.entries).filter(|entry| entry.away).count()
    }

    /// Whether all that the journal is to have is safe.
    pub(super) fn is_safe(&self) -> bool {
        self.handed.is_empty() && !self.has_turn()
    }

    pub(super) fn safe_up_to(&self) -> Seq {
        self.safe
    }

    /// The journal has answered. One that has nothing is not asked again before it got more.
    pub(super) fn was_read(&mut self, nothing: bool) {
        (self.is_reading, self.is_dry) = (false, nothing);
    }

    /// Whether there is something to tell to the journal.
    pub(super) fn has_turn(&self) -> bool {
        !self.entries.is_empty() || !self.done.is_empty() || self.read.is_some()
    }

    pub(super) fn turn(&mut self) -> Turn {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while bytes < TURN
            && let Some(entry) = self.entries.pop_front()
        {
            bytes += entry.entry.cost();
            self.handed.push_back(entry.clone());
            entries.push(entry);
        }
        // The end of a message must not be told before its begin.
        let is_told = self.entries.is_empty();
        let done = if is_told { std::mem::take(&mut self.done) } else { Vec::new() };
        let read = if is_told { self.read.take() } else { None };
        Turn { epoch: self.epoch, entries, done, read }
    }

    /// Whether the broker has been away for so long.
    pub(super) fn is_down_for(&self, after: Duration, now: Instant) -> bool {
        self.down_since.is_some_and(|since| now.saturating_duration_since(since) >= after)
    }
}

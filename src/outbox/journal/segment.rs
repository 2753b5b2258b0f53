//! One file of the journal.

use super::files;
use super::record::{self, Record};
use super::{JournalSeq, Lost, MeasuredAt};
use crate::base::sorted::Sorted;
use crate::outbox::entry::Entry;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// After this many failed reads a file is given up.
const TRIES: u8 = 3;

/// A file, and which of its messages are needed.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// The smallest number that a message in it may have.
    pub(super) first: JournalSeq,
    /// Bytes on the disk.
    pub(super) bytes: u64,
    /// Where its records begin: behind the header, unless that is damaged.
    pub(super) start: u64,
    /// Messages that are needed.
    pub(super) live: Bits,
    /// Those of them that wait in here alone.
    pub(super) journal_only: Bits,
    /// What belongs to each port.
    pub(super) shares: Sorted<u16, Share>,
    /// How far it was read for messages that wait in it alone.
    read: u64,
    /// The present numbers of the ports that the file names, in the file's order; empty if they
    /// have not changed.
    pub(super) ports: Vec<u16>,
    /// The boot that it was written in.
    pub(super) boot: Option<[u8; 16]>,
    /// Bytes before the first message.
    pub(super) head: u64,
    /// Retained messages that have newer ones of their topics.
    pub(super) compactable: u32,
    /// How often it could not be read.
    pub(super) failures: u8,
}

/// What of a segment belongs to one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Messages that are needed.
    pub(super) live: u64,
    /// Those of them that wait in here alone.
    pub(super) journal_only: u64,
}

/// Bits by number, as many as there are.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    pub(super) ones: u64,
}

impl Bits {
    /// Keeps only the bits that are set in `others` too; bits beyond its end are not.
    pub(super) fn keep(&mut self, others: &[u64]) {
        for (at, word) in self.words.iter_mut().enumerate() {
            *word &= others.get(at).copied().unwrap_or(0);
        }
        self.count();
    }

    /// Clears the bits that are set in `others`.
    pub(super) fn remove(&mut self, others: &Bits) {
        for (word, others) in self.words.iter_mut().zip(&others.words) {
            *word &= !others;
        }
        self.count();
    }

    fn count(&mut self) {
        self.ones = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
    }

    pub(super) fn get(&self, at: u64) -> bool {
        let word = usize::try_from(at / 64).ok().and_then(|word| self.words.get(word));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(super) fn set(&mut self, at: u64) {
        let word = (at / 64) as usize;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if !self.get(at) {
            self.words[word] |= 1 << (at % 64);
            self.ones += 1;
        }
    }

    /// Whether it was set.
    fn clear(&mut self, at: u64) -> bool {
        let was = self.get(at);
        if was {
            self.words[(at / 64) as usize] &= !(1 << (at % 64));
            self.ones -= 1;
        }
        was
    }
}

/// At least this many bytes of a file are read at once.
const WINDOW: usize = 64 << 10;

/// A segment has at most this many numbers, so that the bits for them stay few.
pub(super) const NUMBERS: u64 = 1 << 17;

impl Segment {
    pub(super) fn new(folder: &Path, first: JournalSeq) -> Segment {
        let path = folder.join(record::name(first));
        Segment::found(path, first, record::HEADER as u64, 0)
    }

    /// A file that an earlier run has left.
    pub(super) fn found(path: PathBuf, first: JournalSeq, start: u64, bytes: u64) -> Segment {
        Segment { path, first, start, bytes, read: start, ..Segment::default() }
    }

    /// The present number of a port; that of a removed port is the gateway's.
    pub(super) fn port(&self, written: u16) -> u16 {
        match (self.ports.is_empty(), written) {
            (true, _) | (_, 0) => written,
            (false, _) => self.ports.get(usize::from(written) - 1).copied().unwrap_or(0),
        }
    }

    /// Whether a number may stand in here.
    pub(super) fn takes(&self, seq: JournalSeq) -> bool {
        seq >= self.first && seq.0 - self.first.0 < NUMBERS
    }

    pub(super) fn add(&mut self, seq: JournalSeq, port: u16, journal_only: bool) {
        let at = seq.0 - self.first.0;
        self.live.set(at);
        let share = self.shares.or_insert_with(port, Share::default);
        share.live += 1;
        if journal_only {
            self.journal_only.set(at);
            share.journal_only += 1;
        }
    }

    /// A message is needed no more.
    pub(super) fn done(&mut self, seq: JournalSeq, port: u16) {
        let at = seq.0.saturating_sub(self.first.0);
        if !self.live.clear(at) {
            return;
        }
        let was_journal_only = self.journal_only.clear(at);
        if let Some(share) = self.shares.get_mut(port) {
            share.live = share.live.saturating_sub(1);
            share.journal_only = share.journal_only.saturating_sub(u64::from(was_journal_only));
        }
    }

    /// A message that waited in here alone is in memory too.
    fn taken(&mut self, seq: JournalSeq, port: u16) -> bool {
        let is_journal_only = self.journal_only.clear(seq.0.saturating_sub(self.first.0));
        if is_journal_only && let Some(share) = self.shares.get_mut(port) {
            share.journal_only = share.journal_only.saturating_sub(1);
        }
        is_journal_only
    }

    pub(super) fn is_live(&self, seq: JournalSeq) -> bool {
        seq >= self.first && self.live.get(seq.0 - self.first.0)
    }

    /// Whether a message waits in here alone.
    pub(super) fn is_journal_only(&self, seq: JournalSeq) -> bool {
        seq >= self.first && self.journal_only.get(seq.0 - self.first.0)
    }

    /// The newest message that is needed.
    pub(super) fn last_live(&self) -> Option<JournalSeq> {
        let (word, bits) = self.live.words.iter().enumerate().rfind(|(_, bits)| **bits != 0)?;
        Some(JournalSeq(self.first.0 + word as u64 * 64 + u64::from(63 - bits.leading_zeros())))
    }

    /// A record that tells the next start which messages are needed.
    pub(super) fn summary(&self) -> Record {
        Record::Live { first: self.first, bits: self.live.words.clone() }
    }

    /// Bytes that a port's needed messages take up, estimated by their average.
    pub(super) fn bytes_of(&self, port: u16) -> u64 {
        let live = self.shares.get(port).map_or(0, |share| share.live);
        (self.bytes * live).checked_div(self.live.ones).unwrap_or(0)
    }

    /// Reads on: messages that wait in the journal alone, of `most` bytes of memory. Returns
    /// whether the end was reached.
    pub(super) fn read(
        &mut self,
        most: usize,
        mut take: impl FnMut(JournalSeq, Entry, Option<([u8; 16], MeasuredAt)>),
    ) -> io::Result<bool> {
        let file = files::open(File::options().read(true), &self.path)?;
        let size = file.metadata()?.len().min(record::FILE);
        // Messages take more memory than bytes on the disk.
        let mut window = most.clamp(WINDOW, record::FILE as usize);
        let mut cost = 0;
        loop {
            let start = self.read;
            let bytes = files::read_at(&file, start, size, window)?;
            let is_last = start + bytes.len() as u64 >= size || bytes.len() < window;
            let mut end = 0;
            for found in record::read_from(0, &bytes) {
                if cost >= most {
                    return Ok(false);
                }
                end += found.bytes.len();
                if !is_last && found.record.is_none() && end == bytes.len() {
                    // The rest of it may stand behind the window.
                    break;
                }
                self.read = start + end as u64;
                let Some(Record::Message { seq, mut entry, measured_at }) = found.record else {
                    continue;
                };
                entry.port = self.port(entry.port);
                if self.is_live(seq) && self.taken(seq, entry.port) {
                    cost += entry.cost();
                    take(seq, entry, self.boot.zip(measured_at));
                }
            }
            if is_last {
                return Ok(true);
            }
            if self.read == start {
                window = window.saturating_mul(2);
            }
        }
    }

    /// What waits in here alone and was not found is lost.
    pub(super) fn drop_unreadable(&mut self, lost: &mut Vec<Lost>) {
        for (port, share) in self.shares.iter_mut().filter(|(_, share)| share.journal_only > 0) {
            lost.push(Lost { port, up_to: None, journal_only: share.journal_only });
            share.live = share.live.saturating_sub(std::mem::take(&mut share.journal_only));
        }
        for (live, journal_only) in self.live.words.iter_mut().zip(&mut self.journal_only.words) {
            let lost = std::mem::take(journal_only);
            self.live.ones -= u64::from((*live & lost).count_ones());
            *live &= !lost;
        }
        self.journal_only.ones = 0;
    }

    /// Notes a failed read. Returns whether there were enough of them to give the file up.
    pub(super) fn failed_again(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= TRIES
    }

    /// It was rewritten: it has no summary, and what is to be read stands elsewhere.
    pub(super) fn rewritten(&mut self, bytes: u64) {
        let start = record::HEADER as u64;
        self.bytes = bytes;
        self.head = 0;
        self.start = start;
        self.read = start;
    }
}

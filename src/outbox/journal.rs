//! The journal: messages on a disk, so that they survive more than the broker's absence.
//!
//! A thread of its own appends, syncs and reads, because a disk may take seconds for any of it. The
//! outbox tells it what to do in [`JournalBatch`]es, and it answers with [`JournalEvent`]s; both
//! channels are bounded. A disk that fails stops nobody: the journal gives back what it could not
//! write, and tries again until the disk works.

mod boot_clock;
mod files;
mod record;
mod segment;
mod store;
#[cfg(test)]
mod tests;
mod thread;

use crate::outbox::entry::Entry;
use crate::outbox::settings::{self, Drop};
use serde::{Deserialize, Serialize};

pub use thread::{Journal, Order, open};

/// The number of a message in the journal, from 1 on. A newer one has a greater number; not every
/// number has a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalSeq(pub u64);

/// Where the journal is and how large it may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub journal: settings::Journal,
    /// What goes when it is full.
    pub drop: Drop,
}

#[derive(Clone, Debug)]
pub struct ToStore {
    /// Its number, greater than those before.
    pub seq: JournalSeq,
    pub entry: Entry,
    /// Whether it waits in the journal alone, until it is read back.
    pub journal_only: bool,
}

/// What the journal shall do next, in this order.
#[derive(Debug, Default)]
pub struct JournalBatch {
    /// The epoch of the last [`JournalEvent::Failed`]. Batches from before a failure are not done:
    /// the outbox still has what is in them.
    pub epoch: u32,
    pub entries: Vec<ToStore>,
    /// Not needed any more, with their ports.
    pub done: Vec<(JournalSeq, u16)>,
    /// How much to read of what waits in the journal alone, in bytes of memory.
    pub read: Option<usize>,
}

/// Messages of one port that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub port: u16,
    /// The newest of them that memory may have too.
    pub up_to: Option<JournalSeq>,
    /// How many of them waited in the journal alone.
    pub journal_only: u64,
}

#[derive(Debug)]
pub enum JournalEvent {
    /// All messages up to this one are as safe as `sync` asks for.
    Safe(JournalSeq),
    /// The first messages that waited in the journal alone.
    Read(Vec<(JournalSeq, Entry)>),
    /// The journal was full, or part of it cannot be read.
    Dropped(Lost),
    /// The journal was full: messages of a port, which waited in it alone, made way for newer ones
    /// of their topics.
    Replaced {
        port: u16,
        messages: u64,
    },
    /// It cannot write. It has only what was reported as safe.
    Failed {
        /// Why, with the file's path.
        why: String,
        /// Batches of another epoch are not done from now on.
        epoch: u32,
    },
    /// It works again, or for the first time.
    Back {
        /// The last number that is taken.
        last: JournalSeq,
        /// How many messages of an earlier run wait, by port.
        waiting: Vec<(u16, u64)>,
    },
    State(State),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Messages in it that are needed.
    pub messages: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes written since the start.
    pub written: u64,
    /// Bytes that were damaged and skipped when it was opened.
    pub damaged: u64,
}

/// When a message was measured, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MeasuredAt {
    /// Milliseconds since 1970, as the wall clock said.
    pub(crate) wall: i64,
    /// Milliseconds since the boot.
    pub(crate) since_boot: i64,
}

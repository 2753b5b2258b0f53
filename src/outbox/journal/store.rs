//! The files of the journal, as one list of messages.

mod disk;
mod read;
mod recover;
mod retained;
mod room;

use super::boot_clock::BootClock;
use super::record::{self, Record};
use super::segment::Segment;
use super::{JournalSeq, Lost, Settings, State, ToStore, files};
use crate::base::clock::Now;
use crate::base::sorted::Sorted;
use crate::outbox::policy::Usage;
use disk::Lock;
use retained::Newest;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An error of a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(super) struct Failure {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure { path, source }
}

#[derive(Debug)]
pub(super) struct Store {
    settings: Settings,
    boot: BootClock,
    /// The names of the ports, by their numbers from 1 on.
    ports: Vec<String>,
    segments: VecDeque<Segment>,
    /// The last segment, if it is open.
    file: Option<File>,
    /// Whether what was written to it is not safe from a power failure yet.
    pub(super) is_dirty: bool,
    newest: Newest,
    /// Messages that had to go, which the outbox has yet to be told.
    pub(super) lost: Vec<Lost>,
    /// The same of messages that made way for newer ones of their topics: their number by port.
    pub(super) replaced: Sorted<u16, u64>,
    /// The number that was given last.
    pub(super) last: JournalSeq,
    state: State,
    lock: Lock,
}

impl Store {
    /// Opens a folder and reads what an earlier run has left in it.
    pub(super) fn open(
        boot: BootClock,
        settings: &Settings,
        ports: &[String],
    ) -> Result<Store, Failure> {
        let folder = &settings.journal.path;
        files::make_folder(folder).map_err(at(folder))?;
        let mut store = Store {
            settings: settings.clone(),
            boot,
            ports: ports.to_vec(),
            segments: VecDeque::new(),
            file: None,
            is_dirty: false,
            newest: Newest::default(),
            lost: Vec::new(),
            replaced: Sorted::default(),
            last: JournalSeq(0),
            state: State::default(),
            lock: Lock::take(folder)?,
        };
        if let Some(why) = files::is_open_to_others(folder).map_err(at(folder))? {
            tracing::warn!(
                "{}: {why}: whoever may write there can alter and delete what waits; chown and \
                 chmod 700 it",
                folder.display()
            );
        }
        store.recover()?;
        Ok(store)
    }

    /// Of each port, how many messages wait in here alone.
    pub(super) fn journal_only(&self) -> Vec<(u16, u64)> {
        let mut journal_only = Sorted::<u16, u64>::default();
        for (port, share) in self.segments.iter().flat_map(|segment| segment.shares.iter()) {
            *journal_only.or_insert_with(port, || 0) += share.journal_only;
        }
        journal_only.into_iter().collect()
    }

    pub(super) fn state(&self) -> State {
        State {
            messages: self.segments.iter().map(|segment| segment.live.ones).sum(),
            bytes: self.bytes(),
            ..self.state
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// A new segment is begun when the last one has this many bytes.
    fn segment_size(&self) -> u64 {
        (self.settings.journal.size.bytes() as u64 / 32).clamp(64 << 10, 1 << 20)
    }

    pub(super) fn name_ports(&mut self, ports: Vec<String>) -> Result<(), Failure> {
        self.ports = ports;
        if self.file.is_some() {
            let mut out = Vec::new();
            record::put(&mut out, &Record::Ports(self.ports.clone()));
            self.write(&out)?;
        }
        Ok(())
    }

    /// Appends as many messages as possible: those before an error are stored.
    pub(super) fn append(&mut self, entries: &mut VecDeque<ToStore>) -> Result<(), Failure> {
        while let Some(first) = entries.front() {
            if record::size(&first.entry) > record::LARGEST {
                // No reader would take it for a record.
                let Some(ToStore { seq, entry, journal_only }) = entries.pop_front() else { break };
                self.last = self.last.max(seq);
                if journal_only {
                    self.lost.push(Lost { port: entry.port, up_to: None, journal_only: 1 });
                }
                continue;
            }
            // As much as there is room for; if there is none, the policy judges what one port sent.
            let (port, free) = (first.entry.port, self.free_for_all());
            let is_full = record::size(&first.entry) as u64 > free;
            let (mut out, mut taken) = (Vec::new(), 0);
            for new in &*entries {
                let end = (out.len() + record::size(&new.entry)) as u64;
                let is_next = if is_full { new.entry.port == port } else { end <= free };
                let fits = |segment: &Segment| {
                    is_next
                        && segment.takes(new.seq)
                        && segment.bytes - segment.head + (out.len() as u64) < self.segment_size()
                        && record::size(&new.entry) <= record::LARGEST
                };
                if self.file.is_none() || !self.segments.back().is_some_and(fits) {
                    break;
                }
                let measured_at =
                    new.entry.measured.map(|measured| self.boot.measured_at(measured));
                record::put_message(&mut out, new.seq, &new.entry, measured_at);
                taken += 1;
            }
            if taken == 0 {
                // The first of a segment is written with its header.
                let Some(first) = entries.front().map(|entry| entry.seq) else { break };
                self.begin(first)?;
                continue;
            }
            let has_room = self.make_room(Usage { port, bytes: out.len() as u64 })?;
            if self.file.is_none() {
                // To make room, the segment they were meant for was removed.
                continue;
            }
            if has_room {
                self.write(&out)?;
            }
            for ToStore { seq, entry, journal_only } in entries.drain(..taken) {
                self.last = self.last.max(seq);
                let (port, message) = (entry.port, entry.message);
                if has_room && message.retain {
                    self.note_retained(self.newest.hash(&message.topic), seq);
                }
                match self.segments.back_mut() {
                    Some(segment) if has_room => segment.add(seq, port, journal_only),
                    _ if journal_only => {
                        self.lost.push(Lost { port, up_to: None, journal_only: 1 })
                    }
                    // It has a place in memory.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let (Some(file), Some(segment)) = (&mut self.file, self.segments.back_mut()) else {
            return Ok(());
        };
        if let Err(error) = file.write_all(bytes) {
            let failure = at(&segment.path)(error);
            // Half a record may stand there now; nothing is appended behind it.
            self.close();
            return Err(failure);
        }
        segment.bytes += bytes.len() as u64;
        self.state.written += bytes.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    /// Begins a segment. It says which messages of the others are needed, so it must be safe on the
    /// disk before one of those is removed.
    fn begin(&mut self, first: JournalSeq) -> Result<(), Failure> {
        self.sync()?;
        self.file = None;
        self.lock.check()?;
        let (own, segments) = (self.boot.id, &self.segments);
        let others = || segments.iter().filter(|segment| segment.first != first);
        let is_used = |boot: &[u8; 16]| others().any(|s| s.boot.as_ref() == Some(boot));
        self.boot.began.retain(|boot, _| *boot == own || is_used(boot));
        let mut out = record::header(first);
        record::put(&mut out, &Record::Boot(own));
        record::put(&mut out, &Record::Ports(self.ports.clone()));
        for (boot, at_boot) in &self.boot.began {
            record::put(&mut out, &Record::Clock { boot: *boot, at_boot: *at_boot });
        }
        others().for_each(|segment| record::put(&mut out, &segment.summary()));
        let mut segment = Segment::new(&self.settings.journal.path, first);
        let file = disk::write_whole(&segment.path, &out)?;
        (segment.boot, segment.bytes, segment.head) =
            (Some(own), out.len() as u64, out.len() as u64);
        self.state.written += segment.bytes;
        // One without messages is replaced.
        self.segments.retain(|segment| segment.first != first);
        self.segments.push_back(segment);
        self.sync_folder()?;
        self.file = Some(file);
        self.remove_done();
        Ok(())
    }

    /// Nothing more is appended to the last segment.
    pub(super) fn close(&mut self) {
        let _ = self.sync();
        self.file = None;
        self.is_dirty = false;
    }

    /// Makes what was written safe from a power failure.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        if self.is_dirty
            && let Some(file) = &self.file
            && let Some(segment) = self.segments.back()
        {
            file.sync_data().map_err(at(&segment.path))?;
        }
        self.is_dirty = false;
        Ok(())
    }

    /// Messages are not needed any more.
    pub(super) fn done(&mut self, done: &mut Vec<(JournalSeq, u16)>) -> Result<(), Failure> {
        if done.is_empty() {
            return Ok(());
        }
        done.sort_unstable();
        let mut ranges: Vec<(JournalSeq, u32)> = Vec::new();
        for (seq, port) in done.drain(..) {
            if let Some(segment) = self.segment(seq) {
                segment.done(seq, port);
            }
            match ranges.last_mut() {
                Some((first, count)) if first.0 + u64::from(*count) == seq.0 => *count += 1,
                _ => ranges.push((seq, 1)),
            }
        }
        self.remove_done();
        if self.segments.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        record::put(&mut out, &Record::Done(ranges));
        if self.file.is_none() || self.is_full_of_notes(out.len() as u64) {
            // The beginning of a segment says what was done before.
            return self.begin(JournalSeq(self.last.0 + 1));
        }
        self.write(&out)
    }

    fn segment(&mut self, seq: JournalSeq) -> Option<&mut Segment> {
        let behind = self.segments.partition_point(|segment| segment.first <= seq);
        self.segments.get_mut(behind.checked_sub(1)?)
    }

    /// Removes files of which nothing is needed. The last one says what was done in the others: it
    /// stays as long as there are others, and until it is a quarter full, so that a file is not
    /// made and removed for each message.
    fn remove_done(&mut self) {
        let small = self.segment_size() / 4;
        let mut index = 0;
        while let Some(segment) = self.segments.get(index) {
            let is_last = index + 1 == self.segments.len();
            let is_kept = index > 0 || self.file.is_some() && segment.bytes - segment.head < small;
            if segment.live.ones > 0 || is_last && is_kept {
                index += 1;
                continue;
            }
            if let Err(failure) = self.drop_segment(index) {
                // It is tried again; until then the newest segment says that nothing of it is needed.
                tracing::debug!("{failure}");
                index += 1;
                continue;
            }
            if is_last {
                self.file = None;
                self.is_dirty = false;
            }
        }
    }

    /// The clock was set: messages of this boot that were measured before can be dated.
    pub(super) fn clock_is_set(&mut self, now: Now) -> Result<(), Failure> {
        let at_boot = self.boot.is_set(now);
        if self.file.is_none() && !self.segments.is_empty() {
            return self.begin(JournalSeq(self.last.0 + 1));
        }
        let mut out = Vec::new();
        record::put(&mut out, &Record::Clock { boot: self.boot.id, at_boot });
        self.write(&out)
    }
}

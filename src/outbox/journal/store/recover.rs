//! What an earlier run has left.

use super::{Failure, Store, at};
use crate::base::deque;
use crate::outbox::journal::record::{self, Record};
use crate::outbox::journal::segment::{Bits, NUMBERS, Segment};
use crate::outbox::journal::{JournalSeq, files};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// At most this many damaged files are named in the log one by one.
const NAMED: usize = 10;

/// What newer segments say about one that is not read yet.
#[derive(Debug, Default)]
struct Verdict {
    /// Messages in it that are not needed any more.
    done: Bits,
    /// If it is there, only these are needed.
    live: Option<Vec<u64>>,
}

/// A message of a segment.
struct Seen {
    seq: JournalSeq,
    /// The number that its port had then.
    port: u16,
    /// The hash of its topic, if it is retained.
    retained: Option<u64>,
}

impl Store {
    /// Reads each segment once, the newest first: it says which messages of the others are needed.
    pub(super) fn recover(&mut self) -> Result<(), Failure> {
        self.list()?;
        self.segments.make_contiguous().sort_by_key(|segment| segment.first);
        let mut verdicts: Vec<_> = self.segments.iter().map(|_| Verdict::default()).collect();
        let mut spoiled = Vec::new();
        for index in (0..self.segments.len()).rev() {
            let path = self.segments[index].path.clone();
            let bytes = match files::read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!("{}: {error}; left alone", path.display());
                    deque::take(&mut self.segments, index);
                    verdicts.remove(index);
                    continue;
                }
            };
            let damaged = self.recover_segment(index, &bytes, &mut verdicts);
            self.state.damaged += damaged;
            if damaged > 0 {
                spoiled.push((path, damaged));
            }
        }
        for (path, damaged) in spoiled.iter().take(NAMED) {
            tracing::warn!("{}: {damaged} bytes are damaged; skipped", path.display());
        }
        let others = &spoiled[spoiled.len().min(NAMED)..];
        if !others.is_empty() {
            let damaged: u64 = others.iter().map(|(_, damaged)| damaged).sum();
            tracing::warn!(
                "{}: in {} more files {damaged} bytes are damaged; skipped",
                self.settings.journal.path.display(),
                others.len()
            );
        }
        self.remove_done();
        Ok(())
    }

    /// Finds the segments, of which only the numbers are known then.
    fn list(&mut self) -> Result<(), Failure> {
        let folder = self.settings.journal.path.clone();
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            match path.extension().and_then(OsStr::to_str) {
                Some("journal") => paths.push(path),
                // What was being rewritten when the power failed; the old one is there.
                Some("new") => {
                    if let Err(error) = fs::remove_file(&path) {
                        tracing::warn!("{}: {error}; left alone", path.display());
                    }
                }
                _ => {}
            }
        }
        paths.sort();
        for path in paths {
            let is_new = |first: JournalSeq| self.segments.iter().all(|other| other.first != first);
            let found = match number(&path) {
                Ok(Some(found)) if is_new(found.0) => Ok(found),
                Ok(Some(_)) => Err("has the number of another file".to_owned()),
                Ok(None) => Err("not a journal of this version".to_owned()),
                // A bad sector may be readable at the next start.
                Err(error) if error.raw_os_error().is_some() => {
                    tracing::warn!("{}: {error}; left alone", path.display());
                    continue;
                }
                Err(error) => Err(error.to_string()),
            };
            let (first, start, size) = match found {
                Ok(found) => found,
                Err(why) => {
                    set_aside(&path, &why)?;
                    continue;
                }
            };
            if size > record::FILE {
                tracing::warn!(
                    "{}: is larger than a segment; {} bytes at its end are passed over",
                    path.display(),
                    size - record::FILE
                );
                self.state.damaged += size - record::FILE;
            }
            self.last = self.last.max(JournalSeq(first.0.saturating_sub(1)));
            self.segments.push_back(Segment::found(path, first, start, size.min(record::FILE)));
        }
        Ok(())
    }

    /// Takes in a segment of which the newer ones are known. Returns how many bytes of it are
    /// damaged.
    fn recover_segment(&mut self, index: usize, bytes: &[u8], verdicts: &mut [Verdict]) -> u64 {
        let (mut found, mut seen, mut damaged) = (Bits::default(), Vec::new(), 0);
        let mut clocks = Vec::new();
        for record in record::read_from(self.segments[index].start as usize, bytes) {
            let length = record.bytes.len() as u64;
            match record.record {
                Some(Record::Message { seq, entry, .. }) if self.segments[index].takes(seq) => {
                    self.last = self.last.max(seq);
                    found.set(seq.0 - self.segments[index].first.0);
                    let retained =
                        entry.message.retain.then(|| self.newest.hash(&entry.message.topic));
                    seen.push(Seen { seq, port: entry.port, retained });
                }
                // It is damaged, or belongs to another file.
                None | Some(Record::Message { .. }) => damaged += length,
                Some(Record::Done(ranges)) => {
                    for (first, count) in ranges {
                        self.note_done(index, first, count, verdicts);
                    }
                }
                Some(Record::Live { first, bits }) => {
                    let older = self.segments.iter().position(|segment| segment.first == first);
                    if let Some(verdict) = older.and_then(|older| verdicts.get_mut(older)) {
                        narrow(&mut verdict.live, bits);
                    }
                }
                Some(Record::Ports(names)) => {
                    let now = |name: &String| {
                        let at = self.ports.iter().position(|port| port == name);
                        at.map_or(0, |at| at as u16 + 1)
                    };
                    self.segments[index].ports = names.iter().map(now).collect();
                }
                Some(Record::Boot(boot)) => self.segments[index].boot = Some(boot),
                Some(Record::Clock { boot, at_boot }) => clocks.push((boot, at_boot)),
            }
        }
        for (boot, at_boot) in clocks.into_iter().rev() {
            // Later entries are there already.
            self.boot.began.entry(boot).or_insert(at_boot);
        }
        let Verdict { done, live } = std::mem::take(&mut verdicts[index]);
        if let Some(live) = live {
            // Messages that were written and not noted were given back, and have other numbers
            // since.
            found.keep(&live);
        }
        found.remove(&done);
        let segment = &mut self.segments[index];
        let first = segment.first.0;
        seen.retain(|seen| {
            found.get(seen.seq.0 - first) && !segment.is_live(seen.seq) && {
                segment.add(seen.seq, segment.port(seen.port), true);
                true
            }
        });
        for Seen { seq, retained, .. } in seen.into_iter().rev() {
            if let Some(topic) = retained {
                self.note_retained(topic, seq);
            }
        }
        damaged
    }

    /// A segment says that messages in it and in those before it are not needed any more.
    fn note_done(&mut self, index: usize, first: JournalSeq, count: u32, verdicts: &mut [Verdict]) {
        let end = first.0.saturating_add(u64::from(count));
        if let Some(last) = record::is_number(end) {
            self.last = self.last.max(JournalSeq(last.0.saturating_sub(1)));
        }
        let from = self.segments.partition_point(|segment| segment.first <= first);
        let known = self.segments.iter().zip(verdicts).take(index + 1);
        for (segment, verdict) in known.skip(from.saturating_sub(1)) {
            let base = segment.first.0;
            if base >= end {
                break;
            }
            for number in first.0.max(base)..end.min(base.saturating_add(NUMBERS)) {
                verdict.done.set(number - base);
            }
        }
    }
}

/// Keeps what both say is needed.
fn narrow(live: &mut Option<Vec<u64>>, bits: Vec<u64>) {
    match live {
        None => *live = Some(bits),
        Some(live) => {
            live.truncate(bits.len());
            live.iter_mut().zip(bits).for_each(|(live, bits)| *live &= bits);
        }
    }
}

/// The number of a file's first message, where its records begin, and its size; `None` if it is not
/// one of our files. The number is in the header and in the name, and either may be wrong.
fn number(path: &Path) -> io::Result<Option<(JournalSeq, u64, u64)>> {
    let file = files::open(File::options().read(true), path)?;
    let size = file.metadata()?.len();
    let header = record::read_header(&files::read_at(&file, 0, size, record::HEADER)?);
    let name = path.file_name().and_then(OsStr::to_str).and_then(record::read_name);
    let start = record::HEADER as u64;
    if header.is_some() && (name.is_none() || name == header) {
        return Ok(header.map(|first| (first, start, size)));
    }
    let bytes = files::read(path)?;
    let messages = || {
        record::read_from(0, &bytes).filter_map(|found| match found.record? {
            Record::Message { seq, .. } => Some(seq),
            _ => None,
        })
    };
    let fits = |first: &JournalSeq| {
        let segment = Segment::new(path, *first);
        messages().all(|seq| segment.takes(seq))
    };
    if header.is_none() && record::read_from(0, &bytes).all(|found| found.record.is_none()) {
        return Ok(None);
    }
    // A damaged header counts as damaged bytes.
    let first = [name, header].into_iter().flatten().find(fits).or(name);
    Ok(first.map(|first| (first, 0, size)))
}

/// A file that is not one of our journals may be somebody's: it is kept under another name.
fn set_aside(path: &Path, why: &str) -> Result<(), Failure> {
    let name = |n: u32| path.with_extension(format!("journal.aside{n}"));
    let free = (1..=u32::MAX).map(name).find(|path| fs::symlink_metadata(path).is_err());
    let aside = free.unwrap_or_else(|| name(0));
    fs::rename(path, &aside).map_err(at(path))?;
    tracing::warn!("{}: {why}; set aside as {}", path.display(), aside.display());
    Ok(())
}

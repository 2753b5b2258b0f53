//! What an earlier run has left.

use super::{Failure, Store, at};
use crate::journal::Seq;
use crate::journal::record::{self, Record};
use crate::journal::segment::Segment;
use std::fs;
use std::path::{Path, PathBuf};

impl Store {
    pub(super) fn recover(&mut self) -> Result<(), Failure> {
        let folder = self.settings.folder.clone();
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("journal") => paths.push(path),
                // What was being rewritten when the power failed; the old one is there.
                Some("new") => fs::remove_file(&path).map_err(at(&path))?,
                _ => {}
            }
        }
        paths.sort();
        for path in paths {
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!("{}: {error}; left alone", path.display());
                    continue;
                }
            };
            match record::read_header(&bytes) {
                Some(first) => self.recover_segment(path, first, &bytes),
                None => set_aside(&path)?,
            }
        }
        self.segments.make_contiguous().sort_by_key(|segment| segment.first);
        for index in 0..self.segments.len() {
            let (segment, newest) = (&mut self.segments[index], &self.newest);
            let bytes = fs::read(&segment.path).map_err(at(&segment.path))?;
            let mut retained = Vec::new();
            segment.count_shares(&bytes, |seq, message| {
                if message.retain {
                    retained.push((newest.hash(&message.topic), seq));
                }
            });
            for (topic, seq) in retained {
                self.note_retained(topic, seq);
            }
        }
        self.remove_done();
        Ok(())
    }

    fn recover_segment(&mut self, path: PathBuf, first: Seq, bytes: &[u8]) {
        let mut segment = Segment::new(&self.settings.folder, first);
        segment.bytes = bytes.len() as u64;
        self.last = self.last.max(Seq(first.0.saturating_sub(1)));
        segment.path.clone_from(&path);
        self.segments.push_back(segment);
        for found in record::read_from(record::HEADER, bytes) {
            let Some(record) = found.record else {
                let (length, place) = (found.bytes.len(), found.at);
                tracing::warn!(
                    "{}: {length} bytes at {place} are damaged; skipped",
                    path.display()
                );
                self.state.damaged += length as u64;
                continue;
            };
            match record {
                Record::Message { seq, .. } => {
                    self.last = self.last.max(seq);
                    if let Some(segment) = self.segments.back_mut() {
                        segment.found(seq);
                    }
                }
                Record::Done(ranges) => {
                    for (first, count) in ranges {
                        let last = first.0.saturating_add(u64::from(count)).saturating_sub(1);
                        self.last = self.last.max(Seq(last));
                        self.segments.iter_mut().for_each(|segment| segment.gone(first, count));
                    }
                }
                Record::Live { first, bits } => {
                    let same = self.segments.iter_mut().find(|segment| segment.first == first);
                    if let Some(segment) = same {
                        segment.keep(&bits);
                    }
                }
                Record::Ports(names) => {
                    let now = |name: &String| {
                        let at = self.ports.iter().position(|port| port == name);
                        at.map_or(0, |at| at as u16 + 1)
                    };
                    let ports = names.iter().map(now).collect();
                    if let Some(segment) = self.segments.back_mut() {
                        segment.ports = ports;
                    }
                }
                Record::Boot(boot) => {
                    if let Some(segment) = self.segments.back_mut() {
                        segment.boot = Some(boot);
                    }
                }
                Record::Clock { boot, at_boot } => drop(self.clocks.insert(boot, at_boot)),
            }
        }
    }
}

/// A file that is no journal of ours may be somebody's: it is kept under another name.
fn set_aside(path: &Path) -> Result<(), Failure> {
    let name = |n: u32| path.with_extension(format!("journal.aside{n}"));
    let free = (1..=u32::MAX).map(name).find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| name(0));
    fs::rename(path, &aside).map_err(at(path))?;
    tracing::warn!(
        "{}: not a journal of this version; set aside as {}",
        path.display(),
        aside.display()
    );
    Ok(())
}

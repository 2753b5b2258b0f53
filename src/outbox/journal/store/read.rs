//! Messages come back from the disk.

use super::{Failure, Store, at};
use crate::base::clock::Now;
use crate::outbox::entry::Entry;
use crate::outbox::journal::JournalSeq;
use std::io;

impl Store {
    /// Messages that wait in here alone, oldest first, of about `bytes` of memory. They stay
    /// needed.
    pub(in crate::outbox::journal) fn read(
        &mut self,
        bytes: usize,
    ) -> Result<Vec<(JournalSeq, Entry)>, Failure> {
        let mut entries = Vec::new();
        let now = Now::read();
        while let Some(index) =
            self.segments.iter().position(|segment| segment.journal_only.ones > 0)
        {
            let segment = &mut self.segments[index];
            let before = segment.journal_only.ones;
            let result = segment.read(bytes, |seq, mut entry, measured_at| {
                if let Some((boot, measured_at)) = measured_at {
                    self.boot.date(&mut entry, boot, measured_at, now);
                }
                entries.push((seq, entry));
            });
            if result.is_ok() {
                segment.failures = 0;
            }
            match result {
                Ok(false) => break,
                Ok(true) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.lock.check()?,
                Err(error) => {
                    // A bad sector stays bad, and must not hold up what lies behind it.
                    if !segment.failed_again() {
                        return Err(error).map_err(at(&segment.path));
                    }
                }
            }
            // It was read to its end: what is still missing is damaged, or the file is gone.
            if segment.journal_only.ones > 0 {
                tracing::warn!(
                    "{}: {} of {before} messages are not readable",
                    segment.path.display(),
                    segment.journal_only.ones
                );
                segment.drop_unreadable(&mut self.lost);
            }
            if !entries.is_empty() {
                break;
            }
        }
        Ok(entries)
    }
}

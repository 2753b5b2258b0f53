//! Messages come back from the disk.

use super::{Failure, Store, at};
use crate::base::clock::{Now, Stamp};
use crate::outbox::entry::Entry;
use crate::outbox::journal::boot_clock::{BootClock, wall};
use crate::outbox::journal::{JournalSeq, MeasuredAt};
use std::collections::HashMap;
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
            let (boot, clocks) = (&self.boot, &self.clocks);
            let before = segment.journal_only.ones;
            let result = segment.read(bytes, |seq, mut entry, measured_at| {
                if let Some((boot_id, measured_at)) = measured_at {
                    date(&mut entry, boot_id, measured_at, boot, clocks, now);
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

/// Says when a message was measured, as far as that is known now.
fn date(
    entry: &mut Entry,
    boot_id: [u8; 16],
    measured_at: MeasuredAt,
    boot: &BootClock,
    clocks: &HashMap<[u8; 16], i64>,
    now: Now,
) {
    let measured = if boot_id == boot.id {
        boot.at(measured_at)
    } else {
        Now { mono: now.mono, wall: wall(measured_at.wall) }
    };
    entry.measured = Some(measured);
    if Stamp(measured.wall).is_synchronised() {
        return;
    }
    match clocks.get(&boot_id) {
        Some(at_boot) => entry.correct_to(wall(at_boot.saturating_add(measured_at.since_boot))),
        None if boot_id == boot.id => entry.correct(now),
        // Nobody will ever know: the stamp in it goes on saying so.
        None => entry.measured = None,
    }
}

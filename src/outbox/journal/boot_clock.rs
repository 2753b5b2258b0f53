//! When messages were measured, also before a restart: the monotonic clock means something only
//! within one boot.

use super::MeasuredAt;
use crate::base::clock::{Now, Stamp};
use crate::outbox::entry::Entry;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Names a boot.
pub(super) type BootId = [u8; 16];

/// The clocks of this boot, and what is known of those of others.
#[derive(Clone, Debug)]
pub(super) struct BootClock {
    pub(super) id: BootId,
    /// A moment and the milliseconds since the boot then.
    reference: (Instant, i64),
    /// When boots began, in milliseconds since 1970, where that became known.
    pub(super) began: HashMap<BootId, i64>,
}

impl BootClock {
    pub(super) fn read() -> BootClock {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let known = u128::from_str_radix(&hex, 16).map(u128::to_be_bytes);
        let id = known.unwrap_or_else(|_| {
            // Without a name for it no other boot must be taken for this one.
            let mut id = [0; 16];
            id[..4].copy_from_slice(&crate::base::backoff::random().to_be_bytes());
            id
        });
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // The monotonic clock is never negative.
        let uptime = Duration::try_from(uptime).unwrap_or_default();
        BootClock { id, reference: (Instant::now(), signed(uptime)), began: HashMap::new() }
    }

    /// Another boot, which began at the same moment.
    #[cfg(test)]
    pub(super) fn other(&self, id: BootId) -> BootClock {
        BootClock { id, ..self.clone() }
    }

    pub(super) fn measured_at(&self, measured: Now) -> MeasuredAt {
        let (reference, millis) = self.reference;
        let later = signed(measured.mono.saturating_duration_since(reference));
        let earlier = signed(reference.saturating_duration_since(measured.mono));
        MeasuredAt { wall: since_1970(measured.wall), since_boot: millis + later - earlier }
    }

    /// The wall clock was set. Returns when this boot began, in milliseconds since 1970.
    pub(super) fn is_set(&mut self, now: Now) -> i64 {
        let MeasuredAt { wall, since_boot } = self.measured_at(now);
        self.began.insert(self.id, wall - since_boot);
        wall - since_boot
    }

    /// Says in a message of a boot when it was measured, as far as that is known now.
    pub(super) fn date(&self, entry: &mut Entry, boot: BootId, at: MeasuredAt, now: Now) {
        let mono = if boot == self.id { self.moment(at.since_boot) } else { now.mono };
        let measured = Now { mono, wall: wall(at.wall) };
        entry.measured = Some(measured);
        if Stamp(measured.wall).is_synchronised() {
            return;
        }
        match self.began.get(&boot) {
            Some(began) => entry.correct_to(wall(began.saturating_add(at.since_boot))),
            None if boot == self.id => entry.correct(now),
            // Nobody will ever know: the stamp in it goes on saying so.
            None => entry.measured = None,
        }
    }

    /// A moment of this boot.
    fn moment(&self, since_boot: i64) -> Instant {
        let (reference, millis) = self.reference;
        let off = Duration::from_millis(since_boot.abs_diff(millis));
        let moment = if since_boot < millis {
            reference.checked_sub(off)
        } else {
            reference.checked_add(off)
        };
        moment.unwrap_or(reference)
    }
}

fn wall(millis: i64) -> SystemTime {
    let off = Duration::from_millis(millis.unsigned_abs());
    let time = if millis < 0 { UNIX_EPOCH.checked_sub(off) } else { UNIX_EPOCH.checked_add(off) };
    time.unwrap_or(UNIX_EPOCH)
}

fn since_1970(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since),
        Err(before) => -signed(before.duration()),
    }
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

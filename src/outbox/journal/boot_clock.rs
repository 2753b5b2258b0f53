//! Which boot this is: only within one does the monotonic clock mean anything.

use super::MeasuredAt;
use crate::base::clock::Now;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// This boot, and the moment it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct BootClock {
    pub(super) id: [u8; 16],
    /// A moment and the milliseconds since the boot then.
    reference: (Instant, i64),
}

impl BootClock {
    pub(super) fn read() -> BootClock {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let mut id = [0; 16];
        // Without a name for it no other boot must be taken for this one.
        let known = u128::from_str_radix(&hex, 16).map(|id| id.to_be_bytes());
        id = known.unwrap_or_else(|_| {
            id[..4].copy_from_slice(&crate::base::backoff::random().to_be_bytes());
            id
        });
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // The monotonic clock is never negative.
        let uptime = Duration::try_from(uptime).unwrap_or_default();
        BootClock { id, reference: (Instant::now(), signed(uptime)) }
    }

    /// Another boot, which began at the same moment.
    #[cfg(test)]
    pub(super) fn other(self, id: [u8; 16]) -> BootClock {
        BootClock { id, ..self }
    }

    pub(super) fn measured_at(&self, measured: Now) -> MeasuredAt {
        let (reference, millis) = self.reference;
        let later = signed(measured.mono.saturating_duration_since(reference));
        let earlier = signed(reference.saturating_duration_since(measured.mono));
        MeasuredAt { wall: since_1970(measured.wall), since_boot: millis + later - earlier }
    }

    /// The two clocks at a moment of this boot.
    pub(super) fn at(&self, measured_at: MeasuredAt) -> Now {
        let (reference, millis) = self.reference;
        let off = Duration::from_millis(measured_at.since_boot.abs_diff(millis));
        let mono = if measured_at.since_boot >= millis {
            reference.checked_add(off)
        } else {
            reference.checked_sub(off)
        };
        Now { mono: mono.unwrap_or(reference), wall: wall(measured_at.wall) }
    }

    /// Milliseconds since 1970 at the moment of the boot, by a clock that is set.
    pub(super) fn began(&self, now: Now) -> i64 {
        let measured_at = self.measured_at(now);
        measured_at.wall - measured_at.since_boot
    }
}

pub(super) fn wall(millis: i64) -> SystemTime {
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

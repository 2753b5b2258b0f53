//! What a serial driver counts: bytes that came with an error, and bytes that were lost.

use super::system_calls;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCounts {
    /// Bytes with a wrong parity bit.
    pub parity: u64,
    /// Bytes without a stop bit where one belongs: mostly another speed.
    pub framing: u64,
    /// Breaks: the line was low for longer than a byte.
    pub breaks: u64,
    /// Bytes that came when the chip had no room.
    pub overrun: u64,
    /// Bytes that came when the kernel had no room.
    pub buffer_overrun: u64,
}

impl LineCounts {
    /// What a tty's driver has counted since it was loaded; `None` if it counts nothing.
    pub(super) fn read(tty: impl AsFd) -> Option<LineCounts> {
        let counts = system_calls::counts(tty).ok()?;
        let [_cts, _dsr, _rng, _dcd, _rx, _tx, frame, overrun, parity, brk, buffer_overrun, ..] =
            counts.map(|count| u64::from(count.cast_unsigned()));
        Some(LineCounts { parity, framing: frame, breaks: brk, overrun, buffer_overrun })
    }

    /// What was counted since `before`. The driver counts in 32 bits, which wrap.
    pub(crate) fn since(self, before: LineCounts) -> LineCounts {
        let since = |now: u64, before: u64| u64::from((now as u32).wrapping_sub(before as u32));
        self.with(before, since)
    }

    pub(super) fn plus(self, other: LineCounts) -> LineCounts {
        self.with(other, u64::saturating_add)
    }

    pub(super) fn lost(self) -> u64 {
        self.overrun + self.buffer_overrun
    }

    fn with(self, other: LineCounts, each: impl Fn(u64, u64) -> u64) -> LineCounts {
        LineCounts {
            parity: each(self.parity, other.parity),
            framing: each(self.framing, other.framing),
            breaks: each(self.breaks, other.breaks),
            overrun: each(self.overrun, other.overrun),
            buffer_overrun: each(self.buffer_overrun, other.buffer_overrun),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_driver_counts_nothing() {
        assert_eq!(LineCounts::read(std::io::stdin()), None);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(LineCounts::read(&file), None);
    }

    #[test]
    fn differences_survive_the_wrap_of_the_drivers_counters() {
        let of = |parity| LineCounts { parity, ..LineCounts::default() };
        assert_eq!(of(3).since(of(u64::from(u32::MAX))), of(4));
        assert_eq!(of(3).plus(of(4)), of(7));
    }
}

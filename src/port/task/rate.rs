//! How many messages a port may send.

use std::time::{Duration, Instant};

/// Lets so many through in a second, and a second's worth at once after a pause. Sans-io.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: u32,
    /// Messages that may go now, in billionths.
    room: u64,
    last: Option<Instant>,
}

const WHOLE: u64 = 1_000_000_000;

impl Rate {
    pub(super) fn new(per_second: u32) -> Rate {
        let per_second = per_second.max(1);
        Rate { per_second, room: u64::from(per_second) * WHOLE, last: None }
    }

    /// Whether one more may go at `now`.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let most = u64::from(self.per_second) * WHOLE;
        let passed = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.last = Some(now);
        // A second fills it, so longer times need not be multiplied.
        let nanos = passed.min(Duration::from_secs(1)).as_nanos() as u64;
        self.room = (self.room + nanos * u64::from(self.per_second)).min(most);
        if self.room < WHOLE {
            return false;
        }
        self.room -= WHOLE;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_its_rate_and_a_burst_after_a_pause_passes() {
        let mut rate = Rate::new(10);
        let start = Instant::now();
        let mut passed = 0;
        // 10 seconds with 1000 messages each.
        for n in 0..10_000 {
            passed += u32::from(rate.allows(start + Duration::from_millis(n)));
        }
        // The burst of the beginning, and ten a second.
        assert!((105..=110).contains(&passed), "{passed}");
        let later = start + Duration::from_secs(60);
        let burst = (0..100).filter(|_| rate.allows(later)).count();
        assert_eq!(burst, 10);
    }
}

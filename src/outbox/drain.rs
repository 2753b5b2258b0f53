//! How fast goes out what piled up while there was no link.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// So often at most the link wakes up for what piled up.
const STEP: Duration = Duration::from_millis(10);

/// A bucket that fills at a rate and holds the messages of a tenth of a second.
#[derive(Debug)]
pub(super) struct Drain {
    /// Messages a second; `None`: as fast as the link takes them.
    rate: Option<NonZeroU32>,
    budget: u64,
    /// Up to when the bucket was filled.
    filled: Option<Instant>,
    /// The time of the last look at it.
    ticked: Option<Instant>,
}

impl Drain {
    pub(super) fn new(rate: Option<NonZeroU32>) -> Drain {
        Drain { rate, budget: 0, filled: None, ticked: None }
    }

    pub(super) fn set_rate(&mut self, rate: Option<NonZeroU32>) {
        self.rate = rate;
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let Some(rate) = self.rate else { return };
        self.ticked = Some(now);
        let rate = u64::from(rate.get());
        let full = (rate / 10).max(1);
        let Some(filled) = self.filled else {
            self.filled = Some(now);
            self.budget = full;
            return;
        };
        let micros = u64::try_from(now.saturating_duration_since(filled).as_micros());
        let more = micros.unwrap_or(u64::MAX).saturating_mul(rate) / 1_000_000;
        if more == 0 {
            return;
        }
        self.budget = (self.budget + more).min(full);
        // What is less than a message counts next time.
        let used = Duration::from_micros((more * 1_000_000).div_ceil(rate));
        self.filled = Some(filled.checked_add(used).map_or(now, |filled| filled.min(now)));
    }

    pub(super) fn may_send(&self) -> bool {
        self.rate.is_none() || self.budget > 0
    }

    pub(super) fn sent(&mut self) {
        self.budget = self.budget.saturating_sub(1);
    }

    /// When there is room for another message, if there is none now.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let rate = self.rate.filter(|_| self.budget == 0)?;
        let one = Duration::from_secs(1) / rate.get();
        Some(self.filled?.checked_add(one)?.max(self.ticked?.checked_add(STEP)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_no_more() {
        for rate in [1, 7, 100, 1000, 33_333] {
            let mut drain = Drain::new(NonZeroU32::new(rate));
            let start = Instant::now();
            let mut now = start;
            let mut sent = 0_u32;
            while now < start + Duration::from_secs(10) {
                drain.tick(now);
                while drain.may_send() {
                    drain.sent();
                    sent += 1;
                }
                now = drain.deadline().unwrap();
            }
            let most = 10 * rate + (rate / 10).max(1);
            let least = most - most / 20 - 1;
            assert!((least..=most).contains(&sent), "{rate}: {sent}");
        }
        assert!(Drain::new(None).may_send());
    }
}

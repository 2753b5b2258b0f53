//! A token bucket: how often something may happen.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// A bucket that fills at a rate up to its capacity; it starts full.
#[derive(Debug)]
pub struct Bucket {
    /// Tokens a second.
    rate: NonZeroU32,
    /// In billionths of a token.
    capacity: u64,
    /// In billionths of a token.
    held: u64,
    /// When it was last filled.
    filled: Option<Instant>,
}

/// One token in billionths.
const TOKEN: u64 = 1_000_000_000;

impl Bucket {
    /// A full bucket, whose capacity is at most the tokens of one second.
    pub fn new(rate: NonZeroU32, capacity: u32) -> Bucket {
        let capacity = u64::from(capacity.clamp(1, rate.get())) * TOKEN;
        Bucket { rate, capacity, held: capacity, filled: None }
    }

    pub fn fill(&mut self, now: Instant) {
        let filled = self.filled.replace(now).unwrap_or(now);
        // A second fills it, so longer times need not be multiplied.
        let passed = now.saturating_duration_since(filled).min(Duration::from_secs(1));
        let more = passed.as_nanos() as u64 * u64::from(self.rate.get());
        self.held = (self.held + more).min(self.capacity);
    }

    pub fn has_token(&self) -> bool {
        self.held >= TOKEN
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self) -> bool {
        let has_token = self.has_token();
        if has_token {
            self.held -= TOKEN;
        }
        has_token
    }

    /// When it holds a token again, if it has none now.
    pub fn deadline(&self) -> Option<Instant> {
        let missing = TOKEN.checked_sub(self.held).filter(|missing| *missing > 0)?;
        let wait = Duration::from_nanos(missing.div_ceil(u64::from(self.rate.get())));
        self.filled?.checked_add(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_its_rate_and_a_burst_after_a_pause_passes() {
        let mut bucket = Bucket::new(NonZeroU32::new(10).unwrap(), 10);
        let mut allows = |at: Instant| {
            bucket.fill(at);
            bucket.take()
        };
        let start = Instant::now();
        let mut passed = 0;
        // 10 seconds with 1000 messages each.
        for n in 0..10_000 {
            passed += u32::from(allows(start + Duration::from_millis(n)));
        }
        // The burst of the beginning, and ten a second.
        assert!((105..=110).contains(&passed), "{passed}");
        let later = start + Duration::from_secs(60);
        let burst = (0..100).filter(|_| allows(later)).count();
        assert_eq!(burst, 10);
    }
}

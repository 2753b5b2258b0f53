//! The rate at which messages are sent that piled up while there was no link.

use crate::base::bucket::Bucket;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The least time between two wake-ups for the backlog.
const STEP: Duration = Duration::from_millis(10);

/// Lets the messages of the backlog through at a rate, a tenth of a second's worth at once.
#[derive(Debug, Default)]
pub(super) struct BacklogLimiter {
    /// `None`: as fast as the link takes them.
    bucket: Option<Bucket>,
    /// When the bucket was filled last.
    ticked: Option<Instant>,
}

impl BacklogLimiter {
    /// `rate`: messages a second.
    pub(super) fn new(rate: Option<NonZeroU32>) -> BacklogLimiter {
        let bucket = rate.map(|rate| Bucket::new(rate, rate.get() / 10));
        BacklogLimiter { bucket, ticked: None }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            self.ticked = Some(now);
            bucket.fill(now);
        }
    }

    pub(super) fn may_send(&self) -> bool {
        self.bucket.as_ref().is_none_or(Bucket::has_token)
    }

    pub(super) fn sent(&mut self) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take();
        }
    }

    /// When another message may go, if none may now.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = self.bucket.as_ref()?.deadline()?;
        Some(due.max(self.ticked?.checked_add(STEP)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_no_more() {
        for rate in [1, 7, 100, 1000, 33_333] {
            let mut limiter = BacklogLimiter::new(NonZeroU32::new(rate));
            let start = Instant::now();
            let mut now = start;
            let mut sent = 0_u32;
            while now < start + Duration::from_secs(10) {
                limiter.tick(now);
                while limiter.may_send() {
                    limiter.sent();
                    sent += 1;
                }
                now = limiter.deadline().unwrap();
            }
            let most = 10 * rate + (rate / 10).max(1);
            let least = most - most / 20 - 1;
            assert!((least..=most).contains(&sent), "{rate}: {sent}");
        }
        assert!(BacklogLimiter::new(None).may_send());
    }
}

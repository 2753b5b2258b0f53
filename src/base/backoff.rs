//! How long to wait before the next attempt.

use std::time::{Duration, Instant};

/// For so long after what was stable went down, the ceiling stays: a broker that restarts is back
/// within seconds, and is not to be missed.
const EAGER: Duration = Duration::from_secs(30);

/// Full-jitter exponential backoff: each wait is a random time up to a ceiling, which doubles but for the
/// first 30 s. Forty gateways whose broker restarts do not come back in the same instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    stable: Duration,
    ceiling: Duration,
    up_since: Option<Instant>,
    /// Until then the ceiling stays.
    eager_until: Option<Instant>,
}

impl Backoff {
    /// Waits from `first` to `longest`; only what stayed up for `stable` starts over at `first`,
    /// so that a broker that closes connections right after the handshake is not stormed.
    pub fn new(first: Duration, longest: Duration, stable: Duration) -> Backoff {
        Backoff { first, longest, stable, ceiling: first, up_since: None, eager_until: None }
    }

    /// The attempt succeeded at `now`.
    pub fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// The attempt failed, or what was up went down, at `now`: how long to wait. `random` is any
    /// number, evenly spread over its range.
    pub fn down(&mut self, now: Instant, random: u32) -> Duration {
        self.went_down(now);
        let ceiling = self.ceiling;
        if self.eager_until.is_none_or(|until| until <= now) {
            self.ceiling = (ceiling * 2).min(self.longest);
        }
        part(ceiling, random)
    }

    /// The same before an attempt of another kind, which may well succeed: the wait is that after a
    /// first failure.
    pub fn soon(&mut self, now: Instant, random: u32) -> Duration {
        self.went_down(now);
        part(self.first, random)
    }

    fn went_down(&mut self, now: Instant) {
        let up = self.up_since.take().map(|since| now.saturating_duration_since(since));
        if let Some(up) = up {
            let is_stable = up >= self.stable;
            self.eager_until = is_stable.then(|| now + EAGER);
            if is_stable {
                self.ceiling = self.first;
            }
        }
    }
}

/// A random part of a wait, which must be far below 2^64 nanoseconds.
pub(crate) fn part(wait: Duration, random: u32) -> Duration {
    let nanos = wait.as_nanos() * u128::from(random) / u128::from(u32::MAX);
    Duration::from_nanos(nanos as u64)
}

/// A random number from the system; the middle of the range while the system has none, as early
/// in a router's boot.
pub fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_ceiling_doubles_up_to_the_longest() {
        let mut backoff = Backoff::new(SECOND, SECOND * 60, SECOND * 30);
        let now = Instant::now();
        let waits: Vec<_> = (0..8).map(|_| backoff.down(now, u32::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.down(now, 0), Duration::ZERO);
        assert!(backoff.down(now, u32::MAX / 2) < SECOND * 31);
    }

    #[test]
    fn only_a_stable_link_starts_over() {
        let mut backoff = Backoff::new(SECOND, SECOND * 60, SECOND * 30);
        let now = Instant::now();
        backoff.down(now, u32::MAX);
        backoff.up(now);
        assert_eq!(backoff.down(now + SECOND * 29, u32::MAX), SECOND * 2);
        backoff.up(now);
        assert_eq!(backoff.down(now + SECOND * 30, u32::MAX), SECOND);
    }

    #[test]
    fn what_was_stable_is_tried_each_second_at_first() {
        let mut backoff = Backoff::new(SECOND, SECOND * 60, SECOND * 30);
        let start = Instant::now();
        backoff.up(start);
        let down = start + SECOND * 100;
        for second in 0..30 {
            assert_eq!(backoff.down(down + SECOND * second, u32::MAX), SECOND);
        }
        let waits = [30, 31, 33].map(|at| backoff.down(down + SECOND * at, u32::MAX).as_secs());
        assert_eq!(waits, [1, 2, 4]);
        // One that was up for a moment only does not make the tries frequent again.
        backoff.up(down + SECOND * 40);
        assert_eq!(backoff.down(down + SECOND * 41, u32::MAX), SECOND * 8);
    }
}

//! When the log is told of a fault that stays.

use std::fmt;
use std::time::{Duration, Instant};

/// When the log is told again, from the first time on; after these times, every [`LAST`].
const STEPS: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3600)];
const LAST: Duration = Duration::from_secs(6 * 3600);

/// A fault that did not occur for this time is over: its next occurrence is a new fault.
const QUIET: Duration = Duration::from_secs(3600);

/// A fault of one kind and one owner. The log is told of it at once, after 1 min, 10 min and 1 h,
/// then every 6 h, each time with the number of occurrences since the last line: a router's log
/// holds 64 KiB, and a fault that stays must not push out all else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lasting(Option<Episode>);

#[derive(Clone, Copy, Debug)]
struct Episode {
    began: Instant,
    /// When it occurred last.
    seen: Instant,
    /// When the log was told last.
    told: Instant,
    /// When the log may be told again.
    next: Instant,
    /// How many of [`STEPS`] have passed.
    step: usize,
    /// Occurrences since the log was told.
    untold: u64,
}

/// What a line about a fault ends in: nothing the first time, later how often it occurred since the
/// line before, as in ` (1234 times in 9 min)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// Occurrences since the line before; 1 in the first line.
    pub count: u64,
    /// How long ago the line before was; `None` in the first one.
    pub since: Option<Duration>,
}

impl Lasting {
    /// The fault occurred. `Some`: the log is to be told.
    pub fn occurred(&mut self, now: Instant) -> Option<Again> {
        self.occurred_times(1, now)
    }

    /// The fault occurred this many times at once; 0 changes nothing.
    pub fn occurred_times(&mut self, times: u64, now: Instant) -> Option<Again> {
        if times == 0 {
            return None;
        }
        let episode = self.0.filter(|it| now.saturating_duration_since(it.seen) < QUIET);
        let Some(mut episode) = episode else {
            let next = now + STEPS[0];
            self.0 = Some(Episode { began: now, seen: now, told: now, next, step: 0, untold: 0 });
            return Some(Again { count: times, since: None });
        };
        episode.seen = now;
        episode.untold += times;
        let is_due = episode.next <= now;
        let again = is_due.then(|| Again {
            count: std::mem::take(&mut episode.untold),
            since: Some(now.saturating_duration_since(episode.told)),
        });
        if is_due {
            episode.told = now;
            while episode.next <= now {
                episode.step += 1;
                episode.next = match STEPS.get(episode.step) {
                    Some(step) => episode.began + *step,
                    None => now + LAST,
                };
            }
        }
        self.0 = Some(episode);
        again
    }

    /// The fault is over. `Some` if there was one: how long it lasted.
    pub fn over(&mut self, now: Instant) -> Option<Duration> {
        self.0.take().map(|episode| now.saturating_duration_since(episode.began))
    }

    /// Whether it has occurred and is not over.
    #[cfg(test)]
    pub fn lasts(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.count == 1 { "time" } else { "times" };
        match self.since {
            None if self.count <= 1 => Ok(()),
            None => write!(f, " ({} {times})", self.count),
            Some(since) => {
                let seconds = since.as_secs();
                let (n, unit) = match seconds {
                    0..120 => (seconds, "s"),
                    120..7200 => (seconds / 60, "min"),
                    _ => (seconds / 3600, "h"),
                };
                write!(f, " ({} {times} in {n} {unit})", self.count)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_a_fault_each_second_is_seven_lines() {
        let start = Instant::now();
        let mut fault = Lasting::default();
        let mut told = Vec::new();
        for second in 0..86_400 {
            if let Some(again) = fault.occurred(start + Duration::from_secs(second)) {
                told.push((second, again.count));
            }
        }
        let expected =
            [(0, 1), (60, 60), (600, 540), (3600, 3000), (25_200, 21_600), (46_800, 21_600)];
        assert_eq!(told[..6], expected);
        assert_eq!(told.len(), 7);
    }

    #[test]
    fn a_fault_that_was_gone_for_an_hour_is_new() {
        let start = Instant::now();
        let mut fault = Lasting::default();
        assert!(fault.occurred(start).is_some());
        assert!(fault.occurred(start + Duration::from_secs(59)).is_none());
        let again = fault.occurred(start + Duration::from_secs(59 + 3600));
        assert_eq!(again, Some(Again { count: 1, since: None }));
    }

    #[test]
    fn rare_occurrences_skip_the_steps_that_passed() {
        let start = Instant::now();
        let mut fault = Lasting::default();
        assert!(fault.occurred(start).is_some());
        assert!(fault.occurred(start + Duration::from_secs(1200)).is_some());
        assert!(fault.occurred(start + Duration::from_secs(1260)).is_none());
        assert!(fault.occurred(start + Duration::from_secs(3600)).is_some());
    }

    #[test]
    fn when_it_is_over_the_next_one_is_new() {
        let start = Instant::now();
        let mut fault = Lasting::default();
        assert_eq!(fault.over(start), None);
        let _ = fault.occurred(start);
        assert!(fault.lasts());
        assert_eq!(fault.over(start + Duration::from_secs(5)), Some(Duration::from_secs(5)));
        assert!(!fault.lasts());
        assert!(fault.occurred(start + Duration::from_secs(6)).is_some());
    }

    #[test]
    fn what_a_line_ends_in() {
        let text = |count, since: Option<u64>| {
            Again { count, since: since.map(Duration::from_secs) }.to_string()
        };
        assert_eq!(text(1, None), "");
        assert_eq!(text(7, None), " (7 times)");
        assert_eq!(text(60, Some(60)), " (60 times in 60 s)");
        assert_eq!(text(1, Some(600)), " (1 time in 10 min)");
        assert_eq!(text(5, Some(21_600)), " (5 times in 6 h)");
    }
}

//! When the gateway tries to open an absent port again, and what it logs about that.

use super::trial;
use crate::base::backoff::Backoff;
use crate::base::log::lasting::{Again, Lasting};
use std::time::{Duration, Instant};

/// How an attempt to open and use a port ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Failed,
    /// The port was opened, but the link failed its trial or did not last.
    Brief,
    /// The port was open for a while, and then the link ended.
    Ended,
}

/// The pauses between attempts, and which of them were logged. Sans-io.
#[derive(Debug)]
pub(super) struct Retry {
    /// A plug that was put back should work again within two seconds.
    pauses: Backoff,
    /// Another client that uses the serial server, or wrong settings of it, take longer to go away.
    brief_pauses: Backoff,
    /// Whether the last attempt was [`Attempt::Brief`]: the next link must pass a trial, even on a tty.
    pub(super) distrusts: bool,
    /// The reason of the failure that was logged last.
    told: Option<String>,
    /// One for each kind of [`Attempt`].
    attempts: [Lasting; Attempt::Ended as usize + 1],
    /// Failures for another reason than the one that was logged last.
    changed: Lasting,
    /// Whether the loss of the port was logged, so that its return is logged too.
    tells_return: bool,
}

impl Retry {
    pub(super) fn new() -> Retry {
        let (first, stable) = (Duration::from_millis(250), Duration::from_secs(5));
        Retry {
            pauses: Backoff::new(first, Duration::from_secs(2), stable),
            brief_pauses: Backoff::new(first, Duration::from_secs(60), stable),
            distrusts: false,
            told: None,
            attempts: Default::default(),
            changed: Lasting::default(),
            tells_return: true,
        }
    }

    /// The port is open. Returns whether that is to be logged.
    pub(super) fn up(&mut self, now: Instant) -> bool {
        self.distrusts = false;
        self.pauses.up(now);
        self.brief_pauses.up(now);
        std::mem::take(&mut self.tells_return)
    }

    /// An attempt has ended. `Some`: that is to be logged.
    pub(super) fn down(&mut self, how: Attempt, why: &str, now: Instant) -> Option<Again> {
        self.distrusts = how == Attempt::Brief;
        let mut again = self.attempts[how as usize].occurred(now);
        if how == Attempt::Failed {
            let is_new = self.told.as_deref().is_some_and(|told| told != why);
            again = is_new.then(|| self.changed.occurred(now)).flatten().or(again);
            if again.is_some() {
                self.told = Some(why.to_owned());
            }
        }
        self.tells_return |= again.is_some();
        again
    }

    pub(super) fn pause(&mut self, now: Instant) -> Duration {
        // Without jitter: nobody else waits for the device.
        let backoff = if self.distrusts { &mut self.brief_pauses } else { &mut self.pauses };
        backoff.down(now, u32::MAX)
    }
}

/// The log line for a port that is away.
pub(super) fn line(port: &str, why: &str, again: Again) -> String {
    let tail = if again.since.is_none() { "; trying again until it works" } else { "" };
    format!("port {port}: {why}{tail}{again}")
}

/// How a link ended that was open for this long. `heard`: the device sent something on it.
pub(super) fn after_link(open: Duration, heard: bool) -> Attempt {
    if open < trial::LASTS && !heard { Attempt::Brief } else { Attempt::Ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// What eight ports write to the log in a day, of which each does the same:
    /// `attempt(n)` is how the n-th attempt ends, why, and how long it takes.
    fn a_day(attempt: impl Fn(u32) -> (Attempt, String, Duration)) -> (String, u32) {
        let (mut log, mut attempts) = (String::new(), 0);
        for port in 0..8 {
            let mut retry = Retry::new();
            let start = Instant::now();
            let mut now = start;
            attempts = 0;
            while now < start + DAY {
                let (how, why, took) = attempt(attempts);
                if how == Attempt::Ended && retry.up(now) {
                    log += &format!(" INFO port meter{port}: 192.168.1.7:2000 is open again\n");
                }
                now += took;
                if let Some(again) = retry.down(how, &why, now) {
                    let line = line(&format!("meter{port}"), &why, again);
                    log += &format!(" WARN {line}\n");
                }
                now += retry.pause(now);
                attempts += 1;
            }
        }
        (log, attempts)
    }

    #[test]
    fn eight_ports_that_accept_and_close_all_day_fit_8_kb_of_log() {
        let why =
            "192.168.1.7:2000: the other end closed it at once, saying \"Port already in use\"";
        let (log, attempts) = a_day(|_| (Attempt::Brief, why.into(), Duration::from_millis(5)));
        assert!(log.len() <= 8 << 10, "{}: {log}", log.len());
        assert!(log.contains("trying again") && log.contains("times in 6 h"), "{log}");
        assert!((1440..1460).contains(&attempts), "one a minute: {attempts}");
    }

    #[test]
    fn a_day_of_flapping_and_of_failing_in_turns_is_told_a_few_times() {
        // A loose plug: half of the time it is not there, in between it works for ten seconds.
        let (log, _) = a_day(|n| match n % 2 {
            0 => (Attempt::Ended, "unplugged".into(), Duration::from_secs(10)),
            _ => (Attempt::Failed, "it is not there".into(), Duration::ZERO),
        });
        assert!(log.len() <= 16 << 10, "{}: {log}", log.len());
        // Two ways of failing in turns, and one whose text is always another.
        let (log, _) = a_day(|n| match n % 2 {
            0 => (Attempt::Failed, "it is not there".into(), Duration::ZERO),
            _ => (Attempt::Failed, format!("in use by a program (pid {n})"), Duration::ZERO),
        });
        assert!(log.len() <= 16 << 10, "{}: {log}", log.len());
    }

    #[test]
    fn another_reason_is_told_at_once_and_a_return_if_the_going_was() {
        let start = Instant::now();
        let mut retry = Retry::new();
        assert!(retry.up(start), "the first opening");
        assert!(retry.down(Attempt::Ended, "unplugged", start).is_some());
        assert!(retry.down(Attempt::Failed, "not there", start).is_some());
        assert!(retry.down(Attempt::Failed, "not there", start).is_none());
        assert!(retry.down(Attempt::Failed, "not allowed", start).is_some());
        assert!(retry.up(start));
        assert!(retry.down(Attempt::Ended, "unplugged", start).is_none());
        assert!(!retry.up(start));
    }

    #[test]
    fn the_pause_after_a_link_that_did_not_last_doubles_to_a_minute_until_one_lasts() {
        let mut now = Instant::now();
        let mut retry = Retry::new();
        let brief = |retry: &mut Retry, now| {
            let _ = retry.down(Attempt::Brief, "closed", now);
            retry.pause(now).as_millis()
        };
        let pauses: Vec<_> = (0..10).map(|_| brief(&mut retry, now)).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert!(retry.distrusts);
        retry.up(now);
        assert!(!retry.distrusts);
        now += Duration::from_secs(6);
        let _ = retry.down(Attempt::Ended, "unplugged", now);
        assert_eq!(retry.pause(now).as_millis(), 250);
        assert_eq!(brief(&mut retry, now), 250);
    }
}

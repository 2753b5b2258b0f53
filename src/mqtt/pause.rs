//! The pause that a broker over its quota is given, and how often a message is tried again.

use crate::base::backoff;
use crate::mqtt::source::{Deferred, InFlightId};
use std::time::{Duration, Instant};

/// A message that was deferred this often is given up, so that it does not hold up the others for
/// ever. With the pauses in between that is after two to four minutes.
const ATTEMPTS: u8 = 10;

/// The first pause and the longest; they double in between.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A pause in sending.
#[derive(Debug)]
pub(crate) struct QuotaPause {
    /// Nothing is sent before this.
    until: Option<Instant>,
    next: Duration,
    /// Messages in flight that wait for its end.
    deferred: Vec<InFlightId>,
    attempts: u8,
    /// The random numbers are made from this.
    seed: u32,
}

impl Default for QuotaPause {
    fn default() -> QuotaPause {
        QuotaPause { until: None, next: PAUSE.0, deferred: Vec::new(), attempts: ATTEMPTS, seed: 1 }
    }
}

impl QuotaPause {
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// What is deferred is given up at once: somebody waits for the answer.
    pub(crate) fn try_once(&mut self) {
        self.attempts = 1;
    }

    /// What the pauses are made from, which many clients must not have in common.
    pub(crate) fn seed(&mut self, seed: u32) {
        self.seed = seed.max(1);
    }

    /// The broker took a message.
    pub(crate) fn delivered(&mut self) {
        self.next = PAUSE.0;
    }

    /// What was deferred waits again, with all else.
    pub(crate) fn requeued(&mut self) {
        self.deferred.clear();
    }

    /// The broker does not take a message for the time being, of which `tries` counts how often.
    /// `None` if that was often enough.
    pub(crate) fn defer(
        &mut self,
        id: InFlightId,
        tries: &mut u8,
        now: Instant,
    ) -> Option<Deferred> {
        *tries = tries.saturating_add(1);
        if *tries >= self.attempts {
            return None;
        }
        self.deferred.push(id);
        // What was sent together is refused together.
        if self.until.is_some() {
            return Some(Deferred::Already);
        }
        // Between half of the time that is due and all of it, so that many clients do not come back
        // in the same moment.
        let half = self.next / 2;
        let wait = half + backoff::part(half, self.random());
        self.next = (self.next * 2).min(PAUSE.1);
        self.until = Some(now + wait);
        Some(Deferred::For(wait))
    }

    /// A number that only looks random (xorshift32): a run with the same seed is the same.
    fn random(&mut self) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed
    }

    /// Ends the pause if it is over: the messages that wait again, newest first.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Vec<InFlightId>> {
        self.until.take_if(|until| *until <= now)?;
        let mut deferred = std::mem::take(&mut self.deferred);
        deferred.sort_unstable_by(|a, b| b.cmp(a));
        Some(deferred)
    }
}

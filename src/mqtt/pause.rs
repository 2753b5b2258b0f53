//! The pause in sending after the broker refused a message for now, and how often it is sent again.

use crate::base::backoff;
use crate::mqtt::source::{Deferred, InFlightId};
use std::time::{Duration, Instant};

/// A message that was deferred this often is given up, so that it does not delay the others for
/// ever. The pauses in between take two to four minutes.
const ATTEMPTS: u8 = 10;

/// The first pause and the longest; they double in between.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A pause in sending.
#[derive(Debug)]
pub(crate) struct QuotaPause {
    /// Nothing is sent before this time.
    until: Option<Instant>,
    next: Duration,
    /// Messages in flight that wait for the end of the pause.
    deferred: Vec<InFlightId>,
    attempts: u8,
    /// The state of the random number generator.
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

    /// A message is given up when it is first deferred: a caller waits for the outcome.
    pub(crate) fn try_once(&mut self) {
        self.attempts = 1;
    }

    /// Seeds the random part of the pauses; many clients must not share a seed.
    pub(crate) fn seed(&mut self, seed: u32) {
        self.seed = seed.max(1);
    }

    /// The broker took a message.
    pub(crate) fn delivered(&mut self) {
        self.next = PAUSE.0;
    }

    /// The source has all deferred messages back.
    pub(crate) fn requeued(&mut self) {
        self.deferred.clear();
    }

    /// The broker refused a message for now; `tries` counts how often. `None`: it is given up.
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
        // Messages that were sent together are refused together: one pause is enough.
        if self.until.is_some() {
            return Some(Deferred::Already);
        }
        // Between half and all of the time, so that many clients do not send at the same moment.
        let half = self.next / 2;
        let wait = half + backoff::part(half, self.random());
        self.next = (self.next * 2).min(PAUSE.1);
        self.until = Some(now + wait);
        Some(Deferred::For(wait))
    }

    /// A pseudorandom number (xorshift32): the same seed gives the same run.
    fn random(&mut self) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed
    }

    /// Ends the pause if its time has come, and returns the deferred messages, newest first.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Vec<InFlightId>> {
        self.until.take_if(|until| *until <= now)?;
        let mut deferred = std::mem::take(&mut self.deferred);
        deferred.sort_unstable_by(|a, b| b.cmp(a));
        Some(deferred)
    }
}

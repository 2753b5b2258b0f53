//! What the broker does not take now, and may take later.

use super::{Outbox, Sending};
use crate::base::backoff;
use std::time::{Duration, Instant};

/// A message that was not taken so often is given up, so that it does not hold up the others for
/// ever. With the waits in between that is after two to four minutes.
const TRIES: u8 = 10;

/// The first wait, and the longest; they double in between.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A rest that the broker is given.
#[derive(Debug)]
pub(super) struct Rest {
    /// Nothing goes before this.
    until: Option<Instant>,
    next: Duration,
    /// Messages in flight that wait for its end.
    refused: Vec<Sending>,
    tries: u8,
    /// Where the next random number comes from.
    seed: u32,
}

/// The broker is given a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOff {
    /// One that begins now, and lasts so long.
    For(Duration),
    /// The one that there is.
    Already,
}

impl Default for Rest {
    fn default() -> Rest {
        Rest { until: None, next: WAIT.0, refused: Vec::new(), tries: TRIES, seed: 1 }
    }
}

impl Rest {
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// The broker took a message.
    pub(super) fn worked(&mut self) {
        self.next = WAIT.0;
    }

    /// What was refused waits again, with all else.
    pub(super) fn requeued(&mut self) {
        self.refused.clear();
    }

    /// A number that only looks random (xorshift32): a run with the same seed is the same.
    fn random(&mut self) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed
    }

    /// Between a half of the time that is due and all of it, so that many clients do not come back
    /// in the same moment.
    fn begin(&mut self, now: Instant) -> Duration {
        let half = self.next / 2;
        let wait = half + backoff::part(half, self.random());
        self.next = (self.next * 2).min(WAIT.1);
        self.until = Some(now + wait);
        wait
    }
}

impl Outbox {
    /// What the broker does not take now is given up at once: somebody waits for the answer.
    pub fn try_once(&mut self) {
        self.rest.tries = 1;
    }

    /// Whether the broker is given a rest: nothing is to be sent before [`Outbox::deadline`].
    pub fn is_resting(&self) -> bool {
        self.rest.until.is_some()
    }

    /// What the waits are made from, which many clients must not have in common.
    pub fn seed(&mut self, seed: u32) {
        self.rest.seed = seed.max(1);
    }

    /// The broker does not take a message now, as over a quota: it is sent anew after a while, in
    /// its old place. `None` if that was tried often enough.
    pub fn put_off(&mut self, sending: Sending, now: Instant) -> Option<PutOff> {
        let held = self.in_flight.get_mut(sending)?;
        held.tries = held.tries.saturating_add(1);
        if held.tries >= self.rest.tries {
            return None;
        }
        self.rest.refused.push(sending);
        // What was sent together is refused together.
        Some(match self.rest.until {
            None => PutOff::For(self.rest.begin(now)),
            Some(_) => PutOff::Already,
        })
    }

    /// The rest may be over: what was refused waits again, before all else of its port.
    pub(super) fn end_rest(&mut self, now: Instant) {
        if self.rest.until.is_none_or(|until| now < until) {
            return;
        }
        self.rest.until = None;
        for lane in &mut self.lanes {
            lane.pile_up(self.bounds.ordering);
        }
        let mut refused = std::mem::take(&mut self.rest.refused);
        refused.sort_unstable();
        for sending in refused.into_iter().rev() {
            if let Some(held) = self.in_flight.remove(sending) {
                self.waiting += 1;
                self.lanes[usize::from(held.entry.port)].push_front(held, self.bounds.ordering);
            }
        }
    }
}

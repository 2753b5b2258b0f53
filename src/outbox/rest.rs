//! What the broker does not take now, and may take later.

use super::{Outbox, Sending};
use crate::backoff;
use crate::mqtt::packet::Reason;
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
}

impl Default for Rest {
    fn default() -> Rest {
        Rest { until: None, next: WAIT.0, refused: Vec::new(), tries: TRIES }
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

    /// Between a half of the time that is due and all of it, so that many clients do not come back
    /// in the same moment.
    fn begin(&mut self, now: Instant) -> Duration {
        let half = self.next / 2;
        let wait = half + backoff::part(half, backoff::random());
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

    /// The broker does not take a message now, as over a quota: it is sent anew after a while, in
    /// its old place. Not if that was tried often enough.
    pub fn put_off(&mut self, sending: Sending, reason: Reason, now: Instant) -> bool {
        let Some(held) = self.in_flight.get_mut(sending) else { return false };
        held.tries = held.tries.saturating_add(1);
        if held.tries >= self.rest.tries {
            return false;
        }
        self.rest.refused.push(sending);
        // What was sent together is refused together.
        if self.rest.until.is_none() {
            let wait = self.rest.begin(now).as_millis();
            let topic = &held.message.topic;
            tracing::info!(
                "the broker does not take a message to {topic} now: {reason}; next try in {wait} ms"
            );
        }
        true
    }

    /// The rest may be over: what was refused waits again, before all else of its port.
    pub(super) fn end_rest(&mut self, now: Instant) {
        if self.rest.until.is_none_or(|until| now < until) {
            return;
        }
        self.rest.until = None;
        for lane in &mut self.lanes {
            lane.pile_up(self.bounds.order);
        }
        let mut refused = std::mem::take(&mut self.rest.refused);
        refused.sort_unstable();
        for sending in refused.into_iter().rev() {
            if let Some(held) = self.in_flight.remove(sending) {
                self.waiting += 1;
                self.lanes[usize::from(held.message.port)].push_front(held, self.bounds.order);
            }
        }
    }
}

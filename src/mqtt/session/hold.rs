//! How long a broker is held back that sends more at once than we take (4.9): by reading no further.
//! What is not read is not only messages: acknowledgements of ours stand behind them.

use std::time::{Duration, Instant};

/// Holds a broker back for a limited time in all, until everything it sent was read.
#[derive(Debug, Default)]
pub(super) struct Hold {
    since: Option<Instant>,
    spent: Duration,
}

impl Hold {
    /// Tells that something was read. `is_over`: more messages are unanswered than our receive
    /// maximum.
    pub(super) fn read(&mut self, is_over: bool, most: Duration, now: Instant) {
        if let Some(since) = self.since.take() {
            self.spent += now.saturating_duration_since(since);
        }
        self.since = (is_over && self.spent < most).then_some(now);
    }

    /// Everything was read, and no more messages are unanswered than our receive maximum.
    pub(super) fn caught_up(&mut self) {
        *self = Hold::default();
    }

    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn deadline(&self, most: Duration) -> Option<Instant> {
        Some(self.since? + most.saturating_sub(self.spent))
    }

    pub(super) fn timeout(&mut self, most: Duration, now: Instant) {
        if self.deadline(most).is_some_and(|due| due <= now) {
            *self = Hold { since: None, spent: most };
        }
    }
}

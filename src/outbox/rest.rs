//! The end of a pause that the broker was given: what was deferred waits again.

use super::Outbox;
use std::time::Instant;

impl Outbox {
    /// The pause may be over: what was deferred waits again, before all else of its port.
    pub(super) fn end_pause(&mut self, now: Instant) {
        let Some(deferred) = self.pause.end(now) else { return };
        for lane in &mut self.lanes {
            lane.pile_up(self.bounds.ordering);
        }
        for id in deferred {
            if let Some(held) = self.in_flight.remove(id) {
                self.waiting += 1;
                self.lanes[usize::from(held.entry.port)].push_front(held, self.bounds.ordering);
            }
        }
    }
}

//! When a port counts as silent, and what is logged about that.

use crate::base::log::lasting::{Again, Lasting};
use crate::base::scalar::Span;
use std::time::{Duration, Instant};

/// A port that falls silent is logged, and so is the end of a silence that was logged.
#[derive(Debug)]
pub(super) struct Silence {
    /// After this time without a byte a port is silent; `None`: never.
    after: Option<Duration>,
    /// When the last byte came, or the port was opened.
    last_rx: Instant,
    lasting: Lasting,
    is_told: bool,
}

impl Silence {
    pub(super) fn new(after: Option<Duration>, now: Instant) -> Silence {
        Silence { after, last_rx: now, lasting: Lasting::default(), is_told: false }
    }

    pub(super) fn opened(&mut self, since: Instant) {
        self.last_rx = since;
        self.is_told = false;
    }

    /// When the port counts as silent, if nothing comes until then.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.after.map(|after| self.last_rx + after)
    }

    /// It fell silent. `Some`: it is to be logged for how long nothing came.
    pub(super) fn fell(&mut self, now: Instant) -> Option<(Span, Again)> {
        let again = self.lasting.occurred(now);
        self.is_told = again.is_some();
        again.map(|again| (self.length(now), again))
    }

    /// A byte came. `Some`: it is to be logged for how long none had come.
    pub(super) fn received(&mut self, now: Instant) -> Option<Span> {
        let length = std::mem::take(&mut self.is_told).then(|| self.length(now));
        self.last_rx = now;
        length
    }

    fn length(&self, now: Instant) -> Span {
        Span::from_secs(now.saturating_duration_since(self.last_rx).as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each_for_a_night_and_a_few_for_a_day_of_pauses() {
        let start = Instant::now();
        let minute = Some(Duration::from_secs(60));
        let mut silence = Silence::new(minute, start);
        assert!(silence.fell(start).is_some());
        assert!(silence.received(start).is_some());
        assert!(silence.received(start).is_none());
        // A device that speaks every two minutes, where a minute counts as silence.
        let mut silence = Silence::new(minute, start);
        let lines: usize = (0..720)
            .map(|n| {
                let now = start + Duration::from_secs(120 * n);
                let fell = silence.fell(now).is_some();
                usize::from(fell) + usize::from(silence.received(now).is_some())
            })
            .sum();
        assert!(lines <= 14, "{lines}");
    }
}

//! What the log is told of a device that says nothing.

use crate::base::log::lasting::{Again, Lasting};
use std::time::Instant;

/// Told when it falls silent, and when it speaks again if that was told.
#[derive(Debug, Default)]
pub(super) struct Silence {
    lasting: Lasting,
    is_told: bool,
}

impl Silence {
    /// It fell silent. `Some`: the log is to be told.
    pub(super) fn fell(&mut self, now: Instant) -> Option<Again> {
        let again = self.lasting.occurred(now);
        self.is_told = again.is_some();
        again
    }

    /// It speaks. Whether the log is to be told.
    pub(super) fn spoke(&mut self) -> bool {
        std::mem::take(&mut self.is_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_line_each_for_a_night_and_a_few_for_a_day_of_pauses() {
        let mut silence = Silence::default();
        let start = Instant::now();
        assert!(silence.fell(start).is_some());
        assert!(silence.spoke());
        assert!(!silence.spoke());
        // A device that speaks every two minutes, where a minute counts as silence.
        let mut silence = Silence::default();
        let lines: usize = (0..720)
            .map(|n| {
                let fell = silence.fell(start + Duration::from_secs(120 * n)).is_some();
                usize::from(fell) + usize::from(silence.spoke())
            })
            .sum();
        assert!(lines <= 14, "{lines}");
    }
}

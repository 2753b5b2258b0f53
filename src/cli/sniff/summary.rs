//! What was heard altogether: bytes, bursts, gaps between them, errors and the guess.

use crate::codec::recognise::{Guess, Recogniser};
use crate::port::line_counts::LineCounts;
use std::fmt::Write;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Summary {
    pub(super) bytes: u64,
    pub(super) damaged: u64,
    pub(super) bursts: u64,
    shortest: Option<Duration>,
    longest: Duration,
    /// Some of the gaps, for the median.
    sample: Vec<Duration>,
    gaps: u64,
}

/// The newest gaps are kept, so many.
const SAMPLE: usize = 1001;

impl Summary {
    pub(super) fn gap(&mut self, gap: Duration) {
        self.shortest = Some(self.shortest.map_or(gap, |shortest| shortest.min(gap)));
        self.longest = self.longest.max(gap);
        let at = usize::try_from(self.gaps % SAMPLE as u64).unwrap_or_default();
        match self.sample.get_mut(at) {
            Some(place) => *place = gap,
            None => self.sample.push(gap),
        }
        self.gaps += 1;
    }

    /// Lines of comment, so that `decode` passes over them.
    pub(super) fn text(&self, recogniser: &Recogniser, counts: Option<LineCounts>) -> String {
        let mut text = format!("# {} bytes in {} bursts", self.bytes, self.bursts);
        // Writing to a string cannot fail, here and below.
        let _ = match (self.damaged, counts) {
            (damaged, Some(counts)) if counts != LineCounts::default() => {
                writeln!(text, ", {damaged} bytes damaged: {}", errors(counts))
            }
            (0, _) => writeln!(text),
            (damaged, _) => writeln!(text, ", {damaged} bytes damaged"),
        };
        let mut sample = self.sample.clone();
        sample.sort_unstable();
        if let (Some(shortest), Some(median)) = (self.shortest, sample.get(sample.len() / 2)) {
            let [shortest, median, longest] =
                [shortest, *median, self.longest].map(|gap| gap.as_secs_f32());
            let _ = writeln!(
                text,
                "# gaps: shortest {shortest:.3} s, median {median:.3} s, longest {longest:.3} s"
            );
        }
        let _ = match recogniser.guess() {
            _ if self.bytes == 0 => writeln!(
                text,
                "# nothing came: a device that is only asked says nothing by itself; else look at the \
                 wires (TX to RX) and at the speed"
            ),
            Some(guess) => writeln!(text, "# guess: {}", words(&guess)),
            None if self.damaged * 10 > self.bytes => writeln!(
                text,
                "# no guess: one byte in {} is damaged, so the speed or the format is most likely \
                 another one; `tty2mqtt detect` finds it",
                self.bytes / self.damaged.max(1)
            ),
            None => writeln!(text, "# no guess: no frame that this program knows"),
        };
        text
    }
}

/// Line errors by kind.
pub(super) fn errors(counts: LineCounts) -> String {
    let LineCounts { parity, framing, breaks, overrun, buffer_overrun } = counts;
    let kinds = [
        (parity, "parity"),
        (framing, "framing"),
        (breaks, "break"),
        (overrun + buffer_overrun, "overrun"),
    ];
    let words = kinds.iter().filter(|(count, _)| *count > 0);
    words.map(|(count, kind)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

fn words(guess: &Guess) -> String {
    match guess {
        Guess::Frames(kind, found) => {
            let many = if found.frames == 1 { "" } else { "s" };
            format!("{} {kind}{many}, {} bytes", found.frames, found.bytes)
        }
        Guess::Fixed { length, begins } => {
            let begins: Vec<_> = begins.iter().map(|byte| format!("{byte:02x}")).collect();
            match begins.is_empty() {
                true => format!("frames of {length} bytes"),
                false => format!("frames of {length} bytes that begin with {}", begins.join(" ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_the_newest_gaps_and_takes_a_bounded_memory() {
        let mut summary = Summary { bytes: 1, bursts: 2, ..Summary::default() };
        for n in 0..10_000 {
            summary.gap(Duration::from_millis(if n == 5 { 1 } else { n }));
        }
        assert_eq!(summary.sample.len(), SAMPLE);
        let text = summary.text(&Recogniser::default(), None);
        assert_eq!(
            text,
            "# 1 bytes in 2 bursts\n\
             # gaps: shortest 0.000 s, median 9.499 s, longest 9.999 s\n\
             # no guess: no frame that this program knows\n"
        );
    }

    #[test]
    fn errors_are_said_by_kind_and_many_point_to_the_speed() {
        let summary = Summary { bytes: 10, damaged: 5, bursts: 1, ..Summary::default() };
        let counts = LineCounts { framing: 4, breaks: 1, ..LineCounts::default() };
        let text = summary.text(&Recogniser::default(), Some(counts));
        assert!(text.contains("5 bytes damaged: 4 framing, 1 break\n"), "{text}");
        assert!(text.contains("one byte in 2 is damaged"), "{text}");
    }
}

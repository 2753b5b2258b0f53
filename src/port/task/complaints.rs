//! Logs lost input. Each kind is logged at once, and then less and less often while it lasts: a device
//! that sends rubbish all day must not push everything else out of the log.

use crate::base::log::lasting::Lasting;
use crate::device::RejectReason;
use crate::device::pipeline::Complaint;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// One for each reason, the last of which is `Malformed`.
    refused: [Lasting; RejectReason::Encrypted as usize + 1],
    bad: Known,
    lost: Known,
}

/// A count that only grows, and how much of it was logged.
#[derive(Debug, Default)]
struct Known {
    count: u64,
    lasting: Lasting,
}

impl Known {
    fn line(&mut self, count: u64, what: &str, now: Instant) -> Option<String> {
        let more = count.saturating_sub(std::mem::replace(&mut self.count, count));
        let again = self.lasting.occurred_times(more, now)?;
        Some(format!("{what}, {count} so far{again}"))
    }
}

impl Complaints {
    /// Returns the lines to log now. `bad` and `lost` count the port's bad frames and lost messages so far.
    pub(super) fn lines(
        &mut self,
        refused: Vec<Complaint>,
        bad: u64,
        lost: u64,
        now: Instant,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for Complaint { refused, times } in refused {
            let again = self.refused[refused.reason as usize].occurred_times(times, now);
            lines.extend(again.map(|again| format!("{refused}{again}")));
        }
        lines.extend(self.bad.line(bad, "bad frames", now));
        lines.extend(self.lost.line(lost, "messages lost", now));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::frame_seen::RejectedField;
    use std::time::Duration;

    fn refused(reason: RejectReason, times: u64) -> Complaint {
        let what = "expected a number, found \"2x\"".to_owned();
        Complaint { refused: RejectedField { field: "t".into(), reason, what }, times }
    }

    #[test]
    fn a_day_of_rubbish_fits_eight_kibibytes_of_log() {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        let mut log = Vec::new();
        for second in 0..86_400 {
            let reasons = [
                RejectReason::NotUtf8,
                RejectReason::Missing,
                RejectReason::NotANumber,
                RejectReason::Malformed,
                RejectReason::Encrypted,
            ];
            let refused = reasons.map(|reason| refused(reason, 10)).into();
            let now = start + Duration::from_secs(second);
            log.extend(complaints.lines(refused, 3 * (second + 1), second, now));
        }
        assert_eq!(log[0], "t refused: expected a number, found \"2x\" (10 times)");
        assert_eq!(log[5], "bad frames, 3 so far (3 times)");
        assert_eq!(log[6], "messages lost, 1 so far");
        assert!(log.iter().any(|line| line == "bad frames, 183 so far (180 times in 60 s)"));
        // `port NAME: ` and what syslog puts before it.
        let bytes: usize = log.iter().map(|line| line.len() + 80).sum();
        assert!(bytes < 8192, "{bytes}");
    }

    #[test]
    fn nothing_new_says_nothing() {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        assert_eq!(complaints.lines(Vec::new(), 0, 0, start).len(), 0);
        assert_eq!(complaints.lines(Vec::new(), 1, 0, start).len(), 1);
        let later = start + Duration::from_secs(90);
        assert_eq!(complaints.lines(Vec::new(), 1, 0, later).len(), 0);
        let lines = complaints.lines(vec![refused(RejectReason::NotANumber, 1)], 1, 0, later);
        assert_eq!(lines, ["t refused: expected a number, found \"2x\""]);
    }
}

//! How often refused commands are logged and reported: a flood of them must not become a flood of log
//! lines and messages.

use crate::base::log::lasting::{Again, Lasting};
use crate::device::Topic;
use crate::device::command::CommandError;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

/// This many refusals of a kind are reported one by one in each [`SPAN`]; the rest is one message.
const ALONE: u32 = 16;
const SPAN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct RefusedCommands(Vec<Kind>);

#[derive(Debug)]
struct Kind {
    kind: Discriminant<CommandError>,
    log: Lasting,
    /// When the present span ends.
    until: Instant,
    /// How many reports there were in it.
    told: u32,
    untold: Option<RefusalReport>,
}

/// `count` commands were refused for this reason; the last of them had this topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusalReport {
    pub(super) topic: Topic,
    pub(super) why: CommandError,
    pub(super) count: u32,
}

impl RefusedCommands {
    /// Commands were refused. Returns what the log is told, and what is reported at once.
    pub(super) fn refused(
        &mut self,
        report: RefusalReport,
        now: Instant,
    ) -> (Option<Again>, Option<RefusalReport>) {
        let kind = discriminant(&report.why);
        let at = self.0.iter().position(|known| known.kind == kind).unwrap_or_else(|| {
            let log = Lasting::default();
            self.0.push(Kind { kind, log, until: now, told: 0, untold: None });
            self.0.len() - 1
        });
        let kind = &mut self.0[at];
        let again = kind.log.occurred_times(report.count.into(), now);
        if kind.until <= now && kind.untold.is_none() {
            (kind.until, kind.told) = (now + SPAN, 0);
        }
        if kind.told < ALONE && kind.untold.is_none() {
            kind.told += 1;
            return (again, Some(report));
        }
        let before = kind.untold.as_ref().map_or(0, |untold| untold.count);
        kind.untold = Some(RefusalReport { count: before.saturating_add(report.count), ..report });
        (again, None)
    }

    /// What is to be reported by now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<RefusalReport> {
        let due = self.0.iter_mut().filter(|kind| kind.until <= now);
        due.filter_map(|kind| kind.untold.take()).collect()
    }

    /// What is left to be reported, at the end.
    pub(super) fn rest(&mut self) -> Vec<RefusalReport> {
        self.0.iter_mut().filter_map(|kind| kind.untold.take()).collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter(|kind| kind.untold.is_some()).map(|kind| kind.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(topic: &str, why: CommandError, count: u32) -> RefusalReport {
        RefusalReport { topic: topic.parse().unwrap(), why, count }
    }

    #[test]
    fn a_flood_is_told_in_few_lines_and_reports_and_each_is_counted() {
        let start = Instant::now();
        let mut refusals = RefusedCommands::default();
        let (mut lines, mut reports, mut counted) = (0, 0, 0);
        // Ten thousand in ten seconds, and one of another kind.
        for n in 0..10_000 {
            let now = start + Duration::from_millis(n);
            let (line, told) = refusals.refused(report("t", CommandError::QueueFull, 1), now);
            lines += usize::from(line.is_some());
            for report in told.into_iter().chain(refusals.due(now)) {
                reports += 1;
                counted += report.count;
            }
            assert!(refusals.deadline().is_none_or(|due| due <= now + SPAN));
        }
        let other = report("other", CommandError::Stuck, 1);
        let (line, told) = refusals.refused(other.clone(), start);
        assert!(line.is_some());
        assert_eq!(told, Some(other));
        counted += refusals.rest().iter().map(|report| report.count).sum::<u32>();
        assert_eq!(counted, 10_000);
        assert_eq!(lines, 1, "a minute has not passed");
        assert!(reports <= 10 * (ALONE + 1), "{reports}");
    }

    #[test]
    fn a_day_of_refusals_each_second_fits_the_log() {
        let start = Instant::now();
        let mut refusals = RefusedCommands::default();
        let line = |second| {
            let now = start + Duration::from_secs(second);
            refusals.refused(report("t", CommandError::Away("gone".into()), 1), now).0
        };
        assert_eq!((0..86_400).filter_map(line).count(), 7);
    }
}

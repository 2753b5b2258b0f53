//! Which starts did not end as they should. They are kept beside the socket, in memory on a router:
//! that does not wear flash, and a power cut is not taken for a crash.

use crate::gateway::status::Crashes;

/// Number of starts that are remembered.
const MOST: usize = 100;

/// Starts that have not ended well so far, this one among them: seconds since the machine started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StartLog(Vec<u64>);

impl StartLog {
    /// Reads what an earlier run wrote. Anything else is treated as empty.
    pub(super) fn parse(text: &str) -> StartLog {
        StartLog(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Notes a start and returns what went before it.
    pub(super) fn start(&mut self, now: u64, panic: Option<String>) -> Crashes {
        // A start later than now is from before a restart of the machine; the folder outlived it.
        self.0.retain(|start| *start <= now);
        let within = self.0.first().map_or(0, |first| now - first);
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(now);
        Crashes { count, within, panic: panic.filter(|_| count > 0) }
    }

    /// This start alone: those before it are forgotten.
    pub(super) fn only(start: u64) -> StartLog {
        StartLog(vec![start])
    }

    pub(super) fn to_text(&self) -> String {
        self.0.iter().map(|start| format!("{start}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_without_an_end_are_counted() {
        let mut runs = StartLog::default();
        assert_eq!(runs.start(100, Some("old".into())), Crashes::default());
        let mut runs = StartLog::parse(&runs.to_text());
        let crashes = runs.start(130, Some("boom".into()));
        assert_eq!(crashes, Crashes { count: 1, within: 30, panic: Some("boom".into()) });
        let mut runs = StartLog::parse(&runs.to_text());
        assert_eq!(runs.start(190, None), Crashes { count: 2, within: 90, panic: None });
        assert_eq!(StartLog::only(190).start(191, None).count, 1);
    }

    #[test]
    fn what_is_from_before_a_restart_of_the_machine_does_not_count() {
        assert_eq!(StartLog::parse("500\nrubbish\n").start(20, None), Crashes::default());
    }

    #[test]
    fn a_long_loop_is_bounded() {
        let mut runs = StartLog::default();
        for n in 0..200 {
            runs.start(n, None);
        }
        assert_eq!(runs.start(200, None), Crashes { count: 100, within: 100, panic: None });
    }
}

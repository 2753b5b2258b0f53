//! The account of a run as a table.

use crate::gateway::Spent;
use crate::ledger::{Account, Cause};
use std::fmt;

pub struct Table<'a> {
    pub title: String,
    pub seed: u64,
    pub faults: &'a [(&'static str, u64)],
    pub emitted: u64,
    pub account: &'a Account,
    pub spent: Spent,
    pub seconds: u64,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table { account, spent, .. } = self;
        let excused = |cause| account.excused.get(&cause).copied().unwrap_or_default();
        let (killed, unplugged) = (excused(Cause::Killed), excused(Cause::Unplugged));
        let lost = account.lost.iter().map(|(_, numbers)| numbers.len()).sum::<usize>();
        writeln!(f, "{}, SEED={}, {} s", self.title, self.seed, self.seconds)?;
        for (what, count) in self.faults.iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "  {what:<44}{count:>12}")?;
        }
        writeln!(f, "  {}", "-".repeat(56))?;
        for (what, count) in [
            ("readings emitted", self.emitted),
            ("  not framed: gateway killed", killed),
            ("  not framed: plug pulled", unplugged),
            ("readings framed", self.emitted - killed - unplugged),
            ("  delivered", account.delivered),
            ("  lost", lost as u64),
            ("delivered once more (QoS 1)", account.duplicates),
            ("out of order", account.disorder),
            ("torn or mixed up", account.torn as u64),
            ("peak memory of the gateway, KiB", spent.memory),
            ("written by the gateway, KiB", spent.written / 1024),
        ] {
            writeln!(f, "  {what:<44}{count:>12}")?;
        }
        Ok(())
    }
}

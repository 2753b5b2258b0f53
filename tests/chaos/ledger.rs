//! What came out against what went in.
//!
//! A reading is the gateway's to keep once it is framed and, with a journal, written there. What a
//! device has sent up to then is lost with a gateway that is killed, or with a port that is pulled
//! out: a tty has no memory of its own. So each such fault opens a [`Window`] for each port it hits:
//! one run of numbers may be missing from the last few before it, as many as fit into the kernel's
//! buffers and a moment of the gateway's work. Everything else that is missing is lost.

use crate::device;
use std::collections::BTreeMap;
use std::time::Instant;

/// So many bytes are on their way at most between a device and the journal: what the kernel keeps
/// for a PTY (4 KiB, and 8 KiB in its flip buffer), and half a second at line rate for the gateway,
/// which is killed in the midst of it.
const ON_ITS_WAY: u64 = 4096 + 8192 + 11_520 / 2;

/// Bytes of the shortest reading on the line.
const SHORTEST: u64 = 12;

/// Why readings may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The gateway was killed before it had framed and kept them.
    Killed,
    /// They were in the tty when its plug was pulled.
    Unplugged,
}

/// One run of numbers below `end` may be missing.
#[derive(Clone, Copy, Debug)]
struct Window {
    cause: Cause,
    /// How many readings the device had emitted when it happened.
    end: u64,
}

#[derive(Default)]
struct Port {
    /// By number: when it came first.
    seen: Vec<Option<Instant>>,
    unique: u64,
    duplicates: u64,
    /// Numbers that came for the first time after a greater one.
    disorder: u64,
    windows: Vec<Window>,
}

/// Everything that the counter got.
#[derive(Default)]
pub struct Ledger {
    ports: BTreeMap<usize, Port>,
    /// Payloads that no device sent.
    pub torn: Vec<String>,
    /// The latest payload of each topic that is no reading.
    pub other: BTreeMap<String, String>,
}

/// The account of a run.
#[derive(Debug, Default)]
pub struct Account {
    /// Readings that came, each counted once.
    pub delivered: u64,
    /// What came more than once, without its first time.
    pub duplicates: u64,
    pub disorder: u64,
    /// Missing, and allowed to.
    pub excused: BTreeMap<Cause, u64>,
    /// Missing, by port, with the numbers: the gateway's loss.
    pub lost: Vec<(usize, Vec<u64>)>,
    pub torn: usize,
}

impl Ledger {
    pub fn note(&mut self, topic: &str, payload: &str) {
        let is_villains = topic.starts_with(crate::hostile::TOPICS);
        if topic.contains("/status") || topic.starts_with("probe") || is_villains {
            self.other.insert(topic.into(), payload.into());
            return;
        }
        let Some((port, number)) = device::parse(payload).filter(|_| topic.starts_with("chaos/p"))
        else {
            self.torn.push(format!("{topic} {payload}"));
            return;
        };
        let port = self.ports.entry(port).or_default();
        let at = number as usize;
        if port.seen.len() <= at {
            port.seen.resize(at + 1, None);
        } else if port.seen[at].is_some() {
            port.duplicates += 1;
            return;
        } else {
            port.disorder += 1;
        }
        port.seen[at] = Some(Instant::now());
        port.unique += 1;
    }

    pub fn has(&self, port: usize, number: u64) -> bool {
        self.arrived(port, number).is_some()
    }

    /// When a reading came first.
    pub fn arrived(&self, port: usize, number: u64) -> Option<Instant> {
        self.ports.get(&port)?.seen.get(number as usize).copied().flatten()
    }

    pub fn delivered(&self) -> u64 {
        self.ports.values().map(|port| port.unique).sum()
    }

    /// Readings that came for the first time after a later one of their port, so far.
    pub fn disorder(&self) -> u64 {
        self.ports.values().map(|port| port.disorder).sum()
    }

    /// How far the devices' numbers have come: of each port the greatest, and one.
    pub fn reached(&self) -> u64 {
        self.ports.values().map(|port| port.seen.len() as u64).sum()
    }

    /// How far the numbers of one port have come.
    pub fn reached_by(&self, port: usize) -> u64 {
        self.ports.get(&port).map_or(0, |port| port.seen.len() as u64)
    }

    /// A fault hit a port when its device had emitted so many readings.
    pub fn window(&mut self, port: usize, cause: Cause, end: u64) {
        self.ports.entry(port).or_default().windows.push(Window { cause, end });
    }

    /// The account, if each device has emitted so many.
    pub fn close(&self, emitted: &[u64]) -> Account {
        let mut account = Account { torn: self.torn.len(), ..Account::default() };
        let nothing = Port::default();
        for (number, emitted) in emitted.iter().enumerate() {
            let port = self.ports.get(&number).unwrap_or(&nothing);
            account.delivered += port.unique;
            account.duplicates += port.duplicates;
            account.disorder += port.disorder;
            let mut lost = port.missing(*emitted);
            for window in &port.windows {
                let excused = take_run(&mut lost, window.end);
                *account.excused.entry(window.cause).or_default() += excused;
            }
            if !lost.is_empty() {
                account.lost.push((number, lost));
            }
        }
        account
    }
}

impl Account {
    /// What is lost, as runs of numbers; the first of them.
    pub fn losses(&self) -> String {
        let mut text = String::new();
        for (port, numbers) in &self.lost {
            let runs = numbers.chunk_by(|a, b| a + 1 == *b);
            let runs = runs.take(20).map(|run| format!("{}-{}", run[0], run[run.len() - 1]));
            text += &format!("port {port}: {}; ", runs.collect::<Vec<_>>().join(", "));
        }
        text
    }
}

impl Port {
    fn missing(&self, emitted: u64) -> Vec<u64> {
        (0..emitted).filter(|n| !matches!(self.seen.get(*n as usize), Some(Some(_)))).collect()
    }
}

/// Takes the first run of numbers that lies wholly in the window out of the list, and tells how
/// many they were.
fn take_run(missing: &mut Vec<u64>, end: u64) -> u64 {
    let begin = end.saturating_sub(ON_ITS_WAY / SHORTEST);
    let from = missing.partition_point(|n| *n < begin);
    let inside = missing[from..].iter().take_while(|n| **n < end);
    let run = inside.enumerate().take_while(|(at, n)| **n == missing[from] + *at as u64).count();
    missing.drain(from..from + run);
    run as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2,000 readings of one port come but for those missing; the windows end at these numbers.
    fn account(missing: &[u64], windows: &[u64]) -> Account {
        let mut ledger = Ledger::default();
        for n in (0..2000).filter(|n| !missing.contains(n)) {
            ledger.note("chaos/p0", &device::reading(0, n));
        }
        for end in windows {
            ledger.window(0, Cause::Killed, *end);
        }
        ledger.close(&[2000])
    }

    #[test]
    fn one_run_near_a_kill_is_excused_and_nothing_else() {
        assert_eq!(account(&[], &[1500]).lost, []);
        let excused = account(&[1490, 1491, 1492], &[1500]);
        assert_eq!((excused.lost.len(), excused.excused[&Cause::Killed]), (0, 3));
        assert_eq!(account(&[1490, 1492], &[1500]).lost, [(0, vec![1492])], "two runs");
        assert_eq!(account(&[1499, 1500], &[1500]).lost, [(0, vec![1500])], "after the kill");
        let before = 1900 - ON_ITS_WAY / SHORTEST - 1;
        assert_eq!(account(&[before], &[1900]).lost, [(0, vec![before])], "long before the kill");
        assert_eq!(account(&[before + 1], &[1900]).lost, []);
        assert_eq!(account(&[1999], &[]).lost, [(0, vec![1999])], "the last one");
    }

    #[test]
    fn duplicates_disorder_and_torn_readings_are_told_apart() {
        let mut ledger = Ledger::default();
        for n in [0, 1, 3, 2, 1, 1] {
            ledger.note("chaos/p4", &device::reading(4, n));
        }
        ledger.note("chaos/p4", &device::reading(4, 9)[1..]);
        let account = ledger.close(&[0, 0, 0, 0, 4]);
        assert_eq!((account.delivered, account.duplicates), (4, 2));
        assert_eq!((account.disorder, account.torn), (1, 1));
    }
}

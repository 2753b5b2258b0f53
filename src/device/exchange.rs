//! Who may write on a half-duplex line: one write at a time, and a pause behind it. Sans-io.

use super::commands::PendingCommand;
use bytes::{Buf, Bytes};
use std::time::{Duration, Instant};

/// How long the line may refuse to take a byte of a write.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// The state of the line, as far as writing goes.
#[derive(Debug, Default)]
pub(super) enum Exchange {
    /// The next write may begin.
    #[default]
    Idle,
    /// A command is being written.
    Writing {
        command: PendingCommand,
        /// What is left of it.
        left: Bytes,
        /// Until then the line must take the next byte.
        due: Instant,
    },
    /// No write begins before `until`.
    Quiet { until: Instant },
}

impl Exchange {
    /// Whether a write may begin now.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        if matches!(self, Exchange::Quiet { until } if *until <= now) {
            *self = Exchange::Idle;
        }
        matches!(self, Exchange::Idle)
    }

    pub(super) fn is_writing(&self) -> bool {
        matches!(self, Exchange::Writing { .. })
    }

    /// Begins a write. The exchange must be idle.
    pub(super) fn begin(&mut self, command: PendingCommand, now: Instant) {
        let left = command.bytes.clone();
        *self = Exchange::Writing { command, left, due: now + WRITE_DEADLINE };
    }

    /// What is to be written now.
    pub(super) fn pending(&self) -> Option<Bytes> {
        match self {
            Exchange::Writing { left, .. } => Some(left.clone()),
            Exchange::Idle | Exchange::Quiet { .. } => None,
        }
    }

    /// The line took so many bytes of [what is pending](Exchange::pending). Returns the command that
    /// is written in full with them.
    pub(super) fn wrote(&mut self, n: usize, now: Instant) -> Option<PendingCommand> {
        let Exchange::Writing { left, due, command } = self else { return None };
        left.advance(n.min(left.len()));
        *due = now + WRITE_DEADLINE;
        if !left.is_empty() {
            return None;
        }
        let quiet = Exchange::Quiet { until: now + command.pause };
        self.replace(quiet)
    }

    /// The command of which not a byte was taken yet.
    pub(super) fn unbegun(&self) -> Option<&PendingCommand> {
        match self {
            Exchange::Writing { command, left, .. } if left.len() == command.bytes.len() => {
                Some(command)
            }
            _ => None,
        }
    }

    /// Whether the line has taken no byte for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        matches!(self, Exchange::Writing { due, .. } if *due <= now)
    }

    /// Gives up the command that is being written.
    pub(super) fn abandon(&mut self) -> Option<PendingCommand> {
        if self.is_writing() { self.replace(Exchange::Idle) } else { None }
    }

    fn replace(&mut self, next: Exchange) -> Option<PendingCommand> {
        match std::mem::replace(self, next) {
            Exchange::Writing { command, .. } => Some(command),
            Exchange::Idle | Exchange::Quiet { .. } => None,
        }
    }

    /// When a stuck write is given up, or the next write may begin.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Exchange::Idle => None,
            Exchange::Writing { due, .. } => Some(*due),
            Exchange::Quiet { until } => Some(*until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::inbound::Receipt;

    const PAUSE: Duration = Duration::from_millis(50);

    fn command(bytes: &'static [u8]) -> PendingCommand {
        let (topic, receipt) = ("t".parse().unwrap(), Receipt::default());
        let bytes = Bytes::from_static(bytes);
        PendingCommand { topic, receipt, bytes, pause: PAUSE, stale: None }
    }

    #[test]
    fn each_state_has_its_own_deadline() {
        let start = Instant::now();
        let mut exchange = Exchange::default();
        assert!(exchange.is_idle(start));
        assert_eq!((exchange.deadline(), exchange.pending()), (None, None));
        exchange.begin(command(b"abc"), start);
        assert!(!exchange.is_idle(start));
        assert_eq!(exchange.deadline(), Some(start + WRITE_DEADLINE));
        let end = start + Duration::from_secs(1);
        assert_eq!(exchange.wrote(3, end).unwrap().bytes, "abc");
        assert_eq!((exchange.deadline(), exchange.pending()), (Some(end + PAUSE), None));
        assert!(!exchange.is_idle(end + PAUSE - Duration::from_nanos(1)));
        assert!(exchange.is_idle(end + PAUSE));
        assert_eq!(exchange.deadline(), None);
    }

    #[test]
    fn each_byte_that_the_line_takes_puts_the_write_deadline_off() {
        let start = Instant::now();
        let mut exchange = Exchange::default();
        exchange.begin(command(b"abc"), start);
        let late = start + WRITE_DEADLINE - Duration::from_nanos(1);
        assert!(!exchange.is_stuck(late));
        assert!(exchange.wrote(1, late).is_none());
        assert_eq!(exchange.pending().unwrap(), "bc");
        assert_eq!(exchange.deadline(), Some(late + WRITE_DEADLINE));
        assert!(!exchange.is_stuck(start + WRITE_DEADLINE));
        assert!(exchange.is_stuck(late + WRITE_DEADLINE));
        assert_eq!(exchange.abandon().unwrap().bytes, "abc");
        assert_eq!((exchange.deadline(), exchange.pending()), (None, None));
    }

    #[test]
    fn only_a_command_of_which_nothing_was_taken_is_unbegun() {
        let start = Instant::now();
        let mut exchange = Exchange::default();
        assert!(exchange.unbegun().is_none());
        exchange.begin(command(b"abc"), start);
        assert_eq!(exchange.unbegun().unwrap().bytes, "abc");
        assert!(exchange.wrote(2, start).is_none());
        assert!(exchange.unbegun().is_none());
        assert!(exchange.wrote(1, start).is_some());
        assert!(exchange.unbegun().is_none());
    }

    #[test]
    fn a_pause_is_not_given_up() {
        let start = Instant::now();
        let mut exchange = Exchange::default();
        exchange.begin(command(b"a"), start);
        assert!(exchange.wrote(1, start).is_some());
        assert!(exchange.wrote(1, start).is_none(), "nothing is being written");
        assert!(exchange.abandon().is_none());
        assert!(!exchange.is_stuck(start + WRITE_DEADLINE));
        assert_eq!(exchange.deadline(), Some(start + PAUSE));
    }
}

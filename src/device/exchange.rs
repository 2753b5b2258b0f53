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

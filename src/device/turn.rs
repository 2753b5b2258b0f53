//! A turn on the line: what is written and awaited, for whom, and how far it has come. Sans-io.

use super::bus::Place;
use super::commands::{PendingCommand, Plan};
use super::doubt::Asked;
use crate::codec::frame::Framer;
use crate::codec::modbus::{Expected, Request};
use bytes::{Bytes, BytesMut};
use std::time::Instant;

/// The most bytes that are held while a reply is looked for: the longest Modbus ASCII frame (MODBUS over
/// Serial Line V1.02, 2.5.2) and as much noise again.
const HELD: usize = 1026;

/// One turn on the line.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) job: Job,
    /// Which step is under way.
    pub(super) step: usize,
    pub(super) phase: Phase,
    pub(super) awaited: Awaited,
    /// What was written in this step.
    pub(super) sent: Bytes,
    /// When its last bit was out.
    pub(super) written: Instant,
    /// What was received since, as far as it may be an echo or a part of the reply.
    pub(super) received: BytesMut,
    pub(super) echo: Echo,
    /// Until then nothing has to be read.
    pub(super) held: Option<Instant>,
    /// What named groups of earlier replies found.
    pub(super) found: Vec<(String, Vec<u8>)>,
    /// The last reply.
    pub(super) reply: Bytes,
    /// Whether something was written since the last reply.
    pub(super) is_fresh: bool,
    /// Whether any step has awaited a reply.
    pub(super) has_asked: bool,
    /// Whether an answer came whose checksum was wrong.
    pub(super) damaged: bool,
    /// What was read back of a register that has another value than the one written.
    pub(super) not_taken: Option<String>,
    /// How many answers could be late ones to something else, so that the step was said again.
    pub(super) doubted: u8,
    /// Whether its echo was counted.
    is_noted: bool,
}

/// What the turn is for.
#[derive(Debug)]
pub(super) enum Job {
    Command(Box<PendingCommand>),
    Poll(Place),
}

/// The parts of a step, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Pause,
    Send,
    Line,
    Reply,
    Done,
}

/// What a turn waits for.
#[derive(Debug)]
pub(super) enum Awaited {
    Nothing,
    Modbus(Expected),
    /// A frame that the device's own framer finds.
    Frame,
    /// A frame that this framer finds.
    OwnFrame(Box<Framer>),
}

/// Whether the line echoes, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// What came so far may be the beginning of one.
    Possible,
    Came,
    No,
}

impl Turn {
    pub(super) fn new(job: Job, now: Instant) -> Turn {
        Turn {
            job,
            step: 0,
            phase: Phase::Pause,
            awaited: Awaited::Nothing,
            sent: Bytes::new(),
            written: now,
            received: BytesMut::new(),
            echo: Echo::Possible,
            held: None,
            found: Vec::new(),
            reply: Bytes::new(),
            is_fresh: true,
            has_asked: false,
            damaged: false,
            not_taken: None,
            doubted: 0,
            is_noted: false,
        }
    }

    pub(super) fn is_command(&self) -> bool {
        matches!(self.job, Job::Command(_))
    }

    /// The device that it is for.
    pub(super) fn member(&self) -> Option<usize> {
        match &self.job {
            Job::Poll(place) => Some(place.member),
            Job::Command(command) => command.plan.member(),
        }
    }

    /// What was asked in this step.
    pub(super) fn asked(&self) -> Asked {
        let expected = match &self.awaited {
            Awaited::Modbus(expected) => Some(expected.clone()),
            Awaited::Nothing | Awaited::Frame | Awaited::OwnFrame(_) => None,
        };
        Asked { sent: self.sent.clone(), expected }
    }

    /// Whether its device answers with the very bytes that were written: Modbus does so to functions 5
    /// and 6.
    pub(super) fn is_answered_by_itself(&self) -> bool {
        let Job::Command(command) = &self.job else { return false };
        let Plan::Register { request, .. } = &command.plan else { return false };
        let is_single =
            matches!(request, Request::WriteCoil { .. } | Request::WriteRegister { .. });
        self.step == 0 && is_single
    }

    /// Begins to write these bytes.
    pub(super) fn sent(&mut self, bytes: Bytes) {
        self.sent = bytes;
        self.is_fresh = true;
        self.received.clear();
        self.echo = Echo::Possible;
        self.held = None;
    }

    /// Notes that the line echoes, if it does. Returns whether this turn's echo is counted now.
    pub(super) fn note_echo(&mut self, echoes: &mut Option<bool>) -> bool {
        if self.echo != Echo::Came || self.is_noted {
            return false;
        }
        self.is_noted = true;
        *echoes = Some(true);
        true
    }

    /// When the framer of an awaited frame has to be asked again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.awaited {
            Awaited::OwnFrame(framer) => framer.deadline(),
            Awaited::Nothing | Awaited::Modbus(_) | Awaited::Frame => None,
        }
    }

    /// Takes bytes, and takes our own out of them: adapters on RS-485 that hear themselves give them
    /// back before the answer, which may be glued to them. Returns whether the rest can be looked at.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> bool {
        // Bytes beyond the longest reply are noise; any part of them may be dropped.
        let room = HELD.saturating_sub(self.received.len());
        self.received.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if self.echo == Echo::Possible {
            let n = self.received.len().min(self.sent.len());
            if self.received[..n] != self.sent[..n] {
                self.echo = Echo::No;
            } else if n == self.sent.len() && n > 0 {
                self.echo = Echo::Came;
                let _ = self.received.split_to(n);
            }
        }
        self.echo != Echo::Possible
    }
}

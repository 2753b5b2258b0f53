//! Who may write on a half-duplex line: one turn at a time, and a silence between any two frames.
//! Sans-io.

use super::Transmit;
use crate::base::line::Line;
use bytes::{Buf, Bytes};
use std::time::{Duration, Instant};

/// How long the line may refuse to take a byte of a write.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// What a line's speed and settings say about time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// Least silence between any two frames, whoever sends them.
    pub(super) silence: Duration,
    /// Time of one character; nothing where the speed is not known.
    pub(super) character: Duration,
    /// The silence is never less, whatever the speed is.
    least: Duration,
}

impl Timing {
    /// Of a line of this speed. The silence is 3.5 characters, and 1.75 ms above 19200 baud (Modbus
    /// over Serial Line V1.02, 2.5.1.1).
    pub(super) fn of_modbus(line: Option<&Line>) -> Timing {
        const FAST: Duration = Duration::from_micros(1750);
        let Some(line) = line else { return Timing::default() };
        let silence = if line.baud > 19_200 { FAST } else { line.time_of(3.5) };
        Timing { silence, character: line.time_of(1.0), least: Duration::ZERO }
    }

    /// With a silence of at least this length.
    pub(super) fn at_least(self, silence: Option<Duration>) -> Timing {
        let least = silence.unwrap_or_default();
        Timing { silence: least.max(self.silence), least, ..self }
    }

    /// The same on a line of another speed.
    fn on(self, line: &Line) -> Timing {
        match self.character {
            // Time does not count on this line.
            Duration::ZERO => self,
            _ => Timing::of_modbus(Some(line)).at_least(Some(self.least)),
        }
    }

    /// How long so many bytes take on the line.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        self.character.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX))
    }
}

/// The state of the line. A turn `T` is what is written, and what it waits for then.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    state: State<T>,
    timing: Timing,
    /// When the next write may begin.
    free: Option<Instant>,
}

#[derive(Debug)]
enum State<T> {
    /// The next write may begin.
    Idle,
    Writing {
        turn: T,
        /// All of it, and what is left.
        bytes: Bytes,
        left: Bytes,
        since: Instant,
        /// Until then the line must take the next byte.
        due: Instant,
    },
    /// The line is to have another speed or format, once the last bit that was written is out.
    Setting { turn: T, line: Line },
    /// Until `due` the reply may come, or a pause lasts.
    Waiting {
        turn: T,
        due: Instant,
        /// Each byte puts `due` off by so much, but not beyond `end`.
        patience: Duration,
        end: Instant,
    },
}

impl<T> Exchange<T> {
    pub(super) fn new(timing: Timing) -> Exchange<T> {
        Exchange { state: State::Idle, timing, free: None }
    }

    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// The line has this speed and format from now on.
    pub(super) fn line_is(&mut self, line: &Line) {
        self.timing = self.timing.on(line);
    }

    /// When the next write may begin.
    pub(super) fn free(&self) -> Option<Instant> {
        self.free
    }

    /// Whether a write may begin now.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        matches!(self.state, State::Idle) && self.free.is_none_or(|free| free <= now)
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// The turn that is under way.
    pub(super) fn turn(&self) -> Option<&T> {
        match &self.state {
            State::Writing { turn, .. }
            | State::Setting { turn, .. }
            | State::Waiting { turn, .. } => Some(turn),
            State::Idle => None,
        }
    }

    /// Begins a write. It is held back until the line was silent for long enough.
    pub(super) fn begin(&mut self, turn: T, bytes: Bytes, now: Instant) {
        let (left, due) = (bytes.clone(), now + WRITE_DEADLINE);
        self.state = State::Writing { turn, bytes, left, since: now, due };
    }

    /// What the line is to do now.
    pub(super) fn transmit(&mut self, now: Instant) -> Option<Transmit> {
        match &mut self.state {
            State::Writing { left, bytes, since, due, .. } => {
                let has_begun = left.len() < bytes.len();
                if !has_begun && self.free.is_some_and(|free| free > now) {
                    return None;
                }
                if !has_begun && *since < now {
                    (*since, *due) = (now, now + WRITE_DEADLINE);
                }
                Some(Transmit::Write(left.clone()))
            }
            State::Setting { line, .. } => Some(Transmit::Set(*line)),
            State::Idle | State::Waiting { .. } => None,
        }
    }

    /// The turn goes on once the line has this setting.
    pub(super) fn set(&mut self, turn: T, line: Line) {
        self.state = State::Setting { turn, line };
    }

    /// The line has the setting that a turn waits for: the turn.
    pub(super) fn is_set(&mut self) -> Option<T> {
        if !matches!(self.state, State::Setting { .. }) {
            return None;
        }
        self.end()
    }

    /// The line took so many bytes of [what is to be written](Exchange::transmit). Returns the turn that is
    /// written in full with them, and when its last bit is out.
    pub(super) fn wrote(&mut self, n: usize, now: Instant) -> Option<(T, Instant)> {
        let State::Writing { left, due, bytes, since, .. } = &mut self.state else { return None };
        left.advance(n.min(left.len()));
        *due = now + WRITE_DEADLINE;
        if !left.is_empty() {
            return None;
        }
        // The driver takes bytes faster than the line.
        let end = now.max(*since + self.timing.time_of(bytes.len()));
        self.keep_silent(end + self.timing.silence);
        let State::Writing { turn, .. } = self.replace(State::Idle) else { return None };
        Some((turn, end))
    }

    /// Something was read just now.
    pub(super) fn received(&mut self, now: Instant) {
        self.keep_silent(now + self.timing.silence);
    }

    /// No write begins before `until`.
    pub(super) fn keep_silent(&mut self, until: Instant) {
        self.free = self.free.max(Some(until));
    }

    /// No write begins for this time from when one may.
    pub(super) fn keep_silent_for(&mut self, time: Duration) {
        self.free = self.free.map(|free| free + time);
    }

    /// What was written waits for its reply.
    pub(super) fn wait(&mut self, turn: T, due: Instant) {
        self.state = State::Waiting { turn, due, patience: Duration::ZERO, end: due };
    }

    /// The same for a reply that may be long: once a part of it has come it is awaited until nothing has come
    /// for `patience`, and no longer than the `longest` one takes.
    pub(super) fn wait_long(
        &mut self,
        turn: T,
        due: Instant,
        patience: Duration,
        longest: Duration,
    ) {
        self.state = State::Waiting { turn, due, patience, end: due + longest };
    }

    /// A part of the reply was read just now.
    pub(super) fn go_on_waiting(&mut self, now: Instant) {
        if let State::Waiting { due, patience, end, .. } = &mut self.state {
            *due = (*due).max((now + *patience).min(*end));
        }
    }

    /// The turn that waits for a reply.
    pub(super) fn waiting(&mut self) -> Option<&mut T> {
        match &mut self.state {
            State::Waiting { turn, .. } => Some(turn),
            State::Idle | State::Writing { .. } | State::Setting { .. } => None,
        }
    }

    /// The turn of which not a byte was taken yet.
    pub(super) fn unbegun(&self) -> Option<&T> {
        match &self.state {
            State::Writing { turn, left, bytes, .. } if left.len() == bytes.len() => Some(turn),
            _ => None,
        }
    }

    /// Ends the turn, whatever its state is.
    pub(super) fn end(&mut self) -> Option<T> {
        match self.replace(State::Idle) {
            State::Writing { turn, .. }
            | State::Setting { turn, .. }
            | State::Waiting { turn, .. } => Some(turn),
            State::Idle => None,
        }
    }

    /// Whether the line has taken no byte for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        matches!(self.state, State::Writing { due, .. } if due <= now)
    }

    /// Whether the time in which the reply may come is over.
    pub(super) fn is_unanswered(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting { due, .. } if due <= now)
    }

    fn replace(&mut self, next: State<T>) -> State<T> {
        std::mem::replace(&mut self.state, next)
    }

    /// When a stuck write or a wait is given up, or the next write may begin.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle => self.free,
            State::Writing { ref left, ref bytes, due, .. } => {
                let has_begun = left.len() < bytes.len();
                Some(self.free.filter(|free| !has_begun && *free < due).unwrap_or(due))
            }
            State::Setting { .. } => None,
            State::Waiting { due, .. } => Some(due),
        }
    }
}

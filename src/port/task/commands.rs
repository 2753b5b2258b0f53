//! The commands of a port, without I/O: what is written next, what waits, and what becomes of each.

use super::inbox::{AckGuard, Inbound, Outcome};
use crate::device::Topic;
use crate::device::command::{Command, CommandError};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a command may wait for the device to take a byte.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// What one port does with command messages.
#[derive(Debug)]
pub(super) struct Commands {
    rules: Vec<Command>,
    line: Line,
    /// How long commands wait for a port that is not open.
    patience: Duration,
    begun: Begun,
    /// Until then the front must have moved.
    due: Instant,
}

/// Commands of a port that were made and not written.
#[derive(Debug)]
pub(super) struct Begun {
    queue: VecDeque<Writing>,
    /// The next one does not begin before this.
    next: Instant,
}

/// How the port is, as commands see it.
#[derive(Debug)]
enum Line {
    Open,
    /// On its way up: commands wait until then.
    Coming(Instant),
    /// Away for so long that commands are refused.
    Away,
}

/// A command on its way to the device.
#[derive(Debug)]
struct Writing {
    topic: Topic,
    taken: Option<AckGuard>,
    outcome: Option<Outcome>,
    /// All of it, for who looks on.
    whole: Bytes,
    /// What is left of it.
    bytes: Bytes,
    between: Duration,
    /// When it must not begin any more, and why.
    stale: Option<(Instant, CommandError)>,
}

/// What became of a command: its bytes when it was written, or why it is refused. It is for the
/// owner to report, and then to acknowledge.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) topic: Topic,
    pub(super) taken: Option<AckGuard>,
    pub(super) outcome: Option<Outcome>,
    pub(super) result: Result<Bytes, CommandError>,
}

impl Begun {
    /// Nothing, and nothing to be waited for.
    pub(super) fn none(now: Instant) -> Begun {
        Begun { queue: VecDeque::new(), next: now }
    }

    /// All of them, refused.
    pub(super) fn refuse(self, why: &CommandError) -> impl Iterator<Item = Done> {
        self.queue.into_iter().map(|writing| writing.refused(why.clone()))
    }
}

impl Writing {
    fn has_begun(&self) -> bool {
        self.bytes.len() < self.whole.len()
    }

    fn refused(self, why: CommandError) -> Done {
        let Writing { topic, taken, outcome, .. } = self;
        Done { topic, taken, outcome, result: Err(why) }
    }
}

impl Commands {
    /// Those of a port that is about to be opened, with what an earlier task of it left.
    pub(super) fn new(
        rules: Vec<Command>,
        patience: Duration,
        begun: Begun,
        now: Instant,
    ) -> Commands {
        Commands { rules, line: Line::Coming(now + patience), patience, begun, due: now }
    }

    /// Whether another message is to be taken now. While it is not, messages wait in the inbox.
    pub(super) fn wants(&self) -> bool {
        match self.line {
            Line::Open => self.begun.queue.is_empty(),
            Line::Coming(_) => false,
            Line::Away => true,
        }
    }

    /// Makes a message into commands, one for each rule that wants it. Returns what is refused;
    /// `error` is what keeps the port away.
    pub(super) fn take(
        &mut self,
        inbound: Inbound,
        error: Option<&str>,
        now: Instant,
    ) -> Vec<Done> {
        let Inbound { topic, payload, retain, since, expires, taken, outcome } = inbound;
        let refused = |why| Done {
            topic: topic.clone(),
            taken: taken.as_ref().map(AckGuard::share),
            outcome: outcome.clone(),
            result: Err(why),
        };
        let mut done = Vec::new();
        let mut is_wanted = false;
        for rule in self.rules.iter().filter(|rule| rule.filter.matches(topic.as_str())) {
            is_wanted = true;
            if let Line::Away = self.line {
                done.push(refused(CommandError::away(error)));
                continue;
            }
            let made = rule.bytes(&payload, retain);
            let made = made.and_then(|bytes| Ok((bytes, rule.stale(since, expires)?)));
            let (whole, stale) = match made {
                Ok(made) => made,
                Err(why) => {
                    done.push(refused(why));
                    continue;
                }
            };
            if self.begun.queue.is_empty() {
                self.due = self.begun.next.max(now) + WRITE_DEADLINE;
            }
            self.begun.queue.push_back(Writing {
                topic: topic.clone(),
                taken: taken.as_ref().map(AckGuard::share),
                outcome: outcome.clone(),
                bytes: whole.clone(),
                whole,
                between: rule.between,
                stale,
            });
        }
        if !is_wanted {
            done.push(refused(CommandError::NoRule));
        }
        if let Some(taken) = taken {
            taken.done();
        }
        done
    }

    /// What is to be written now.
    pub(super) fn pending(&self, now: Instant) -> Option<Bytes> {
        let Line::Open = self.line else { return None };
        self.begun.queue.front().filter(|_| self.begun.next <= now).map(|front| front.bytes.clone())
    }

    /// The device took so many bytes of [what is pending](Commands::pending).
    pub(super) fn wrote(&mut self, n: usize, now: Instant) -> Option<Done> {
        let front = self.begun.queue.front_mut()?;
        front.bytes.advance(n.min(front.bytes.len()));
        self.due = now + WRITE_DEADLINE;
        if !front.bytes.is_empty() {
            return None;
        }
        let Writing { topic, taken, outcome, whole, between, .. } = self.begun.queue.pop_front()?;
        self.begun.next = now + between;
        self.due = self.begun.next + WRITE_DEADLINE;
        Some(Done { topic, taken, outcome, result: Ok(whole) })
    }

    /// When [`Commands::refusals`] has something to do, or something is to be written.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.line {
            Line::Open if self.begun.queue.is_empty() => None,
            Line::Open if self.begun.next > now => Some(self.begun.next),
            Line::Open => Some(self.due),
            Line::Coming(until) => Some(until),
            Line::Away => None,
        }
    }

    /// What is refused because its time is over; `error` is what keeps the port away.
    pub(super) fn refusals(&mut self, error: Option<&str>, now: Instant) -> Vec<Done> {
        let mut done = Vec::new();
        match self.line {
            Line::Coming(until) if until <= now => {
                self.line = Line::Away;
                let all = self.begun.queue.drain(..);
                done.extend(all.map(|writing| writing.refused(CommandError::away(error))));
            }
            Line::Open if self.begun.next <= now => {
                while let Some(why) = self.front_is_over(now) {
                    done.extend(self.begun.queue.pop_front().map(|front| front.refused(why)));
                    self.due = now + WRITE_DEADLINE;
                }
            }
            _ => {}
        }
        done
    }

    /// Why the front is not to be written any more.
    fn front_is_over(&self, now: Instant) -> Option<CommandError> {
        let front = self.begun.queue.front()?;
        if self.due <= now {
            return Some(CommandError::Stuck);
        }
        if front.has_begun() {
            return None;
        }
        if front.outcome.as_ref().is_some_and(Outcome::is_closed) {
            return Some(CommandError::Alone);
        }
        front.stale.as_ref().filter(|(at, _)| *at <= now).map(|(_, why)| why.clone())
    }

    /// The port is open: what waits is written.
    pub(super) fn opened(&mut self, now: Instant) {
        self.line = Line::Open;
        self.due = self.begun.next.max(now) + WRITE_DEADLINE;
    }

    /// The port went away. What was being written cannot be mended; what has not begun waits.
    pub(super) fn went_away(&mut self, now: Instant) -> Option<Done> {
        if let Line::Open = self.line {
            self.line = Line::Coming(now + self.patience);
        }
        self.cut()
    }

    /// Gives up what is written in part.
    pub(super) fn cut(&mut self) -> Option<Done> {
        self.begun.queue.front().filter(|front| front.has_begun())?;
        self.begun.queue.pop_front().map(|front| front.refused(CommandError::Cut))
    }

    /// The task ends: what it leaves to the next one.
    pub(super) fn end(self) -> Begun {
        self.begun
    }
}

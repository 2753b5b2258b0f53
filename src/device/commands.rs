//! The commands of a device: what waits to be written, for how long, and what becomes of each.

use super::command::{Command, CommandError};
use super::inbound::{Inbound, Receipt};
use crate::mqtt::topic::Topic;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The commands of one device.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) rules: Vec<Command>,
    pub(super) queue: VecDeque<PendingCommand>,
    pub(super) line: Line,
    /// How long commands wait for a line that is not open.
    patience: Duration,
    /// What keeps the line away.
    why: Option<String>,
    concluded: Vec<Concluded>,
}

/// The line, as commands see it.
#[derive(Debug)]
pub(super) enum Line {
    Open,
    /// On its way up: commands wait.
    Coming {
        until: Instant,
    },
    /// Away for so long that commands are refused.
    Away,
}

/// A command that was made of a message and is not written in full.
#[derive(Debug)]
pub(super) struct PendingCommand {
    pub(super) topic: Topic,
    pub(super) receipt: Receipt,
    /// All of it.
    pub(super) bytes: Bytes,
    /// Least time between it and the next one.
    pub(super) pause: Duration,
    /// From then on it must not begin, and why.
    stale: Option<(Instant, CommandError)>,
}

/// What became of a command: its bytes when it was written, or why it was refused. Its owner reports
/// that, and then acknowledges the message.
#[derive(Debug)]
pub struct Concluded {
    pub topic: Topic,
    pub receipt: Receipt,
    pub result: Result<Bytes, CommandError>,
}

impl PendingCommand {
    /// Why it is not to be written any more, if it has not begun.
    pub(super) fn is_over(&self, now: Instant) -> Option<CommandError> {
        if self.receipt.is_abandoned() {
            return Some(CommandError::Alone);
        }
        self.stale.as_ref().filter(|(at, _)| *at <= now).map(|(_, why)| why.clone())
    }
}

impl Commands {
    pub(super) fn new(rules: Vec<Command>, patience: Duration) -> Commands {
        let (queue, concluded) = (VecDeque::new(), Vec::new());
        Commands { rules, queue, line: Line::Away, patience, why: None, concluded }
    }

    /// The line is about to be opened: commands wait for it.
    pub(super) fn coming(&mut self, now: Instant) {
        self.line = Line::Coming { until: now + self.patience };
    }

    /// The line is not open, or could not be opened.
    pub(super) fn closed(&mut self, why: &str, now: Instant) {
        self.why = Some(why.to_owned());
        if let Line::Open = self.line {
            self.coming(now);
        }
    }

    /// Makes a message into commands, one for each rule that wants it.
    pub(super) fn take(&mut self, inbound: Inbound, now: Instant) {
        let Inbound { topic, payload, retain, since, expires, receipt } = inbound;
        let mut is_wanted = false;
        for rule in self.rules.iter().filter(|rule| rule.filter.matches(topic.as_str())) {
            is_wanted = true;
            let made = match self.line {
                Line::Away => Err(CommandError::away(self.why.as_deref())),
                Line::Open | Line::Coming { .. } => rule.bytes(&payload, retain),
            };
            let made = made.and_then(|bytes| Ok((bytes, rule.stale(since, expires)?)));
            let (topic, receipt) = (topic.clone(), receipt.share());
            match made {
                Ok((bytes, stale)) if !bytes.is_empty() => self.queue.push_back(PendingCommand {
                    topic,
                    receipt,
                    bytes,
                    pause: rule.pause,
                    stale,
                }),
                // Nothing to write is written at once.
                made => {
                    let result = made.map(|(bytes, _)| bytes);
                    self.concluded.push(Concluded { topic, receipt, result });
                }
            }
        }
        if !is_wanted {
            let (receipt, result) = (receipt.share(), Err(CommandError::NoRule));
            self.concluded.push(Concluded { topic, receipt, result });
        }
        receipt.acknowledge();
        self.expire(now);
    }

    /// The next command to write. Those in front of it that are too old are refused.
    pub(super) fn next(&mut self, now: Instant) -> Option<PendingCommand> {
        while let Some(command) = self.queue.pop_front() {
            match command.is_over(now) {
                Some(why) => self.refuse(command, why),
                None => return Some(command),
            }
        }
        None
    }

    /// Refuses what has waited for too long for the line.
    pub(super) fn expire(&mut self, now: Instant) {
        if matches!(self.line, Line::Coming { until } if until <= now) {
            self.line = Line::Away;
            for command in std::mem::take(&mut self.queue) {
                self.refuse(command, CommandError::away(self.why.as_deref()));
            }
        }
    }

    pub(super) fn refuse(&mut self, command: PendingCommand, why: CommandError) {
        self.conclude(command, |_| Err(why));
    }

    /// A command was written in full.
    pub(super) fn sent(&mut self, command: PendingCommand) {
        self.conclude(command, Ok);
    }

    fn conclude(
        &mut self,
        command: PendingCommand,
        result: impl FnOnce(Bytes) -> Result<Bytes, CommandError>,
    ) {
        let PendingCommand { topic, receipt, bytes, .. } = command;
        self.concluded.push(Concluded { topic, receipt, result: result(bytes) });
    }

    /// What became of commands since the last call.
    pub(super) fn concluded(&mut self) -> Vec<Concluded> {
        std::mem::take(&mut self.concluded)
    }
}

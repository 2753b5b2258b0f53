//! A device: its bytes become messages, messages from the broker become its bytes. Sans-io.

pub mod capture;
pub mod cases;
pub mod command;
mod commands;
mod exchange;
pub mod frame_seen;
pub mod inbound;
pub mod last_values;
pub mod mapping;
pub mod pipeline;
pub mod publication;
pub mod settings;

// What the room `port` needs of the rooms below this one.
pub use crate::codec::frame::BadFrames;
pub(crate) use crate::codec::frame::READ;
pub use crate::codec::value::RejectReason;
pub use crate::mqtt::message::Message;
pub use crate::mqtt::topic::{Qos, Topic};
pub use commands::Concluded;
pub use publication::Publication;

use crate::base::clock::Now;
use crate::base::path::BuildError;
use command::{Command, CommandError};
use commands::{Commands, Line, PendingCommand};
use exchange::Exchange;
use inbound::Inbound;
use pipeline::{Pipeline, Rest};
use settings::DeviceSettings;
use std::collections::VecDeque;
use std::time::Instant;

/// One device on a line: bytes in, bytes out, messages. Time comes from its owner, who pumps bytes,
/// calls [`Device::timeout`] at each [`Device::deadline`], and takes what became of commands.
///
/// It alone knows who may write: [`Device::transmit`] is asked before every write.
#[derive(Debug)]
pub struct Device {
    pipeline: Pipeline,
    commands: Commands,
    exchange: Exchange,
}

/// Commands that a device leaves to the one that takes its place. What is dropped is not
/// acknowledged.
#[derive(Debug)]
pub struct Unwritten {
    queue: VecDeque<PendingCommand>,
    /// Idle or quiet.
    exchange: Exchange,
}

impl Unwritten {
    /// All of them, refused.
    pub fn refuse(self, why: &CommandError) -> impl Iterator<Item = Concluded> {
        self.queue.into_iter().map(|PendingCommand { topic, receipt, .. }| Concluded {
            topic,
            receipt,
            result: Err(why.clone()),
        })
    }
}

impl Device {
    /// A device, or all that is wrong with its settings.
    pub fn build(settings: &DeviceSettings<'_>) -> Result<Device, Vec<BuildError>> {
        match (Pipeline::build(settings), command::build_all(settings)) {
            (Ok(pipeline), Ok(rules)) => {
                let commands = Commands::new(rules, settings.command_wait);
                Ok(Device { pipeline, commands, exchange: Exchange::Idle })
            }
            (pipeline, rules) => {
                Err(pipeline.err().into_iter().chain(rules.err()).flatten().collect())
            }
        }
    }

    /// The broker translates topics for AMQP: what devices put into them has no `.` and no `*`.
    pub fn for_amqp(&mut self) {
        self.pipeline.for_amqp();
    }

    /// Its reading half: frames, counts and last values.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The same, to take frames and complaints from it.
    pub fn pipeline_mut(&mut self) -> &mut Pipeline {
        &mut self.pipeline
    }

    /// Which commands it takes.
    pub fn rules(&self) -> &[Command] {
        &self.commands.rules
    }

    /// The line is about to be opened: commands wait for it, those of an earlier device first.
    pub fn coming(&mut self, left: Option<Unwritten>, now: Instant) {
        if let Some(left) = left {
            self.commands.queue = left.queue;
            self.exchange = left.exchange;
        }
        self.commands.coming(now);
    }

    /// The line was opened, `since` then: what was half read before is forgotten, what waits may be
    /// written.
    pub fn opened(&mut self, since: Instant) {
        self.pipeline.open(since);
        self.commands.line = Line::Open;
    }

    /// The line is not open any more, or could not be opened. A command that was being written cannot
    /// be mended; what has not begun waits.
    pub fn closed(&mut self, why: &str, now: Instant) {
        self.interrupt();
        self.commands.closed(why, now);
    }

    /// The device is of no more use: what waits is for the next one.
    pub fn stop(&mut self) -> Unwritten {
        self.interrupt();
        let queue = std::mem::take(&mut self.commands.queue);
        Unwritten { queue, exchange: std::mem::take(&mut self.exchange) }
    }

    fn interrupt(&mut self) {
        let has_begun = self.exchange.unbegun().is_none();
        match self.exchange.abandon() {
            Some(command) if has_begun => self.commands.refuse(command, CommandError::Cut),
            Some(command) => self.commands.queue.push_front(command),
            None => {}
        }
    }

    /// Takes bytes as they were read and appends the messages that they complete.
    pub fn push(&mut self, bytes: &[u8], now: Now, out: &mut Vec<Publication>) {
        self.pipeline.push(bytes, now, out);
    }

    /// As [`Device::push`], of bytes that the driver of the line says are damaged.
    pub fn push_damaged(&mut self, bytes: &[u8], now: Now, out: &mut Vec<Publication>) {
        self.pipeline.push_damaged(bytes, now, out);
    }

    /// Whether another message is to be taken now. While it is not, messages wait where they are
    /// counted.
    pub fn wants_command(&self) -> bool {
        match self.commands.line {
            Line::Open => self.commands.queue.is_empty() && !self.exchange.is_writing(),
            Line::Coming { .. } => false,
            Line::Away => true,
        }
    }

    pub fn command(&mut self, inbound: Inbound, now: Instant) {
        self.commands.take(inbound, now);
    }

    /// What is to be written now, if anything may be. Ask again after each event.
    pub fn transmit(&mut self, now: Instant) -> Option<bytes::Bytes> {
        let Line::Open = self.commands.line else { return None };
        if let Some(why) = self.exchange.unbegun().and_then(|command| command.is_over(now))
            && let Some(command) = self.exchange.abandon()
        {
            self.commands.refuse(command, why);
        }
        if self.exchange.is_idle(now)
            && let Some(command) = self.commands.next(now)
        {
            self.exchange.begin(command, now);
        }
        self.exchange.pending()
    }

    /// The line took so many bytes of [what is to be written](Device::transmit).
    pub fn wrote(&mut self, n: usize, now: Instant) {
        if let Some(command) = self.exchange.wrote(n, now) {
            self.commands.sent(command);
        }
    }

    /// When [`Device::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.commands.line {
            Line::Open => {
                let writes = self.exchange.is_writing() || !self.commands.queue.is_empty();
                let exchange = self.exchange.deadline().filter(|_| writes);
                self.pipeline.deadline().into_iter().chain(exchange).min()
            }
            Line::Coming { until } => Some(until),
            Line::Away => None,
        }
    }

    /// The deadline has come and nothing was read: silence may complete a frame, a stuck write or one
    /// that waits for the line is refused.
    pub fn timeout(&mut self, now: Now, out: &mut Vec<Publication>) {
        self.commands.expire(now.mono);
        let Line::Open = self.commands.line else { return };
        if self.pipeline.deadline().is_some_and(|due| due <= now.mono) {
            self.pipeline.timeout(now, out);
        }
        if self.exchange.is_stuck(now.mono)
            && let Some(command) = self.exchange.abandon()
        {
            self.commands.refuse(command, CommandError::Stuck);
        }
    }

    /// Lets time pass from `now` until `until`, in which nothing is read and nothing can be written.
    pub fn pass(&mut self, now: &mut Now, until: Now, out: &mut Vec<Publication>) {
        while let Some(due) = self.pipeline.deadline().filter(|due| *due <= until.mono) {
            *now = now.after(due.saturating_duration_since(now.mono));
            self.pipeline.timeout(*now, out);
        }
        *now = now.max(until);
    }

    /// No more bytes will come, as at the end of a capture: what was left over. A line without its
    /// terminator is taken all the same.
    pub fn finish(&mut self, now: Now, out: &mut Vec<Publication>) -> Rest {
        self.pipeline.finish(now, out)
    }

    /// What became of commands since the last call.
    pub fn concluded(&mut self) -> Vec<Concluded> {
        self.commands.concluded()
    }
}

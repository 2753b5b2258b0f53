//! A device: its bytes become messages, messages from the broker become its bytes. Sans-io.

mod bus;
pub mod capture;
pub mod cases;
pub mod command;
mod commands;
mod conversation;
mod described;
#[cfg(feature = "tools")]
pub(crate) mod detect;
mod doubt;
mod exchange;
mod fields;
mod filter;
pub mod frame_seen;
pub mod inbound;
pub mod last_values;
pub mod mapping;
pub mod member;
pub mod named;
mod newcomers;
pub mod on_bus;
pub mod outline;
pub mod pipeline;
pub mod poll;
pub mod publication;
pub mod settings;
pub mod step;
mod turn;

// What the room `port` needs of the rooms below this one.
pub use crate::codec::frame::BadFrames;
pub(crate) use crate::codec::frame::READ;
pub use crate::codec::value::RejectReason;
pub use crate::mqtt::message::Message;
pub use crate::mqtt::topic::{Qos, Topic};
pub use bus::Notice;
pub use commands::Concluded;
pub use member::{Ending, LineTime, MemberStatus};
pub use newcomers::Newcomer;
pub use publication::Publication;

use crate::base::clock::Now;
use crate::base::line;
use crate::base::path::BuildError;
use bus::Bus;
use bytes::Bytes;
use command::{Command, CommandError};
use commands::{Commands, Line, PendingCommand};
use exchange::{Exchange, Timing};
use fields::Fields;
use inbound::Inbound;
use member::Member;
use pipeline::{Pipeline, Rest};
use serde::{Deserialize, Serialize};
use settings::DeviceSettings;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use turn::{Awaited, Job, Turn};

/// One device on a line, or a bus of them: bytes in, bytes out, messages. Time comes from its owner,
/// who pumps bytes, calls [`Device::timeout`] at each [`Device::deadline`], and takes what became of
/// commands.
///
/// It alone knows who may write: [`Device::transmit`] is asked before every write.
#[derive(Debug)]
pub struct Device {
    pipeline: Pipeline,
    /// Whether bytes that nobody waits for are frames to decode.
    listens: bool,
    commands: Commands,
    bus: Bus,
    exchange: Exchange<Turn>,
    /// The line's own setting, and the present one.
    line: Option<line::Line>,
    set: Option<line::Line>,
    /// Whether the line echoes what is written; `None` while that is unknown.
    echoes: Option<bool>,
    transaction: u16,
    /// How long nothing is written after a broadcast.
    turnaround: Duration,
    /// Polls that were due by then come before the next command.
    yields: Option<Instant>,
    counts: ExchangeCounts,
}

/// What a line has carried besides what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeCounts {
    /// Bytes that nobody waited for.
    pub stray: u64,
    /// Frames of another address, function or length than the one that was awaited, and late ones.
    pub foreign: u64,
    /// Our own bytes that came back.
    pub echoes: u64,
}

/// What the line is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Write these bytes, as many as the line takes.
    Write(Bytes),
    /// Set speed and format, once the last bit that was written is out.
    Set(line::Line),
}

/// What a device leaves to the one that takes its place: commands, of which what is dropped is not
/// acknowledged, and what its filters remember.
#[derive(Debug)]
pub struct Unwritten {
    queue: VecDeque<PendingCommand>,
    /// When the next write may begin.
    free: Option<Instant>,
    /// What is known of fields.
    fields: Vec<Fields>,
}

impl Unwritten {
    /// All of them, refused.
    pub fn refuse(self, why: &CommandError) -> impl Iterator<Item = Concluded> {
        self.queue.into_iter().map(|command| command.concluded(Err(why.clone()), false))
    }
}

impl Device {
    /// A device, or all that is wrong with its settings.
    pub fn build(settings: &DeviceSettings<'_>) -> Result<Device, Vec<BuildError>> {
        let bus = Bus::build(settings.mode, &settings.members, settings.line);
        let members = bus.as_ref().map(|bus| bus.members.as_slice()).unwrap_or_default();
        let commands = command::build_all(settings, members);
        match (Pipeline::build(settings), commands, bus) {
            (Ok(mut pipeline), Ok(rules), Ok(mut bus)) => {
                let commands = Commands::new(rules, settings.command_wait);
                let timing = match &bus.members[..] {
                    [] => Timing::default(),
                    _ => Timing::of_modbus(settings.line).at_least(settings.silence),
                };
                let describes_frames = settings.decode.is_some() || !settings.frames.is_empty();
                let listens = !bus.members.iter().any(Member::is_asked) || describes_frames;
                described::build_fields(settings, listens, &mut pipeline, &mut bus)?;
                Ok(Device {
                    pipeline,
                    listens,
                    commands,
                    bus,
                    exchange: Exchange::new(timing),
                    line: settings.line.copied(),
                    set: settings.line.copied(),
                    echoes: settings.echo,
                    transaction: 0,
                    turnaround: settings.turnaround,
                    yields: None,
                    counts: ExchangeCounts::default(),
                })
            }
            (pipeline, rules, bus) => {
                let errors = pipeline.err().into_iter().chain(rules.err()).chain(bus.err());
                Err(errors.flatten().collect())
            }
        }
    }

    /// The broker translates topics for AMQP: what devices put into them has no `.` and no `*`.
    pub fn for_amqp(&mut self) {
        self.pipeline.for_amqp();
        self.bus.for_amqp();
    }

    /// From now on [`Device::newcomers`] has the fields that only frames name. `settings` are those it was built
    /// from.
    pub fn tell_newcomers(&mut self, settings: &DeviceSettings<'_>) {
        let outlines = self.outlines(settings);
        if outlines.iter().any(outline::Outline::is_told_by_frames) {
            self.pipeline.tell_newcomers(newcomers::Newcomers::beside(outlines));
        }
    }

    /// Fields that came for the first time and were not taken out here yet.
    pub fn newcomers(&mut self) -> Option<&mut Vec<Newcomer>> {
        self.pipeline.newcomers()
    }

    /// Whether bytes that are not the reply to anything are decoded.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// The reading half: frames, counts and last values.
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

    /// The devices that are asked, by name, and how they answer.
    pub fn members(&self) -> impl Iterator<Item = (&str, &MemberStatus)> {
        let asked = self.bus.members.iter().filter(|member| member.is_asked());
        asked.map(|member| (member.name.as_str(), &member.status))
    }

    /// How long each poll takes on the line at least, where its speed is known.
    pub fn line_times(&self) -> impl Iterator<Item = LineTime> {
        let timing = self.exchange.timing();
        let polls = self.bus.members.iter().flat_map(|member| &member.polls);
        polls.filter_map(move |poll| poll.line_time(self.bus.mode, timing))
    }

    /// What the line has carried besides what was asked for.
    pub fn exchange_counts(&self) -> ExchangeCounts {
        self.counts
    }

    /// Notices for the log since the last call, each given once.
    pub fn notices(&mut self) -> Vec<Notice> {
        self.bus.notices()
    }

    /// The line is about to be opened: commands wait for it, those of an earlier device first.
    pub fn coming(&mut self, left: Option<Unwritten>, now: Instant) {
        if let Some(left) = left {
            self.commands.queue = left.queue;
            self.pipeline.adopt(left.fields);
            left.free.into_iter().for_each(|free| self.exchange.keep_silent(free));
        }
        self.commands.coming(now);
    }

    /// The line was opened at `since`: a frame that was half read before is dropped, and commands that wait
    /// may be written.
    pub fn opened(&mut self, since: Instant) {
        self.pipeline.open(since);
        self.commands.line = Line::Open;
        self.set = self.line;
        self.line.iter().for_each(|line| self.exchange.line_is(line));
        self.bus.opened(since);
    }

    /// The line is not open any more, or could not be opened. A command that was being written is lost;
    /// commands that have not begun wait.
    pub fn closed(&mut self, why: &str, now: Instant) {
        self.interrupt();
        self.commands.closed(why, now);
    }

    /// Ends the device and returns the commands that wait, for the device that takes its place.
    pub fn stop(&mut self) -> Unwritten {
        self.interrupt();
        let queue = std::mem::take(&mut self.commands.queue);
        Unwritten { queue, free: self.exchange.free(), fields: self.pipeline.take_fields() }
    }

    fn interrupt(&mut self) {
        let has_begun = self.exchange.unbegun().is_none();
        match self.exchange.end() {
            Some(Turn { job: Job::Command(command), step: 0, .. }) if !has_begun => {
                self.commands.queue.push_front(*command);
            }
            Some(Turn { job: Job::Command(command), .. }) => {
                self.commands.refuse(*command, CommandError::Cut);
            }
            Some(Turn { job: Job::Poll(_), .. }) | None => {}
        }
    }

    /// Takes bytes as they were read and appends the messages that they complete.
    pub fn push(&mut self, bytes: &[u8], now: Now, out: &mut Vec<Publication>) {
        self.read(bytes, false, now, out);
    }

    /// As [`Device::push`], of bytes that the driver of the line says are damaged.
    pub fn push_damaged(&mut self, bytes: &[u8], now: Now, out: &mut Vec<Publication>) {
        self.read(bytes, true, now, out);
    }

    /// Whether another message is to be taken now. While it is not, messages wait where they are
    /// counted.
    pub fn wants_command(&self) -> bool {
        match self.commands.line {
            Line::Open => {
                let is_commanded = self.exchange.turn().is_some_and(Turn::is_command);
                self.commands.queue.is_empty() && !is_commanded
            }
            Line::Coming { .. } => false,
            Line::Away => true,
        }
    }

    pub fn command(&mut self, inbound: Inbound, now: Instant) {
        self.commands.take(inbound, &self.bus.members, now);
    }

    /// What the line is to do now, if anything. Ask again after each event.
    pub fn transmit(&mut self, now: Now, out: &mut Vec<Publication>) -> Option<Transmit> {
        let Line::Open = self.commands.line else { return None };
        if let Some(Turn { job: Job::Command(command), step: 0, .. }) = self.exchange.unbegun()
            && let Some(why) = command.is_over(now.mono)
            && let Some(Turn { job: Job::Command(command), .. }) = self.exchange.end()
        {
            self.commands.refuse(*command, why);
        }
        if self.exchange.is_idle()
            && let Some(home) = self.line
            && self.set != self.line
        {
            return Some(Transmit::Set(home));
        }
        if self.exchange.is_free(now.mono) {
            // After a command that was not answered, the polls that waited meanwhile come first.
            self.yields = self.yields.filter(|since| self.bus.is_due(*since));
            let command = match self.yields {
                Some(_) => None,
                None => self.commands.next(now.mono),
            };
            if let Some(command) = command {
                self.go_on(Turn::new(Job::Command(Box::new(command)), now.mono), now, out);
            } else if let Some(place) = self.bus.next(now.mono) {
                self.go_on(Turn::new(Job::Poll(place), now.mono), now, out);
            }
        }
        self.exchange.transmit(now.mono)
    }

    /// The line has another speed or format now.
    pub fn set(&mut self, line: line::Line, now: Now, out: &mut Vec<Publication>) {
        self.set = Some(line);
        self.exchange.line_is(&line);
        if let Some(turn) = self.exchange.is_set() {
            self.go_on(turn, now, out);
        }
    }

    /// The line keeps the speed and format that it had: the turn that needs others fails. Returns `false`
    /// if no turn does, so that it is the line's own setting that was refused.
    pub fn not_set(&mut self, now: Now) -> bool {
        let turn = self.exchange.is_set();
        let is_turn = turn.is_some();
        turn.into_iter().for_each(|turn| self.conclude(turn, Ending::NoAnswer, now));
        is_turn
    }

    /// The line took so many bytes of [what is to be written](Device::transmit).
    pub fn wrote(&mut self, n: usize, now: Now, out: &mut Vec<Publication>) {
        if let Some((mut turn, end)) = self.exchange.wrote(n, now.mono) {
            turn.written = end;
            self.go_on(turn, now, out);
        }
    }

    /// When [`Device::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.commands.line {
            Line::Open => {
                let exchange = if self.exchange.is_idle() {
                    let command = (!self.commands.queue.is_empty()).then(|| self.exchange.free());
                    let poll = self.bus.deadline().map(|due| self.exchange.free().max(Some(due)));
                    command.into_iter().chain(poll).flatten().min()
                } else {
                    self.exchange.deadline()
                };
                let own = self.exchange.turn().and_then(Turn::deadline);
                self.pipeline.deadline().into_iter().chain(exchange).chain(own).min()
            }
            Line::Coming { until } => Some(until),
            Line::Away => None,
        }
    }

    /// The deadline has come and nothing was read: silence may complete a frame, a stuck write or one
    /// that waits for the line is refused, a reply is not awaited any longer.
    pub fn timeout(&mut self, now: Now, out: &mut Vec<Publication>) {
        if self.commands.expire(now.mono) {
            self.bus.unreachable();
        }
        let Line::Open = self.commands.line else { return };
        if let Some(turn) = self.exchange.waiting()
            && let Awaited::Frame | Awaited::OwnFrame(_) = turn.awaited
        {
            match &mut turn.awaited {
                Awaited::OwnFrame(framer) => framer.timeout(now.mono),
                _ => self.pipeline.silence(now.mono),
            }
            self.frames(now, out);
        } else if self.pipeline.deadline().is_some_and(|due| due <= now.mono) {
            self.pipeline.timeout(now, out);
        }
        if self.exchange.is_stuck(now.mono)
            && let Some(turn) = self.exchange.end()
        {
            match turn.job {
                Job::Command(command) => self.commands.refuse(*command, CommandError::Stuck),
                Job::Poll(_) => self.conclude(turn, Ending::NoAnswer, now),
            }
        }
        if self.exchange.is_unanswered(now.mono) {
            self.wait_is_over(now, out);
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

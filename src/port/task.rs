//! The task of one port: opens it, reads and writes it, and opens it again when it went away.

mod commands;
mod complaints;
mod inbox;
pub mod monitor;
mod rate;
mod refused;
mod retry;
mod silence;
mod trial;

pub use inbox::{
    AckGuard, INBOX, INBOX_BYTES, Inbound, Inbox, InboxEnd, OfferError, Outcome, inbox,
};

use crate::base::clock::Now;
use crate::base::scalar::Span;
use crate::device::command::{Command, CommandError};

use crate::device::last_values::LastValue;
use crate::device::pipeline::{self, Pipeline};
use crate::device::{FrameCounts, Publication, READ, Topic};
use crate::outbox::entry::Entry;
use crate::outbox::inlet::{Full, Intake};
use crate::port::line_counts::LineCounts;
use crate::port::marks::{Marks, Piece};
use crate::port::status::{PortState, PortStatus, command_report};
use commands::{Begun, Commands, Done};
use complaints::Complaints;
use inbox::InboxItem;
use monitor::{PortEvent, Subscriber, Subscribers};
use rate::Rate;
use refused::{RefusalReport, RefusedCommands};
use retry::{Attempt, Retry};
use silence::Silence;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

/// How long a port may take to close. A tty gets a second of it to send what was written.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// What somebody wants to know of a port.
#[derive(Debug)]
pub enum PortRequest {
    /// How it is.
    Status(oneshot::Sender<Snapshot>),
    /// What happens on it from now on.
    Monitor(Subscriber),
    /// Try now if it is away: a device was plugged in.
    Rescan,
}

/// How many of these may wait for a port at most.
pub const REQUESTS: usize = 16;

/// How a port is.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What it has done.
    pub status: PortStatus,
    /// What its framer has seen.
    pub frames: FrameCounts,
    /// What became of the frames.
    pub counts: pipeline::Counts,
    /// The last value of each topic.
    pub values: Vec<LastValue>,
}

/// All that the task of a port owns.
#[derive(Debug)]
pub struct PortTask {
    /// The port's name, for the log.
    pub name: String,
    /// What its bytes become.
    pub pipeline: Pipeline,
    /// What may be written to it.
    pub commands: Vec<Command>,
    /// How long commands wait for a port that is not open.
    pub command_wait: Duration,
    /// Command messages from the MQTT task.
    pub inbox: InboxEnd,
    /// What an earlier task of the port left, its inbox included.
    pub left: Option<Leftover>,
    /// What others want to know.
    pub asks: mpsc::Receiver<PortRequest>,
    /// Where its messages go.
    pub intake: Intake,
    /// Topic of its status.
    pub status_topic: Topic,
    /// Topic of what became of commands.
    pub command_topic: Topic,
    /// How often the status is published when nothing changes.
    pub interval: Duration,
    /// After so long without a byte the status says so.
    pub silent_after: Option<Duration>,
    /// Most messages a second.
    pub rate_limit: Option<NonZeroU32>,
    /// The end of the gateway: the other end is dropped.
    pub stop: watch::Receiver<()>,
}

/// An open port.
#[derive(Debug)]
pub struct Opened<S> {
    /// Bytes in both directions.
    pub stream: S,
    /// What was opened, `/dev/ttyUSB1`.
    pub device: String,
    /// What there is between us and the device.
    pub link: LinkKind,
    /// Errors on the line since it was opened, where the driver counts them.
    pub line_counts: Option<watch::Receiver<LineCounts>>,
}

/// What there is between us and a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A tty.
    Tty,
    /// A tty whose damaged bytes are marked as termios(3) says at PARMRK.
    MarkedTty,
    /// A serial server on the network, which may speak itself before the device does.
    Network,
}

/// Runs a port until it is stopped. `open` is called again and again while the port is away. Returns
/// the commands that wait.
pub async fn run<S, E>(
    mut task: PortTask,
    mut open: impl AsyncFnMut() -> Result<Opened<S>, E>,
) -> Leftover
where
    S: AsyncRead + AsyncWrite,
    E: Display,
{
    let now = Now::read();
    let mut begun = Begun::none(now.mono);
    if let Some(left) = task.left.take() {
        (task.inbox, begun) = (left.inbox, left.begun);
    }
    let rules = std::mem::take(&mut task.commands);
    let mut port = ActivePort {
        commands: Commands::new(rules, task.command_wait, begun, now.mono),
        refusals: RefusedCommands::default(),
        status: PortStatus::away(now),
        next_status: now.mono + task.interval,
        complaints: Complaints::default(),
        last_rx: now.mono,
        rate: task.rate_limit.map(|limit| Rate::new(limit.get())),
        subscribers: Subscribers::default(),
        nudged: Arc::new(Notify::new()),
        retry: Retry::new(),
        silence: Silence::default(),
        marks: None,
        line: None,
        line_before: None,
        task,
    };
    loop {
        let (how, why) = match port.meanwhile(open()).await {
            None => break,
            Some(Err(error)) => (Attempt::Failed, error.to_string()),
            Some(Ok(opened)) => match port.attempt(opened).await {
                None => break,
                Some(end) => end,
            },
        };
        let now = Now::read();
        port.went_away(how, why, now);
        let wait = port.retry.pause(now.mono);
        let nudged = port.nudged.clone();
        let pause = timeout(wait, nudged.notified());
        if port.meanwhile(pause).await.is_none() {
            break;
        }
    }
    port.stopped(Now::read())
}

/// The commands that wait for a port whose task has ended. They are for the next task of the port, or
/// to be refused. What is dropped is not acknowledged.
#[derive(Debug)]
pub struct Leftover {
    inbox: InboxEnd,
    begun: Begun,
    name: String,
    command_topic: Topic,
    intake: Intake,
}

impl Leftover {
    /// Refuses them all: the port is not in the configuration any more.
    pub fn refuse(self) {
        self.settle(&CommandError::Removed, false);
    }

    /// The gateway ends. What the broker keeps for the next start is not acknowledged, so that it
    /// comes again; the rest is refused.
    pub fn end(self, broker_keeps: bool) {
        self.settle(&CommandError::Ending, broker_keeps);
    }

    fn settle(self, why: &CommandError, broker_keeps: bool) {
        let (now, mut refusals) = (Now::read(), RefusedCommands::default());
        let (mut reports, mut refused, mut kept) = (Vec::new(), 0, 0);
        let mut report = |report: RefusalReport| {
            refused += report.count;
            reports.extend(refusals.refused(report, now.mono).1);
        };
        let mut settle = |topic, taken: Option<AckGuard>, outcome: Option<Outcome>| {
            if broker_keeps && taken.is_some() {
                kept += 1;
                return;
            }
            tell(outcome.as_ref(), Err(why.clone()));
            report(RefusalReport { topic, why: why.clone(), count: 1 });
            taken.into_iter().for_each(AckGuard::done);
        };
        for Done { topic, taken, outcome, .. } in self.begun.refuse(why) {
            settle(topic, taken, outcome);
        }
        let mut overflow = None;
        for came in self.inbox.drain() {
            match came {
                InboxItem::Message(Inbound { topic, taken, outcome, .. }) => {
                    settle(topic, taken, outcome);
                }
                InboxItem::Overflow(topic, count) => {
                    overflow = Some(RefusalReport { topic, why: CommandError::QueueFull, count });
                }
            }
        }
        overflow.map(&mut report);
        reports.extend(refusals.rest());
        let message = |it: &RefusalReport| {
            let refused = Err(&it.why);
            command_report(&self.command_topic, it.topic.as_str(), refused, it.count, now)
        };
        // No room is left for what the MQTT side does not take now: the log has the number.
        let _ = self.intake.offer(reports.iter().map(message).collect());
        if refused > 0 {
            tracing::warn!("port {}: {refused} commands refused: {why}", self.name);
        }
        if kept > 0 {
            tracing::info!("port {}: the broker keeps {kept} commands that wait", self.name);
        }
    }
}

/// Why an open port is no longer served.
enum End {
    Stop,
    Gone(String),
}

struct ActivePort {
    task: PortTask,
    status: PortStatus,
    next_status: Instant,
    commands: Commands,
    refusals: RefusedCommands,
    /// When the last byte came, or the port was opened.
    last_rx: Instant,
    rate: Option<Rate>,
    complaints: Complaints,
    /// Who looks on.
    subscribers: Subscribers,
    /// Ends the wait for the next try. A nudge while it tries counts for the wait after that: the
    /// device may have come too late for it.
    nudged: Arc<Notify>,
    retry: Retry,
    silence: Silence,
    /// Where the marks of a tty stand, if it has such.
    marks: Option<Marks>,
    /// What the driver counts.
    line: Option<watch::Receiver<LineCounts>>,
    /// What it had counted when the port was opened.
    line_before: Option<LineCounts>,
}

impl ActivePort {
    /// Waits for `work` while the port is away: commands wait or are refused, the status is
    /// published. `None` when the port is stopped.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let now = Now::read();
            self.refuse_late(now);
            let due = [self.commands.deadline(now.mono), self.refusals.deadline()];
            let due = due.into_iter().flatten().fold(self.next_status, Instant::min);
            tokio::select! {
                biased;
                _ = self.task.stop.changed() => return None,
                done = &mut work => return Some(done),
                came = self.task.inbox.next(self.commands.wants()) => self.came(came),
                Some(ask) = self.task.asks.recv() => self.answer(ask),
                () = sleep_until(due.into()) => {
                    if self.next_status <= Instant::now() {
                        self.publish_status(Now::read());
                    }
                }
            }
        }
    }

    /// Has an opened port until it ends: how, and why. `None` when the gateway ends.
    async fn attempt<S: AsyncRead + AsyncWrite>(
        &mut self,
        opened: Opened<S>,
    ) -> Option<(Attempt, String)> {
        let Opened { stream, device, link, line_counts } = opened;
        let mut stream = pin!(stream);
        let since = Now::read();
        let mut held = trial::Held::new();
        if link == LinkKind::Network || self.retry.distrusts() {
            match self.meanwhile(trial::pass(&mut stream, link)).await? {
                Ok(came) => held = came,
                Err(why) => {
                    // The end of a link that was none is of no interest.
                    let _ = stream.shutdown().await;
                    return Some((Attempt::Brief, format!("{device}: {why}")));
                }
            }
        }
        self.marks = (link == LinkKind::MarkedTty).then(Marks::default);
        self.line_before = self.status.line;
        if line_counts.is_some() {
            self.status.line.get_or_insert_default();
        }
        self.line = line_counts;
        self.opened(device, since);
        match self.serve(stream, held).await {
            End::Stop => None,
            End::Gone(why) => {
                let heard = self.status.last_rx.is_some_and(|heard| heard.mono >= since.mono);
                Some((retry::after_link(since.mono.elapsed(), heard), why))
            }
        }
    }

    /// `held` came before the port was known to be open.
    async fn serve<S: AsyncRead + AsyncWrite>(&mut self, stream: S, held: trial::Held) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ];
        let mut messages = Vec::new();
        for (at, bytes) in held {
            // The silences between these reads have passed already.
            while let Some(due) = self.task.pipeline.deadline().filter(|due| *due <= at.mono) {
                self.task.pipeline.timeout(Now { mono: due, ..at }, &mut messages);
            }
            self.take(&bytes, at, &mut messages);
            self.settle(&mut messages);
        }
        let end = loop {
            let now = Now::read();
            self.refuse_late(now);
            let pending = self.commands.pending(now.mono);
            let may_write = pending.is_some();
            let pending = pending.unwrap_or_default();
            let deadline = self.deadline(now.mono);
            tokio::select! {
                _ = self.task.stop.changed() => break End::Stop,
                read = reader.read(&mut buffer) => match read {
                    Ok(0) => break End::Gone("unplugged, or closed by the other end".into()),
                    Ok(n) => {
                        self.take(&buffer[..n], Now::read(), &mut messages);
                    }
                    Err(error) => break End::Gone(error.to_string()),
                },
                written = writer.write(&pending), if may_write => match written {
                    Ok(0) => break End::Gone("it takes no more bytes".into()),
                    Ok(n) => self.wrote(n),
                    Err(error) => break End::Gone(error.to_string()),
                },
                came = self.task.inbox.next(self.commands.wants()) => self.came(came),
                Some(ask) = self.task.asks.recv() => self.answer(ask),
                () = sleep_until(deadline.into()) => {
                    let now = Now::read();
                    if self.task.pipeline.deadline().is_some_and(|due| due <= now.mono) {
                        self.task.pipeline.timeout(now, &mut messages);
                    }
                    if self.silent_at().is_some_and(|due| due <= now.mono) {
                        self.fell_silent(now);
                    }
                    if self.next_status <= now.mono {
                        self.publish_status(now);
                    }
                }
            }
            self.settle(&mut messages);
        };
        self.close(writer).await;
        end
    }

    /// Takes bytes as they were read.
    fn take(&mut self, mut read: &[u8], now: Now, messages: &mut Vec<Publication>) {
        self.received(now);
        let lost = self.lost_on_the_line();
        if lost {
            self.task.pipeline.lost();
        }
        let Some(mut marks) = self.marks else { return self.take_piece(read, lost, now, messages) };
        // Good bytes between which marks stood, put together again.
        let mut run = Vec::new();
        while let Some(piece) = marks.next(&mut read) {
            match piece {
                Piece::Good(bytes) if run.is_empty() && read.is_empty() => {
                    self.take_piece(bytes, lost, now, messages);
                }
                Piece::Good(bytes) => run.extend_from_slice(bytes),
                Piece::Damaged(bytes) => {
                    self.take_piece(&std::mem::take(&mut run), lost, now, messages);
                    self.take_piece(bytes, true, now, messages);
                }
            }
        }
        self.take_piece(&run, lost, now, messages);
        self.marks = Some(marks);
    }

    fn take_piece(
        &mut self,
        bytes: &[u8],
        damaged: bool,
        now: Now,
        messages: &mut Vec<Publication>,
    ) {
        if bytes.is_empty() {
            return;
        }
        tracing::trace!(port = self.task.name, damaged, bytes = %bytes.escape_ascii());
        self.subscribers.publish_raw(now, bytes);
        match damaged {
            true => self.task.pipeline.push_damaged(bytes, now, messages),
            false => self.task.pipeline.push(bytes, now, messages),
        }
    }

    /// Takes over what the driver has counted. Whether bytes were lost since the last read: where
    /// they would have stood in this one it does not say.
    fn lost_on_the_line(&mut self) -> bool {
        let Some(line) = &mut self.line else { return false };
        // An error: the stream is closed.
        if !line.has_changed().unwrap_or(false) {
            return false;
        }
        let before = self.status.line.unwrap_or_default();
        let now = line.borrow_and_update().plus(self.line_before.unwrap_or_default());
        self.status.line = Some(now);
        now.lost() > before.lost()
    }

    /// Tells everybody what came of the last step.
    fn settle(&mut self, messages: &mut Vec<Publication>) {
        self.show_frames();
        self.limit(messages);
        self.pass_on(messages.drain(..).map(entry).collect());
        self.complain();
    }

    /// Closes the port, and answers meanwhile.
    async fn close(&mut self, mut writer: impl AsyncWrite + Unpin) {
        let mut closing = pin!(timeout(CLOSE_DEADLINE, writer.shutdown()));
        loop {
            tokio::select! {
                closed = &mut closing => {
                    if closed.is_err() {
                        let (name, device) = (&self.task.name, self.status.device.as_deref());
                        let device = device.unwrap_or_default();
                        tracing::warn!("port {name}: {device} does not close; not waiting for it");
                    }
                    return;
                }
                Some(ask) = self.task.asks.recv() => self.answer(ask),
            }
        }
    }

    fn deadline(&self, now: Instant) -> Instant {
        let commands = [self.commands.deadline(now), self.refusals.deadline()];
        let due = [self.task.pipeline.deadline(), self.silent_at()];
        due.into_iter().chain(commands).flatten().fold(self.next_status, Instant::min)
    }

    /// When an open port that says nothing is called silent.
    fn silent_at(&self) -> Option<Instant> {
        let after = self.task.silent_after?;
        (self.status.state == PortState::Open).then(|| self.last_rx + after)
    }

    fn fell_silent(&mut self, now: Now) {
        if let Some(again) = self.silence.fell(now.mono) {
            let span = Span::from_secs(now.mono.saturating_duration_since(self.last_rx).as_secs());
            tracing::warn!("port {}: not a byte for {span}{again}", self.task.name);
        }
        self.change(PortState::Silent, now);
    }

    fn received(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.last_rx, now.mono);
        self.status.last_rx = Some(now);
        if self.status.state == PortState::Silent {
            if self.silence.spoke() {
                let silent = now.mono.saturating_duration_since(before);
                let span = Span::from_secs(silent.as_secs());
                tracing::info!("port {}: it speaks again, after {span}", self.task.name);
            }
            self.change(PortState::Open, now);
        }
    }

    /// Drops what is beyond the port's rate.
    fn limit(&mut self, messages: &mut Vec<Publication>) {
        let Some(rate) = &mut self.rate else { return };
        let now = Instant::now();
        let before = messages.len();
        messages.retain(|_| rate.allows(now));
        self.status.limited += (before - messages.len()) as u64;
    }

    fn came(&mut self, came: InboxItem) {
        let now = Now::read();
        match came {
            InboxItem::Message(inbound) => {
                let error = self.status.last_error.as_deref();
                for done in self.commands.take(inbound, error, now.mono) {
                    self.conclude(done, now);
                }
            }
            InboxItem::Overflow(topic, count) => {
                self.refused(RefusalReport { topic, why: CommandError::QueueFull, count }, now);
            }
        }
    }

    fn wrote(&mut self, n: usize) {
        let now = Now::read();
        if let Some(done) = self.commands.wrote(n, now.mono) {
            self.conclude(done, now);
        }
    }

    /// Refuses what waited for too long, and reports what is due.
    fn refuse_late(&mut self, now: Now) {
        let error = self.status.last_error.as_deref();
        for done in self.commands.refusals(error, now.mono) {
            self.conclude(done, now);
        }
        for report in self.refusals.due(now.mono) {
            self.report(&report, now);
        }
    }

    /// Tells all who want to know what became of a command, the broker last.
    fn conclude(&mut self, done: Done, now: Now) {
        let Done { topic, taken, outcome, result } = done;
        tell(outcome.as_ref(), result.as_ref().map(bytes::Bytes::len).map_err(Clone::clone));
        match result {
            Ok(bytes) => {
                self.status.commands_sent += 1;
                self.subscribers.publish(now, || PortEvent::wrote(&topic, &bytes));
                tracing::debug!(port = self.task.name, %topic, "command sent");
                let of = &self.task.command_topic;
                let report = command_report(of, topic.as_str(), Ok(()), 1, now);
                self.pass_on(vec![report]);
            }
            Err(why) => self.refused(RefusalReport { topic, why, count: 1 }, now),
        }
        taken.into_iter().for_each(AckGuard::done);
    }

    fn refused(&mut self, report: RefusalReport, now: Now) {
        self.status.commands_refused += u64::from(report.count);
        let RefusalReport { topic, why, .. } = &report;
        self.subscribers.publish(now, || PortEvent::Refused(topic.clone(), why.clone()));
        let (topic, why) = (topic.clone(), why.clone());
        let (again, report) = self.refusals.refused(report, now.mono);
        if let Some(again) = again {
            tracing::warn!("port {}: command {topic} refused: {why}{again}", self.task.name);
        }
        if let Some(report) = report {
            self.report(&report, now);
        }
    }

    fn report(&mut self, report: &RefusalReport, now: Now) {
        let RefusalReport { topic, why, count } = report;
        let of = &self.task.command_topic;
        let report = command_report(of, topic.as_str(), Err(why), *count, now);
        self.pass_on(vec![report]);
    }

    fn answer(&mut self, ask: PortRequest) {
        match ask {
            PortRequest::Status(reply) => {
                let pipeline = &self.task.pipeline;
                // Who asked may have gone.
                let _ = reply.send(Snapshot {
                    status: self.status.clone(),
                    frames: pipeline.frame_counts().clone(),
                    counts: pipeline.counts().clone(),
                    values: pipeline.last_values().to_vec(),
                });
            }
            PortRequest::Monitor(monitor) => {
                self.subscribers.add(monitor);
                self.task.pipeline.show_frames(true);
                self.subscribers.publish(Now::read(), || self.status.event());
            }
            PortRequest::Rescan => self.nudged.notify_one(),
        }
    }

    fn show_frames(&mut self) {
        if self.subscribers.is_empty() {
            return;
        }
        let now = Now::read();
        for frame in self.task.pipeline.seen() {
            self.subscribers.publish(now, || PortEvent::Frame(frame.clone()));
        }
        if self.subscribers.is_empty() {
            self.task.pipeline.show_frames(false);
        }
    }

    fn pass_on(&mut self, entries: Vec<Entry>) {
        if let Err(Full(lost)) = self.task.intake.offer(entries) {
            self.status.dropped += lost.len() as u64;
        }
    }

    fn publish_status(&mut self, now: Now) {
        self.next_status = now.mono + self.task.interval;
        let pipeline = &self.task.pipeline;
        let topic = &self.task.status_topic;
        let message = self.status.message(topic, pipeline.frame_counts(), pipeline.counts());
        self.pass_on(vec![message]);
    }

    /// The port is open, and has been `since` then.
    fn opened(&mut self, device: String, since: Now) {
        let now = Now::read();
        let again = if self.status.opens > 0 { " again" } else { "" };
        if self.retry.up(now.mono) {
            tracing::info!("port {}: {device} is open{again}", self.task.name);
        }
        self.status.opens += 1;
        self.status.device = Some(device);
        self.last_rx = since.mono;
        self.task.pipeline.open(since.mono);
        self.commands.opened(now.mono);
        self.change(PortState::Open, now);
    }

    fn went_away(&mut self, how: Attempt, why: String, now: Now) {
        if let Some(cut) = self.commands.went_away(now.mono) {
            self.conclude(cut, now);
        }
        if let Some(again) = self.retry.down(how, &why, now.mono) {
            tracing::warn!("{}", retry::line(&self.task.name, &why, again));
        }
        let is_known = self.status.last_error.as_ref() == Some(&why);
        if self.status.state != PortState::Away || !is_known {
            self.status.last_error = Some(why);
            self.status.device = None;
            self.change(PortState::Away, now);
        }
    }

    fn stopped(mut self, now: Now) -> Leftover {
        if let Some(cut) = self.commands.cut() {
            self.conclude(cut, now);
        }
        for report in self.refusals.rest() {
            self.report(&report, now);
        }
        self.status.device = None;
        self.change(PortState::Stopped, now);
        let PortTask { inbox, name, command_topic, intake, .. } = self.task;
        Leftover { inbox, begun: self.commands.end(), name, command_topic, intake }
    }

    fn change(&mut self, state: PortState, now: Now) {
        if self.status.state != state {
            self.status.state = state;
            self.status.since = now;
            self.subscribers.publish(now, || self.status.event());
        }
        self.publish_status(now);
    }

    /// Logs refused readings, bad frames and drops.
    fn complain(&mut self) {
        let counts = self.task.pipeline.frame_counts();
        let bad = counts.bad();
        let lost = self.status.dropped + self.status.limited;
        let refused = self.task.pipeline.complaints();
        for line in self.complaints.lines(refused, bad, lost, Instant::now()) {
            tracing::warn!("port {}: {line}", self.task.name);
        }
    }
}

/// What a device emits, as the outbox takes it.
fn entry(Publication { message, durability, measured }: Publication) -> Entry {
    Entry { durability, measured: Some(measured), ..message.into() }
}

/// The channel has room for the results of all commands of a port; who waits for them may have gone.
fn tell(outcome: Option<&Outcome>, result: Result<usize, CommandError>) {
    if let Some(outcome) = outcome {
        let _ = outcome.try_send(result);
    }
}

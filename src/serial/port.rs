//! The task of one port: opens it, reads and writes it, and opens it again when it went away.

pub mod live;
mod rate;

use crate::backoff::Backoff;
use crate::clock::Now;
use crate::command::{Command, Refused};
use crate::frame::FrameCounts;
use crate::intake::{Full, Intake};
use crate::last::LastValue;
use crate::message::Message;
use crate::mqtt::session::Token;
use crate::mqtt::topic::Topic;
use crate::pipeline::{self, Pipeline};
use crate::status::{self, PortState};
use bytes::{Buf, Bytes};
use live::{Live, Monitor, Monitors};
use rate::Rate;
use std::collections::VecDeque;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

/// How long a command may wait for the device to take a byte.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// A port that floods or fails all day gets one line a minute in the log.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// A command message on its way to a port.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The topic it was published to.
    pub topic: Topic,
    /// Its payload.
    pub payload: Bytes,
    /// Whether the broker had kept it from before.
    pub retain: bool,
    /// Kept until the device has the command, or it was refused.
    pub taken: Option<Taken>,
    /// Gets what becomes of it: one result for each command of the port that wants it. All is said
    /// when the channel ends.
    pub outcome: Option<Outcome>,
}

/// Where the results of a command message go: bytes written, or why not.
pub type Outcome = mpsc::Sender<Result<usize, Refused>>;

/// What somebody wants to know of a port.
#[derive(Debug)]
pub enum Ask {
    /// How it is.
    Status(oneshot::Sender<Snapshot>),
    /// What happens on it from now on.
    Monitor(Monitor),
    /// Try now if it is away: a device was plugged in.
    Rescan,
}

/// How many of these may wait for a port at most.
pub const ASKS: usize = 16;

/// How a port is.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What it has done.
    pub status: status::Port,
    /// What its framer has seen.
    pub frames: FrameCounts,
    /// What became of the frames.
    pub counts: pipeline::Counts,
    /// The last value of each topic.
    pub values: Vec<LastValue>,
}

/// Tells that a command message is done with, when the last copy of this goes: only then the broker
/// is told, so that it repeats a command that was under way when the gateway lost its power.
#[derive(Clone, Debug)]
pub struct Taken {
    _last: Arc<Last>,
}

#[derive(Debug)]
struct Last {
    token: Token,
    back: mpsc::Sender<Token>,
}

impl Taken {
    /// Sends the token back in the end; the channel has room for all that there can be.
    pub fn new(token: Token, back: mpsc::Sender<Token>) -> Taken {
        Taken { _last: Arc::new(Last { token, back }) }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        // Nobody listens any more when the gateway ends; then the broker repeats it.
        let _ = self.back.try_send(self.token);
    }
}

/// How many command messages wait for a port at most.
pub const INBOX: usize = 16;

/// All that the task of a port owns.
#[derive(Debug)]
pub struct PortTask {
    /// The port's name, for the log.
    pub name: String,
    /// What its bytes become.
    pub pipeline: Pipeline,
    /// What may be written to it.
    pub commands: Vec<Command>,
    /// Command messages from the MQTT task.
    pub inbox: mpsc::Receiver<Inbound>,
    /// What others want to know.
    pub asks: mpsc::Receiver<Ask>,
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
}

/// Runs a port until the gateway ends. `open` is called again and again while the port is away.
pub async fn run<S, E>(task: PortTask, mut open: impl AsyncFnMut() -> Result<Opened<S>, E>)
where
    S: AsyncRead + AsyncWrite,
    E: Display,
{
    let now = Now::read();
    let mut port = Running {
        status: status::Port::away(now),
        next_status: now.mono + task.interval,
        next_complaint: now.mono,
        complained_of: 0,
        next_command: now.mono,
        heard: now.mono,
        rate: task.rate_limit.map(|limit| Rate::new(limit.get())),
        monitors: Monitors::default(),
        nudged: Arc::new(Notify::new()),
        task,
    };
    // Not jittered: a plug that was put back should work again within two seconds.
    let mut backoff =
        Backoff::new(Duration::from_millis(250), Duration::from_secs(2), Duration::from_secs(5));
    loop {
        let end = match port.meanwhile(open()).await {
            None => break,
            Some(Err(error)) => error.to_string(),
            Some(Ok(opened)) => {
                let now = Now::read();
                backoff.up(now.mono);
                port.opened(opened.device, now);
                match port.serve(opened.stream).await {
                    End::Stop => break,
                    End::Gone(why) => why,
                }
            }
        };
        let now = Now::read();
        port.went_away(end, now);
        let wait = backoff.down(now.mono, u32::MAX);
        let nudged = port.nudged.clone();
        let pause = timeout(wait, nudged.notified());
        if port.meanwhile(pause).await.is_none() {
            break;
        }
    }
    port.stopped(Now::read());
}

/// Why an open port is no longer served.
enum End {
    Stop,
    Gone(String),
}

/// Bytes of one command message on their way to the device.
struct Writing {
    topic: Topic,
    _taken: Option<Taken>,
    outcome: Option<Outcome>,
    /// All of it, for who looks on.
    whole: Bytes,
    /// What is left of it.
    bytes: Bytes,
    between: Duration,
    deadline: Instant,
}

struct Running {
    task: PortTask,
    status: status::Port,
    next_status: Instant,
    next_command: Instant,
    /// When the last byte came, or the port was opened.
    heard: Instant,
    rate: Option<Rate>,
    /// When the log may be bothered again about bad frames and drops.
    next_complaint: Instant,
    /// Bad frames and drops that the log knows of.
    complained_of: u64,
    /// Who looks on.
    monitors: Monitors,
    /// Ends the wait for the next try. A nudge while it tries counts for the wait after that: the
    /// device may have come too late for it.
    nudged: Arc<Notify>,
}

impl Running {
    /// Waits for `work` while the port is away: commands are refused, the status is published.
    /// `None` when the gateway ends.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                _ = self.task.stop.changed() => return None,
                done = &mut work => return Some(done),
                Some(inbound) = self.task.inbox.recv() => {
                    let why = self.status.last_error.clone();
                    let why = why.unwrap_or_else(|| "not opened yet".into());
                    let outcome = inbound.outcome.as_ref();
                    self.refuse(&inbound.topic, outcome, &Refused::Away(why), Now::read());
                }
                Some(ask) = self.task.asks.recv() => self.answer(ask),
                () = sleep_until(self.next_status.into()) => self.publish_status(Now::read()),
            }
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite>(&mut self, stream: S) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; 4096];
        let mut waiting: VecDeque<Writing> = VecDeque::new();
        let mut messages = Vec::new();
        let end = loop {
            let front = waiting.front();
            let may_write = front.is_some() && self.next_command <= Instant::now();
            let pending = front.map(|front| front.bytes.clone()).unwrap_or_default();
            let deadline = self.deadline(front, may_write);
            tokio::select! {
                _ = self.task.stop.changed() => break End::Stop,
                read = reader.read(&mut buffer) => match read {
                    Ok(0) => break End::Gone("unplugged, or closed by the other end".into()),
                    Ok(n) => {
                        tracing::trace!(port = self.task.name, bytes = %buffer[..n].escape_ascii());
                        let now = Now::read();
                        self.heard(now);
                        self.monitors.tell_raw(now, &buffer[..n]);
                        self.task.pipeline.push(&buffer[..n], now, &mut messages);
                    }
                    Err(error) => break End::Gone(error.to_string()),
                },
                written = writer.write(&pending), if may_write => match written {
                    Ok(0) => break End::Gone("it takes no more bytes".into()),
                    Ok(n) => self.wrote(n, &mut waiting),
                    Err(error) => break End::Gone(error.to_string()),
                },
                Some(inbound) = self.task.inbox.recv(), if waiting.is_empty() => {
                    self.accept(&inbound, &mut waiting);
                }
                Some(ask) = self.task.asks.recv() => self.answer(ask),
                () = sleep_until(deadline.into()) => {
                    let now = Now::read();
                    if self.task.pipeline.deadline().is_some_and(|due| due <= now.mono) {
                        self.task.pipeline.timeout(now, &mut messages);
                    }
                    if waiting.front().is_some_and(|front| front.deadline <= now.mono)
                        && let Some(stuck) = waiting.pop_front()
                    {
                        self.refuse(&stuck.topic, stuck.outcome.as_ref(), &Refused::Stuck, now);
                    }
                    if self.silent_at().is_some_and(|due| due <= now.mono) {
                        self.change(PortState::Silent, now);
                    }
                    if self.next_status <= now.mono {
                        self.publish_status(now);
                    }
                }
            }
            self.show_frames();
            self.limit(&mut messages);
            self.pass_on(&mut messages);
            self.complain();
        };
        for cut in waiting {
            self.refuse(&cut.topic, cut.outcome.as_ref(), &Refused::Cut, Now::read());
        }
        // A tty may take a while to close. What is left to be done with it is nothing.
        let _ = writer.shutdown().await;
        end
    }

    fn deadline(&self, front: Option<&Writing>, may_write: bool) -> Instant {
        let writing = front.map(|f| if may_write { f.deadline } else { self.next_command });
        let due = [self.task.pipeline.deadline(), writing, self.silent_at()];
        due.into_iter().flatten().fold(self.next_status, Instant::min)
    }

    /// When an open port that says nothing is called silent.
    fn silent_at(&self) -> Option<Instant> {
        let after = self.task.silent_after?;
        (self.status.state == PortState::Open).then(|| self.heard + after)
    }

    fn heard(&mut self, now: Now) {
        self.heard = now.mono;
        self.status.heard = Some(now);
        if self.status.state == PortState::Silent {
            self.change(PortState::Open, now);
        }
    }

    /// Drops what is beyond the port's rate.
    fn limit(&mut self, messages: &mut Vec<Message>) {
        let Some(rate) = &mut self.rate else { return };
        let now = Instant::now();
        let before = messages.len();
        messages.retain(|_| rate.allows(now));
        self.status.limited += (before - messages.len()) as u64;
    }

    /// Turns a command message into bytes, once for each rule of the port that wants it.
    fn accept(&mut self, inbound: &Inbound, waiting: &mut VecDeque<Writing>) {
        let now = Now::read();
        let mut refused = Vec::new();
        for command in &self.task.commands {
            if !command.filter.matches(inbound.topic.as_str()) {
                continue;
            }
            match command.bytes(&inbound.payload, inbound.retain) {
                Ok(bytes) => waiting.push_back(Writing {
                    topic: inbound.topic.clone(),
                    _taken: inbound.taken.clone(),
                    outcome: inbound.outcome.clone(),
                    whole: bytes.clone(),
                    bytes,
                    between: command.between,
                    deadline: now.mono.max(self.next_command) + WRITE_DEADLINE,
                }),
                Err(why) => refused.push(why),
            }
        }
        for why in refused {
            self.refuse(&inbound.topic, inbound.outcome.as_ref(), &why, now);
        }
    }

    fn wrote(&mut self, n: usize, waiting: &mut VecDeque<Writing>) {
        let Some(front) = waiting.front_mut() else { return };
        front.bytes.advance(n.min(front.bytes.len()));
        let now = Now::read();
        front.deadline = now.mono + WRITE_DEADLINE;
        if !front.bytes.is_empty() {
            return;
        }
        self.next_command = now.mono + front.between;
        self.status.commands_sent += 1;
        tell(front.outcome.as_ref(), Ok(front.whole.len()));
        self.monitors.tell(now, || Live::wrote(&front.topic, &front.whole));
        tracing::debug!(port = self.task.name, topic = %front.topic, "command sent");
        let report = status::command(&self.task.command_topic, front.topic.as_str(), Ok(()), now);
        self.pass_on(&mut vec![report]);
        waiting.pop_front();
    }

    fn refuse(&mut self, topic: &Topic, outcome: Option<&Outcome>, why: &Refused, now: Now) {
        self.status.commands_refused += 1;
        tell(outcome, Err(why.clone()));
        self.monitors.tell(now, || Live::Refused(topic.clone(), why.clone()));
        tracing::warn!("port {}: command {topic} refused: {why}", self.task.name);
        let report = status::command(&self.task.command_topic, topic.as_str(), Err(why), now);
        self.pass_on(&mut vec![report]);
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => {
                let pipeline = &self.task.pipeline;
                // Who asked may have gone.
                let _ = reply.send(Snapshot {
                    status: self.status.clone(),
                    frames: pipeline.frame_counts().clone(),
                    counts: pipeline.counts().clone(),
                    values: pipeline.last_values().to_vec(),
                });
            }
            Ask::Monitor(monitor) => {
                self.monitors.add(monitor);
                self.task.pipeline.show_frames(true);
                self.monitors.tell(Now::read(), || self.status.live());
            }
            Ask::Rescan => self.nudged.notify_one(),
        }
    }

    fn show_frames(&mut self) {
        if self.monitors.is_empty() {
            return;
        }
        let now = Now::read();
        for frame in self.task.pipeline.seen() {
            self.monitors.tell(now, || Live::Frame(frame.clone()));
        }
        if self.monitors.is_empty() {
            self.task.pipeline.show_frames(false);
        }
    }

    fn pass_on(&mut self, messages: &mut Vec<Message>) {
        if let Err(Full(lost)) = self.task.intake.offer(messages) {
            self.status.dropped += lost.len() as u64;
        }
    }

    fn publish_status(&mut self, now: Now) {
        self.next_status = now.mono + self.task.interval;
        let pipeline = &self.task.pipeline;
        let topic = &self.task.status_topic;
        let message = self.status.message(topic, pipeline.frame_counts(), pipeline.counts());
        self.pass_on(&mut vec![message]);
    }

    fn opened(&mut self, device: String, now: Now) {
        let again = if self.status.opens > 0 { " again" } else { "" };
        tracing::info!("port {}: {device} is open{again}", self.task.name);
        self.status.opens += 1;
        self.status.device = Some(device);
        self.heard = now.mono;
        self.task.pipeline.open(now.mono);
        self.change(PortState::Open, now);
    }

    fn went_away(&mut self, why: String, now: Now) {
        let was_open = matches!(self.status.state, PortState::Open | PortState::Silent);
        // A port that fails every two seconds is worth one line, until it fails in another way.
        if was_open || self.status.last_error.as_ref() != Some(&why) {
            tracing::warn!("port {}: {why}; trying again until it works", self.task.name);
            self.status.last_error = Some(why);
            self.status.device = None;
            self.change(PortState::Away, now);
        }
    }

    fn stopped(&mut self, now: Now) {
        self.status.device = None;
        self.change(PortState::Stopped, now);
    }

    fn change(&mut self, state: PortState, now: Now) {
        if self.status.state != state {
            self.status.state = state;
            self.status.since = now;
            self.monitors.tell(now, || self.status.live());
        }
        self.publish_status(now);
    }

    /// Logs refused readings, bad frames and drops, each kind at most once a minute.
    fn complain(&mut self) {
        let name = &self.task.name;
        while let Some(complaint) = self.task.pipeline.complaint() {
            let (field, cause) = (&complaint.field, complaint.cause.word());
            let (frame, more) = (complaint.frame.escape_ascii(), complaint.more);
            tracing::warn!("port {name}: {field} refused: {cause}: {frame} ({more} more unlogged)");
        }
        let counts = self.task.pipeline.frame_counts();
        let bad = counts.bad_checksum + counts.too_long + counts.cut + counts.malformed;
        let lost = self.status.dropped + self.status.limited;
        let total = bad + lost;
        if total == self.complained_of {
            return;
        }
        let now = Instant::now();
        if now >= self.next_complaint {
            tracing::warn!("port {name}: {bad} bad frames, {lost} messages lost so far");
            self.next_complaint = now + LOG_PAUSE;
            self.complained_of = total;
        }
    }
}

/// The channel has room for the results of all commands of a port; who waits for them may have gone.
fn tell(outcome: Option<&Outcome>, result: Result<usize, Refused>) {
    if let Some(outcome) = outcome {
        let _ = outcome.try_send(result);
    }
}

//! The task of one port: opens it, reads and writes it, and opens it again when it went away.

mod complaints;
pub mod live;
mod rate;
mod retry;
mod silence;
mod trial;

use crate::clock::Now;
use crate::command::{Command, Refused};
use crate::config::scalar::Span;
use crate::frame::FrameCounts;
use crate::intake::{Full, Intake};
use crate::last::LastValue;
use crate::message::Message;
use crate::mqtt::session::Token;
use crate::mqtt::topic::Topic;
use crate::pipeline::{self, Pipeline};
use crate::serial::marks::{Marks, Piece};
use crate::status::{self, LineCounts, PortState};
use bytes::{Buf, Bytes};
use complaints::Complaints;
use live::{Live, Monitor, Monitors};
use rate::Rate;
use retry::{Attempt, Retry};
use silence::Silence;
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
    /// What there is between us and the device.
    pub link: Link,
    /// Errors on the line since it was opened, where the driver counts them.
    pub line_counts: Option<watch::Receiver<LineCounts>>,
}

/// What there is between us and a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A tty.
    Tty,
    /// A tty whose damaged bytes are marked as termios(3) says at PARMRK.
    MarkedTty,
    /// A serial server on the network, which may speak itself before the device does.
    Network,
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
        complaints: Complaints::default(),
        next_command: now.mono,
        heard: now.mono,
        rate: task.rate_limit.map(|limit| Rate::new(limit.get())),
        monitors: Monitors::default(),
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
    complaints: Complaints,
    /// Who looks on.
    monitors: Monitors,
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

    /// Has an opened port until it ends: how, and why. `None` when the gateway ends.
    async fn attempt<S: AsyncRead + AsyncWrite>(
        &mut self,
        opened: Opened<S>,
    ) -> Option<(Attempt, String)> {
        let Opened { stream, device, link, line_counts } = opened;
        let mut stream = pin!(stream);
        let since = Now::read();
        let mut held = trial::Held::new();
        if link == Link::Network || self.retry.distrusts() {
            match self.meanwhile(trial::pass(&mut stream, link)).await? {
                Ok(came) => held = came,
                Err(why) => {
                    // The end of a link that was none is of no interest.
                    let _ = stream.shutdown().await;
                    return Some((Attempt::Brief, format!("{device}: {why}")));
                }
            }
        }
        self.marks = (link == Link::MarkedTty).then(Marks::default);
        self.line_before = self.status.line;
        if line_counts.is_some() {
            self.status.line.get_or_insert_default();
        }
        self.line = line_counts;
        self.opened(device, since);
        match self.serve(stream, held).await {
            End::Stop => None,
            End::Gone(why) => {
                let heard = self.status.heard.is_some_and(|heard| heard.mono >= since.mono);
                Some((retry::of_link(since.mono.elapsed(), heard), why))
            }
        }
    }

    /// `held` came before the port was known to be open.
    async fn serve<S: AsyncRead + AsyncWrite>(&mut self, stream: S, held: trial::Held) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; 4096];
        let mut waiting: VecDeque<Writing> = VecDeque::new();
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
            let front = waiting.front();
            let may_write = front.is_some() && self.next_command <= Instant::now();
            let pending = front.map(|front| front.bytes.clone()).unwrap_or_default();
            let deadline = self.deadline(front, may_write);
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
                        self.fell_silent(now);
                    }
                    if self.next_status <= now.mono {
                        self.publish_status(now);
                    }
                }
            }
            self.settle(&mut messages);
        };
        for cut in waiting {
            self.refuse(&cut.topic, cut.outcome.as_ref(), &Refused::Cut, Now::read());
        }
        // A tty may take a while to close. What is left to be done with it is nothing.
        let _ = writer.shutdown().await;
        end
    }

    /// Takes bytes as they were read.
    fn take(&mut self, mut read: &[u8], now: Now, messages: &mut Vec<Message>) {
        self.heard(now);
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

    fn take_piece(&mut self, bytes: &[u8], damaged: bool, now: Now, messages: &mut Vec<Message>) {
        if bytes.is_empty() {
            return;
        }
        tracing::trace!(port = self.task.name, damaged, bytes = %bytes.escape_ascii());
        self.monitors.tell_raw(now, bytes);
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
    fn settle(&mut self, messages: &mut Vec<Message>) {
        self.show_frames();
        self.limit(messages);
        self.pass_on(messages);
        self.complain();
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

    fn fell_silent(&mut self, now: Now) {
        if let Some(again) = self.silence.fell(now.mono) {
            let span = Span::from_secs(now.mono.saturating_duration_since(self.heard).as_secs());
            tracing::warn!("port {}: not a byte for {span}{again}", self.task.name);
        }
        self.change(PortState::Silent, now);
    }

    fn heard(&mut self, now: Now) {
        let silent = now.mono.saturating_duration_since(self.heard);
        self.heard = now.mono;
        self.status.heard = Some(now);
        if self.status.state == PortState::Silent {
            if self.silence.spoke() {
                let span = Span::from_secs(silent.as_secs());
                tracing::info!("port {}: it speaks again, after {span}", self.task.name);
            }
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

    /// The port is open, and has been `since` then.
    fn opened(&mut self, device: String, since: Now) {
        let now = Now::read();
        let again = if self.status.opens > 0 { " again" } else { "" };
        if self.retry.up(now.mono) {
            tracing::info!("port {}: {device} is open{again}", self.task.name);
        }
        self.status.opens += 1;
        self.status.device = Some(device);
        self.heard = since.mono;
        self.task.pipeline.open(since.mono);
        self.change(PortState::Open, now);
    }

    fn went_away(&mut self, how: Attempt, why: String, now: Now) {
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

/// The channel has room for the results of all commands of a port; who waits for them may have gone.
fn tell(outcome: Option<&Outcome>, result: Result<usize, Refused>) {
    if let Some(outcome) = outcome {
        let _ = outcome.try_send(result);
    }
}

//! The task of one port: opens it, pumps bytes between it and its device, and opens it again when it
//! went away.

mod complaints;
mod inbox;
mod leftover;
pub mod monitor;
mod rate;
mod refused;
mod reporter;
mod retry;
mod silence;
mod trial;

pub use inbox::{INBOX, INBOX_BYTES, Inbox, InboxEnd, OfferError, inbox};
pub use leftover::Leftover;

use crate::base::clock::Now;
use crate::base::scalar::{Name, Span};
use crate::device::{Device, Publication, READ, Topic};
use crate::outbox::inlet::Intake;
use crate::port::line_counts::LineCounts;
use crate::port::marks::{Marks, Piece};
use crate::port::settings::Port;
use crate::port::status::{PortState, Snapshot};
use inbox::InboxItem;
use monitor::Subscriber;
use reporter::Reporter;
use retry::{Attempt, Retry};
use silence::Silence;
use std::fmt::Display;
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

/// How many requests wait for a port at most.
pub const REQUESTS: usize = 16;

/// All that the task of a port owns.
#[derive(Debug)]
pub struct PortTask {
    pub name: Name,
    pub settings: Port,
    /// What its bytes become, and what may be written to it.
    pub device: Device,
    /// Command messages from the MQTT task.
    pub inbox: InboxEnd,
    /// What an earlier task of the port left, its inbox included.
    pub left: Option<Leftover>,
    pub requests: mpsc::Receiver<PortRequest>,
    /// Where its messages go.
    pub intake: Intake,
    /// Topic of its status.
    pub status_topic: Topic,
    /// Topic of what became of commands.
    pub command_topic: Topic,
    /// How often the status is published when nothing changes.
    pub interval: Duration,
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
    Tty,
    /// A tty whose damaged bytes are marked as termios(3) says at PARMRK.
    MarkedTty,
    /// A serial server on the network, which may speak itself before the device does.
    Network,
}

/// Runs a port until it is stopped. `open` is called again and again while the port is away. Returns
/// the commands that wait.
pub async fn run<S, E>(
    task: PortTask,
    mut open: impl AsyncFnMut() -> Result<Opened<S>, E>,
) -> Leftover
where
    S: AsyncRead + AsyncWrite,
    E: Display,
{
    let mut port = ActivePort::new(task, Now::read());
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
        port.went_away(how, &why, now);
        let wait = port.retry.pause(now.mono);
        let nudged = port.nudged.clone();
        let pause = timeout(wait, nudged.notified());
        if port.meanwhile(pause).await.is_none() {
            break;
        }
    }
    port.stopped(Now::read())
}

/// Why an open port is no longer served.
enum End {
    Stop,
    Gone(String),
}

struct ActivePort {
    device: Device,
    inbox: InboxEnd,
    requests: mpsc::Receiver<PortRequest>,
    stop: watch::Receiver<()>,
    reporter: Reporter,
    /// After so long without a byte the status says so.
    silent_after: Option<Duration>,
    /// When the last byte came, or the port was opened.
    last_rx: Instant,
    silence: Silence,
    /// Ends the wait for the next try. A nudge while it tries counts for the wait after that: the
    /// device may have come too late for it.
    nudged: Arc<Notify>,
    retry: Retry,
    /// Where the marks of a tty stand, if it has such.
    marks: Option<Marks>,
    /// What the driver counts.
    line: Option<watch::Receiver<LineCounts>>,
    /// What it had counted when the port was opened.
    line_before: Option<LineCounts>,
}

impl ActivePort {
    fn new(mut task: PortTask, now: Now) -> ActivePort {
        let (inbox, unwritten) = match task.left.take() {
            Some(left) => (left.inbox, Some(left.unwritten)),
            None => (task.inbox, None),
        };
        task.device.coming(unwritten, now.mono);
        let rate_limit = task.settings.rate_limit;
        let (topics, intake) = ((task.status_topic, task.command_topic), task.intake);
        ActivePort {
            reporter: Reporter::new(task.name, topics, intake, task.interval, rate_limit, now),
            device: task.device,
            inbox,
            requests: task.requests,
            stop: task.stop,
            silent_after: task.settings.silent_after.map(Span::duration),
            last_rx: now.mono,
            silence: Silence::default(),
            nudged: Arc::new(Notify::new()),
            retry: Retry::new(),
            marks: None,
            line: None,
            line_before: None,
        }
    }

    /// Waits for `work` while the port is away: commands wait or are refused, the status is
    /// published. `None` when the port is stopped.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        // Nothing is read, so nothing is published but what became of commands.
        let mut none = Vec::new();
        loop {
            let now = Now::read();
            self.device.timeout(now, &mut none);
            self.reporter.settle(&mut self.device, &mut none, now);
            let due = self.deadline();
            tokio::select! {
                biased;
                _ = self.stop.changed() => return None,
                done = &mut work => return Some(done),
                item = self.inbox.next(self.device.wants_command()) => self.came(item),
                Some(request) = self.requests.recv() => self.answer(request),
                () = sleep_until(due.into()) => self.reporter.tick(&self.device, Now::read()),
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
        let status = &mut self.reporter.status;
        self.line_before = status.line;
        if line_counts.is_some() {
            status.line.get_or_insert_default();
        }
        self.line = line_counts;
        self.opened(device, since);
        match self.serve(stream, held).await {
            End::Stop => None,
            End::Gone(why) => {
                let last_rx = self.reporter.status.last_rx;
                let heard = last_rx.is_some_and(|last_rx| last_rx.mono >= since.mono);
                Some((retry::after_link(since.mono.elapsed(), heard), why))
            }
        }
    }

    /// `held` came before the port was known to be open.
    async fn serve<S: AsyncRead + AsyncWrite>(&mut self, stream: S, held: trial::Held) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ];
        let mut messages = Vec::new();
        let mut passed = held.first().map_or_else(Now::read, |(at, _)| *at);
        for (at, bytes) in held {
            // The silences between these reads have passed already.
            self.device.pass(&mut passed, at, &mut messages);
            self.take(&bytes, at, &mut messages);
        }
        let end = loop {
            let now = Now::read();
            let pending = self.device.transmit(now.mono);
            let may_write = pending.is_some();
            let pending = pending.unwrap_or_default();
            self.reporter.settle(&mut self.device, &mut messages, now);
            let due = self.deadline();
            tokio::select! {
                _ = self.stop.changed() => break End::Stop,
                read = reader.read(&mut buffer) => match read {
                    Ok(0) => break End::Gone("unplugged, or closed by the other end".into()),
                    Ok(n) => self.take(&buffer[..n], Now::read(), &mut messages),
                    Err(error) => break End::Gone(error.to_string()),
                },
                written = writer.write(&pending), if may_write => match written {
                    Ok(0) => break End::Gone("it takes no more bytes".into()),
                    Ok(n) => self.device.wrote(n, Instant::now()),
                    Err(error) => break End::Gone(error.to_string()),
                },
                item = self.inbox.next(self.device.wants_command()) => self.came(item),
                Some(request) = self.requests.recv() => self.answer(request),
                () = sleep_until(due.into()) => {
                    let now = Now::read();
                    self.device.timeout(now, &mut messages);
                    if self.silent_at().is_some_and(|due| due <= now.mono) {
                        self.fell_silent(now);
                    }
                    self.reporter.tick(&self.device, now);
                }
            }
        };
        self.close(writer).await;
        end
    }

    /// Takes bytes as they were read.
    fn take(&mut self, mut read: &[u8], now: Now, messages: &mut Vec<Publication>) {
        self.received(now);
        let lost = self.lost_on_the_line();
        if lost {
            self.device.pipeline_mut().lost();
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
        tracing::trace!(port = %self.reporter.name, damaged, bytes = %bytes.escape_ascii());
        self.reporter.subscribers.publish_raw(now, bytes);
        if damaged {
            self.device.push_damaged(bytes, now, messages);
        } else {
            self.device.push(bytes, now, messages);
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
        let counted = &mut self.reporter.status.line;
        let before = counted.unwrap_or_default();
        let now = line.borrow_and_update().plus(self.line_before.unwrap_or_default());
        *counted = Some(now);
        now.lost() > before.lost()
    }

    /// Closes the port, and answers meanwhile.
    async fn close(&mut self, mut writer: impl AsyncWrite + Unpin) {
        let mut closing = pin!(timeout(CLOSE_DEADLINE, writer.shutdown()));
        loop {
            tokio::select! {
                closed = &mut closing => {
                    if closed.is_err() {
                        let (name, device) = (&self.reporter.name, &self.reporter.status.device);
                        let device = device.as_deref().unwrap_or_default();
                        tracing::warn!("port {name}: {device} does not close; not waiting for it");
                    }
                    return;
                }
                Some(request) = self.requests.recv() => self.answer(request),
            }
        }
    }

    /// When the next step is due though nothing comes.
    fn deadline(&self) -> Instant {
        let due = [self.device.deadline(), self.silent_at()].into_iter().flatten();
        due.fold(self.reporter.deadline(), Instant::min)
    }

    /// When an open port that says nothing is called silent.
    fn silent_at(&self) -> Option<Instant> {
        let after = self.silent_after?;
        (self.reporter.status.state == PortState::Open).then(|| self.last_rx + after)
    }

    fn fell_silent(&mut self, now: Now) {
        if let Some(again) = self.silence.fell(now.mono) {
            let span = Span::from_secs(now.mono.saturating_duration_since(self.last_rx).as_secs());
            tracing::warn!("port {}: not a byte for {span}{again}", self.reporter.name);
        }
        self.reporter.change(PortState::Silent, &self.device, now);
    }

    fn received(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.last_rx, now.mono);
        self.reporter.status.last_rx = Some(now);
        if self.reporter.status.state == PortState::Silent {
            if self.silence.spoke() {
                let silent = now.mono.saturating_duration_since(before);
                let span = Span::from_secs(silent.as_secs());
                tracing::info!("port {}: it speaks again, after {span}", self.reporter.name);
            }
            self.reporter.change(PortState::Open, &self.device, now);
        }
    }

    fn came(&mut self, item: InboxItem) {
        match item {
            InboxItem::Message(inbound) => self.device.command(inbound, Instant::now()),
            InboxItem::Overflow(topic, count) => self.reporter.overflow(topic, count, Now::read()),
        }
    }

    fn answer(&mut self, request: PortRequest) {
        match request {
            PortRequest::Status(reply) => {
                // Whoever asked may be gone.
                let _ = reply.send(Snapshot::new(&self.reporter.status, &self.device));
            }
            PortRequest::Monitor(subscriber) => {
                self.reporter.subscribe(subscriber);
                self.device.pipeline_mut().show_frames(true);
            }
            PortRequest::Rescan => self.nudged.notify_one(),
        }
    }

    /// The port is open, and has been `since` then.
    fn opened(&mut self, opened: String, since: Now) {
        let now = Now::read();
        let status = &mut self.reporter.status;
        let again = if status.opens > 0 { " again" } else { "" };
        if self.retry.up(now.mono) {
            tracing::info!("port {}: {opened} is open{again}", self.reporter.name);
        }
        status.opens += 1;
        status.device = Some(opened);
        self.last_rx = since.mono;
        self.device.opened(since.mono);
        self.reporter.change(PortState::Open, &self.device, now);
    }

    fn went_away(&mut self, how: Attempt, why: &str, now: Now) {
        self.device.closed(why, now.mono);
        self.reporter.settle(&mut self.device, &mut Vec::new(), now);
        if let Some(again) = self.retry.down(how, why, now.mono) {
            tracing::warn!("{}", retry::line(self.reporter.name.as_str(), why, again));
        }
        self.reporter.went_away(why, &self.device, now);
    }

    fn stopped(mut self, now: Now) -> Leftover {
        let unwritten = self.device.stop();
        self.reporter.settle(&mut self.device, &mut Vec::new(), now);
        self.reporter.stopped(&self.device, now);
        let Reporter { name, command_topic, intake, .. } = self.reporter;
        Leftover { inbox: self.inbox, unwritten, name, command_topic, intake }
    }
}

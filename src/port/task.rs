//! The task of one port: it opens the port, moves bytes between it and its device, and opens it again
//! when it went away.

mod availability;
mod complaints;
mod inbox;
mod leftover;
pub mod monitor;
mod receiver;
mod refused;
mod reporter;
mod retry;
mod silence;
mod trial;

pub use inbox::{INBOX, INBOX_BYTES, Inbox, InboxEnd, OfferError, inbox};
pub use leftover::Leftover;

use crate::base::clock::Now;
use crate::base::scalar::{Name, Span};
use crate::device::{Device, Publication, READ, Transmit};
use crate::outbox::inlet;
use crate::port::open::{LinkKind, Opened};
use crate::port::settings::Port;
use crate::port::status::{PortState, PortTopics, Snapshot};
use bytes::Bytes;
use inbox::InboxItem;
use monitor::Subscriber;
use receiver::Receiver;
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

#[derive(Debug)]
pub struct PortTask {
    pub name: Name,
    pub settings: Port,
    /// What makes messages of its bytes, and decides what is written to it.
    pub device: Device,
    /// Command messages from the MQTT task.
    pub inbox: InboxEnd,
    /// What an earlier task of the port left, with the inbox to go on with.
    pub left: Option<Leftover>,
    pub requests: mpsc::Receiver<PortRequest>,
    pub intake: inlet::Sender,
    pub topics: PortTopics,
    /// How often the status is published when nothing changes.
    pub interval: Duration,
    /// The task ends when the other end is dropped.
    pub stop: watch::Receiver<()>,
}

/// What others ask of a running port.
#[derive(Debug)]
pub enum PortRequest {
    /// How it is.
    Status(oneshot::Sender<Snapshot>),
    /// What happens on it from now on.
    Monitor(Subscriber),
    /// To try again now if it is away: a device was plugged in.
    Rescan,
}

/// How many requests wait for a port at most.
pub const REQUESTS: usize = 16;

/// Runs a port until it is stopped; `open` is called again and again while the port is away. Returns
/// the commands that still wait.
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
        let (wait, nudged) = (port.retry.pause(now.mono), port.nudged.clone());
        if port.meanwhile(timeout(wait, nudged.notified())).await.is_none() {
            break;
        }
    }
    port.stopped(Now::read())
}

struct ActivePort {
    device: Device,
    inbox: InboxEnd,
    requests: mpsc::Receiver<PortRequest>,
    stop: watch::Receiver<()>,
    reporter: Reporter,
    receiver: Receiver,
    silence: Silence,
    /// Ends the wait for the next attempt. A nudge during an attempt counts for the wait after it: the
    /// device may have come too late for that attempt.
    nudged: Arc<Notify>,
    retry: Retry,
}

impl ActivePort {
    fn new(mut task: PortTask, now: Now) -> ActivePort {
        let (inbox, unwritten, farewell) = match task.left.take() {
            Some(left) => (left.inbox, Some(left.unwritten), left.farewell),
            None => (task.inbox, None, Vec::new()),
        };
        task.device.coming(unwritten, now.mono);
        let (settings, intake) = (task.settings, task.intake);
        let rate_limit = settings.rate_limit;
        let mut reporter =
            Reporter::new(task.name, task.topics, intake, task.interval, rate_limit, now);
        reporter.bid_farewell(farewell);
        ActivePort {
            reporter,
            device: task.device,
            inbox,
            requests: task.requests,
            stop: task.stop,
            receiver: Receiver::default(),
            silence: Silence::new(settings.silent_after.map(Span::duration), now.mono),
            nudged: Arc::new(Notify::new()),
            retry: Retry::new(),
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

    /// Runs an opened port until it ends. Returns how and why it ended; `None` when the gateway ends.
    async fn attempt<S: AsyncRead + AsyncWrite>(
        &mut self,
        opened: Opened<S>,
    ) -> Option<(Attempt, String)> {
        let Opened { stream, device, link, line_counts } = opened;
        let mut stream = pin!(stream);
        let since = Now::read();
        let mut held = trial::Held::new();
        if link == LinkKind::Network || self.retry.distrusts {
            match self.meanwhile(trial::pass(&mut stream, link)).await? {
                Ok(came) => held = came,
                Err(why) => {
                    self.close(stream).await;
                    return Some((Attempt::Brief, format!("{device}: {why}")));
                }
            }
        }
        self.receiver = Receiver::new(link, line_counts, &mut self.reporter.status);
        let now = Now::read();
        let is_told = self.retry.up(now.mono);
        self.silence.opened(since.mono);
        self.device.opened(since.mono);
        self.reporter.opened(device, is_told, &self.device, now);
        let why = self.serve(stream, held).await?;
        let heard = self.reporter.status.last_rx.is_some_and(|at| at.mono >= since.mono);
        Some((retry::after_link(since.mono.elapsed(), heard), why))
    }

    /// Moves bytes until the port ends, and returns why it did; `None` when the gateway ends. `held` was
    /// read during the trial.
    async fn serve<S: AsyncRead + AsyncWrite>(
        &mut self,
        stream: S,
        held: trial::Held,
    ) -> Option<String> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ];
        let mut messages = Vec::new();
        let mut passed = held.first().map_or_else(Now::read, |(at, _)| *at);
        for (at, bytes) in held {
            // The time between these reads has passed already.
            self.device.pass(&mut passed, at, &mut messages);
            self.take(&bytes, at, &mut messages);
        }
        let end = loop {
            let now = Now::read();
            let (pending, may_write) = match self.device.transmit(now, &mut messages) {
                Some(Transmit::Write(bytes)) => (bytes, true),
                // A line whose setting cannot be changed stays as it is.
                Some(Transmit::Set(line)) => {
                    self.device.set(line, now, &mut messages);
                    continue;
                }
                None => (Bytes::new(), false),
            };
            self.reporter.settle(&mut self.device, &mut messages, now);
            // To be woken for each byte of a long reply would be most of the work.
            let held = self.device.held_until().filter(|held| *held > now.mono);
            let due = held.into_iter().fold(self.deadline(), Instant::min);
            tokio::select! {
                _ = self.stop.changed() => break None,
                read = reader.read(&mut buffer), if held.is_none() => match read {
                    Ok(0) => break Some("unplugged, or closed by the other end".into()),
                    Ok(n) => self.take(&buffer[..n], Now::read(), &mut messages),
                    Err(error) => break Some(error.to_string()),
                },
                written = writer.write(&pending), if may_write => match written {
                    Ok(0) => break Some("it takes no more bytes".into()),
                    Ok(n) => {
                        let now = Now::read();
                        self.reporter.subscribers.publish_write(now, &pending[..n]);
                        self.device.wrote(n, now, &mut messages);
                    }
                    Err(error) => break Some(error.to_string()),
                },
                item = self.inbox.next(self.device.wants_command()) => self.came(item),
                Some(request) = self.requests.recv() => self.answer(request),
                () = sleep_until(due.into()) => {
                    let now = Now::read();
                    self.device.timeout(now, &mut messages);
                    if self.silent_at().is_some_and(|due| due <= now.mono) {
                        self.reporter.fell_silent(self.silence.fell(now.mono), &self.device, now);
                    }
                    self.reporter.tick(&self.device, now);
                }
            }
        };
        self.close(writer).await;
        end
    }

    /// Closes the port, and answers requests meanwhile.
    async fn close(&mut self, mut writer: impl AsyncWrite + Unpin) {
        let mut closing = pin!(timeout(CLOSE_DEADLINE, writer.shutdown()));
        loop {
            tokio::select! {
                closed = &mut closing => {
                    return if closed.is_err() {
                        self.reporter.does_not_close();
                    };
                }
                Some(request) = self.requests.recv() => self.answer(request),
            }
        }
    }

    /// When the next step is due if nothing comes.
    fn deadline(&self) -> Instant {
        let due = [self.device.deadline(), self.silent_at()].into_iter().flatten();
        due.fold(self.reporter.deadline(), Instant::min)
    }

    fn silent_at(&self) -> Option<Instant> {
        self.silence.deadline().filter(|_| self.reporter.status.state == PortState::Open)
    }

    fn take(&mut self, read: &[u8], now: Now, messages: &mut Vec<Publication>) {
        let silent = self.silence.received(now.mono);
        self.reporter.received(silent, &self.device, now);
        self.receiver.take(read, &mut self.device, &mut self.reporter, now, messages);
    }

    fn came(&mut self, item: InboxItem) {
        match item {
            InboxItem::Message(inbound) => self.device.command(inbound, Instant::now()),
            InboxItem::Overflow(topic, count) => self.reporter.overflow(topic, count, Now::read()),
        }
    }

    fn answer(&mut self, request: PortRequest) {
        match request {
            // Whoever asked may be gone.
            PortRequest::Status(reply) => drop(reply.send(self.reporter.snapshot(&self.device))),
            PortRequest::Monitor(subscriber) => {
                self.reporter.subscribe(subscriber, &mut self.device);
            }
            PortRequest::Rescan => self.nudged.notify_one(),
        }
    }

    fn went_away(&mut self, how: Attempt, why: &str, now: Now) {
        self.device.closed(why, now.mono);
        self.reporter.settle(&mut self.device, &mut Vec::new(), now);
        let again = self.retry.down(how, why, now.mono);
        self.reporter.went_away(why, again, &self.device, now);
    }

    fn stopped(mut self, now: Now) -> Leftover {
        let unwritten = self.device.stop();
        self.reporter.settle(&mut self.device, &mut Vec::new(), now);
        self.reporter.stopped(&self.device, now);
        let farewell = self.reporter.farewell(&self.device, now);
        self.reporter.leave(self.inbox, unwritten, farewell)
    }
}

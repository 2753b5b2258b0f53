//! The task of one port: it opens the port, moves bytes between it and its device, and opens it again
//! when it went away.

mod alarm;
mod availability;
mod complaints;
mod inbox;
mod leftover;
mod link;
pub mod monitor;
mod receiver;
mod refused;
mod reporter;
mod request;
mod retry;
mod silence;
mod trial;

pub use inbox::{INBOX, INBOX_BYTES, Inbox, InboxEnd, OfferError, inbox};
pub use leftover::Leftover;
pub use request::{PortRequest, REQUESTS};

use crate::base::clock::Now;
use crate::base::scalar::{Name, Span};
use crate::device::{Device, Newcomer, Publication};
use crate::outbox::inlet;
use crate::port::open::Opened;
use crate::port::settings::Port;
use crate::port::status::{PortState, PortTopics};
use crate::port::stream::PortStream;
use inbox::InboxItem;
use receiver::Receiver;
use reporter::Reporter;
use retry::{Attempt, Retry};
use silence::Silence;
use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep_until, timeout};

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
    /// Takes the fields that only frames name, where somebody wants to know of them.
    pub newcomers: Option<mpsc::Sender<Newcomer>>,
    pub topics: PortTopics,
    /// How often the status is published when nothing changes.
    pub interval: Duration,
    /// The task ends when the other end is dropped.
    pub stop: watch::Receiver<()>,
}

/// Runs a port until it is stopped; `open` is called again and again while the port is away. Returns
/// the commands that still wait.
pub async fn run<S, E>(
    task: PortTask,
    mut open: impl AsyncFnMut() -> Result<Opened<S>, E>,
) -> Leftover
where
    S: PortStream,
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
        reporter.newcomers = task.newcomers;
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

    /// When the next step is due if nothing comes.
    fn deadline(&self) -> Instant {
        let due = [self.device.deadline(), self.silent_at()].into_iter().flatten();
        due.fold(self.reporter.deadline(), Instant::min)
    }

    fn silent_at(&self) -> Option<Instant> {
        self.silence.deadline().filter(|_| self.reporter.status.report.state == PortState::Open)
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

//! The MQTT task: keeps a link to the broker, moves messages from the outbox into it, and hands
//! command messages to the ports.

use super::session::{Event, Session, SessionError};
use super::topic::{Qos, Topic, TopicFilter};
use super::transport::{ConnectError, Connector, Stage};
use crate::backoff::{self, Backoff};
use crate::clock::Now;
use crate::command::Refused;
use crate::config::scalar::BrokerUrl;
use crate::intake::Outlet;
use crate::message::Message;
use crate::outbox::Outbox;
use crate::serial::port::Inbound;
use crate::status;
use bytes::{Buf, BytesMut};
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// How long the broker's side may take no byte before the link counts as dead.
const WRITE_DEADLINE: Duration = Duration::from_secs(20);

/// While messages wait for acknowledgements, these are read so far apart: brokers write each by
/// itself, and to wake up for each would cost more than all else.
const GATHER: Duration = Duration::from_millis(1);

/// How long the outbox may take to empty itself when the gateway ends.
const GRACE: Duration = Duration::from_secs(5);

/// A subscription and where its messages go.
#[derive(Debug)]
pub struct Route {
    /// What is subscribed to, with the QoS asked for.
    pub filters: Vec<(TopicFilter, Qos)>,
    /// Takes each message that one of the filters matches, once.
    pub inbox: mpsc::Sender<Inbound>,
    /// Where a message that the inbox has no room for is reported.
    pub report: Topic,
}

/// All that the MQTT task owns.
#[derive(Debug)]
pub struct Link {
    /// The broker's address, for the log.
    pub broker: BrokerUrl,
    /// The protocol.
    pub session: Session,
    /// File with the password, read at each connect so that a new one needs no restart.
    pub password_file: Option<PathBuf>,
    /// What waits for the broker.
    pub outbox: Outbox,
    /// Messages from the ports; its end is the end of the gateway.
    pub outlet: Outlet,
    /// Where inbound messages go.
    pub routes: Vec<Route>,
    /// Topics of the gateway's own status; `None` for a client that is no gateway.
    pub topics: Option<status::Topics>,
    /// How often the broker's status is published when nothing changes.
    pub interval: Duration,
}

/// Runs the MQTT task until every port has ended and what they left was sent, or the grace time
/// for that is over. Returns how many messages could not be delivered.
pub async fn run(link: Link, mut connector: Connector) -> usize {
    let now = Now::read();
    let next_status = now.mono + link.interval;
    let status = status::Broker::away(now);
    let mut running = Running { link, status, next_status, ended: None };
    let mut backoff =
        Backoff::new(Duration::from_secs(1), Duration::from_secs(60), Duration::from_secs(30));
    while running.ended.is_none() {
        let Some(why) = running.connect_and_serve(&mut connector, &mut backoff).await else {
            break;
        };
        running.link_lost(&why);
        let wait = backoff.down(Instant::now(), backoff::random()).max(why.least_wait());
        running.meanwhile(tokio::time::sleep(wait)).await;
    }
    running.link.outbox.len()
}

/// An attempt may wait for the clock for hours, which nobody should have to guess.
fn tell(stage: Stage) {
    match stage {
        Stage::WaitingForClock => tracing::warn!("{stage}: the broker's certificate has dates"),
        _ => tracing::debug!("{stage}"),
    }
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No stream came about.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The protocol ended it.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The stream failed.
    #[error("the link broke: {0}")]
    Io(#[from] io::Error),
    /// The broker closed the stream without a word.
    #[error("the broker closed the link")]
    Closed,
    /// The broker's side takes no bytes.
    #[error("the broker took no bytes for {} s", WRITE_DEADLINE.as_secs())]
    Stuck,
    /// The password file cannot be read.
    #[error("password_file {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LinkError {
    /// What only an operator can mend is tried slowly, or the broker would count it as an attack.
    fn least_wait(&self) -> Duration {
        match self {
            LinkError::Session(error) if error.needs_operator() => Duration::from_secs(60),
            LinkError::Password { .. } => Duration::from_secs(10),
            _ => Duration::ZERO,
        }
    }
}

struct Running {
    link: Link,
    status: status::Broker,
    next_status: Instant,
    /// When every port had ended.
    ended: Option<Instant>,
}

impl Running {
    /// Waits for `work` while there is no link: messages go to the outbox. `None` when the
    /// gateway ends.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                batch = self.link.outlet.next() => match batch {
                    Some(messages) => self.store(messages),
                    None => {
                        self.ended = Some(Instant::now());
                        return None;
                    }
                },
                () = sleep_until(self.next_status.into()) => self.publish_status(Now::read()),
            }
        }
    }

    /// One link from its first packet to its end. `None` when the gateway has ended.
    async fn connect_and_serve(
        &mut self,
        connector: &mut Connector,
        backoff: &mut Backoff,
    ) -> Option<LinkError> {
        if let Err(error) = self.read_password() {
            return Some(error);
        }
        let stream = self.meanwhile(connector.connect(tell)).await?;
        self.link.broker = connector.broker().clone();
        match stream {
            Ok(stream) => {
                let end = self.serve(stream, backoff).await.err();
                if self.status.is_connected() {
                    connector.established();
                }
                end
            }
            Err(error) => Some(error.into()),
        }
    }

    fn read_password(&mut self) -> Result<(), LinkError> {
        let Some(path) = &self.link.password_file else { return Ok(()) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| LinkError::Password { path: path.clone(), source })?;
        let password = text.lines().next().unwrap_or_default();
        self.link.session.set_password(password.to_owned().into());
        Ok(())
    }

    /// Serves one stream. `Ok` when the gateway has ended and the broker was told.
    async fn serve<S: AsyncRead + AsyncWrite>(
        &mut self,
        stream: S,
        backoff: &mut Backoff,
    ) -> Result<(), LinkError> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut input = BytesMut::new();
        let mut unflushed = false;
        let mut write_due = None;
        self.link.session.connect(Instant::now());
        loop {
            let now = Now::read();
            self.take_events(now, backoff);
            self.link.session.send(&mut self.link.outbox);
            if self.may_leave(now.mono) {
                break;
            }
            let waiting = !self.link.session.output().is_empty();
            if !waiting && !unflushed {
                write_due = None;
            } else if write_due.is_none() {
                write_due = Some(now.mono + WRITE_DEADLINE);
            }
            let deadline = self.deadline(write_due);
            input.reserve(4096);
            tokio::select! {
                read = reader.read_buf(&mut input), if self.link.session.wants_input() => {
                    if read? == 0 {
                        return Err(LinkError::Closed);
                    }
                    let now = Instant::now();
                    self.link.session.receive(&mut input, &mut self.link.outbox, now)?;
                    if self.link.session.is_full() {
                        // This thread has nothing else to do, and an event loop that looks away
                        // is woken all the same.
                        std::thread::sleep(GATHER);
                    }
                }
                written = write_or_flush(&mut writer, self.link.session.output()),
                    if waiting || unflushed =>
                {
                    let n = written?;
                    self.link.session.output().advance(n);
                    self.link.session.wrote(Instant::now());
                    unflushed = waiting;
                    write_due = None;
                }
                batch = self.link.outlet.next(), if self.ended.is_none() => match batch {
                    Some(messages) => self.store(messages),
                    None => self.end(),
                },
                () = sleep_until(deadline.into()) => {
                    let now = Now::read();
                    if write_due.is_some_and(|due| due <= now.mono) {
                        return Err(LinkError::Stuck);
                    }
                    self.link.session.timeout(now.mono)?;
                    if self.next_status <= now.mono {
                        self.publish_status(now);
                    }
                }
            }
        }
        self.link.session.disconnect();
        let farewell = async {
            while !self.link.session.output().is_empty() {
                let n = writer.write(self.link.session.output()).await?;
                self.link.session.output().advance(n);
            }
            writer.flush().await?;
            writer.shutdown().await
        };
        // The broker may be gone by now; there is nothing left that could be lost.
        let _ = tokio::time::timeout(Duration::from_secs(1), farewell).await;
        Ok(())
    }

    fn deadline(&self, write_due: Option<Instant>) -> Instant {
        let grace = self.ended.map(|ended| ended + GRACE);
        let due = [self.link.session.deadline(), write_due, grace];
        due.into_iter().flatten().fold(self.next_status, Instant::min)
    }

    /// Takes in what the ports sent, several reads at once so that they share a write.
    fn store(&mut self, messages: Vec<Message>) {
        let mut next = Some(messages);
        // Bounded, so that a flood of messages does not keep the link waiting.
        for _ in 0..64 {
            let Some(messages) = next else { return };
            for message in messages {
                self.link.outbox.push(message);
            }
            next = self.link.outlet.try_next();
        }
        for message in next.into_iter().flatten() {
            self.link.outbox.push(message);
        }
    }

    /// Every port has ended: the broker is told that the gateway is leaving.
    fn end(&mut self) {
        self.ended = Some(Instant::now());
        self.publish_status(Now::read());
        if let Some(topics) = &self.link.topics {
            self.link.outbox.push(status::gateway(topics, false));
        }
    }

    fn may_leave(&self, now: Instant) -> bool {
        self.ended.is_some_and(|ended| self.link.outbox.is_empty() || now >= ended + GRACE)
    }

    fn take_events(&mut self, now: Now, backoff: &mut Backoff) {
        while let Some(event) = self.link.session.event() {
            match event {
                Event::Connected { session_present } => {
                    backoff.up(now.mono);
                    let session = if session_present { ", session resumed" } else { "" };
                    tracing::info!("connected to {}{session}", self.link.broker);
                    self.status.connected(now);
                    if let Some(topics) = &self.link.topics {
                        self.link.outbox.push_first(status::gateway(topics, true));
                    }
                    self.publish_status(now);
                }
                Event::Message { topic, payload, retain } => self.route(&topic, &payload, retain),
                Event::Subscribed { filter, granted: Some(_) } => {
                    tracing::debug!("subscribed to {}", filter.as_str());
                }
                Event::Subscribed { filter, granted: None } => {
                    let filter = filter.as_str();
                    tracing::error!("the broker refuses the subscription to {filter}");
                }
                Event::Oversize { topic, bytes } => {
                    tracing::warn!("a message of {bytes} bytes to {topic} was too large for us");
                }
            }
        }
    }

    fn route(&mut self, topic: &Topic, payload: &bytes::Bytes, retain: bool) {
        for route in &self.link.routes {
            if !route.filters.iter().any(|(filter, _)| filter.matches(topic.as_str())) {
                continue;
            }
            let inbound = Inbound { topic: topic.clone(), payload: payload.clone(), retain };
            if route.inbox.try_send(inbound).is_err() {
                tracing::warn!("command {topic} refused: {}", Refused::QueueFull);
                let refused = Err(&Refused::QueueFull);
                let report = status::command(&route.report, topic.as_str(), refused, Now::read());
                self.link.outbox.push(report);
            }
        }
    }

    fn link_lost(&mut self, why: &LinkError) {
        self.link.session.disconnected();
        let why = why.to_string();
        // A broker that stays away is worth one line, until it fails in another way.
        if self.status.is_connected() || self.status.last_error() != Some(&why) {
            tracing::warn!("{}: {why}; trying again until it works", self.link.broker);
        }
        self.status.lost(why, Now::read());
    }

    fn publish_status(&mut self, now: Now) {
        self.next_status = now.mono + self.link.interval;
        if let Some(topics) = &self.link.topics {
            let message = self.status.message(topics, &self.link.outbox);
            self.link.outbox.push(message);
        }
    }
}

/// Writes what there is, or else flushes: TLS keeps what the socket did not take until then.
/// Returns how many bytes were written. Cancel-safe, as both are.
async fn write_or_flush(
    writer: &mut (impl AsyncWrite + Unpin),
    output: &[u8],
) -> io::Result<usize> {
    if output.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(output).await {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        written => written,
    }
}

//! A link that reconnects by itself: it connects, moves bytes between a stream and the session, and
//! waits after an end before it tries again. Its owner polls it for events; it has no task of its own.

mod brokers;
mod down;
mod error;
mod failback;
mod state;
mod stream;

pub use super::transport::{Dial, Dialed, Io};
pub use error::{CloseReason, LinkError};
pub use state::State;

use super::files;
use super::packet::{Disconnect, Reason, Version};
use super::session::{self, Ending, Session, WillLimit};
use super::source::{MessageId, Outcome, Source};
use super::transport::{ConnectError, FixedStreams, Stage};
use super::url::BrokerUrl;
use crate::base::backoff::{self, Backoff};
use brokers::Brokers;
use failback::Failback;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};
use stream::Stream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout_at};

/// How long DISCONNECT and the broker's close may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a link behaves besides the protocol.
#[derive(Clone, Debug)]
pub struct Options {
    /// File with the password in its first line, read before each attempt so that a new password
    /// needs no restart. A password in a broker's address overrides it.
    pub password_file: Option<PathBuf>,
    /// Whether the link reconnects after it ended.
    pub reconnect: bool,
    /// The first and the longest back-off; it doubles in between.
    pub wait: (Duration, Duration),
    /// Time between two probes of the first of several brokers while connected to another one.
    pub failback: Duration,
    /// Whether each wait is shortened at random, so that many clients whose broker was away do not
    /// reconnect at the same moment.
    pub jitter: bool,
    /// A source of random numbers, evenly spread over the whole range.
    pub random: fn() -> u32,
    /// Bytes that are read at once, 1 to 65,536.
    pub read_buffer: usize,
    /// Pause after each read while the maximum of messages is in flight: brokers write each
    /// acknowledgement by itself, and to wake up for each would cost more than everything else. It
    /// puts the whole thread to sleep, because a timer of the runtime would not keep the socket from
    /// waking the thread up; so it is for a thread that has nothing else to do.
    pub gather: Option<Duration>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            password_file: None,
            reconnect: true,
            wait: (Duration::from_secs(1), Duration::from_secs(60)),
            failback: Duration::from_secs(300),
            jitter: true,
            random: backoff::random,
            read_buffer: 4096,
            gather: None,
        }
    }
}

impl Options {
    /// Always waits for the same time. After an error that only an operator can mend, the link still
    /// waits for at least a minute.
    pub fn fixed(wait: Duration) -> Options {
        Options { wait: (wait, wait), jitter: false, ..Options::default() }
    }
}

/// What happens on a link.
#[derive(Debug)]
pub enum Event {
    /// The session has an event.
    Session(session::Event),
    /// The outcome of a message, if its source tracks it.
    Outcome(MessageId, Outcome),
    /// The source needs its owner's attention, see [`Source::wants_owner`].
    SourceWants,
    /// The last message has left the source.
    Emptied,
    /// The connection ended or failed.
    Down(LinkError),
    /// The link ended and does not reconnect.
    Stopped,
}

/// A link to one broker, or to one of several.
pub struct Link {
    /// The protocol.
    pub session: Session,
    options: Options,
    backoff: Backoff,
    state: watch::Sender<State>,
    phase: Phase,
    /// Makes the streams; `None` while it makes one.
    dialer: Option<Dialer>,
    /// A DISCONNECT that is due when everything was sent, or at this time.
    leaving: Option<(Disconnect, Option<Instant>)>,
    /// When the link ended whose stream is being closed.
    ended: Option<Instant>,
    /// When the broker last accepted the connection.
    up_since: Option<Instant>,
    /// Links in a row that ended right after CONNACK.
    short_links: u32,
    /// The shortest wait after all of several brokers failed; `Duration::MAX` before the first failure.
    least_wait: Duration,
    brokers: Brokers,
    failback: Failback,
    /// Whether files may have been renewed since the current attempt read them.
    is_doubted: bool,
}

type Dialer = Box<dyn Dial>;
type Dialing = Pin<Box<dyn Future<Output = (Dialer, Result<Box<dyn Io>, ConnectError>)> + Send>>;

enum Phase {
    /// The next attempt is at this time.
    Waiting(Instant),
    Dialing(Dialing),
    Up(Stream),
    /// DISCONNECT is being written, until this time at the latest. Then the link waits for the next
    /// attempt if it ended by an error, or else stops.
    Parting(Stream, Instant, Option<LinkError>),
    Stopped,
}

impl Link {
    /// A link to where a dialer leads, such as a [`Connector`](super::transport::Connector);
    /// nothing happens before it is polled.
    pub fn new(session: Session, dialer: impl Dial + 'static, options: Options) -> Link {
        Link::with(session, Box::new(dialer), options)
    }

    /// A link over streams that are connected already, one after the other.
    pub fn over(
        session: Session,
        streams: impl IntoIterator<Item = Box<dyn Io>>,
        options: Options,
    ) -> Link {
        let streams = FixedStreams(streams.into_iter().collect());
        Link::with(session, Box::new(streams), options)
    }

    fn with(session: Session, dialer: Dialer, options: Options) -> Link {
        let (first, longest) = options.wait;
        let brokers = Brokers::new(dialer.broker().cloned());
        let link = Link {
            session,
            backoff: Backoff::new(first, longest, Duration::from_secs(30)),
            options,
            state: watch::Sender::new(State::Disconnected),
            phase: Phase::Waiting(now()),
            dialer: Some(dialer),
            leaving: None,
            ended: None,
            up_since: None,
            short_links: 0,
            least_wait: Duration::MAX,
            brokers,
            failback: Failback::Never,
            is_doubted: false,
        };
        if link.session.options().keepalive.is_zero() {
            tracing::warn!("a keepalive of 0: nobody notices when the broker is gone");
        }
        link
    }

    /// The state of the link, for others to watch.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The next thing that happens; what is sent comes from `source`. Cancel-safe: nothing is lost
    /// when it is dropped, and nothing moves while nobody waits for it. A link that has ended says
    /// [`Event::Stopped`] each time.
    pub async fn event(&mut self, source: &mut dyn Source) -> Event {
        if let Some((_, Some(due))) = self.leaving {
            if now() < due
                && let Ok(event) = timeout_at(due.into(), self.next(source)).await
            {
                return event;
            }
            self.finish();
        }
        self.next(source).await
    }

    async fn next(&mut self, source: &mut dyn Source) -> Event {
        loop {
            if let Some((id, outcome)) = source.outcome() {
                return Event::Outcome(id, outcome);
            }
            if let Some(event) = self.session.event() {
                self.note(&event, source);
                return Event::Session(event);
            }
            if self.leaving.is_some() && self.has_sent_all(source) {
                self.finish();
            }
            match &mut self.phase {
                Phase::Stopped => return Event::Stopped,
                Phase::Waiting(until) => {
                    sleep_until((*until).into()).await;
                    if let Err(error) = self.dial() {
                        return self.down(error, source);
                    }
                }
                Phase::Dialing(dialing) => {
                    let (dialer, result) = dialing.await;
                    if let Err(error) = self.dialed(dialer, result, source) {
                        return self.down(error, source);
                    }
                }
                Phase::Up(stream) => {
                    let had = !source.is_empty();
                    let turn = stream.turn(&mut self.session, source, &self.options);
                    let result = tokio::select! {
                        result = turn => result,
                        () = self.failback.first_is_back() => {
                            self.session.disconnect(Reason::SUCCESS);
                            Err(LinkError::BetterBroker)
                        }
                    };
                    if let Err(error) = result {
                        self.part(Some(error));
                    } else if source.wants_owner() {
                        return Event::SourceWants;
                    } else if had && source.is_empty() {
                        return Event::Emptied;
                    }
                }
                Phase::Parting(stream, until, _) => {
                    let farewell = stream.farewell(&mut self.session);
                    // The broker may be gone by now; there is nothing left that could be lost.
                    let _ = timeout_at((*until).into(), farewell).await;
                    return self.parted(source);
                }
            }
        }
    }

    /// Whether the broker has what the source had, and every byte for it was written.
    fn has_sent_all(&mut self, source: &mut dyn Source) -> bool {
        if let Phase::Up(stream) = &self.phase {
            self.session.send(source);
            if self.session.has_event() || stream.has_output(&self.session) {
                return false;
            }
        }
        source.is_empty() && (self.session.is_up() || !self.session.has_open_calls())
    }

    /// Disconnects as soon as everything was sent, and at `due` at the latest; until then the link
    /// goes on, and reconnects.
    pub fn leave_when_sent(&mut self, disconnect: impl Into<Disconnect>, due: Option<Instant>) {
        self.leaving = Some((disconnect.into(), due));
    }

    fn finish(&mut self) {
        if let Some((disconnect, _)) = self.leaving.take() {
            self.leave(disconnect);
        }
    }

    fn note(&mut self, event: &session::Event, source: &mut dyn Source) {
        if let session::Event::Connected(_) = event {
            if let Some(dialer) = &mut self.dialer {
                dialer.established();
                self.failback = Failback::start(dialer.to_first(), self.options.failback);
            }
            self.brokers.let_in();
            self.tell_of_will();
            let now = now();
            self.backoff.up(now);
            self.up_since = Some(now);
            self.session.watch(source, now, (self.options.random)());
            self.state.send_replace(State::Ready);
        }
    }

    fn tell_of_will(&mut self) {
        let Some(limit) = self.session.will_news() else { return };
        let broker = self.broker().map(BrokerUrl::to_string).unwrap_or_default();
        match limit {
            WillLimit::WHOLE => tracing::info!("{broker} lets us in with the whole will again"),
            // Of 5.0 it says what it takes of messages, too.
            less if self.session.version() == Version::V5 => {
                tracing::warn!("{broker} lets us in {less} only");
            }
            less => tracing::warn!(
                "{broker} lets us in {less} only; if it also ends links at such messages, set `retain` \
                 and `qos` of `status`"
            ),
        }
    }

    /// Ends the back-off, for example when a network came up.
    pub fn try_now(&mut self) {
        if let Phase::Waiting(until) = &mut self.phase {
            *until = now();
        }
    }

    /// Connects now: it ends the back-off, or closes a connection that is up with DISCONNECT and
    /// makes another one at once.
    pub fn reconnect(&mut self) {
        match self.phase {
            Phase::Waiting(..) => self.try_now(),
            Phase::Up(..) => {
                self.session.disconnect(Reason::SUCCESS);
                self.part(Some(LinkError::Asked));
            }
            Phase::Dialing(_) | Phase::Parting(..) | Phase::Stopped => {}
        }
    }

    /// Leaves a broker that is up, with DISCONNECT, for the next of several; after the last one, and with one alone, the
    /// first is next.
    pub fn move_on(&mut self, disconnect: impl Into<Disconnect>) {
        if let Phase::Up(..) = self.phase {
            self.session.disconnect(disconnect);
            self.part(Some(LinkError::MovedOn));
        }
    }

    /// The files that the link is made with may have been renewed: certificates, authorities, the
    /// password. If one of them has changed, the link reconnects, as by [`Link::reconnect`]. Returns
    /// whether it does.
    pub fn refresh(&mut self) -> bool {
        let is_stale = match &self.phase {
            Phase::Dialing(_) => {
                self.is_doubted = true;
                false
            }
            Phase::Waiting(_) | Phase::Up(_) => {
                self.dialer.as_deref().is_some_and(|dialer| self.is_stale(dialer))
            }
            Phase::Parting(..) | Phase::Stopped => false,
        };
        if is_stale {
            self.reconnect();
        }
        is_stale
    }

    fn is_stale(&self, dialer: &dyn Dial) -> bool {
        let password = match self.options.password_file.as_deref().map(files::password) {
            Some(Ok(password)) => !self.session.has_password(&password),
            Some(Err(why)) => {
                tracing::warn!("password_file: {why}; the link stays as it is");
                false
            }
            None => false,
        };
        password || dialer.is_stale()
    }

    /// Disconnects with DISCONNECT and does not reconnect. With a reason above 0 the broker may
    /// publish the will (MQTT 5.0).
    pub fn leave(&mut self, disconnect: impl Into<Disconnect>) {
        self.session.disconnect(disconnect);
        self.options.reconnect = false;
        match self.phase {
            Phase::Up(..) => self.part(None),
            Phase::Parting(..) => {}
            Phase::Waiting(..) | Phase::Dialing(_) | Phase::Stopped => self.stop(),
        }
    }

    /// Ends the link at once without DISCONNECT: the broker publishes the will.
    pub fn abort(&mut self) {
        self.session.disconnected(Ending::Other);
        self.stop();
    }

    /// Whether the broker has accepted the connection.
    pub fn is_ready(&self) -> bool {
        *self.state.borrow() == State::Ready
    }

    /// Whether the link waits out a back-off.
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting(..))
    }

    /// Whether the link is being closed, which takes at most a second.
    pub fn is_parting(&self) -> bool {
        matches!(self.phase, Phase::Parting(..))
    }

    /// Whether the link has ended and does not reconnect.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.state.send_replace(State::Stopped);
    }

    fn dial(&mut self) -> Result<(), LinkError> {
        if let Err(error) = self.read_password() {
            if let Some(dialer) = &mut self.dialer {
                // The next broker would get no password either.
                dialer.begin_again();
            }
            return Err(error);
        }
        let Some(mut dialer) = self.dialer.take() else { return Ok(()) };
        dialer.set_credentials(self.session.has_credentials());
        self.state.send_replace(State::Dialing(Stage::Resolving));
        let state = self.state.clone();
        self.phase = Phase::Dialing(Box::pin(async move {
            let mut stage = |stage| {
                if stage == Stage::WaitingForClock {
                    tracing::warn!(
                        "waiting for this machine's clock to be set: the broker's certificate has dates"
                    );
                }
                state.send_replace(State::Dialing(stage));
            };
            let stream = dialer.dial(&mut stage).await;
            (dialer, stream)
        }));
        Ok(())
    }

    fn dialed(
        &mut self,
        dialer: Dialer,
        result: Result<Box<dyn Io>, ConnectError>,
        source: &mut dyn Source,
    ) -> Result<(), LinkError> {
        self.brokers.take_over(&*dialer, &mut self.session);
        let is_doubted = std::mem::take(&mut self.is_doubted);
        let is_stale = is_doubted && result.is_ok() && self.is_stale(&*dialer);
        self.dialer = Some(dialer);
        self.phase = Phase::Waiting(now());
        if is_stale {
            return Ok(());
        }
        let io = result?;
        self.warn();
        if let Some(will) = source.will() {
            self.session.set_will(will);
        }
        self.session.connect(now())?;
        self.state.send_replace(State::Handshake);
        self.phase = Phase::Up(Stream::new(io));
        Ok(())
    }

    /// Warns of options that an older version does not support.
    fn warn(&self) {
        let (version, options) = (self.session.version(), self.session.options());
        if version == Version::V31 && !(1..=23).contains(&options.client_id.len()) {
            let id = &options.client_id;
            tracing::warn!("the client identifier {id:?} has not the 1 to 23 bytes of MQTT 3.1");
        }
        let login = self.session.login();
        if version < Version::V5 && login.password.is_some() && login.user.is_none() {
            tracing::warn!("MQTT {version} has no password without a user: it is not sent");
        }
    }

    /// The broker of the last attempt; `None` if the dialer knows no address.
    pub fn broker(&self) -> Option<&BrokerUrl> {
        self.brokers.current()
    }

    fn read_password(&mut self) -> Result<(), LinkError> {
        let Some(path) = &self.options.password_file else { return Ok(()) };
        let password = files::password(path)
            .map_err(|source| LinkError::Password { path: path.clone(), source })?;
        self.session.set_password(password);
        Ok(())
    }

    fn part(&mut self, why: Option<LinkError>) {
        self.ended = Some(now());
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Up(stream) => self.phase = Phase::Parting(stream, now() + FAREWELL, why),
            other => self.phase = other,
        }
    }

    fn parted(&mut self, source: &mut dyn Source) -> Event {
        if let Phase::Parting(_, _, why) = &mut self.phase
            && let Some(error) = why.take()
        {
            self.phase = Phase::Waiting(now());
            return self.down(error, source);
        }
        self.session.disconnected(Ending::Other);
        self.stop();
        Event::Stopped
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("Link").field("state", &*state).field("session", &self.session).finish()
    }
}

/// The runtime's time, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

//! The protocol between link and outbox, as a client. Sans-io: bytes in, bytes out, time as an
//! argument. Sections are those of MQTT 5.0 where nothing else is said.

mod aliases;
mod connect;
mod event;
mod hold;
mod ids;
mod in_flight;
mod inbound;
mod keepalive;
mod options;
mod quarantine;
mod receive;
mod requests;
mod send;
mod version_fallback;
mod watch;
mod will;

pub use event::{Event, Received, SessionError};
pub use inbound::AckToken;
pub use options::{Clean, OnOversize, Options};
use quarantine::Quarantine;
pub use quarantine::{Suspected, Verdict};
pub use requests::Request;
pub use watch::LinkEnd;
use watch::PoisonSearch;
pub use will::WillLimit;

use super::auth::{Authenticate, Login};
use super::packet::{Disconnect, Oversize, Packet};
use super::packet::{Properties, Property, Reason, Subscription, Version};
use super::topic::TopicFilter;
use crate::base::secret::Secret;
use aliases::Aliases;
use bytes::{Buf, BytesMut};
use hold::Hold;
use in_flight::InFlight;
use inbound::Inbound;
use keepalive::{Due, KeepAlive};
use options::Limits;
use requests::Requests;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use version_fallback::VersionFallback;

/// Upper bound of the output in bytes; what does not fit waits in the outbox, which is bounded.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Types of the packets that may answer CONNECT.
const CONNACK: u8 = 2;
const AUTH: u8 = 15;
/// Bytes of an acknowledgement or a DISCONNECT besides their properties, at most.
const FRAME: usize = 5 + 2 + 1;

/// Upper bound of events that wait to be taken; above it nothing more is read.
const EVENT_LIMIT: usize = 1000;

/// What a session knows of one broker.
pub(super) type Known = (VersionFallback, Quarantine);

/// The client's side of the protocol, over any number of links one after the other.
#[derive(Debug)]
pub struct Session {
    options: Options,
    auth: Option<Box<dyn Authenticate>>,
    /// The login in the address of the link's broker, if it has one of its own.
    of_broker: Option<Login>,
    password: Option<Secret>,
    /// Whether CONNECT named an authentication method: without one there is no AUTH on this link
    /// (4.12).
    method_is_named: bool,
    fallback: VersionFallback,
    /// Whether the next CONNECT differs from the one that failed in what the broker did not accept.
    is_other: bool,
    /// What of the will the broker has accepted, if that changed and was not told yet.
    will_news: Option<WillLimit>,
    was_connected: bool,
    /// Whether the next link is to another broker than the one that has the session.
    is_elsewhere: bool,
    /// Whether there was a message of QoS 2 in either direction, whose identifier a broker
    /// remembers.
    had_qos_2: bool,
    quarantine: Quarantine,
    watch: PoisonSearch,
    state: State,
    limits: Limits,
    output: BytesMut,
    /// Bytes that were ever put into this link's output: positions in it that stay the same while
    /// its front is written.
    queued: u64,
    in_flight: InFlight,
    inbound: Inbound,
    hold: Hold,
    requests: Requests,
    aliases: Aliases,
    oversize: Option<Skipped>,
    /// Reused for the properties of each message that is sent, so that none are allocated.
    scratch: Properties,
    /// What is to be told, with what acknowledges it.
    events: VecDeque<(Event, Option<AckToken>)>,
    stray_acks: u64,
    downgrade_is_told: bool,
}

#[derive(Debug)]
enum State {
    /// No link, or one that we are leaving.
    Down,
    /// CONNECT is on its way; CONNACK is due.
    Connecting {
        due: Instant,
        keepalive: KeepAlive,
    },
    Up(KeepAlive),
}

/// How a link ended, as far as a session draws conclusions from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The broker closed it without a word.
    HangUp,
    /// In any other way.
    Other,
}

/// A message above our maximum packet size, of which some bytes have not been received.
#[derive(Debug)]
struct Skipped {
    oversize: Oversize,
    left: usize,
    start: BytesMut,
    /// Whether it is not a repetition.
    is_new: bool,
    token: Option<AckToken>,
}

impl Session {
    /// A session that was never connected.
    pub fn new(options: Options) -> Session {
        Session {
            fallback: VersionFallback::new(options.version),
            is_other: false,
            will_news: None,
            in_flight: InFlight::new(options.first_id),
            options,
            auth: None,
            of_broker: None,
            password: None,
            method_is_named: false,
            was_connected: false,
            is_elsewhere: false,
            had_qos_2: false,
            quarantine: Quarantine::default(),
            watch: PoisonSearch::default(),
            state: State::Down,
            limits: Limits::default(),
            output: BytesMut::new(),
            queued: 0,
            inbound: Inbound::default(),
            hold: Hold::default(),
            requests: Requests::default(),
            aliases: Aliases::default(),
            oversize: None,
            scratch: Properties::NONE,
            events: VecDeque::new(),
            stray_acks: 0,
            downgrade_is_told: false,
        }
    }

    /// Replaces the will of the options from the next connect on.
    pub fn set_will(&mut self, will: super::message::Message) {
        self.options.will = Some(will);
    }

    /// Replaces the password of the options from the next connect on.
    pub fn set_password(&mut self, password: Secret) {
        self.password = Some(password);
    }

    pub(super) fn has_password(&self, password: &Secret) -> bool {
        self.password.as_ref() == Some(password)
    }

    /// Sets the login in the address of the next link's broker; no other broker gets it.
    pub(super) fn set_login_of_broker(&mut self, login: Option<Login>) {
        self.of_broker = login;
    }

    /// User name and password at the link's broker: those in its address before all others. An
    /// address that has a user name only leaves the password to [`Session::set_password`].
    pub(super) fn login(&self) -> Login {
        let password = self.password.clone();
        match &self.of_broker {
            Some(Login { user, password: own }) => {
                Login { user: user.clone(), password: own.clone().or(password) }
            }
            None => Login {
                user: self.options.user.clone(),
                password: password.or_else(|| self.options.password.clone()),
            },
        }
    }

    /// Proves who we are in an exchange of 5.0, from the next connect on. With SCRAM the login is for
    /// the exchange, and goes out in no CONNECT.
    pub fn set_auth(&mut self, auth: Box<dyn Authenticate>) {
        self.auth = Some(auth);
    }

    /// Whether messages are acknowledged by hand from now on; returns what it was.
    pub fn set_manual_ack(&mut self, by_hand: bool) -> bool {
        std::mem::replace(&mut self.options.manual_ack, by_hand)
    }

    /// Takes the place of another session of ours at the same broker: messages that came there and are
    /// not acknowledged are this one's, if the broker goes on with the session.
    pub fn take_over(&mut self, before: &mut Session) {
        self.inbound = std::mem::take(&mut before.inbound);
        self.inbound.link_lost();
        self.had_qos_2 |= before.had_qos_2;
    }

    /// The protocol version of this link, or of the last one.
    pub fn version(&self) -> Version {
        self.fallback.version
    }

    /// Whether the next link is to another broker than the one that let us in last. A session that
    /// it has of us may not be this one: identifiers of QoS 2 in it stand for other messages then.
    /// Without such it is gone on with, for the sake of what a cluster keeps for us.
    pub(super) fn set_elsewhere(&mut self, is_elsewhere: bool) {
        self.is_elsewhere = is_elsewhere;
    }

    /// Whether this link starts a new session, whatever the options say.
    fn begins_anew(&self) -> bool {
        self.is_elsewhere && self.had_qos_2
    }

    /// The options of the session; the client identifier may be one that the broker assigned.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether the next connect gives away what only a trusted broker may know.
    pub fn has_credentials(&self) -> bool {
        self.login() != Login::default() || self.auth.is_some()
    }

    /// Whether more should be read. A broker that sends and does not read would otherwise make
    /// acknowledgements pile up in the output; the link ends that when its write is overdue.
    pub fn wants_input(&self) -> bool {
        let is_held = self.options.hold.is_none() || self.hold.is_on();
        let has_room = !(is_held && self.is_over_maximum());
        self.output.len() < 2 * OUTPUT_LIMIT && self.events.len() < EVENT_LIMIT && has_room
    }

    /// Whether no more messages should come before some are acknowledged. Before 5.0 the broker does
    /// not know how many we take at once; and mosquitto 2.0 passes the number when it sends what it
    /// had queued. To part would make it do the same again, for ever, so it is held back.
    fn is_over_maximum(&self) -> bool {
        self.inbound.unanswered() >= usize::from(self.options.receive_maximum)
    }

    /// Tells that all was read that there is.
    pub fn ran_dry(&mut self) {
        if !self.is_over_maximum() {
            self.hold.caught_up();
        }
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back((event, None));
    }

    fn tell_all(&mut self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.tell(event));
    }

    /// Wants filters from now on, on this link and all that follow; an [`Event::Subscribed`] comes
    /// for each filter at each connect. A call whose filter is given up before the broker answered
    /// gets [`Reason::IMPLEMENTATION_SPECIFIC_ERROR`].
    pub fn subscribe(&mut self, filters: Vec<Subscription>, properties: &Properties) -> Request {
        let request = self.requests.subscribe(filters, properties);
        self.tell_overtaken();
        request
    }

    /// Wants filters no more; an [`Event::Unsubscribed`] comes for each. In 5.0 UNSUBSCRIBE may have
    /// user properties.
    pub fn unsubscribe(&mut self, filters: Vec<TopicFilter>, properties: &Properties) -> Request {
        let request = self.requests.unsubscribe(filters, properties);
        self.tell_overtaken();
        request
    }

    fn tell_overtaken(&mut self) {
        let overtaken = std::mem::take(&mut self.requests.overtaken);
        self.tell_all(overtaken);
    }

    fn put(&mut self, packet: &Packet) {
        tracing::trace!("sending {packet}");
        let before = self.output.len();
        packet.encode(&mut self.output, self.fallback.version);
        self.queued += (self.output.len() - before) as u64;
    }

    /// Asks the broker for an [`Event::Pong`] without need, unless one is due anyhow. Whatever it sent
    /// before has come before that event. Returns whether it asks.
    pub fn ask_for_pong(&mut self) -> bool {
        let may_ask = matches!(&self.state, State::Up(keepalive) if keepalive.may_ask());
        if may_ask {
            self.ping();
        }
        may_ask
    }

    /// Whether the broker has accepted the connection.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether a call of subscribe or unsubscribe has no answer yet.
    pub(super) fn has_open_calls(&self) -> bool {
        self.requests.are_open()
    }

    /// Whether the broker waits for something in an exchange of a message that it sent.
    pub fn owes_answers(&self) -> bool {
        !self.inbound.is_settled()
    }

    /// Whether the window is full: nothing more is sent before acknowledgements come.
    pub fn is_full(&self) -> bool {
        self.in_flight.is_full
    }

    /// How long the broker took to answer a packet lately: from the last byte's way into the link to
    /// the answer. `None` before the first answer of a link.
    pub fn round_trip(&self) -> Option<Duration> {
        self.in_flight.round_trip
    }

    /// What is to be written to the link.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Tells that the first `n` bytes of the output were written to the link.
    pub fn wrote(&mut self, n: usize, now: Instant) {
        self.output.advance(n.min(self.output.len()));
        let written = self.written();
        if let State::Connecting { keepalive, .. } | State::Up(keepalive) = &mut self.state {
            keepalive.wrote(written, now);
        }
        self.in_flight.watch(written, now);
        self.watch_wrote(now);
    }

    /// How many bytes of this link's output were written.
    fn written(&self) -> u64 {
        self.queued.saturating_sub(self.output.len() as u64)
    }

    /// When [`Session::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Down => None,
            State::Connecting { due, .. } => Some(*due),
            State::Up(keepalive) => {
                let held = self.options.hold.filter(|_| self.is_over_maximum());
                let held = held.and_then(|most| self.hold.deadline(most));
                let due = [keepalive.deadline(), self.in_flight.due, self.watch_deadline(), held];
                due.into_iter().flatten().min()
            }
        }
    }

    /// A deadline may have come.
    pub fn timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        let ask = match &self.state {
            State::Down => return Ok(()),
            State::Connecting { due, .. } if *due <= now => {
                self.fallback.on_timeout(self.options.adaptable_will());
                return Err(SessionError::NoConnAck);
            }
            State::Connecting { .. } => return Ok(()),
            State::Up(keepalive) => keepalive.due(now),
        };
        if let Some(most) = self.options.hold {
            self.hold.timeout(most, now);
        }
        match ask {
            None => {}
            Some(Due::Ping) => self.ping(),
            Some(Due::End) => return Err(SessionError::NoPingResp),
        }
        self.watch_timeout(now);
        match self.in_flight.due {
            Some(due) if due <= now => Err(SessionError::NoAnswer),
            _ => Ok(()),
        }
    }

    fn ping(&mut self) {
        self.put(&Packet::PingReq);
        if let State::Up(keepalive) = &mut self.state {
            keepalive.asked(self.queued);
            self.watch.ping = Some(self.queued);
        }
    }

    /// Whether [`Session::event`] has something to tell.
    pub(super) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next thing to tell. Taking a message acknowledges it, unless that is done by hand.
    pub fn event(&mut self) -> Option<Event> {
        let (event, token) = self.events.pop_front()?;
        if let Some(token) = token {
            self.inbound.taken(token);
            // Nobody has a message that was passed over, so nobody else would answer it.
            if !self.options.manual_ack || matches!(event, Event::Oversize { .. }) {
                self.acknowledge(token, Reason::SUCCESS);
            }
        }
        Some(event)
    }

    /// Acknowledges a message by hand, in 5.0 with a reason. Answers go in the order in which the
    /// messages came, whatever the order of these calls.
    pub fn acknowledge(&mut self, token: AckToken, reason: Reason) {
        self.acknowledge_with(token, reason, Properties::NONE);
    }

    /// The same with a `ReasonString` and user properties, in 5.0. They are left out if they would
    /// make the packet larger than the broker takes (3.4.2.2.2).
    pub fn acknowledge_with(&mut self, token: AckToken, reason: Reason, properties: Properties) {
        let properties = if self.fits(&properties) { properties } else { Properties::NONE };
        self.inbound.answer(token, reason, properties);
        self.answer();
    }

    /// Whether an acknowledgement or a DISCONNECT with these is a packet that the broker takes.
    fn fits(&self, properties: &Properties) -> bool {
        let len = FRAME + properties.len(self.version());
        properties.are_writable() && len <= self.limits.largest
    }

    fn answer(&mut self) {
        while let Some(packet) = self.inbound.next_answer() {
            self.put(&packet);
        }
    }

    /// Acknowledgements that answered nothing, since the start.
    pub fn stray_acks(&self) -> u64 {
        self.stray_acks
    }

    /// Leaves: what stands in the output then is the last. In 5.0 with a reason, above 0 of which the
    /// broker may publish the will, and with properties: another session expiry, words, user properties.
    /// The last two are left out if they would make the packet larger than the broker takes
    /// (3.14.2.2.3).
    pub fn disconnect(&mut self, disconnect: impl Into<Disconnect>) {
        let mut disconnect = disconnect.into();
        if let State::Up(_) = self.state {
            if self.options.always_will && disconnect.reason == Reason::SUCCESS {
                disconnect.reason = Reason::DISCONNECT_WITH_WILL;
                if self.version() < Version::V5 {
                    self.state = State::Down;
                    return;
                }
            }
            if !self.fits(&disconnect.properties) {
                let kept = |it: &Property| matches!(it, Property::SessionExpiry(_));
                disconnect.properties.0.retain(kept);
            }
            self.put(&Packet::Disconnect(disconnect));
            self.state = State::Down;
        }
    }

    /// The link is gone. What was in flight is remembered, in case the broker remembers it too.
    pub fn disconnected(&mut self, ending: Ending) {
        // Some brokers close the link where they do not know the version, or do not take the will.
        if ending == Ending::HangUp && matches!(self.state, State::Connecting { .. }) {
            self.is_other = self.fallback.on_close(self.options.adaptable_will());
        }
        self.state = State::Down;
        self.output = BytesMut::new();
        self.queued = 0;
        self.oversize = None;
        // Messages that were not taken were not acknowledged: the broker sends them again.
        self.events.retain(|(event, _)| match event {
            Event::Refused { .. } | Event::Suspected(_) | Event::Unsubscribed { .. } => true,
            Event::Subscribed { request, filter, .. } => {
                !self.requests.asks_again(*request, filter)
            }
            _ => false,
        });
        self.in_flight.link_lost();
        self.hold.caught_up();
        self.inbound.link_lost();
        self.requests.link_lost();
        self.watch.link_lost();
        self.tell_overtaken();
        // What is refused for good is not asked again, so this is the answer.
        let judged = std::mem::take(&mut self.watch.judged);
        self.tell_all(judged);
    }
}

fn protocol(what: &'static str) -> SessionError {
    SessionError::Protocol(Reason::PROTOCOL_ERROR, what)
}

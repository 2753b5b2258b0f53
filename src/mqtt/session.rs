//! The protocol between link and outbox, as a client. Sans-io: bytes in, bytes out, time as an
//! argument. Sections are those of MQTT 5.0 where nothing else is said.

mod aliases;
mod event;
mod flights;
mod ids;
mod inbound;
mod keepalive;
mod options;
mod profiles;
mod requests;

pub use event::{Event, Received, SessionError};
pub use inbound::Token;
pub use options::{Clean, OnOversize, Options};
pub use requests::Request;

use super::auth::Authenticate;
use super::packet::{Ack, Auth, ConnAck, Decoded, Disconnect, Oversize, Packet, PacketId};
use super::packet::{Properties, Property, Publish, Reason, Subscription, Version};
use super::topic::{Qos, TopicFilter};
use crate::config::scalar::Secret;
use crate::message::Message;
use crate::outbox::Outbox;
use aliases::Aliases;
use bytes::{Buf, Bytes, BytesMut};
use flights::{Flights, Sent};
use inbound::Inbound;
use keepalive::{Due, KeepAlive};
use options::Limits;
use requests::{Answer, Kind, Requests};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the broker may take to answer CONNECT.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// As much is put into the output at once; more waits in the outbox, where it is bounded.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Bytes of an acknowledgement or a DISCONNECT besides their properties, at most.
const FRAME: usize = 5 + 2 + 1;

/// So many events wait to be taken before nothing more is read.
const EVENT_LIMIT: usize = 1000;

/// The client's side of the protocol, over any number of links one after the other.
#[derive(Debug)]
pub struct Session {
    options: Options,
    auth: Option<Box<dyn Authenticate>>,
    /// Whether CONNECT named the method: without it there is no AUTH on this link (4.12).
    method_is_named: bool,
    version: Version,
    /// Whether the broker ever answered in this version.
    version_is_settled: bool,
    /// Whether the broker ever let us in.
    was_connected: bool,
    state: State,
    limits: Limits,
    output: BytesMut,
    /// Bytes that were ever put into this link's output: positions in it that stay the same while
    /// its front is written.
    queued: u64,
    flights: Flights,
    inbound: Inbound,
    requests: Requests,
    aliases: Aliases,
    /// A message that is passed over.
    oversize: Option<Skipped>,
    /// Lent to each message that is sent, so that its properties need no memory of their own.
    scratch: Properties,
    events: VecDeque<Occurrence>,
    stray_acks: u64,
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

/// An event, and what it is the acknowledgement of.
#[derive(Debug)]
struct Occurrence {
    event: Event,
    token: Option<Token>,
}

/// A message larger than we take, of which some bytes are still to come.
#[derive(Debug)]
struct Skipped {
    oversize: Oversize,
    left: usize,
    start: BytesMut,
    /// Not the repetition of one that was told.
    is_new: bool,
    token: Option<Token>,
}

impl Session {
    /// A session that was never connected.
    pub fn new(options: Options) -> Session {
        Session {
            version: options.version.unwrap_or(Version::V5),
            version_is_settled: options.version.is_some(),
            options,
            auth: None,
            method_is_named: false,
            was_connected: false,
            state: State::Down,
            limits: Limits::default(),
            output: BytesMut::new(),
            queued: 0,
            flights: Flights::new(),
            inbound: Inbound::default(),
            requests: Requests::default(),
            aliases: Aliases::default(),
            oversize: None,
            scratch: Properties::NONE,
            events: VecDeque::new(),
            stray_acks: 0,
        }
    }

    /// Replaces the password from the next connect on.
    pub fn set_password(&mut self, password: Secret) {
        match &mut self.auth {
            Some(auth) => auth.set_password(password),
            None => self.options.password = Some(password),
        }
    }

    /// Replaces user name and password from the next connect on.
    pub fn set_login(&mut self, user: Option<String>, password: Option<Secret>) {
        (self.options.user, self.options.password) = (user, password);
    }

    /// Takes user name and password out, so that CONNECT does not send them.
    pub fn take_login(&mut self) -> (Option<String>, Option<Secret>) {
        (self.options.user.take(), self.options.password.take())
    }

    /// Proves who we are in an exchange of 5.0, from the next connect on.
    pub fn set_auth(&mut self, auth: Box<dyn Authenticate>) {
        self.auth = Some(auth);
    }

    /// Whether messages are acknowledged by hand from now on; returns what it was.
    pub fn set_manual_ack(&mut self, by_hand: bool) -> bool {
        std::mem::replace(&mut self.options.manual_ack, by_hand)
    }

    /// What is spoken, or was last.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What it was opened with; the client identifier may be one that the broker made up.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether the next connect gives away what only a trusted broker may know.
    pub fn has_credentials(&self) -> bool {
        self.options.user.is_some() || self.options.password.is_some() || self.auth.is_some()
    }

    /// A link is up: asks the broker to let us in.
    pub fn connect(&mut self, now: Instant) -> Result<(), SessionError> {
        let mut connect = self.options.connect(self.version, !self.was_connected);
        self.method_is_named = self.version == Version::V5 && self.auth.is_some();
        if self.method_is_named
            && let Some(auth) = &mut self.auth
        {
            connect.properties.0.push(Property::AuthMethod(auth.method().into()));
            connect.properties.0.push(Property::AuthData(auth.start()?));
        }
        let keepalive = KeepAlive::new(self.options.keepalive, now);
        self.state = State::Connecting { due: now + CONNECT_DEADLINE, keepalive };
        self.put(&Packet::Connect(connect));
        Ok(())
    }

    /// Takes what was read. After an error nothing that follows in `input` counts, and the link must
    /// be closed once the output was written, in which the broker may be told why.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        outbox: &mut Outbox,
        now: Instant,
    ) -> Result<(), SessionError> {
        let result = self.receive_all(input, outbox, now);
        if let Err(error) = &result {
            self.leave(error);
        }
        result
    }

    fn receive_all(
        &mut self,
        input: &mut BytesMut,
        outbox: &mut Outbox,
        now: Instant,
    ) -> Result<(), SessionError> {
        if let State::Connecting { keepalive, .. } | State::Up(keepalive) = &mut self.state {
            keepalive.received(now);
        }
        loop {
            self.skip(input);
            match Packet::decode(input, self.options.largest, self.version)? {
                None => break,
                Some(Decoded::Packet(packet)) => {
                    tracing::trace!("received {packet}");
                    self.handle(packet, outbox)?;
                }
                Some(Decoded::Oversize(oversize)) => self.pass_over(oversize)?,
            }
        }
        self.flights.watch(self.written(), now);
        Ok(())
    }

    /// An error ends the link; a broker of 5.0 that broke the protocol is told (4.13).
    fn leave(&mut self, error: &SessionError) {
        let unanswered = matches!(self.state, State::Connecting { .. });
        if error.is_told() && self.version == Version::V5 && !unanswered {
            self.put(&Packet::Disconnect(Disconnect::new(error.reason())));
        }
        if unanswered && !matches!(error, SessionError::Auth(_)) {
            self.fall_back(error);
        }
        self.state = State::Down;
    }

    /// A broker that does not answer in our version may do so in an older one.
    fn fall_back(&mut self, error: &SessionError) {
        let unknown = match error {
            SessionError::Refused(answer) => answer.reason == Reason::UNSUPPORTED_PROTOCOL_VERSION,
            SessionError::Packet(_) => true,
            _ => false,
        };
        if unknown {
            self.try_older();
        }
    }

    fn try_older(&mut self) {
        if !self.version_is_settled {
            self.version = match self.version {
                Version::V5 => Version::V311,
                Version::V311 => Version::V31,
                Version::V31 => Version::V5,
            };
        }
    }

    /// Whether a connect that failed with this is worth to be repeated at once, because it will be
    /// another one: in an older version.
    pub fn tries_older(&self, error: &SessionError) -> bool {
        let unsupported = Reason::UNSUPPORTED_PROTOCOL_VERSION;
        !self.version_is_settled
            && self.version != Version::V5
            && matches!(error, SessionError::Refused(answer) if answer.reason == unsupported)
    }

    /// Passes over bytes of a message too large for us.
    fn skip(&mut self, input: &mut BytesMut) {
        let Some(skipped) = &mut self.oversize else { return };
        let n = skipped.left.min(input.len());
        let told = n.min(self.options.overflow.saturating_sub(skipped.start.len()));
        skipped.start.extend_from_slice(&input[..told]);
        input.advance(n);
        skipped.left -= n;
        if skipped.left > 0 {
            return;
        }
        if let Some(Skipped { oversize, start, token, is_new: true, .. }) = self.oversize.take() {
            if self.options.on_oversize == OnOversize::Drop {
                return self.pass_by(token);
            }
            let Oversize { qos, topic, skip, .. } = oversize;
            let event = Event::Oversize { topic, qos, bytes: skip, start: start.freeze() };
            self.events.push_back(Occurrence { event, token });
        }
    }

    /// Acknowledges a message that nobody hears of.
    fn pass_by(&mut self, token: Option<Token>) {
        if let Some(token) = token {
            self.inbound.taken(token);
            self.acknowledge(token, Reason::SUCCESS);
        }
    }

    fn pass_over(&mut self, oversize: Oversize) -> Result<(), SessionError> {
        self.must_be_up()?;
        if self.options.on_oversize == OnOversize::Disconnect {
            let what = "a message larger than we take";
            return Err(SessionError::Protocol(Reason::PACKET_TOO_LARGE, what));
        }
        let came = self.inbound.came(oversize.qos, oversize.id);
        if came.is_none() {
            self.answer();
        }
        self.may_come()?;
        let (left, start, is_new) = (oversize.skip, BytesMut::new(), came.is_some());
        self.oversize = Some(Skipped { oversize, left, start, is_new, token: came.flatten() });
        Ok(())
    }

    /// Whether more should be read. A broker that sends and does not read would otherwise make
    /// acknowledgements pile up in the output; the link ends that when its write is overdue.
    pub fn wants_input(&self) -> bool {
        // A broker that cannot know how many messages we take at once is read when there is room.
        let most = usize::from(self.options.receive_maximum);
        let has_room = self.version == Version::V5 || self.inbound.unanswered() < most;
        self.output.len() < 2 * OUTPUT_LIMIT && self.events.len() < EVENT_LIMIT && has_room
    }

    fn handle(&mut self, packet: Packet, outbox: &mut Outbox) -> Result<(), SessionError> {
        match packet {
            Packet::ConnAck(answer) => return self.connected(answer, outbox),
            Packet::Auth(auth) => return self.authenticate(auth),
            _ => {}
        }
        let keepalive = self.must_be_up()?;
        match packet {
            Packet::Publish(publish) => self.message(publish)?,
            Packet::PubAck(ack) => {
                let answered = self.flights.acknowledged(ack.id);
                self.settled(answered, ack.reason, outbox);
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                let answered = self.flights.rejected(ack.id);
                self.settled(answered, ack.reason, outbox);
            }
            Packet::PubRec(ack) => self.received(ack.id),
            Packet::PubComp(ack) => {
                let answered = self.flights.completed(ack.id);
                // The broker had the message: that it lost the identifier since is no loss.
                self.settled(answered, Reason::SUCCESS, outbox);
            }
            Packet::PubRel(ack) => {
                let reason = self.inbound.released(ack.id);
                self.put(&Packet::PubComp(Ack::new(ack.id, reason)));
            }
            Packet::SubAck(answer) => {
                let known = self.flights.answered(answer.id);
                let answers = self.requests.subscribed(answer.id, &answer.reasons);
                let Some(answers) = answers.filter(|_| known) else {
                    return Err(protocol("a SUBACK that does not answer a SUBSCRIBE"));
                };
                self.subscribed(answers);
            }
            Packet::UnsubAck(answer) => {
                let known = self.flights.answered(answer.id);
                let answers = self.requests.unsubscribed(answer.id, &answer.reasons, self.version);
                let Some(answers) = answers.filter(|_| known) else {
                    return Err(protocol("an UNSUBACK that does not answer an UNSUBSCRIBE"));
                };
                for Answer { request, filter, reason } in answers {
                    self.tell(Event::Unsubscribed { request, filter, reason });
                }
            }
            Packet::PingResp => {
                keepalive.answered();
                self.tell(Event::Pong);
            }
            Packet::Disconnect(disconnect) if self.version == Version::V5 => {
                return Err(SessionError::Disconnected(disconnect));
            }
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Auth(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect(_) => {
                return Err(protocol("a packet that only clients send"));
            }
        }
        Ok(())
    }

    fn must_be_up(&mut self) -> Result<&mut KeepAlive, SessionError> {
        match &mut self.state {
            State::Up(keepalive) => Ok(keepalive),
            _ => Err(protocol("a packet before CONNACK")),
        }
    }

    fn connected(&mut self, mut answer: ConnAck, outbox: &mut Outbox) -> Result<(), SessionError> {
        if !matches!(self.state, State::Connecting { .. }) {
            return Err(protocol("a second CONNACK"));
        }
        if answer.reason.is_error() {
            return Err(SessionError::Refused(answer));
        }
        let asked_for_none = self.options.connect(self.version, !self.was_connected).clean;
        if answer.session_present && asked_for_none {
            return Err(protocol("a session where a new one was asked for"));
        }
        if self.version == Version::V31 {
            // Its CONNACK does not tell. What is repeated with DUP does no harm if it was lost.
            answer.session_present = self.was_connected && !asked_for_none;
        }
        let properties = &answer.properties;
        if self.version == Version::V5
            && let Some(auth) = &mut self.auth
            && properties.auth_method().is_some()
        {
            auth.finish(properties.auth_data().map(Bytes::as_ref))?;
        }
        let State::Connecting { mut keepalive, .. } =
            std::mem::replace(&mut self.state, State::Down)
        else {
            return Ok(());
        };
        if let Some(seconds) = properties.server_keep_alive() {
            keepalive.set_interval(Duration::from_secs(u64::from(*seconds)));
        }
        if let Some(client_id) = properties.assigned_client_id() {
            self.options.client_id.clone_from(client_id);
        }
        self.state = State::Up(keepalive);
        self.version_is_settled = true;
        self.was_connected = true;
        self.limits = Limits::of(properties);
        let window = properties.receive_maximum().copied().unwrap_or(u16::MAX);
        self.flights.set_window(self.options.inflight.min(window));
        let aliases = properties.topic_alias_maximum().copied().unwrap_or(0);
        self.aliases.start(if self.options.own_aliases { aliases } else { 0 });
        if !answer.session_present {
            // The broker knows nothing of what was in flight: it is sent anew, under new
            // identifiers and without DUP, in its old order.
            self.flights.forget();
            self.inbound.forget();
            outbox.requeue();
        }
        self.tell(Event::Connected(answer));
        Ok(())
    }

    fn authenticate(&mut self, step: Auth) -> Result<(), SessionError> {
        let Some(auth) = &mut self.auth else {
            return Err(protocol("AUTH that nobody asked for"));
        };
        let data = step.properties.auth_data().map(Bytes::as_ref);
        let up = matches!(self.state, State::Up(_));
        if step.reason == Reason::SUCCESS && up {
            auth.finish(data)?;
            self.tell(Event::Authenticated);
            return Ok(());
        }
        if step.reason != Reason::CONTINUE_AUTHENTICATION
            || step.properties.auth_method().map(String::as_str) != Some(auth.method())
        {
            return Err(protocol("AUTH that does not go on with the exchange"));
        }
        let answer = auth.answer(data.unwrap_or_default())?;
        let method = auth.method().to_owned();
        self.put_auth(Reason::CONTINUE_AUTHENTICATION, method, answer);
        Ok(())
    }

    /// Proves anew who we are, on the link that stands (4.12.1).
    pub fn authenticate_again(&mut self) -> Result<(), SessionError> {
        if let (State::Up(_), true, Some(auth)) =
            (&self.state, self.method_is_named, &mut self.auth)
        {
            let (method, data) = (auth.method().to_owned(), auth.start()?);
            self.put_auth(Reason::RE_AUTHENTICATE, method, data);
        }
        Ok(())
    }

    fn put_auth(&mut self, reason: Reason, method: String, data: Bytes) {
        let properties = Properties(vec![Property::AuthMethod(method), Property::AuthData(data)]);
        self.put(&Packet::Auth(Auth { reason, properties }));
    }

    fn message(&mut self, mut publish: Publish) -> Result<(), SessionError> {
        let alias = Reason::TOPIC_ALIAS_INVALID;
        self.inbound
            .resolve(&mut publish, self.options.topic_aliases)
            .map_err(|()| SessionError::Protocol(alias, "a topic alias that stands for nothing"))?;
        let Publish { topic, payload, qos, id, dup, retain, properties } = publish;
        let Some(token) = self.inbound.came(qos, id) else {
            self.answer();
            return Ok(());
        };
        self.may_come()?;
        let Some(topic) = topic else { return Ok(()) };
        let received = Received { topic, payload, qos, retain, dup, properties, token };
        self.events.push_back(Occurrence { event: Event::Message(received), token });
        Ok(())
    }

    /// A broker that sends more at once than we said is not to fill our memory (4.9). Before 5.0 it
    /// cannot know the number.
    fn may_come(&self) -> Result<(), SessionError> {
        let most = usize::from(self.options.receive_maximum);
        if self.version == Version::V5 && self.inbound.under_way() > most {
            let reason = Reason::RECEIVE_MAXIMUM_EXCEEDED;
            return Err(SessionError::Protocol(reason, "more messages at once than we take"));
        }
        Ok(())
    }

    fn settled(&mut self, answered: Option<Sent>, reason: Reason, outbox: &mut Outbox) {
        match answered {
            Some(Sent::Message(ticket, _) | Sent::Release(Some(ticket))) => {
                if reason.is_error()
                    && let Some(message) = outbox.message(ticket)
                {
                    let topic = message.topic.clone();
                    self.tell(Event::Refused { topic, reason });
                }
                outbox.acknowledged(ticket, reason);
            }
            Some(_) => {}
            // An answer to nothing, as after a lost session, is no reason to part.
            None => self.stray_acks += 1,
        }
    }

    fn received(&mut self, id: PacketId) {
        let success = Packet::PubRel(Ack::new(id, Reason::SUCCESS));
        // PUBREL takes the message's place in flight, where it ends behind everything so far.
        let before = self.output.len();
        self.put(&success);
        if self.flights.received(id, self.queued) == flights::Received::Stray {
            self.stray_acks += 1;
            self.queued -= (self.output.len() - before) as u64;
            self.output.truncate(before);
            let unknown = Reason::PACKET_IDENTIFIER_NOT_FOUND;
            self.put(&Packet::PubRel(Ack::new(id, unknown)));
        }
    }

    fn subscribed(&mut self, answers: Vec<Answer>) {
        for Answer { request, filter, reason } in answers {
            let granted = requests::granted(reason);
            let wanted = self.requests.qos(&filter);
            if let (Ok(granted), Some(wanted)) = (granted, wanted)
                && granted < wanted
            {
                let (filter, granted, wanted) = (filter.as_str(), granted.bits(), wanted.bits());
                // Not among the packets, which have this module's name.
                tracing::warn!(
                    target: "tty2mqtt::mqtt::link",
                    "the broker grants QoS {granted} to {filter}, not {wanted}"
                );
            }
            self.tell(Event::Subscribed { request, filter, granted });
        }
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(Occurrence { event, token: None });
    }

    /// Wants filters from now on, on this link and all that follow; an [`Event::Subscribed`] comes
    /// for each filter at each connect. A call whose filter is given up before the broker answered
    /// gets [`Reason::IMPLEMENTATION_SPECIFIC_ERROR`].
    pub fn subscribe(&mut self, filters: Vec<Subscription>, properties: &Properties) -> Request {
        let request = self.requests.subscribe(filters, properties);
        self.tell_overtaken();
        request
    }

    /// Wants filters no more; an [`Event::Unsubscribed`] comes for each.
    pub fn unsubscribe(&mut self, filters: Vec<TopicFilter>) -> Request {
        let request = self.requests.unsubscribe(filters);
        self.tell_overtaken();
        request
    }

    /// Calls that a later one took the place of are answered, too.
    fn tell_overtaken(&mut self) {
        for (kind, Answer { request, filter, reason }) in self.requests.overtaken() {
            self.tell(match kind {
                Kind::Subscribe => Event::Subscribed { request, filter, granted: Err(reason) },
                Kind::Unsubscribe => Event::Unsubscribed { request, filter, reason },
            });
        }
    }

    /// Puts into the output what is to be sent, as far as it, the broker and the window for
    /// unacknowledged messages have room: subscriptions, what has to be sent again, what is new.
    pub fn send(&mut self, outbox: &mut Outbox) {
        if !matches!(self.state, State::Up(_)) {
            return;
        }
        if self.requests.is_due() {
            self.ask();
        }
        while self.output.len() < OUTPUT_LIMIT
            && let Some((id, what)) = self.flights.again()
        {
            self.send_again(id, what, outbox);
        }
        while self.output.len() < OUTPUT_LIMIT
            && self.flights.has_room()
            && let Some(message) = outbox.front()
        {
            let qos = self.limits.qos(message.qos);
            if qos == Qos::AtMostOnce {
                match self.put_message(message, qos, None, false) {
                    Ok(()) => drop(outbox.sent(qos)),
                    Err(reason) => self.refuse_front(reason, outbox),
                }
                continue;
            }
            let Some(id) = self.flights.id() else { return };
            match self.put_message(message, qos, Some(id), false) {
                Ok(()) => {
                    let sent = outbox.sent(qos);
                    let what = sent.map_or(Sent::Birth(qos), |ticket| Sent::Message(ticket, qos));
                    self.flights.sent(id, what, self.queued);
                }
                Err(reason) => {
                    self.flights.give_up(id);
                    self.refuse_front(reason, outbox);
                }
            }
        }
    }

    fn ask(&mut self) {
        let refused = self.requests.refused(&self.limits, self.version);
        self.subscribed(refused);
        for Answer { request, filter, reason } in self.requests.too_long(self.limits.largest) {
            self.tell(Event::Unsubscribed { request, filter, reason });
        }
        while self.output.len() < OUTPUT_LIMIT && self.requests.is_due() {
            let Some(id) = self.flights.id() else { return };
            let Some(packet) = self.requests.next_packet(id, self.limits.largest, self.version)
            else {
                return self.flights.give_up(id);
            };
            self.put(&packet);
            self.flights.sent(id, Sent::Request, self.queued);
        }
    }

    fn send_again(&mut self, id: PacketId, what: Sent, outbox: &mut Outbox) {
        match what {
            Sent::Message(ticket, qos) => {
                let sent = match outbox.again(ticket) {
                    Some(message) => self.put_message(message, qos, Some(id), true),
                    None => return self.flights.give_up(id),
                };
                if let Err(reason) = sent {
                    self.flights.give_up(id);
                    return self.settled(Some(what), reason, outbox);
                }
            }
            Sent::Release(_) => self.put(&Packet::PubRel(Ack::new(id, Reason::SUCCESS))),
            Sent::Birth(_) | Sent::Request => return self.flights.give_up(id),
        }
        self.flights.sent(id, what, self.queued);
    }

    fn refuse_front(&mut self, reason: Reason, outbox: &mut Outbox) {
        if let Some(message) = outbox.front() {
            let topic = message.topic.clone();
            self.tell(Event::Refused { topic, reason });
        }
        outbox.refuse_front(reason);
    }

    /// Puts a message into the output; `Err` if it is larger than the broker takes.
    fn put_message(
        &mut self,
        message: &Message,
        qos: Qos,
        id: Option<PacketId>,
        dup: bool,
    ) -> Result<(), Reason> {
        let retain = self.limits.retain(message.retain);
        let mut properties = std::mem::take(&mut self.scratch);
        properties.0.clear();
        let (topic, payload) = (Some(message.topic.clone()), message.payload.clone());
        if self.version == Version::V5
            && let Some(more) = &message.properties
        {
            // Subscriptions are numbered by the broker only (3.3.4-6), aliases by the session.
            let ours = |it: &&Property| {
                !matches!(it, Property::SubscriptionId(_) | Property::TopicAlias(_))
            };
            properties.0.extend(more.0.iter().filter(ours).cloned());
        }
        let mut publish = Publish { topic, payload, qos, id, dup, retain, properties };
        // Room for the alias too.
        let fits = publish.size(self.version) + 4 <= self.limits.largest;
        if fits {
            if let Some((alias, known)) = self.aliases.of(&message.topic) {
                publish.properties.0.push(Property::TopicAlias(alias));
                publish.topic = publish.topic.filter(|_| !known);
            }
            let packet = Packet::Publish(publish);
            self.put(&packet);
            let Packet::Publish(sent) = packet else { return Ok(()) };
            publish = sent;
        }
        self.scratch = publish.properties;
        if fits { Ok(()) } else { Err(Reason::PACKET_TOO_LARGE) }
    }

    fn put(&mut self, packet: &Packet) {
        tracing::trace!("sending {packet}");
        let before = self.output.len();
        packet.encode(&mut self.output, self.version);
        self.queued += (self.output.len() - before) as u64;
    }

    /// Whether nothing more can be sent before acknowledgements come.
    pub fn is_full(&self) -> bool {
        self.flights.is_full()
    }

    /// What is to be written to the link. The owner takes off its front what was written, and calls
    /// [`Session::wrote`].
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Bytes of the output were written to the link.
    pub fn wrote(&mut self, now: Instant) {
        let written = self.written();
        if let State::Connecting { keepalive, .. } | State::Up(keepalive) = &mut self.state {
            keepalive.wrote(written, now);
        }
        self.flights.watch(written, now);
    }

    /// How many bytes of this link's output have left it.
    fn written(&self) -> u64 {
        self.queued.saturating_sub(self.output.len() as u64)
    }

    /// When [`Session::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Down => None,
            State::Connecting { due, .. } => Some(*due),
            State::Up(keepalive) => {
                [keepalive.deadline(), self.flights.deadline()].into_iter().flatten().min()
            }
        }
    }

    /// A deadline may have come.
    pub fn timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        let ask = match &self.state {
            State::Down => return Ok(()),
            State::Connecting { due, .. } if *due <= now => return Err(SessionError::NoConnAck),
            State::Connecting { .. } => return Ok(()),
            State::Up(keepalive) => keepalive.due(now),
        };
        match ask {
            Due::Nothing => {}
            Due::Ping => self.ping(),
            Due::End => return Err(SessionError::NoPingResp),
        }
        match self.flights.deadline() {
            Some(due) if due <= now => Err(SessionError::NoAnswer),
            _ => Ok(()),
        }
    }

    fn ping(&mut self) {
        self.put(&Packet::PingReq);
        if let State::Up(keepalive) = &mut self.state {
            keepalive.asked(self.queued);
        }
    }

    /// The next thing to tell. Taking a message acknowledges it, unless that is done by hand.
    pub fn event(&mut self) -> Option<Event> {
        let Occurrence { event, token } = self.events.pop_front()?;
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
    pub fn acknowledge(&mut self, token: Token, reason: Reason) {
        self.acknowledge_with(token, reason, Properties::NONE);
    }

    /// The same with a `ReasonString` and user properties, in 5.0. They are left out if they would
    /// make the packet larger than the broker takes (3.4.2.2.2).
    pub fn acknowledge_with(&mut self, token: Token, reason: Reason, properties: Properties) {
        let fits = FRAME + properties.len(self.version) <= self.limits.largest;
        let properties = if fits { properties } else { Properties::NONE };
        self.inbound.answer(token, reason, properties);
        self.answer();
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

    /// Leaves: what stands in the output then is the last. With a reason above 0 the broker may
    /// publish the will, in 5.0.
    pub fn disconnect(&mut self, reason: Reason) {
        self.disconnect_with(Disconnect::new(reason));
    }

    /// The same with properties, in 5.0: another session expiry, words, user properties. The last
    /// two are left out if they would make the packet larger than the broker takes (3.14.2.2.3).
    pub fn disconnect_with(&mut self, mut disconnect: Disconnect) {
        if let State::Up(_) = self.state {
            if FRAME + disconnect.properties.len(self.version) > self.limits.largest {
                let kept = |it: &Property| matches!(it, Property::SessionExpiry(_));
                disconnect.properties.0.retain(kept);
            }
            self.put(&Packet::Disconnect(disconnect));
            self.state = State::Down;
        }
    }

    /// The link is gone; `closed` if the broker closed it without a word. What was in flight is
    /// remembered, in case the broker remembers it too.
    pub fn disconnected(&mut self, closed: bool) {
        // Some brokers close the link where they do not know the version.
        if closed && matches!(self.state, State::Connecting { .. }) {
            self.try_older();
        }
        self.state = State::Down;
        self.output = BytesMut::new();
        self.queued = 0;
        self.oversize = None;
        // Messages that were not taken were not acknowledged: the broker sends them again.
        self.events.retain(|occurrence| match &occurrence.event {
            Event::Refused { .. } | Event::Unsubscribed { .. } => true,
            Event::Subscribed { request, filter, .. } => {
                !self.requests.asks_again(*request, filter)
            }
            _ => false,
        });
        self.flights.link_lost();
        self.inbound.link_lost();
        self.requests.link_lost();
        self.tell_overtaken();
    }
}

fn protocol(what: &'static str) -> SessionError {
    SessionError::Protocol(Reason::PROTOCOL_ERROR, what)
}

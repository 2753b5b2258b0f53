//! What the broker says.

use super::event::{Event, Received, SessionError};
use super::in_flight::SentPacket;
use super::inbound::{AckToken, Alias};
use super::keepalive::KeepAlive;
use super::options::{Limits, OnOversize};
use super::{AUTH, CONNACK, Session, Skipped, State, WillLimit, protocol};
use crate::mqtt::packet::{
    Ack, Auth, ConnAck, Decoded, Disconnect, Oversize, Packet, PacketError, PacketId, Properties,
    Property, Publish, Reason, Version, WildcardTopic,
};
use crate::mqtt::source::{Deferred, Source};
use crate::mqtt::topic::Qos;
use bytes::{Buf, Bytes, BytesMut};
use std::time::{Duration, Instant};

/// No more messages may be unacknowledged, however many the broker sends: half a MiB of records.
const MOST_UNANSWERED: usize = 16_384;

impl Session {
    /// Takes what was read. After an error nothing that follows in `input` counts, and the link must
    /// be closed once the output was written, in which the broker may be told why.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        source: &mut dyn Source,
        now: Instant,
    ) -> Result<(), SessionError> {
        let result = self.receive_all(input, source, now);
        if let Err(error) = &result {
            self.leave(error);
        }
        result
    }

    fn receive_all(
        &mut self,
        input: &mut BytesMut,
        source: &mut dyn Source,
        now: Instant,
    ) -> Result<(), SessionError> {
        if let State::Connecting { keepalive, .. } | State::Up(keepalive) = &mut self.state {
            keepalive.received(now);
        }
        // A web server need not be waited for.
        let answers = |byte: &u8| matches!(byte >> 4, CONNACK | AUTH);
        if matches!(self.state, State::Connecting { .. })
            && input.first().is_some_and(|byte| !answers(byte))
        {
            return Err(protocol("a packet before CONNACK"));
        }
        loop {
            self.skip(input);
            let decoded = Packet::decode(input, self.options.largest, self.version());
            if let Err(PacketError::WildcardTopic(message)) = decoded {
                self.pass_wildcard(*message)?;
                continue;
            }
            match decoded? {
                None => break,
                Some(Decoded::Packet(packet)) => {
                    tracing::trace!("received {packet}");
                    self.handle(packet, source, now)?;
                }
                Some(Decoded::Oversize(oversize)) => self.pass_over(oversize)?,
            }
        }
        self.in_flight.watch(self.written(), now);
        if let Some(most) = self.options.hold {
            self.hold.read(self.is_over_maximum(), most, now);
        }
        Ok(())
    }

    /// An error ends the link; a broker of 5.0 that broke the protocol is told (4.13).
    fn leave(&mut self, error: &SessionError) {
        let unanswered = matches!(self.state, State::Connecting { .. });
        if error.is_told() && self.version() == Version::V5 && !unanswered {
            self.put(&Packet::Disconnect(Disconnect::new(error.reason())));
        }
        if unanswered && !matches!(error, SessionError::Auth(_)) {
            self.fall_back(error);
        }
        self.state = State::Down;
    }

    /// A broker that does not let us in may do so with another CONNECT: in an older version, or with
    /// a smaller will.
    fn fall_back(&mut self, error: &SessionError) {
        let will = self.options.adaptable_will();
        self.is_other = match error {
            SessionError::Refused(answer)
                if answer.reason == Reason::UNSUPPORTED_PROTOCOL_VERSION =>
            {
                self.fallback.on_unknown_version()
            }
            SessionError::Refused(answer) => self.fallback.on_refused(answer.reason, will),
            SessionError::Packet(_) => self.fallback.on_close(will),
            _ => false,
        };
    }

    /// Whether the next CONNECT differs from the one that failed in what the broker did not take, or
    /// may not have taken: in an older version, or with a smaller will.
    pub fn has_another_way(&self) -> bool {
        self.is_other
    }

    /// The same, and that way was not tried yet since the broker let us in last.
    pub fn has_untried_way(&self) -> bool {
        self.is_other && !self.fallback.tried_all
    }

    /// Whether a connect that failed with this is worth to be repeated at once, because the broker
    /// said what it does not take and the next one has it no more.
    pub fn tries_again_at_once(&self, error: &SessionError) -> bool {
        self.is_other && matches!(error, SessionError::Refused(_))
    }

    /// What of the will the broker has taken, if that is another part than before.
    pub fn will_news(&mut self) -> Option<WillLimit> {
        self.will_news.take()
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
            self.events.push_back((event, token));
        }
    }

    /// Acknowledges a message that nobody hears of.
    fn pass_by(&mut self, token: Option<AckToken>) {
        if let Some(token) = token {
            self.inbound.taken(token);
            self.acknowledge(token, Reason::SUCCESS);
        }
    }

    /// See [`Inbound::came`](super::inbound::Inbound::came).
    fn came(&mut self, qos: Qos, id: Option<PacketId>, dup: bool) -> Option<Option<AckToken>> {
        self.had_qos_2 |= qos == Qos::ExactlyOnce;
        self.inbound.came(qos, id, dup)
    }

    /// Nobody may publish to a topic with a wildcard, and a link that ends for one gets it again: it
    /// is acknowledged, and nobody but the log hears of it.
    fn pass_wildcard(&mut self, message: WildcardTopic) -> Result<(), SessionError> {
        self.must_be_up()?;
        let WildcardTopic { qos, id, alias, topic } = message;
        if let Some(alias) = alias {
            let maximum = self.options.topic_aliases;
            *self
                .inbound
                .alias(alias, maximum)
                .map_err(|(reason, what)| SessionError::Protocol(reason, what))? = Alias::Wildcard;
        }
        match self.came(qos, id, false) {
            Some(token) => {
                self.may_come()?;
                self.pass_by(token);
                self.tell(Event::WildcardTopic { topic: Some(topic) });
            }
            None => self.answer(),
        }
        Ok(())
    }

    fn pass_over(&mut self, oversize: Oversize) -> Result<(), SessionError> {
        self.must_be_up()?;
        if self.options.on_oversize == OnOversize::Disconnect {
            let what = "a message larger than we take";
            return Err(SessionError::Protocol(Reason::PACKET_TOO_LARGE, what));
        }
        let came = self.came(oversize.qos, oversize.id, false);
        if came.is_none() {
            self.answer();
        }
        self.may_come()?;
        let (left, start, is_new) = (oversize.skip, BytesMut::new(), came.is_some());
        self.oversize = Some(Skipped { oversize, left, start, is_new, token: came.flatten() });
        Ok(())
    }

    fn handle(
        &mut self,
        packet: Packet,
        source: &mut dyn Source,
        now: Instant,
    ) -> Result<(), SessionError> {
        match packet {
            Packet::ConnAck(answer) => return self.connected(answer, source),
            Packet::Auth(auth) => return self.authenticate(auth),
            _ => {}
        }
        let keepalive = self.must_be_up()?;
        match packet {
            Packet::Publish(publish) => self.message(publish)?,
            Packet::PubAck(ack) => {
                let answered = self.in_flight.acknowledged(ack.id);
                if let Some(
                    SentPacket::Message(_, Qos::ExactlyOnce) | SentPacket::Birth(Qos::ExactlyOnce),
                ) = answered
                {
                    self.downgraded();
                }
                self.answered(answered, ack.reason, source, now);
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                let answered = self.in_flight.rejected(ack.id);
                self.answered(answered, ack.reason, source, now);
            }
            Packet::PubRec(ack) => self.received(ack.id),
            Packet::PubComp(ack) => {
                let answered = self.in_flight.completed(ack.id);
                // The broker had the message: that it lost the identifier since is no loss.
                self.settled(answered, Reason::SUCCESS, source);
            }
            Packet::PubRel(ack) => {
                let reason = self.inbound.released(ack.id);
                self.put(&Packet::PubComp(Ack::new(ack.id, reason)));
            }
            Packet::SubAck(answer) => {
                let known = self.in_flight.answered(answer.id);
                let events = self.requests.subscribed(answer.id, &answer.reasons);
                let Some(events) = events.filter(|_| known) else {
                    return Err(protocol("a SUBACK that does not answer a SUBSCRIBE"));
                };
                self.tell_all(events);
            }
            Packet::UnsubAck(answer) => {
                let known = self.in_flight.answered(answer.id);
                let events = self.requests.unsubscribed(answer.id, answer.reasons, self.version());
                let Some(events) = events.filter(|_| known) else {
                    return Err(protocol("an UNSUBACK that does not answer an UNSUBSCRIBE"));
                };
                self.tell_all(events);
            }
            Packet::PingResp => {
                keepalive.answered();
                if let Some(end) = self.watch.pong() {
                    self.in_flight.pong(end);
                }
                self.tell(Event::Pong);
            }
            Packet::Disconnect(disconnect) if self.version() == Version::V5 => {
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

    fn connected(
        &mut self,
        mut answer: ConnAck,
        source: &mut dyn Source,
    ) -> Result<(), SessionError> {
        if !matches!(self.state, State::Connecting { .. }) {
            return Err(protocol("a second CONNACK"));
        }
        if answer.reason.is_error() {
            return Err(SessionError::Refused(answer));
        }
        let asked_for_none =
            self.begins_anew() || self.options.connect(self.version(), !self.was_connected).clean;
        if answer.session_present && asked_for_none {
            return Err(protocol("a session where a new one was asked for"));
        }
        if self.version() == Version::V31 {
            // Its CONNACK does not tell. What is repeated with DUP does no harm if it was lost.
            answer.session_present = self.was_connected && !asked_for_none;
        }
        let properties = &answer.properties;
        if self.version() == Version::V5
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
        // It stands for an empty one only (3.2.2.3.7): under another than ours we would not find our
        // session again.
        if let Some(client_id) = properties.assigned_client_id()
            && self.options.client_id.is_empty()
        {
            self.options.client_id.clone_from(client_id);
        }
        self.state = State::Up(keepalive);
        let news = self.fallback.let_in().filter(|_| self.options.will.is_some());
        self.will_news = news.or(self.will_news);
        self.was_connected = true;
        if std::mem::take(&mut self.is_elsewhere) {
            // Its identifiers stand for other messages.
            self.inbound.forget();
        }
        self.limits = Limits::of(properties);
        let window = properties.receive_maximum().copied().unwrap_or(u16::MAX);
        self.in_flight.set_window(self.options.inflight.min(window));
        let aliases = properties.topic_alias_maximum().copied().unwrap_or(0);
        self.aliases.start(if self.options.own_aliases { aliases } else { 0 });
        if !answer.session_present {
            // The broker knows nothing of what was in flight: it is sent anew, under new
            // identifiers and without DUP, in its old order.
            self.in_flight.forget();
            self.inbound.forget();
            source.requeue();
        }
        source.connected();
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
        let login = self.login();
        if let (State::Up(_), true, Some(auth)) =
            (&self.state, self.method_is_named, &mut self.auth)
        {
            let (method, data) = (auth.method().to_owned(), auth.start(&login)?);
            self.put_auth(Reason::RE_AUTHENTICATE, method, data);
        }
        Ok(())
    }

    fn put_auth(&mut self, reason: Reason, method: String, data: Bytes) {
        let properties = Properties(vec![Property::AuthMethod(method), Property::AuthData(data)]);
        self.put(&Packet::Auth(Auth { reason, properties }));
    }

    fn message(&mut self, mut publish: Publish) -> Result<(), SessionError> {
        self.inbound
            .resolve(&mut publish, self.options.topic_aliases)
            .map_err(|(reason, what)| SessionError::Protocol(reason, what))?;
        let Publish { topic, payload, qos, id, dup, retain, properties } = publish;
        let Some(token) = self.came(qos, id, dup) else {
            self.answer();
            return Ok(());
        };
        self.may_come()?;
        let Some(topic) = topic else {
            self.pass_by(token);
            self.tell(Event::WildcardTopic { topic: None });
            return Ok(());
        };
        let received = Received { topic, payload, qos, retain, dup, properties, token };
        self.events.push_back((Event::Message(received), token));
        Ok(())
    }

    /// A broker that sends more at once than we said is held back; without end it is not to fill
    /// our memory (4.9).
    fn may_come(&self) -> Result<(), SessionError> {
        if self.inbound.unanswered() > MOST_UNANSWERED {
            let reason = Reason::RECEIVE_MAXIMUM_EXCEEDED;
            return Err(SessionError::Protocol(reason, "more messages at once than we take"));
        }
        Ok(())
    }

    fn answered(
        &mut self,
        answered: Option<SentPacket>,
        reason: Reason,
        source: &mut dyn Source,
        now: Instant,
    ) {
        // The exchange is over (4.4). What is put off goes as a new message, in another one.
        if let Some(SentPacket::Message(sending, _)) = answered
            && reason.may_pass()
            && let Some(deferred) = source.defer(sending, now)
        {
            if let Deferred::For(wait) = deferred
                && let Some(message) = source.message(sending)
            {
                let topic = message.topic.clone();
                self.tell(Event::PutOff { topic, reason, wait });
            }
            return;
        }
        self.settled(answered, reason, source);
    }

    pub(super) fn settled(
        &mut self,
        answered: Option<SentPacket>,
        reason: Reason,
        source: &mut dyn Source,
    ) {
        // An answer to nothing, as after a lost session, does not end the link.
        let Some(answered) = answered else { return self.stray_acks += 1 };
        let Some(id) = answered.message() else { return };
        match source.message(id) {
            Some(message) if reason.is_error() => {
                self.tell(Event::refused(message, source.sender_of(id), reason, 0));
            }
            Some(message) if !self.quarantine.is_empty() => self.quarantine.taken(message),
            _ => {}
        }
        source.settled(id, reason);
    }

    /// The broker answered QoS 2 as if it were QoS 1: it may deliver the message twice.
    pub(super) fn downgraded(&mut self) {
        if !std::mem::replace(&mut self.downgrade_is_told, true) {
            tracing::warn!("the broker takes our messages of QoS 2 with QoS 1");
        }
    }

    fn received(&mut self, id: PacketId) {
        let success = Packet::PubRel(Ack::new(id, Reason::SUCCESS));
        // PUBREL takes the message's place in flight, where it ends behind everything so far.
        let before = self.output.len();
        self.put(&success);
        if !self.in_flight.received(id, self.queued) {
            self.stray_acks += 1;
            self.queued -= (self.output.len() - before) as u64;
            self.output.truncate(before);
            let unknown = Reason::PACKET_IDENTIFIER_NOT_FOUND;
            self.put(&Packet::PubRel(Ack::new(id, unknown)));
        }
    }
}

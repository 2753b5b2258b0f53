//! Packets from the broker.

use super::event::{Event, Received, SessionError};
use super::in_flight::SentPacket;
use super::inbound::{AckToken, Alias};
use super::keepalive::KeepAlive;
use super::options::OnOversize;
use super::{AUTH, CONNACK, Session, Skipped, State, protocol};
use crate::mqtt::packet::{
    Ack, Decoded, Disconnect, Oversize, Packet, PacketError, PacketId, Publish, Reason, Version,
    WildcardTopic,
};
use crate::mqtt::source::{Deferred, Source};
use crate::mqtt::topic::Qos;
use bytes::{Buf, BytesMut};
use std::time::Instant;

/// Upper bound of unacknowledged messages, however many the broker sends: half a MiB of records.
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

    /// Ends the link; a broker of 5.0 that broke the protocol is told why (4.13).
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

    /// Skips bytes of a message above our maximum packet size.
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

    /// Acknowledges a message that is not delivered.
    fn pass_by(&mut self, token: Option<AckToken>) {
        if let Some(token) = token {
            self.inbound.taken(token);
            self.acknowledge(token, Reason::SUCCESS);
        }
    }

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
            *self.inbound.alias(alias, self.options.topic_aliases)? = Alias::Wildcard;
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
                if answered.is_some_and(SentPacket::is_qos_2) {
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

    fn message(&mut self, mut publish: Publish) -> Result<(), SessionError> {
        self.inbound.resolve(&mut publish, self.options.topic_aliases)?;
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

    /// The broker answered QoS 2 with PUBACK: it may deliver the message twice.
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

//! The protocol between link and outbox, as a client. Sans-io: bytes in, bytes out, time as an
//! argument. MQTT 3.1.1 with QoS 0 and 1.

mod flights;
mod ids;
mod keepalive;

use super::packet::{ConnAck, Connect, Decoded, Packet, PacketError, PacketId, Publish};
use super::packet::{Refusal, SubAck, Subscribe, Will};
use super::topic::{Qos, Topic, TopicFilter};
use crate::config::scalar::Secret;
use crate::message::Message;
use crate::outbox::Outbox;
use bytes::{Buf, Bytes, BytesMut};
use flights::{ANSWER_DEADLINE, Flights, Sent};
use keepalive::{Due, KeepAlive, PING_DEADLINE};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the broker may take to answer CONNECT.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// As much is put into the output at once; more waits in the outbox, where it is bounded.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Larger inbound packets are passed over. A command for a serial device has a few bytes.
const INPUT_LIMIT: usize = 256 * 1024;

/// What a session is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Unique at the broker.
    pub client_id: String,
    /// Whether the broker is to forget us when the link ends.
    pub clean: bool,
    /// Longest silence in either direction before PINGREQ; at most 65,535 s go on the wire. 0: no
    /// PINGREQ, and the broker never gives us up.
    pub keepalive: Duration,
    /// User name.
    pub user: Option<String>,
    /// Password; see also [`Session::set_password`].
    pub password: Option<Secret>,
    /// What the broker publishes when we are lost.
    pub will: Option<Message>,
    /// What we want to hear.
    pub subscriptions: Vec<(TopicFilter, Qos)>,
    /// How many QoS 1 messages may wait for their acknowledgement at once, 1 to 65,000; what lies
    /// outside counts as the nearest of these.
    pub inflight: u16,
}

/// What the session tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker took us in.
    Connected {
        /// Whether it still had our session.
        session_present: bool,
    },
    /// A message of a subscription. QoS 1 is acknowledged when this event is taken.
    Message {
        /// Where it was published.
        topic: Topic,
        /// What it says.
        payload: Bytes,
        /// Whether the broker had kept it from before.
        retain: bool,
    },
    /// The broker answered a subscription.
    Subscribed {
        /// What was asked for.
        filter: TopicFilter,
        /// What it grants; `None`: refused.
        granted: Option<Qos>,
    },
    /// A message too large for us was passed over (and acknowledged, or it would come for ever).
    Oversize {
        /// Its topic.
        topic: String,
        /// Bytes of its payload.
        bytes: usize,
    },
}

/// Why a link must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The broker does not let us in.
    #[error("{0}")]
    Refused(Refusal),
    /// No answer to CONNECT.
    #[error("no CONNACK within {} s; is that an MQTT broker?", CONNECT_DEADLINE.as_secs())]
    NoConnAck,
    /// No answer to PINGREQ: the link is half-open, or the broker hangs.
    #[error("no PINGRESP within {} s: the link is dead", PING_DEADLINE.as_secs())]
    NoPingResp,
    /// A message or a subscription stays unanswered, although the broker is there.
    #[error("the broker left a packet unacknowledged for {} s", ANSWER_DEADLINE.as_secs())]
    NoAnswer,
    /// The broker sent something that is not MQTT 3.1.1.
    #[error("the broker broke the protocol: {0}")]
    Packet(#[from] PacketError),
    /// The broker sent a packet that has no place here.
    #[error("the broker broke the protocol: {0}")]
    Unexpected(&'static str),
}

impl SessionError {
    /// Whether trying again soon is pointless, because somebody must change a setting first.
    pub fn needs_operator(&self) -> bool {
        matches!(self, SessionError::Refused(why) if *why != Refusal::Unavailable)
    }
}

/// The client's side of the protocol, over any number of links one after the other.
#[derive(Debug)]
pub struct Session {
    options: Options,
    state: State,
    output: BytesMut,
    /// Bytes that were ever put into this link's output: positions in it that stay the same while
    /// its front is written.
    queued: u64,
    flights: Flights,
    /// Bytes of a message too large for us that are still to come.
    skip: usize,
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

/// An event, and what to acknowledge once it was taken.
#[derive(Debug)]
struct Occurrence {
    event: Event,
    acknowledge: Option<PacketId>,
}

impl Session {
    /// A session that was never connected.
    pub fn new(options: Options) -> Session {
        Session {
            flights: Flights::new(options.inflight),
            options,
            state: State::Down,
            output: BytesMut::new(),
            queued: 0,
            skip: 0,
            events: VecDeque::new(),
            stray_acks: 0,
        }
    }

    /// Replaces the password from the next connect on.
    pub fn set_password(&mut self, password: Secret) {
        self.options.password = Some(password);
    }

    /// A link is up: asks the broker to let us in.
    pub fn connect(&mut self, now: Instant) {
        let Options { client_id, clean, keepalive, user, password, will, .. } = &self.options;
        let will = will.as_ref().map(|message| Will {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: message.qos,
            retain: message.retain,
        });
        // Rounded up: 0 would tell the broker never to give us up.
        let seconds = keepalive.as_secs() + u64::from(keepalive.subsec_nanos() > 0);
        let connect = Packet::Connect(Connect {
            client_id: client_id.clone(),
            clean: *clean,
            keep_alive: u16::try_from(seconds).unwrap_or(u16::MAX),
            will,
            user: user.clone(),
            password: password.clone(),
        });
        let keepalive = KeepAlive::new(*keepalive, now);
        self.state = State::Connecting { due: now + CONNECT_DEADLINE, keepalive };
        self.put(&connect);
    }

    /// Takes what was read. After an error the link must be closed and nothing that follows in
    /// `input` counts.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        outbox: &mut Outbox,
        now: Instant,
    ) -> Result<(), SessionError> {
        if let State::Connecting { keepalive, .. } | State::Up(keepalive) = &mut self.state {
            keepalive.received(now);
        }
        loop {
            let skipped = self.skip.min(input.len());
            input.advance(skipped);
            self.skip -= skipped;
            match Packet::decode(input, INPUT_LIMIT)? {
                None => break,
                Some(Decoded::Packet(packet)) => {
                    tracing::trace!("received {packet}");
                    self.handle(packet, outbox)?;
                }
                Some(Decoded::Oversize { id, topic, skip }) => {
                    self.must_be_up()?;
                    self.skip = skip;
                    let event = Event::Oversize { topic, bytes: skip };
                    self.events.push_back(Occurrence { event, acknowledge: id });
                }
            }
        }
        self.flights.watch(self.written(), now);
        Ok(())
    }

    /// Whether more should be read. A broker that sends and does not read would otherwise make
    /// acknowledgements pile up in the output; the link ends that when its write is overdue.
    pub fn wants_input(&self) -> bool {
        self.output.len() < 2 * OUTPUT_LIMIT
    }

    fn handle(&mut self, packet: Packet, outbox: &mut Outbox) -> Result<(), SessionError> {
        if let Packet::ConnAck(answer) = packet {
            return self.connected(answer, outbox);
        }
        let keepalive = self.must_be_up()?;
        match packet {
            Packet::Publish(publish) => {
                let Publish { topic, payload, id, retain, .. } = publish;
                let event = Event::Message { topic, payload, retain };
                self.events.push_back(Occurrence { event, acknowledge: id });
                Ok(())
            }
            Packet::PubAck(id) => {
                match self.flights.acknowledged(id) {
                    Some(Sent::Message(ticket)) => outbox.acknowledged(ticket),
                    Some(_) => {}
                    // An answer to nothing, as after a lost session, is no reason to part.
                    None => self.stray_acks += 1,
                }
                Ok(())
            }
            Packet::SubAck(answer) => self.subscribed(answer),
            Packet::PingResp => {
                keepalive.answered();
                Ok(())
            }
            Packet::UnsubAck(_) => {
                Err(SessionError::Unexpected("an UNSUBACK that nobody asked for"))
            }
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect => {
                Err(SessionError::Unexpected("a packet that only clients send"))
            }
        }
    }

    fn must_be_up(&mut self) -> Result<&mut KeepAlive, SessionError> {
        match &mut self.state {
            State::Up(keepalive) => Ok(keepalive),
            _ => Err(SessionError::Unexpected("a packet before CONNACK")),
        }
    }

    fn connected(&mut self, answer: ConnAck, outbox: &mut Outbox) -> Result<(), SessionError> {
        let State::Connecting { keepalive, .. } = std::mem::replace(&mut self.state, State::Down)
        else {
            return Err(SessionError::Unexpected("a second CONNACK"));
        };
        if let Some(why) = answer.refusal {
            return Err(SessionError::Refused(why));
        }
        if answer.session_present && self.options.clean {
            return Err(SessionError::Unexpected("a session where a new one was asked for"));
        }
        self.state = State::Up(keepalive);
        if !answer.session_present {
            // The broker knows nothing of what was in flight: it is sent anew, under new
            // identifiers and without DUP, in its old order.
            self.flights.forget();
            outbox.requeue();
        }
        // Also into a session that the broker still had: what is wanted may have changed since.
        if !self.options.subscriptions.is_empty()
            && let Some(id) = self.flights.id()
        {
            let filters = self.options.subscriptions.clone();
            self.put(&Packet::Subscribe(Subscribe { id, filters }));
            self.flights.sent(id, Sent::Subscribe, self.queued);
        }
        let event = Event::Connected { session_present: answer.session_present };
        self.events.push_back(Occurrence { event, acknowledge: None });
        Ok(())
    }

    fn subscribed(&mut self, answer: SubAck) -> Result<(), SessionError> {
        if !self.flights.subscribed(answer.id) {
            return Err(SessionError::Unexpected("a SUBACK that nobody asked for"));
        }
        if answer.granted.len() != self.options.subscriptions.len() {
            return Err(SessionError::Unexpected("a SUBACK for another number of filters"));
        }
        for ((filter, _), granted) in self.options.subscriptions.iter().zip(answer.granted) {
            let event = Event::Subscribed { filter: filter.clone(), granted };
            self.events.push_back(Occurrence { event, acknowledge: None });
        }
        Ok(())
    }

    /// Moves messages from the outbox into the output, as far as the output and the window for
    /// unacknowledged messages have room: first what has to be sent again, then what is new.
    pub fn send(&mut self, outbox: &mut Outbox) {
        if !matches!(self.state, State::Up(_)) {
            return;
        }
        while self.output.len() < OUTPUT_LIMIT
            && let Some((id, ticket)) = self.flights.again()
        {
            if let Some(message) = outbox.again(ticket) {
                self.put_message(message, Some(id), true);
            }
            self.flights.sent(id, Sent::Message(ticket), self.queued);
        }
        while self.output.len() < OUTPUT_LIMIT
            && self.flights.has_room()
            && let Some(message) = outbox.front()
        {
            if message.qos == Qos::AtMostOnce {
                self.put_message(message, None, false);
                outbox.sent();
                continue;
            }
            let Some(id) = self.flights.id() else { return };
            self.put_message(message, Some(id), false);
            let what = outbox.sent().map_or(Sent::Birth, Sent::Message);
            self.flights.sent(id, what, self.queued);
        }
    }

    fn put_message(&mut self, message: &Message, id: Option<PacketId>, dup: bool) {
        let Message { topic, payload, retain, .. } = message.clone();
        self.put(&Packet::Publish(Publish { topic, payload, id, dup, retain }));
    }

    fn put(&mut self, packet: &Packet) {
        tracing::trace!("sending {packet}");
        let before = self.output.len();
        packet.encode(&mut self.output);
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

    /// The next thing to tell. Taking a message acknowledges it.
    pub fn event(&mut self) -> Option<Event> {
        let Occurrence { event, acknowledge } = self.events.pop_front()?;
        if let Some(id) = acknowledge {
            self.put(&Packet::PubAck(id));
        }
        Some(event)
    }

    /// PUBACKs that answered nothing, since the start.
    pub fn stray_acks(&self) -> u64 {
        self.stray_acks
    }

    /// Leaves in good order: what stands in the output then is the last.
    pub fn disconnect(&mut self) {
        if let State::Up(_) = self.state {
            self.put(&Packet::Disconnect);
            self.state = State::Down;
        }
    }

    /// The link is gone. What was in flight is remembered, in case the broker remembers it too.
    pub fn disconnected(&mut self) {
        self.state = State::Down;
        self.output = BytesMut::new();
        self.queued = 0;
        self.skip = 0;
        // What was not taken was not acknowledged: the broker sends it again.
        self.events.clear();
        self.flights.link_lost();
    }
}

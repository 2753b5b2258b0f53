//! The protocol between link and outbox, as a client. Sans-io: bytes in, bytes out, time as an
//! argument. MQTT 3.1.1 with QoS 0 and 1.

mod ids;

use super::packet::{ConnAck, Connect, Decoded, Packet, PacketError, PacketId, Publish};
use super::packet::{Refusal, SubAck, Subscribe, Will};
use super::topic::{Qos, Topic, TopicFilter};
use crate::config::scalar::Secret;
use crate::message::Message;
use crate::outbox::{Outbox, Ticket};
use bytes::{Bytes, BytesMut};
use ids::Ids;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the broker may take to answer CONNECT, and PINGREQ once that was written.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

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
    /// Longest silence in either direction before PINGREQ; at most 65,535 s go on the wire.
    pub keepalive: Duration,
    /// User name.
    pub user: Option<String>,
    /// Password; see also [`Session::set_password`].
    pub password: Option<Secret>,
    /// What the broker publishes when we are lost.
    pub will: Option<Message>,
    /// What we want to hear.
    pub subscriptions: Vec<(TopicFilter, Qos)>,
    /// How many QoS 1 messages may wait for their acknowledgement at once.
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
    #[error("no CONNACK within {} s; is that an MQTT broker?", ANSWER_DEADLINE.as_secs())]
    NoConnAck,
    /// No answer to PINGREQ: the link is half-open, or the broker hangs.
    #[error("no PINGRESP within {} s: the link is dead", ANSWER_DEADLINE.as_secs())]
    NoPingResp,
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
    /// Bytes that were ever put into the output, to know when a PINGREQ has left it.
    queued: u64,
    /// Sent on this link and not answered, oldest first.
    in_flight: VecDeque<Flight>,
    /// Sent on an earlier link of this session and not answered: to be sent again, oldest first.
    resend: VecDeque<Flight>,
    /// The window is full: it is filled again when half of it is free, so that many messages share
    /// a write and not each acknowledgement makes one.
    full: bool,
    ids: Ids,
    /// Bytes of a message too large for us that are still to come.
    skip: usize,
    events: VecDeque<Occurrence>,
    last_received: Instant,
    last_sent: Instant,
    ping: Ping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    /// CONNECT is on its way; CONNACK is due.
    Connecting(Instant),
    Up,
}

/// At most one PINGREQ is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    Idle,
    /// In the output, up to this byte of all that was ever queued.
    Queued(u64),
    /// Written; PINGRESP is due.
    Due(Instant),
}

/// A packet that the broker has to answer.
#[derive(Debug)]
struct Flight {
    id: PacketId,
    what: Sent,
}

#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// A message of the outbox.
    Message(Ticket),
    /// A message that is not worth repeating: the next connect makes a new one.
    Birth,
    /// All subscriptions.
    Subscribe,
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
        let now = Instant::now();
        Session {
            options,
            state: State::Down,
            output: BytesMut::new(),
            queued: 0,
            in_flight: VecDeque::new(),
            resend: VecDeque::new(),
            full: false,
            ids: Ids::default(),
            skip: 0,
            events: VecDeque::new(),
            last_received: now,
            last_sent: now,
            ping: Ping::Idle,
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
        let connect = Packet::Connect(Connect {
            client_id: client_id.clone(),
            clean: *clean,
            keep_alive: u16::try_from(keepalive.as_secs()).unwrap_or(u16::MAX),
            will,
            user: user.clone(),
            password: password.clone(),
        });
        self.state = State::Connecting(now + ANSWER_DEADLINE);
        self.last_received = now;
        self.last_sent = now;
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
        self.last_received = now;
        loop {
            let skipped = self.skip.min(input.len());
            bytes::Buf::advance(input, skipped);
            self.skip -= skipped;
            match Packet::decode(input, INPUT_LIMIT)? {
                None => return Ok(()),
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
    }

    fn handle(&mut self, packet: Packet, outbox: &mut Outbox) -> Result<(), SessionError> {
        match packet {
            Packet::ConnAck(answer) => self.connected(answer, outbox),
            Packet::Publish(publish) => {
                self.must_be_up()?;
                let Publish { topic, payload, id, retain, .. } = publish;
                let event = Event::Message { topic, payload, retain };
                self.events.push_back(Occurrence { event, acknowledge: id });
                Ok(())
            }
            Packet::PubAck(id) => {
                self.must_be_up()?;
                // An answer to nothing, as after a lost session, is no reason to part.
                if let Some(Sent::Message(ticket)) = self.landed(id) {
                    outbox.acknowledged(ticket);
                }
                Ok(())
            }
            Packet::SubAck(answer) => {
                self.must_be_up()?;
                self.subscribed(answer)
            }
            Packet::PingResp => {
                self.ping = Ping::Idle;
                Ok(())
            }
            Packet::UnsubAck(_) => {
                Err(SessionError::Unexpected("an UNSUBACK that nobody asked for"))
            }
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect => {
                Err(SessionError::Unexpected("a packet that only clients send"))
            }
        }
    }

    fn must_be_up(&self) -> Result<(), SessionError> {
        match self.state {
            State::Up => Ok(()),
            _ => Err(SessionError::Unexpected("a packet before CONNACK")),
        }
    }

    fn connected(&mut self, answer: ConnAck, outbox: &mut Outbox) -> Result<(), SessionError> {
        let State::Connecting(_) = self.state else {
            return Err(SessionError::Unexpected("a second CONNACK"));
        };
        if let Some(why) = answer.refusal {
            return Err(SessionError::Refused(why));
        }
        if answer.session_present && self.options.clean {
            return Err(SessionError::Unexpected("a session where a new one was asked for"));
        }
        self.state = State::Up;
        if !answer.session_present {
            // The broker knows nothing of what was in flight: it is sent anew, under new
            // identifiers and without DUP, in its old order.
            self.resend.clear();
            self.ids = Ids::default();
            outbox.requeue();
        }
        // Also into a session that the broker still had: what is wanted may have changed since.
        if !self.options.subscriptions.is_empty()
            && let Some(id) = self.ids.take()
        {
            let filters = self.options.subscriptions.clone();
            self.put(&Packet::Subscribe(Subscribe { id, filters }));
            self.in_flight.push_back(Flight { id, what: Sent::Subscribe });
        }
        let event = Event::Connected { session_present: answer.session_present };
        self.events.push_back(Occurrence { event, acknowledge: None });
        Ok(())
    }

    fn subscribed(&mut self, answer: SubAck) -> Result<(), SessionError> {
        if self.landed(answer.id) != Some(Sent::Subscribe) {
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

    /// The broker answered a packet: its identifier is free again.
    fn landed(&mut self, id: PacketId) -> Option<Sent> {
        for flights in [&mut self.in_flight, &mut self.resend] {
            // Brokers answer in order, so the first look nearly always finds it.
            if let Some(at) = flights.iter().position(|flight| flight.id == id) {
                self.ids.give_back(id);
                return flights.remove(at).map(|flight| flight.what);
            }
        }
        None
    }

    /// Moves messages from the outbox into the output, as far as the output and the window for
    /// unacknowledged messages have room: first what has to be sent again, then what is new.
    pub fn send(&mut self, outbox: &mut Outbox) {
        if self.state != State::Up {
            return;
        }
        while self.output.len() < OUTPUT_LIMIT
            && let Some(flight) = self.resend.pop_front()
        {
            match flight.what {
                Sent::Message(ticket) => {
                    if let Some(message) = outbox.again(ticket) {
                        self.put_message(message, Some(flight.id), true);
                        self.in_flight.push_back(flight);
                    }
                }
                // Both were made anew for this link.
                Sent::Birth | Sent::Subscribe => self.ids.give_back(flight.id),
            }
        }
        let window = usize::from(self.options.inflight.max(1));
        self.full &= self.in_flight.len() > window / 2;
        while self.output.len() < OUTPUT_LIMIT
            && self.resend.is_empty()
            && !self.full
            && outbox.has_waiting()
        {
            let Some(id) = self.ids.take() else { return };
            let Some((message, ticket)) = outbox.take() else { return self.ids.give_back(id) };
            let what = ticket.map_or(Sent::Birth, Sent::Message);
            if message.qos == Qos::AtMostOnce {
                self.ids.give_back(id);
                self.put_message(message, None, false);
            } else {
                self.put_message(message, Some(id), false);
                self.in_flight.push_back(Flight { id, what });
                self.full = self.in_flight.len() >= window;
            }
        }
    }

    fn put_message(&mut self, message: Message, id: Option<PacketId>, dup: bool) {
        let Message { topic, payload, retain, .. } = message;
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
        self.full
    }

    /// What is to be written to the link. The owner takes off its front what was written, and calls
    /// [`Session::wrote`].
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Bytes of the output were written to the link.
    pub fn wrote(&mut self, now: Instant) {
        self.last_sent = now;
        let written = self.queued - self.output.len() as u64;
        if let Ping::Queued(end) = self.ping
            && written >= end
        {
            self.ping = Ping::Due(now + ANSWER_DEADLINE);
        }
    }

    /// When [`Session::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match (self.state, self.ping) {
            (State::Down, _) => None,
            (State::Connecting(due), _) => Some(due),
            (State::Up, Ping::Due(due)) => Some(due),
            // A stuck write is the link's own business.
            (State::Up, Ping::Queued(_)) => None,
            (State::Up, Ping::Idle) => Some(self.ping_due()),
        }
    }

    /// Silence in either direction asks for a ping: the broker must hear us, and what we send must
    /// not hide that nothing comes back.
    fn ping_due(&self) -> Instant {
        self.last_received.min(self.last_sent) + self.options.keepalive
    }

    /// A deadline may have come.
    pub fn timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        match (self.state, self.ping) {
            (State::Connecting(due), _) if due <= now => Err(SessionError::NoConnAck),
            (State::Up, Ping::Due(due)) if due <= now => Err(SessionError::NoPingResp),
            (State::Up, Ping::Idle) if self.ping_due() <= now => {
                self.put(&Packet::PingReq);
                self.ping = Ping::Queued(self.queued);
                Ok(())
            }
            _ => Ok(()),
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

    /// Leaves in good order: what follows in the output is the last.
    pub fn disconnect(&mut self) {
        if self.state == State::Up {
            self.put(&Packet::Disconnect);
        }
    }

    /// The link is gone. What was in flight is remembered, in case the broker remembers it too.
    pub fn disconnected(&mut self) {
        self.state = State::Down;
        self.output = BytesMut::new();
        self.queued = 0;
        self.skip = 0;
        self.ping = Ping::Idle;
        // What was not taken was not acknowledged: the broker sends it again.
        self.events.clear();
        // What was sent on this link is older than what had not been sent again yet.
        self.in_flight.append(&mut self.resend);
        std::mem::swap(&mut self.in_flight, &mut self.resend);
        self.full = false;
    }
}

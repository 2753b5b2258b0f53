//! A small MQTT 3.1.1 broker without I/O: bytes in, bytes out, time as an argument.

use crate::config::scalar::Secret;
use crate::mqtt::packet::{ConnAck, Connect, Decoded, Packet, PacketId, Publish};
use crate::mqtt::packet::{Refusal, SubAck, Will};
use crate::mqtt::topic::{Qos, TopicFilter};
use bytes::BytesMut;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The largest packet that is taken.
const LARGEST: usize = 1 << 20;

/// How many messages wait for one absent client at most.
const QUEUE: usize = 100_000;

/// How many of them are sent to a present one without its acknowledgement.
const WINDOW: usize = 1000;

/// How many clients and retained messages are remembered.
const REMEMBERED: usize = 10_000;

/// A client that takes nothing gets no QoS 0 beyond so many bytes.
const BACKLOG: usize = 1 << 20;

/// A connection's name, chosen by its owner.
pub type Connection = u64;

/// What goes wrong on purpose.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Every so many PUBACKs one is not sent; 0: none is lost.
    pub lose_puback: u32,
    /// Every so many PUBACKs one is sent twice; 0: none is.
    pub repeat_puback: u32,
    /// PINGREQ is not answered.
    pub mute: bool,
    /// CONNECT is refused.
    pub refuse: Option<Refusal>,
    /// CONNECT finds no session from before.
    pub forget_sessions: bool,
    /// Subscriptions are refused.
    pub refuse_subscriptions: bool,
}

/// The broker.
#[derive(Debug, Default)]
pub struct Broker {
    /// What goes wrong on purpose, from now on.
    pub faults: Faults,
    /// The only user that is let in, with the password; `None`: everybody is.
    pub login: Option<(String, Secret)>,
    links: BTreeMap<Connection, Link>,
    /// By client identifier.
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<String, Publish>,
    pubacks: u32,
}

#[derive(Debug)]
struct Link {
    input: BytesMut,
    output: BytesMut,
    /// Who it is, once CONNECT came.
    client: Option<String>,
    will: Option<Will>,
    /// The client is given up after so long without a packet.
    patience: Option<Duration>,
    last: Instant,
    /// To be closed as soon as the output was written.
    closing: bool,
}

#[derive(Debug, Default)]
struct Session {
    clean: bool,
    link: Option<Connection>,
    subscriptions: Vec<(TopicFilter, Qos)>,
    /// Not sent yet.
    queue: VecDeque<Publish>,
    /// Sent, not acknowledged.
    in_flight: VecDeque<Publish>,
    last_id: u16,
}

impl Broker {
    /// A client has connected.
    pub fn open(&mut self, link: Connection, now: Instant) {
        let new = Link {
            input: BytesMut::new(),
            output: BytesMut::new(),
            client: None,
            will: None,
            patience: Some(Duration::from_secs(10)),
            last: now,
            closing: false,
        };
        self.links.insert(link, new);
    }

    /// Bytes from a client. What breaks the protocol closes its link.
    pub fn receive(&mut self, link: Connection, bytes: &[u8], now: Instant) {
        let Some(l) = self.links.get_mut(&link) else { return };
        l.last = now;
        l.input.extend_from_slice(bytes);
        while let Some(l) = self.links.get_mut(&link).filter(|l| !l.closing) {
            match Packet::decode(&mut l.input, LARGEST) {
                Ok(Some(Decoded::Packet(packet))) => self.handle(link, packet),
                Ok(None) => return,
                Ok(Some(Decoded::Oversize { .. })) | Err(_) => return self.fail(link),
            }
        }
    }

    /// What is to be written to a client; its owner takes off what was written.
    pub fn output(&mut self, link: Connection) -> Option<&mut BytesMut> {
        self.links.get_mut(&link).map(|l| &mut l.output)
    }

    /// Whether the link is to be closed once its output was written.
    pub fn is_closing(&self, link: Connection) -> bool {
        self.links.get(&link).is_none_or(|l| l.closing)
    }

    /// The links that there are.
    pub fn links(&self) -> Vec<Connection> {
        self.links.keys().copied().collect()
    }

    /// A client's link has ended.
    pub fn close(&mut self, link: Connection) {
        let Some(l) = self.links.remove(&link) else { return };
        let Some(client) = l.client else { return };
        if let Some(session) = self.sessions.get_mut(&client)
            && session.link == Some(link)
        {
            session.link = None;
            if session.clean {
                self.sessions.remove(&client);
            }
        }
        if let Some(will) = l.will {
            let id = (will.qos == Qos::AtLeastOnce).then_some(PacketId::MIN);
            let (topic, payload, retain) = (will.topic, will.payload, will.retain);
            self.distribute(Publish { topic, payload, id, dup: false, retain });
        }
    }

    /// When [`Broker::timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.links.values().filter_map(|l| Some(l.last + l.patience?)).min()
    }

    /// Gives up clients that have been silent for too long (MQTT 3.1.1, 3.1.2.10).
    pub fn timeout(&mut self, now: Instant) {
        let late = |l: &Link| l.patience.is_some_and(|patience| l.last + patience <= now);
        let late: Vec<_> =
            self.links.iter().filter(|(_, l)| late(l)).map(|(link, _)| *link).collect();
        for link in late {
            self.fail(link);
        }
    }

    /// All links break, as when the process is killed; sessions survive on request.
    pub fn restart(&mut self, keep_sessions: bool) {
        self.links.clear();
        for session in self.sessions.values_mut() {
            session.link = None;
        }
        self.sessions.retain(|_, session| keep_sessions && !session.clean);
    }

    /// Closes a link; the will is published.
    fn fail(&mut self, link: Connection) {
        let Some(l) = self.links.get_mut(&link) else { return };
        l.closing = true;
        l.patience = None;
    }

    fn put(&mut self, link: Connection, packet: &Packet) {
        if let Some(l) = self.links.get_mut(&link) {
            packet.encode(&mut l.output);
        }
    }

    fn handle(&mut self, link: Connection, packet: Packet) {
        let client = self.links.get(&link).and_then(|l| l.client.clone());
        match (packet, client) {
            (Packet::Connect(connect), None) => self.connect(link, connect),
            (Packet::Publish(publish), Some(_)) => {
                if let Some(id) = publish.id {
                    self.pubacks = self.pubacks.wrapping_add(1);
                    let hit = |every: u32| every > 0 && self.pubacks.is_multiple_of(every);
                    let times = match (hit(self.faults.lose_puback), hit(self.faults.repeat_puback))
                    {
                        (true, _) => 0,
                        (false, true) => 2,
                        (false, false) => 1,
                    };
                    for _ in 0..times {
                        self.put(link, &Packet::PubAck(id));
                    }
                }
                self.distribute(publish);
            }
            (Packet::PubAck(id), Some(client)) => {
                if let Some(session) = self.sessions.get_mut(&client) {
                    session.in_flight.retain(|publish| publish.id != Some(id));
                }
                self.deliver(&client);
            }
            (Packet::Subscribe(subscribe), Some(client)) => {
                let granted = self.subscribe(&client, &subscribe.filters);
                self.put(link, &Packet::SubAck(SubAck { id: subscribe.id, granted }));
                self.deliver(&client);
            }
            (Packet::Unsubscribe(unsubscribe), Some(client)) => {
                if let Some(session) = self.sessions.get_mut(&client) {
                    session.subscriptions.retain(|(known, _)| !unsubscribe.filters.contains(known));
                }
                self.put(link, &Packet::UnsubAck(unsubscribe.id));
            }
            (Packet::PingReq, Some(_)) if self.faults.mute => {}
            (Packet::PingReq, Some(_)) => self.put(link, &Packet::PingResp),
            (Packet::Disconnect, Some(_)) => {
                if let Some(l) = self.links.get_mut(&link) {
                    l.will = None;
                }
                self.fail(link);
            }
            _ => self.fail(link),
        }
    }

    fn connect(&mut self, link: Connection, connect: Connect) {
        let refusal = self.faults.refuse.or_else(|| self.refusal(&connect));
        if refusal.is_some() {
            self.put(link, &Packet::ConnAck(ConnAck { session_present: false, refusal }));
            return self.fail(link);
        }
        let Connect { client_id, clean, keep_alive, will, .. } = connect;
        let client = if client_id.is_empty() { format!("anonymous-{link}") } else { client_id };
        // A second client of the same name throws out the first (3.1.4).
        if let Some(other) = self.sessions.get(&client).and_then(|session| session.link) {
            self.fail(other);
        }
        if clean || self.faults.forget_sessions {
            self.sessions.remove(&client);
        }
        let session_present = self.sessions.contains_key(&client);
        let session = self.sessions.entry(client.clone()).or_default();
        session.clean = clean;
        session.link = Some(link);
        // What was on its way when the last link broke comes first again.
        while let Some(publish) = session.in_flight.pop_back() {
            session.queue.push_front(Publish { dup: true, ..publish });
        }
        if let Some(l) = self.links.get_mut(&link) {
            l.client = Some(client.clone());
            l.will = will;
            let seconds = u64::from(keep_alive) * 3 / 2;
            l.patience = (keep_alive > 0).then(|| Duration::from_secs(seconds));
        }
        self.put(link, &Packet::ConnAck(ConnAck { session_present, refusal: None }));
        self.deliver(&client);
    }

    fn refusal(&self, connect: &Connect) -> Option<Refusal> {
        if let Some((user, password)) = &self.login
            && (connect.user.as_ref() != Some(user) || connect.password.as_ref() != Some(password))
        {
            return Some(Refusal::BadUserOrPassword);
        }
        // Without an identifier there is nothing to find a kept session by (3.1.3.1).
        if connect.client_id.is_empty() && !connect.clean {
            return Some(Refusal::ClientId);
        }
        let full = self.sessions.len() >= REMEMBERED;
        (full && !self.sessions.contains_key(&connect.client_id)).then_some(Refusal::Unavailable)
    }

    fn subscribe(&mut self, client: &str, filters: &[(TopicFilter, Qos)]) -> Vec<Option<Qos>> {
        let Some(session) = self.sessions.get_mut(client) else { return Vec::new() };
        if self.faults.refuse_subscriptions {
            return vec![None; filters.len()];
        }
        for (filter, qos) in filters {
            session.subscriptions.retain(|(known, _)| known != filter);
            session.subscriptions.push((filter.clone(), *qos));
            for publish in self.retained.values() {
                if filter.matches(publish.topic.as_str()) {
                    session.enqueue(publish, *qos);
                }
            }
        }
        filters.iter().map(|(_, qos)| Some(*qos)).collect()
    }

    /// Hands a message to every session that wants it.
    fn distribute(&mut self, publish: Publish) {
        if publish.retain {
            let topic = publish.topic.to_string();
            if publish.payload.is_empty() {
                self.retained.remove(&topic);
            } else if self.retained.len() < REMEMBERED || self.retained.contains_key(&topic) {
                self.retained.insert(topic, publish.clone());
            }
        }
        let publish = Publish { retain: false, dup: false, ..publish };
        let mut clients = Vec::new();
        for (client, session) in &mut self.sessions {
            let wanted = session
                .subscriptions
                .iter()
                .filter_map(|(filter, qos)| filter.matches(publish.topic.as_str()).then_some(*qos));
            if let Some(qos) = wanted.max() {
                session.enqueue(&publish, qos);
                clients.push(client.clone());
            }
        }
        for client in clients {
            self.deliver(&client);
        }
    }

    /// Sends a present client what waits for it, as far as the window has room.
    fn deliver(&mut self, client: &str) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        let Some(l) = session.link.and_then(|link| self.links.get_mut(&link)) else { return };
        if l.closing {
            return;
        }
        while session.in_flight.len() < WINDOW
            && let Some(mut publish) = session.queue.pop_front()
        {
            if publish.id.is_some() {
                // A repeated message keeps its identifier, a new one gets the next.
                if !publish.dup {
                    publish.id = session.free_id();
                }
                session.in_flight.push_back(publish.clone());
            } else if l.output.len() >= BACKLOG {
                continue;
            }
            Packet::Publish(publish).encode(&mut l.output);
        }
    }
}

impl Session {
    /// The next identifier that no message in flight has; fewer than all of them are.
    fn free_id(&mut self) -> Option<PacketId> {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = PacketId::new(self.last_id);
            if !self.in_flight.iter().any(|publish| publish.id == id) {
                return id;
            }
        }
    }

    fn enqueue(&mut self, publish: &Publish, granted: Qos) {
        let id = publish.id.filter(|_| granted == Qos::AtLeastOnce);
        // Nobody waits for QoS 0 (3.1.2.4).
        if self.queue.len() < QUEUE && (id.is_some() || self.link.is_some()) {
            self.queue.push_back(Publish { id, ..publish.clone() });
        }
    }
}

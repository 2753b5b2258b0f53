//! A small MQTT broker without I/O: bytes in, bytes out, time as an argument. It speaks 3.1, 3.1.1
//! and 5.0, every QoS, and nothing that would only serve large installations.

mod session;

use crate::base::secret::Secret;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Ack, ConnAck, Connect, Decoded, Disconnect, Packet, PacketId};
use crate::mqtt::packet::{Properties, Property, Publish, Reason, RetainHandling, SubAck};
use crate::mqtt::packet::{Subscribe, Unsubscribe, Version};
use crate::mqtt::topic::{Qos, Topic};
use bytes::BytesMut;
use session::{Session, Step, Subscriber};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The largest packet that is taken.
const LARGEST: usize = 1 << 20;

/// How many clients and retained messages are remembered.
const REMEMBERED: usize = 10_000;

/// The highest topic alias that is understood.
const ALIASES: u16 = 16;

/// A client that takes nothing gets no QoS 0 beyond so many bytes.
const BACKLOG: usize = 1 << 20;

/// A connection's name, chosen by its owner.
pub type Connection = u64;

/// What goes wrong on purpose.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Every so many acknowledgements one is not sent; 0: none is lost.
    pub lose_ack: u32,
    /// Every so many acknowledgements one is sent twice; 0: none is.
    pub repeat_ack: u32,
    /// PINGREQ is not answered.
    pub mute: bool,
    /// CONNECT is refused.
    pub refuse: Option<Reason>,
    /// CONNECT finds no session from before.
    pub forget_sessions: bool,
    /// Subscriptions are refused.
    pub refuse_subscriptions: bool,
    /// Every client is thrown out right after it was let in.
    pub kick: bool,
    /// Nothing newer than this is understood.
    pub newest: Option<Version>,
    /// What the broker ends the link at, and how.
    pub ends: Vec<(At, Way)>,
}

/// What a link is ended at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A message to this topic.
    Topic(String),
    /// A message to any topic that does not begin so.
    Outside(String),
    /// A message whose topic and payload have more bytes than this.
    Larger(usize),
    /// A SUBSCRIBE with this filter.
    Subscribe(String),
    /// An UNSUBSCRIBE with this filter.
    Unsubscribe(String),
}

/// How a link is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With DISCONNECT, which only 5.0 has; before, with [`Way::Close`].
    Disconnect(Reason),
    /// With an orderly end of the stream.
    Close,
    /// With a reset: what was not written is not.
    Reset,
    /// Without the end that the stream's own protocol has, such as TLS.
    Truncate,
}

impl At {
    fn is_hit(&self, packet: &Packet) -> bool {
        match (self, packet) {
            (At::Topic(topic), Packet::Publish(publish)) => {
                publish.topic.as_ref().is_some_and(|it| it.as_str() == topic)
            }
            (At::Outside(begin), Packet::Publish(publish)) => {
                publish.topic.as_ref().is_some_and(|it| !it.as_str().starts_with(begin))
            }
            (At::Larger(most), Packet::Publish(publish)) => {
                publish.topic.as_ref().map_or(0, Topic::len) + publish.payload.len() > *most
            }
            (At::Subscribe(filter), Packet::Subscribe(subscribe)) => {
                subscribe.filters.iter().any(|it| it.filter.as_str() == filter)
            }
            (At::Unsubscribe(filter), Packet::Unsubscribe(unsubscribe)) => {
                unsubscribe.filters.iter().any(|it| it.as_str() == filter)
            }
            _ => false,
        }
    }
}

/// The broker.
#[derive(Debug, Default)]
pub struct Broker {
    /// What goes wrong on purpose, from now on.
    pub faults: Faults,
    /// What CONNACK says besides, to clients of 5.0; the broker keeps to the limits among it.
    pub limits: Properties,
    /// The only user that is let in, with the password; `None`: everybody is.
    pub login: Option<(String, Secret)>,
    links: BTreeMap<Connection, Link>,
    /// By client identifier.
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<String, Publish>,
    acks: u32,
}

#[derive(Debug)]
struct Link {
    version: Version,
    input: BytesMut,
    output: BytesMut,
    /// Who it is, once CONNECT came.
    client: Option<String>,
    will: Option<Message>,
    /// The client is given up after so long without a packet.
    patience: Option<Duration>,
    last: Instant,
    /// Topics that the client's aliases stand for.
    aliases: BTreeMap<u16, Topic>,
    /// Topics that our aliases stand for, and how many the client understands.
    own_aliases: BTreeMap<Topic, u16>,
    alias_maximum: u16,
    /// The largest packet that the client takes.
    largest: usize,
    /// To be closed as soon as the output was written.
    closing: bool,
    /// How it was ended on purpose.
    way: Option<Way>,
}

impl Broker {
    /// A client has connected.
    pub fn open(&mut self, link: Connection, now: Instant) {
        let new = Link {
            version: Version::V311,
            input: BytesMut::new(),
            output: BytesMut::new(),
            client: None,
            will: None,
            patience: Some(Duration::from_secs(10)),
            last: now,
            aliases: BTreeMap::new(),
            own_aliases: BTreeMap::new(),
            alias_maximum: 0,
            largest: usize::MAX,
            closing: false,
            way: None,
        };
        self.links.insert(link, new);
    }

    /// Bytes from a client. What breaks the protocol closes its link.
    pub fn receive(&mut self, link: Connection, bytes: &[u8], now: Instant) {
        let Some(l) = self.links.get_mut(&link) else { return };
        l.last = now;
        l.input.extend_from_slice(bytes);
        while let Some(l) = self.links.get_mut(&link).filter(|l| !l.closing) {
            match Packet::decode(&mut l.input, LARGEST, l.version) {
                Ok(Some(Decoded::Packet(packet))) => {
                    if let Err(reason) = self.handle(link, packet) {
                        return self.part(link, reason);
                    }
                }
                Ok(None) => return,
                Ok(Some(Decoded::Oversize(_))) => {
                    return self.part(link, Reason::PACKET_TOO_LARGE);
                }
                Err(error) => return self.part(link, error.reason()),
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

    /// How a link was ended on purpose, if it was.
    pub fn way(&self, link: Connection) -> Option<Way> {
        self.links.get(&link)?.way
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
            if session.ends_with_link {
                self.sessions.remove(&client);
            }
        }
        if let Some(will) = l.will {
            let Message { topic, payload, qos, retain, properties } = will;
            let kept = |p: &Property| !matches!(p, Property::WillDelay(_));
            let properties = properties.as_deref().cloned().unwrap_or_default();
            let properties = properties.0.into_iter().filter(kept).collect();
            let topic = Some(topic);
            let will = Publish { topic, payload, qos, id: None, dup: false, retain, properties };
            self.distribute(&will, "");
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
            self.part(link, Reason::KEEP_ALIVE_TIMEOUT);
        }
    }

    /// All links break, as when the process is killed; sessions survive on request.
    pub fn restart(&mut self, keep_sessions: bool) {
        self.links.clear();
        for session in self.sessions.values_mut() {
            session.link = None;
        }
        self.sessions.retain(|_, session| keep_sessions && !session.ends_with_link);
    }

    /// Says in 5.0 why, and closes the link; the will is published.
    fn part(&mut self, link: Connection, reason: Reason) {
        if self.links.get(&link).is_some_and(|l| l.client.is_some() && l.version == Version::V5) {
            self.put(link, &Packet::Disconnect(Disconnect::new(reason)));
        }
        self.end(link);
    }

    /// Closes a link as soon as its output was written.
    fn end(&mut self, link: Connection) {
        let Some(l) = self.links.get_mut(&link) else { return };
        l.closing = true;
        l.patience = None;
    }

    fn put(&mut self, link: Connection, packet: &Packet) {
        if let Some(l) = self.links.get_mut(&link) {
            packet.encode(&mut l.output, l.version);
        }
    }

    /// An acknowledgement, which may get lost or be sent twice.
    fn acknowledge(&mut self, link: Connection, packet: &Packet) {
        self.acks = self.acks.wrapping_add(1);
        let hit = |every: u32| every > 0 && self.acks.is_multiple_of(every);
        let times = match (hit(self.faults.lose_ack), hit(self.faults.repeat_ack)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        for _ in 0..times {
            self.put(link, packet);
        }
    }

    /// `Err`: the client broke the protocol.
    fn handle(&mut self, link: Connection, packet: Packet) -> Result<(), Reason> {
        let client = self.links.get(&link).and_then(|l| l.client.clone());
        let known = self.known_topic(link, &packet);
        let hit = |(at, _): &&(At, Way)| at.is_hit(known.as_ref().unwrap_or(&packet));
        if let Some((_, way)) = self.faults.ends.iter().find(hit) {
            self.end_by(link, *way);
            return Ok(());
        }
        match (packet, client) {
            (Packet::Connect(connect), None) => self.connect(link, connect),
            (Packet::Publish(publish), Some(client)) => self.publish(link, &client, publish)?,
            (Packet::PubRel(ack), Some(client)) => {
                let held = self.sessions.get_mut(&client).and_then(|s| s.held.remove(&ack.id));
                let unknown = Reason::PACKET_IDENTIFIER_NOT_FOUND;
                let reason = if held.is_some() { Reason::SUCCESS } else { unknown };
                self.acknowledge(link, &Packet::PubComp(Ack::new(ack.id, reason)));
                if let Some(publish) = held {
                    self.distribute(&publish, &client);
                }
            }
            (Packet::PubAck(ack) | Packet::PubComp(ack), Some(client)) => {
                self.session(&client, |session| session.forget(ack.id));
            }
            (Packet::PubRec(ack), Some(client)) => {
                if ack.reason.is_error() {
                    self.session(&client, |session| session.forget(ack.id));
                } else {
                    self.session(&client, |session| session.release(ack.id));
                    self.put(link, &Packet::PubRel(Ack::new(ack.id, Reason::SUCCESS)));
                }
            }
            (Packet::Subscribe(subscribe), Some(client)) => {
                let Subscribe { id, .. } = subscribe;
                let (reasons, kept) = self.subscribe(&client, &subscribe);
                let properties = Properties::NONE;
                self.put(link, &Packet::SubAck(SubAck { id, reasons, properties }));
                self.session(&client, |session| session.enqueue_all(kept));
            }
            (Packet::Unsubscribe(Unsubscribe { id, filters, .. }), Some(client)) => {
                let mut reasons = Vec::new();
                self.session(&client, |session| reasons = session.unsubscribe(&filters));
                let properties = Properties::NONE;
                self.put(link, &Packet::UnsubAck(SubAck { id, reasons, properties }));
            }
            (Packet::PingReq, Some(_)) if self.faults.mute => {}
            (Packet::PingReq, Some(_)) => self.put(link, &Packet::PingResp),
            (Packet::Disconnect(disconnect), Some(client)) => {
                if let Some(l) = self.links.get_mut(&link)
                    && disconnect.reason != Reason::DISCONNECT_WITH_WILL
                {
                    l.will = None;
                }
                if let Some(session) = self.sessions.get_mut(&client)
                    && let Some(expiry) = disconnect.properties.session_expiry()
                {
                    session.ends_with_link = *expiry == 0;
                }
                self.end(link);
            }
            _ => return Err(Reason::PROTOCOL_ERROR),
        }
        Ok(())
    }

    /// A PUBLISH whose topic is said by its alias alone, with its topic.
    fn known_topic(&self, link: Connection, packet: &Packet) -> Option<Packet> {
        let Packet::Publish(publish) = packet else { return None };
        let alias = publish.properties.topic_alias().filter(|_| publish.topic.is_none())?;
        let topic = Some(self.links.get(&link)?.aliases.get(alias)?.clone());
        Some(Packet::Publish(Publish { topic, ..publish.clone() }))
    }

    fn end_by(&mut self, link: Connection, way: Way) {
        if let Way::Disconnect(reason) = way {
            return self.part(link, reason);
        }
        self.end(link);
        if let Some(l) = self.links.get_mut(&link) {
            l.way = Some(way);
            if way == Way::Reset {
                l.output.clear();
            }
        }
    }

    /// Changes a session, then sends what it has to say.
    fn session(&mut self, client: &str, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(client) {
            change(session);
        }
        self.deliver(client);
    }

    fn connect(&mut self, link: Connection, connect: Connect) {
        let newest = self.faults.newest.unwrap_or(Version::V5);
        if let Some(l) = self.links.get_mut(&link) {
            l.version = connect.version.min(newest);
        }
        if let Some(reason) = self.refusal_of_will(&connect) {
            // Before 5.0 there is no return code for it.
            if connect.version == Version::V5 {
                self.put(link, &Packet::ConnAck(ConnAck::new(false, reason)));
            }
            return self.end(link);
        }
        if let Some(reason) = self.faults.refuse.or_else(|| self.refusal(&connect)) {
            self.put(link, &Packet::ConnAck(ConnAck::new(false, reason)));
            return self.end(link);
        }
        let Connect { version, client_id, clean, keep_alive, will, properties: wants, .. } =
            connect;
        let assigned = client_id.is_empty();
        let client = if assigned { format!("anonymous-{link}") } else { client_id };
        // A second client of the same name throws out the first (3.1.4).
        if let Some(other) = self.sessions.get(&client).and_then(|session| session.link) {
            self.part(other, Reason::SESSION_TAKEN_OVER);
        }
        if clean || self.faults.forget_sessions {
            self.sessions.remove(&client);
        }
        let session_present = self.sessions.contains_key(&client);
        let session = self.sessions.entry(client.clone()).or_default();
        session.link = Some(link);
        session.ends_with_link = match version {
            Version::V5 => wants.session_expiry().is_none_or(|seconds| *seconds == 0),
            Version::V31 | Version::V311 => clean,
        };
        session.resume(wants.receive_maximum().copied());
        let server_keep_alive = self.limits.server_keep_alive().filter(|_| version == Version::V5);
        let keep_alive = server_keep_alive.copied().unwrap_or(keep_alive);
        if let Some(l) = self.links.get_mut(&link) {
            l.client = Some(client.clone());
            l.will = will;
            l.alias_maximum = wants.topic_alias_maximum().copied().unwrap_or(0);
            l.largest = wants.maximum_packet_size().map_or(usize::MAX, |n| *n as usize);
            let seconds = u64::from(keep_alive) * 3 / 2;
            l.patience = (keep_alive > 0).then(|| Duration::from_secs(seconds));
        }
        let mut properties = self.limits.clone();
        if assigned {
            properties.0.push(Property::AssignedClientId(client.clone()));
        }
        properties.0.push(Property::TopicAliasMaximum(ALIASES));
        properties.0.push(Property::SharedAvailable(false));
        let reason = Reason::SUCCESS;
        self.put(link, &Packet::ConnAck(ConnAck { session_present, reason, properties }));
        if self.faults.kick {
            return self.part(link, Reason::ADMINISTRATIVE_ACTION);
        }
        self.deliver(&client);
    }

    /// Whether the will asks for more than there is (MQTT 5.0, 3.2.2.3.4 and .5).
    fn refusal_of_will(&self, connect: &Connect) -> Option<Reason> {
        let will = connect.will.as_ref()?;
        let newest = self.faults.newest.unwrap_or(Version::V5);
        if connect.version > newest {
            return None;
        }
        if self.limits.maximum_qos().is_some_and(|most| will.qos.bits() > *most) {
            return Some(Reason::QOS_NOT_SUPPORTED);
        }
        let is_kept = will.retain && self.limits.retain_available() == Some(&false);
        is_kept.then_some(Reason::RETAIN_NOT_SUPPORTED)
    }

    fn refusal(&self, connect: &Connect) -> Option<Reason> {
        if self.faults.newest.is_some_and(|newest| connect.version > newest) {
            return Some(Reason::UNSUPPORTED_PROTOCOL_VERSION);
        }
        if let Some((user, password)) = &self.login
            && (connect.user.as_ref() != Some(user) || connect.password.as_ref() != Some(password))
        {
            return Some(Reason::BAD_USER_NAME_OR_PASSWORD);
        }
        // Without an identifier there is nothing to find a kept session by (3.1.1, 3.1.3.1).
        if connect.client_id.is_empty() && !connect.clean && connect.version != Version::V5 {
            return Some(Reason::CLIENT_IDENTIFIER_NOT_VALID);
        }
        let full = self.sessions.len() >= REMEMBERED;
        let known = self.sessions.contains_key(&connect.client_id);
        (full && !known).then_some(Reason::SERVER_UNAVAILABLE)
    }

    fn publish(
        &mut self,
        link: Connection,
        client: &str,
        mut publish: Publish,
    ) -> Result<(), Reason> {
        // Who cannot be told has none.
        let is_5 = self.links.get(&link).is_some_and(|l| l.version == Version::V5);
        let none = Properties::NONE;
        let limits = if is_5 { &self.limits } else { &none };
        if limits.maximum_qos().is_some_and(|most| publish.qos.bits() > *most) {
            return Err(Reason::QOS_NOT_SUPPORTED);
        }
        if publish.retain && limits.retain_available() == Some(&false) {
            return Err(Reason::RETAIN_NOT_SUPPORTED);
        }
        if let Some(most) = limits.maximum_packet_size()
            && publish.size(Version::V5) > *most as usize
        {
            return Err(Reason::PACKET_TOO_LARGE);
        }
        let receive_maximum = limits.receive_maximum().copied().unwrap_or(u16::MAX);
        self.resolve_alias(link, &mut publish)?;
        let success = |id: PacketId| Ack::new(id, Reason::SUCCESS);
        match (publish.qos, publish.id) {
            (Qos::AtLeastOnce, Some(id)) => {
                self.acknowledge(link, &Packet::PubAck(success(id)));
                self.distribute(&publish, client);
            }
            (Qos::ExactlyOnce, Some(id)) => {
                let Some(session) = self.sessions.get_mut(client) else { return Ok(()) };
                session.held.insert(id, publish);
                if session.held.len() > usize::from(receive_maximum) {
                    return Err(Reason::RECEIVE_MAXIMUM_EXCEEDED);
                }
                self.acknowledge(link, &Packet::PubRec(success(id)));
            }
            _ => self.distribute(&publish, client),
        }
        Ok(())
    }

    fn resolve_alias(&mut self, link: Connection, publish: &mut Publish) -> Result<(), Reason> {
        let Some(alias) = publish.properties.topic_alias().copied() else { return Ok(()) };
        let Some(l) = self.links.get_mut(&link) else { return Ok(()) };
        if alias > ALIASES {
            return Err(Reason::TOPIC_ALIAS_INVALID);
        }
        match &publish.topic {
            Some(topic) => {
                l.aliases.insert(alias, topic.clone());
            }
            None => publish.topic = l.aliases.get(&alias).cloned(),
        }
        publish.properties.0.retain(|property| !matches!(property, Property::TopicAlias(_)));
        if publish.topic.is_none() { Err(Reason::PROTOCOL_ERROR) } else { Ok(()) }
    }

    /// What is granted, and the kept messages that the new subscriptions bring.
    fn subscribe(&mut self, client: &str, subscribe: &Subscribe) -> (Vec<Reason>, Vec<Publish>) {
        let mut reasons = Vec::new();
        let mut kept = Vec::new();
        let Some(session) = self.sessions.get_mut(client) else { return (reasons, kept) };
        for wanted in &subscribe.filters {
            if self.faults.refuse_subscriptions {
                reasons.push(Reason::NOT_AUTHORIZED);
                continue;
            }
            if wanted.filter.is_shared() {
                reasons.push(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
                continue;
            }
            let id = subscribe.properties.subscription_ids().next();
            let subscriber = Subscriber { wanted: wanted.clone(), id };
            let is_new = session.subscribe(subscriber.clone());
            let sends = match wanted.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            let matching = self.retained.values().filter(|_| sends);
            kept.extend(matching.filter_map(|publish| {
                subscriber.copy_of(publish).map(|copy| Publish { retain: true, ..copy })
            }));
            reasons.push(match wanted.qos {
                Qos::AtMostOnce => Reason::SUCCESS,
                Qos::AtLeastOnce => Reason::GRANTED_QOS_1,
                Qos::ExactlyOnce => Reason::GRANTED_QOS_2,
            });
        }
        (reasons, kept)
    }

    /// Hands a message to every session that wants it.
    fn distribute(&mut self, publish: &Publish, from: &str) {
        if publish.retain {
            let topic = publish.topic.as_ref().map(Topic::to_string).unwrap_or_default();
            if publish.payload.is_empty() {
                self.retained.remove(&topic);
            } else if self.retained.len() < REMEMBERED || self.retained.contains_key(&topic) {
                self.retained.insert(topic, publish.clone());
            }
        }
        let mut clients = Vec::new();
        for (client, session) in &mut self.sessions {
            if let Some(copy) = session.copy_of(publish, client == from) {
                session.enqueue(copy);
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
        while let Some(step) = session.next() {
            match step {
                Step::Release(id) => {
                    let ack = Ack::new(id, Reason::SUCCESS);
                    Packet::PubRel(ack).encode(&mut l.output, l.version);
                }
                Step::Publish(publish) if publish.size(l.version) > l.largest => {
                    // Nothing else can be done with it (MQTT 5.0, 3.1.2.11.4).
                    publish.id.into_iter().for_each(|id| session.forget(id));
                }
                Step::Publish(publish) => {
                    if publish.qos == Qos::AtMostOnce && l.output.len() >= BACKLOG {
                        continue;
                    }
                    let publish = l.aliased(publish);
                    Packet::Publish(publish).encode(&mut l.output, l.version);
                }
            }
        }
    }
}

impl Link {
    /// The message with an alias for its topic, as far as the client understands so many.
    fn aliased(&mut self, mut publish: Publish) -> Publish {
        let Some(topic) = publish.topic.clone() else { return publish };
        if let Some(alias) = self.own_aliases.get(&topic) {
            publish.properties.0.push(Property::TopicAlias(*alias));
            publish.topic = None;
        } else if self.own_aliases.len() < usize::from(self.alias_maximum) {
            // Fewer than 65,535.
            let alias = self.own_aliases.len() as u16 + 1;
            self.own_aliases.insert(topic, alias);
            publish.properties.0.push(Property::TopicAlias(alias));
        }
        publish
    }
}

//! Dialogues: a session, and a broker that follows a script.

use bytes::BytesMut;
use std::time::{Duration, Instant};
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::Version;
use tty2mqtt::mqtt::packet::{Ack, Connect, Decoded, Packet, PacketId, Properties, Property};
use tty2mqtt::mqtt::packet::{Auth, ConnAck, Disconnect, Publish, Reason, SubAck};
use tty2mqtt::mqtt::session::{Ending, Event, Options, Session, SessionError};
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::outbox::Outbox;
use tty2mqtt::testing::outbox::settings::OutboxBounds;

pub const SECOND: Duration = Duration::from_secs(1);

/// A client and a broker that follows a script, on a clock of their own.
pub struct Talk {
    pub session: Session,
    pub outbox: Outbox,
    pub now: Instant,
}

impl Talk {
    pub fn new(options: Options) -> Talk {
        let outbox = Outbox::new(&OutboxBounds::default());
        Talk { session: Session::new(options), outbox, now: Instant::now() }
    }

    /// Let in, by a broker that says no more of itself than this.
    pub fn up(properties: Vec<Property>) -> Talk {
        let mut talk = Talk::new(options());
        talk.connect(false, properties).unwrap();
        talk
    }

    /// A new link; what CONNECT says.
    pub fn knock(&mut self) -> Connect {
        self.session.disconnected(Ending::Other);
        self.session.connect(self.now).unwrap();
        match self.hear().as_slice() {
            [Packet::Connect(connect)] => connect.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub fn connect(
        &mut self,
        session_present: bool,
        properties: Vec<Property>,
    ) -> Result<(), SessionError> {
        self.knock();
        let properties = Properties(properties);
        self.say(ConnAck { session_present, reason: Reason::SUCCESS, properties }.into())
    }

    /// The link broke, and the broker remembers the session.
    pub fn again(&mut self) {
        self.connect(true, Vec::new()).unwrap();
    }

    /// The broker says something.
    pub fn say(&mut self, packet: Said) -> Result<(), SessionError> {
        let mut bytes = BytesMut::new();
        packet.0.encode(&mut bytes, self.session.version());
        self.session.receive(&mut bytes, &mut self.outbox, self.now)
    }

    /// What the client says now.
    pub fn hear(&mut self) -> Vec<Packet> {
        self.session.send(&mut self.outbox);
        let mut output = BytesMut::from(self.session.output());
        self.session.wrote(output.len(), self.now);
        let mut packets = Vec::new();
        while let Some(Decoded::Packet(packet)) =
            Packet::decode(&mut output, 1 << 20, self.session.version()).unwrap()
        {
            packets.push(packet);
        }
        packets
    }

    /// In the words of the log, without what goes in braces.
    pub fn hears(&mut self) -> Vec<String> {
        self.hear().iter().map(short).collect()
    }

    pub fn publish(&mut self, payload: &str, qos: Qos) {
        self.outbox.push(message("t", payload, qos));
    }

    /// The payloads of the messages that the application takes now.
    pub fn takes(&mut self) -> Vec<String> {
        let mut payloads = Vec::new();
        while let Some(event) = self.session.event() {
            if let Event::Message(received) = event {
                payloads.push(String::from_utf8(received.payload.to_vec()).unwrap());
            }
        }
        payloads
    }

    /// Time passes, up to the next thing that the client says.
    pub fn wait(&mut self, time: Duration) -> Result<(), SessionError> {
        let end = self.now + time;
        while let Some(due) = self.session.deadline().filter(|due| *due <= end) {
            self.now = due;
            self.session.timeout(self.now)?;
            if !self.session.output().is_empty() {
                return Ok(());
            }
        }
        self.now = end;
        Ok(())
    }
}

/// `PUBLISH x 3 dup`, `PUBREL 3`, …
pub fn short(packet: &Packet) -> String {
    match packet {
        Packet::Publish(it) => {
            let payload = String::from_utf8_lossy(&it.payload);
            let dup = if it.dup { " dup" } else { "" };
            format!("PUBLISH {payload} {}{dup}", it.id.map_or(0, PacketId::get))
        }
        Packet::PubAck(it) => format!("PUBACK {}", it.id),
        Packet::PubRec(it) => format!("PUBREC {}", it.id),
        Packet::PubRel(it) => format!("PUBREL {}", it.id),
        Packet::PubComp(it) => format!("PUBCOMP {}", it.id),
        Packet::Subscribe(it) => format!("SUBSCRIBE {}", it.id),
        Packet::Unsubscribe(it) => format!("UNSUBSCRIBE {}", it.id),
        Packet::PingReq => "PINGREQ".into(),
        Packet::Disconnect(it) => format!("DISCONNECT {:02x}", it.reason.code()),
        Packet::Auth(it) => format!("AUTH {:02x}", it.reason.code()),
        other => format!("{other:?}"),
    }
}

/// A packet, or what can become one.
pub struct Said(pub Packet);

macro_rules! said {
    ($($name:ident)*) => {
        $(impl From<$name> for Said {
            fn from(packet: $name) -> Said {
                Said(Packet::$name(packet))
            }
        })*
    };
}

said!(ConnAck Publish SubAck Disconnect Auth);

pub fn options() -> Options {
    Options { client_id: "c".into(), version: Some(Version::V5), ..Options::default() }
}

pub fn message(topic: &str, payload: &str, qos: Qos) -> Message {
    Message { qos, ..Message::new(topic.parse().unwrap(), payload.to_owned()) }
}

pub fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub fn ack(kind: fn(Ack) -> Packet, number: u16) -> Said {
    Said(kind(Ack::new(id(number), Reason::SUCCESS)))
}

/// From the broker.
pub fn from_broker(payload: &str, qos: Qos, number: u16) -> Publish {
    Publish {
        topic: Some("t".parse().unwrap()),
        payload: payload.to_owned().into(),
        qos,
        id: PacketId::new(number),
        dup: false,
        retain: false,
        properties: Properties::NONE,
    }
}

pub fn with(property: Property, publish: Publish) -> Publish {
    Publish { properties: Properties(vec![property]), ..publish }
}

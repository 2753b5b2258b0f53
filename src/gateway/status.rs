//! What the gateway says about itself: retained JSON under `{gateway}/status`.

use crate::base::clock::{Now, Stamp};
use crate::base::scalar::Name;
use crate::config::{Config, Status, Switch};
use crate::mqtt::message::Message;
use crate::mqtt::topic::{Qos, Topic};
use crate::outbox::Outbox;
use crate::outbox::journal::{self, Report};
use bytes::Bytes;
use serde_json::{Value, json};

/// What the gateway says about itself, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    base: String,
    /// `None`: nothing is said.
    presence: Option<Presence>,
}

/// What is said at all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Presence {
    online: String,
    offline: String,
    qos: Qos,
    retain: bool,
    /// Whether there is JSON, too.
    details: bool,
}

impl Topics {
    /// `{gateway}/status` and what lies below it.
    #[cfg(any(test, feature = "testing"))]
    pub fn of(gateway: &Name) -> Topics {
        Topics::with(gateway, &Switch::default())
    }

    /// As a configuration has it.
    pub fn with(gateway: &Name, status: &Switch<Status>) -> Topics {
        let presence = status.on().map(|status| Presence {
            online: status.online.0.clone(),
            offline: status.offline.0.clone(),
            qos: status.qos,
            retain: status.retain,
            details: status.details,
        });
        // Another topic that is none was refused when the configuration was checked.
        let base = status.on().and_then(|status| Status::topic_of(&status.topic, gateway).ok());
        let base = base.map_or_else(|| format!("{gateway}/status"), |topic| topic.to_string());
        Topics { base, presence }
    }

    /// Words of presence of the whole gateway; the will is published here too.
    fn gateway(&self) -> Topic {
        topic(&self.base)
    }

    /// As much of a message of the gateway about itself as is to be published.
    pub fn admit(&self, message: Message) -> Option<Message> {
        let presence = self.presence.as_ref().filter(|presence| presence.details)?;
        Some(Message { retain: message.retain && presence.retain, ..message })
    }

    /// The gateway's program: version, start, unexpected ends.
    pub fn program(&self) -> Topic {
        topic(&format!("{}/program", self.base))
    }

    /// The same, if it is published.
    pub fn seen_program(&self) -> Option<Topic> {
        self.presence.as_ref().filter(|presence| presence.details).map(|_| self.program())
    }

    /// The link to the broker and the outbox.
    pub fn broker(&self) -> Topic {
        topic(&format!("{}/broker", self.base))
    }

    /// One port.
    pub fn port(&self, port: &Name) -> Topic {
        topic(&format!("{}/ports/{port}", self.base))
    }

    /// What became of each command for a port.
    pub fn commands(&self, port: &Name) -> Topic {
        topic(&format!("{}/ports/{port}/command", self.base))
    }
}

fn topic(text: &str) -> Topic {
    // What is in front is a topic, names are valid topic levels by their type, and the config check
    // bounds their length.
    #[allow(clippy::expect_used)]
    text.parse().expect("names are topic levels")
}

/// The gateway's birth or farewell message, if it says any.
pub fn gateway(topics: &Topics, online: bool) -> Option<Message> {
    let Presence { online: here, offline, qos, retain, .. } = topics.presence.as_ref()?;
    let payload = if online { here } else { offline };
    let message = latest(topics.gateway(), payload.clone(), *qos);
    Some(Message { retain: *retain, ..message })
}

/// What the broker publishes when the gateway is lost.
pub fn will(config: &Config) -> Option<Message> {
    let farewell = gateway(&Topics::with(&config.gateway, &config.status), false);
    let Some(Switch::On(will)) = &config.broker.will else {
        return farewell.filter(|_| config.broker.will.is_none());
    };
    let topic = will.topic.as_ref().map(|topic| Status::topic_of(topic, &config.gateway));
    let payload = will.payload.as_ref().map(|word| word.0.clone().into());
    let usual = Status::default();
    let status = config.status.on().unwrap_or(&usual);
    let topic = match (topic, &farewell) {
        (Some(topic), _) => topic.ok()?,
        (None, Some(farewell)) => farewell.topic.clone(),
        (None, None) => return None,
    };
    let payload: Bytes = payload.unwrap_or_else(|| status.offline.0.clone().into());
    let qos = will.qos.unwrap_or(status.qos);
    Some(Message {
        qos,
        retain: will.retain.unwrap_or(status.retain),
        ..Message::new(topic, payload)
    })
}

/// What the gateway says about the program it is.
#[derive(Clone, Debug)]
pub struct Program {
    /// When it was started.
    pub started: Now,
    /// How often the ones before it ended unexpectedly.
    pub crashes: Crashes,
}

/// Starts before this one that did not end as they should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crashes {
    /// How many.
    pub count: u32,
    /// Within how many seconds before this start.
    pub within: u64,
    /// What the last of them said about it, if it could.
    pub panic: Option<String>,
}

impl Program {
    /// The status message; `mark` is [`mark`]'s.
    pub fn message(&self, topics: &Topics, mark: &str) -> Message {
        let mut json = self.json();
        json["instance"] = mark.into();
        latest(topics.program(), json.to_string(), Qos::AtMostOnce)
    }

    /// What the status message and the control socket say.
    pub fn json(&self) -> Value {
        let Crashes { count, within, panic } = &self.crashes;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": Stamp(self.started.wall).to_string(),
            "unexpected_ends": { "count": count, "within": within, "panic": panic },
        })
    }
}

/// What tells gateways of one name apart: a checksum of the client identifier, which no two clients
/// of a broker share. The identifier itself would let others throw us out.
pub fn mark(client_id: &str) -> String {
    format!("{:08x}", crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(client_id.as_bytes()))
}

fn latest(topic: Topic, payload: String, qos: Qos) -> Message {
    Message { qos, retain: true, latest_only: true, ..Message::new(topic, payload) }
}

/// What the link to the broker has done, besides what the outbox counts.
#[derive(Clone, Debug)]
pub struct Broker {
    connected: bool,
    since: Now,
    connects: u64,
    /// Messages that were passed over because their topic had a wildcard.
    passed_over: u64,
    last_error: Option<String>,
}

impl Broker {
    /// No link yet.
    pub fn away(now: Now) -> Broker {
        Broker { connected: false, since: now, connects: 0, passed_over: 0, last_error: None }
    }

    /// The broker took us in.
    pub fn connected(&mut self, now: Now) {
        self.connected = true;
        self.since = now;
        self.connects += 1;
    }

    /// The link ended, or did not come about.
    pub fn lost(&mut self, why: String, now: Now) {
        if self.connected {
            self.since = now;
        }
        self.connected = false;
        self.last_error = Some(why);
    }

    /// A message was passed over because its topic has a wildcard.
    pub fn passed_over(&mut self) {
        self.passed_over += 1;
    }

    /// Whether there is a link.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The status message.
    pub fn message(
        &self,
        topics: &Topics,
        outbox: &Outbox,
        ports: &[String],
        journal: Option<&Journal>,
    ) -> Message {
        let text = self.json(outbox, ports, journal).to_string();
        latest(topics.broker(), text, Qos::AtMostOnce)
    }

    /// What the status message and the control socket say.
    pub fn json(&self, outbox: &Outbox, ports: &[String], journal: Option<&Journal>) -> Value {
        let counts = outbox.counts();
        let lost = outbox.drops().map(|(port, drops)| {
            let causes = json!({ "full": drops.full, "too_large": drops.too_large, "journal": drops.journal });
            (sender(port, ports).to_owned(), causes)
        });
        let lost: serde_json::Map<_, _> = lost.collect();
        json!({
            "connected": self.connected,
            "since": Stamp(self.since.wall).to_string(),
            "connects": self.connects,
            "outbox": { "messages": outbox.len(), "bytes": outbox.bytes() },
            "sent": counts.sent,
            "acknowledged": counts.acknowledged,
            "dropped": counts.dropped,
            "dropped_of": lost,
            "refused": counts.refused,
            "replaced": counts.replaced,
            "passed_over": self.passed_over,
            "journal": journal.map(|journal| journal.json(outbox)),
            "error": self.last_error,
        })
    }
}

/// Who sends under a number, `ports` being the names of those from 1 on.
pub fn sender(port: u16, ports: &[String]) -> &str {
    match usize::from(port).checked_sub(1) {
        Some(at) => ports.get(at).map_or("", String::as_str),
        None => "gateway",
    }
}

/// How the journal stands.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// What it says of itself.
    pub state: journal::State,
    /// Why it cannot write.
    pub error: Option<String>,
}

impl Journal {
    /// Takes over what the journal says.
    pub fn hear(&mut self, report: &Report) {
        match report {
            Report::State(state) => self.state = *state,
            Report::Failed { why, .. } => {
                self.error.get_or_insert_with(|| why.clone());
            }
            Report::Back { .. } => self.error = None,
            Report::Safe(_)
            | Report::Read(_)
            | Report::Dropped { .. }
            | Report::Replaced { .. } => {}
        }
    }

    fn json(&self, outbox: &Outbox) -> Value {
        let journalled = outbox.journalled();
        json!({
            "messages": self.state.messages,
            "bytes": self.state.bytes,
            "waiting_alone": journalled.away,
            "spilling": journalled.spilling,
            "written": self.state.written,
            "damaged": self.state.damaged,
            "error": self.error,
        })
    }
}

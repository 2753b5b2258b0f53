//! Where the gateway publishes its own status, and its birth, farewell and will messages.

use crate::base::scalar::Name;
use crate::config::{Config, Status, Switch};
use crate::device::Device;
use crate::mqtt::message::Message;
use crate::mqtt::topic::{Qos, Topic};
use crate::outbox::entry::Entry;
use crate::port::devices::DeviceTopics;
use crate::port::status::PortTopics;
use bytes::Bytes;

/// What the gateway says about itself, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    base: String,
    /// `None`: nothing is said.
    presence: Option<Presence>,
}

/// What is published of the gateway's own status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Presence {
    online: String,
    offline: String,
    qos: Qos,
    retain: bool,
    /// Whether there is JSON, too.
    details: bool,
}

/// Where it is said that the gateway is there, and the payloads that say it.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    pub topic: Topic,
    pub online: &'a str,
    pub offline: &'a str,
}

impl Topics {
    /// `{gateway}/status` and what lies below it.
    #[cfg(any(test, feature = "testing"))]
    pub fn of(gateway: &Name) -> Topics {
        Topics::with(gateway, &Switch::default())
    }

    pub fn with(gateway: &Name, status: &Switch<Status>) -> Topics {
        let presence = status.on().map(|status| Presence {
            online: status.online.0.clone(),
            offline: status.offline.0.clone(),
            qos: status.qos,
            retain: status.retain,
            details: status.details,
        });
        // The check of the configuration refused any other topic that is invalid.
        let base = status.on().and_then(|status| Status::topic_of(&status.topic, gateway).ok());
        let base = base.map_or_else(|| format!("{gateway}/status"), |topic| topic.to_string());
        Topics { base, presence }
    }

    /// Words of presence of the whole gateway; the will is published here too.
    fn gateway(&self) -> Topic {
        topic(&self.base)
    }

    /// As much of a message of the gateway about itself as is to be published.
    pub fn admit(&self, mut entry: Entry) -> Option<Entry> {
        let presence = self.presence.as_ref().filter(|presence| presence.details)?;
        entry.message.retain &= presence.retain;
        Some(entry)
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

    pub fn port(&self, port: &Name) -> Topic {
        topic(&format!("{}/ports/{port}", self.base))
    }

    /// What became of each command for a port.
    pub fn commands(&self, port: &Name) -> Topic {
        topic(&format!("{}/ports/{port}/command", self.base))
    }

    /// Where it is said whether a device answers, if that is published. A device's name is one level.
    fn device(&self, name: &str) -> Option<DeviceTopics> {
        let presence = self.presence.as_ref()?;
        let availability = topic(&format!("{}/devices/{name}", self.base));
        let details = Some(topic(&format!("{availability}/details")));
        let Presence { qos, retain, .. } = *presence;
        let details = details.filter(|_| presence.details);
        Some(DeviceTopics { availability, details, qos, retain })
    }

    /// Where it is said that the gateway is there, and by which words.
    pub fn words(&self) -> Option<Words<'_>> {
        let Presence { online, offline, .. } = self.presence.as_ref()?;
        Some(Words { topic: self.gateway(), online, offline })
    }

    /// Where it is said whether a device that is asked answers.
    pub fn availability(&self, device: &str) -> Option<Topic> {
        Some(self.device(device)?.availability)
    }

    /// What is behind that, as JSON.
    pub fn details(&self, device: &str) -> Option<Topic> {
        self.device(device)?.details
    }

    /// All topics of a port.
    pub fn of_port(&self, port: &Name, device: &Device) -> PortTopics {
        let of_device = |(name, _): (&str, _)| Some((name.to_owned(), self.device(name)?));
        let devices = device.members().filter_map(of_device).collect();
        PortTopics { status: self.port(port), command: self.commands(port), devices }
    }
}

fn topic(text: &str) -> Topic {
    // What is in front is a topic, names are valid topic levels by their type, and the config check
    // bounds their length.
    #[allow(clippy::expect_used)]
    text.parse().expect("names are topic levels")
}

/// The gateway's birth or farewell message, if it says any.
pub fn gateway(topics: &Topics, online: bool) -> Option<Entry> {
    let Presence { online: here, offline, qos, retain, .. } = topics.presence.as_ref()?;
    let payload = if online { here } else { offline };
    let mut entry = latest(topics.gateway(), payload.clone(), *qos);
    entry.message.retain = *retain;
    Some(entry)
}

/// What the broker publishes when the gateway is lost.
pub fn will(config: &Config) -> Option<Message> {
    let farewell = gateway(&Topics::with(&config.gateway, &config.status), false);
    let Some(Switch::On(will)) = &config.broker.will else {
        return farewell.filter(|_| config.broker.will.is_none()).map(|it| it.message);
    };
    let topic = will.topic.as_ref().map(|topic| Status::topic_of(topic, &config.gateway));
    let payload = will.payload.as_ref().map(|word| word.0.clone().into());
    let usual = Status::default();
    let status = config.status.on().unwrap_or(&usual);
    let topic = match (topic, &farewell) {
        (Some(topic), _) => topic.ok()?,
        (None, Some(farewell)) => farewell.message.topic.clone(),
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

/// A retained message of which only the latest counts.
pub(super) fn latest(topic: Topic, payload: String, qos: Qos) -> Entry {
    let message = Message { qos, retain: true, ..Message::new(topic, payload) };
    Entry { latest_only: true, ..message.into() }
}

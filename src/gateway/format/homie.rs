//! The gateway and its devices by the Homie convention 5: what is published and when, and what is told. Sans-io.

mod device;
#[cfg(test)]
mod tests;

use super::reading::Scalar;
use super::said::Said;
use super::{Facts, Heard};
use crate::base::scalar::Name;
use crate::config::{self, Config};
use crate::mqtt::message::Message;
use crate::mqtt::packet::{RetainHandling, Subscription};
use crate::mqtt::topic::{Qos, Topic};
use crate::outbox::entry::Entry;
use device::Device;
use serde_json::json;
use std::collections::VecDeque;

/// The one node of each device ("Nodes").
const NODE: &str = "values";

/// Most devices; the nodes of a frame make some of themselves.
const MOST_DEVICES: usize = 256;

/// The gateway as a root device, and its devices as its children ("Device hierarchy").
#[derive(Debug)]
pub struct Homie {
    /// The first level of all topics.
    domain: String,
    /// Identifier and name of the root device.
    id: String,
    name: String,
    prefix: String,
    facts: Vec<Facts>,
    /// By their places in `facts`; then those that frames have named.
    devices: Vec<Device>,
    is_connected: bool,
    is_leaving: bool,
    has_left: bool,
    /// What is to be sent before what waits in the outbox. As long as a few messages for each device.
    queue: VecDeque<Message>,
}

/// The topic of readings on their way to the outbox; the device's name follows.
pub fn data_prefix(settings: &config::Homie, gateway: &Name) -> String {
    format!("{}/5/{gateway}/", settings.domain)
}

impl Homie {
    pub fn new(settings: &config::Homie, config: &Config, facts: Vec<Facts>) -> Homie {
        let mut homie = Homie {
            domain: settings.domain.to_string(),
            id: unique(config.gateway.as_str(), |_| false),
            name: config.gateway.to_string(),
            prefix: data_prefix(settings, &config.gateway),
            facts: Vec::new(),
            devices: Vec::new(),
            is_connected: false,
            is_leaving: false,
            has_left: false,
            queue: VecDeque::new(),
        };
        for facts in &facts {
            let id = homie.device_id(&facts.outline.device);
            homie.devices.push(Device::outlined(id, &facts.outline));
        }
        homie.facts = facts;
        homie
    }

    /// The identifier of a child, which has to be unique at the broker.
    fn device_id(&self, name: &str) -> String {
        let is_taken = |id: &str| self.devices.iter().any(|device| device.id == id);
        unique(&format!("{}-{name}", self.name), is_taken)
    }

    /// Goes on in the place of another one. What is no longer there is removed from the broker.
    pub fn adopt(&mut self, old: Homie, is_same_link: bool) {
        for device in &mut self.devices {
            if let Some(old) = old.devices.iter().find(|old| old.id == device.id) {
                device.is_online = old.is_online;
                device.port = old.port;
            }
        }
        if !is_same_link || !old.is_connected {
            return;
        }
        self.is_connected = true;
        for gone in &old.devices {
            let is_kept = self.devices.iter().any(|device| device.id == gone.id);
            // "Device Lifecycle": first its state, then the rest.
            let clear = |topic: Topic| retained(topic, String::new());
            if !is_kept {
                self.queue.push_back(clear(self.topic(&gone.id, "$state")));
                self.queue.push_back(clear(self.topic(&gone.id, "$description")));
            }
            for property in &gone.properties {
                let device = self.devices.iter().find(|device| device.id == gone.id);
                let is_kept = device
                    .is_some_and(|device| device.properties.iter().any(|it| it.id == property.id));
                if !is_kept {
                    let topic = format!("{NODE}/{}", property.id);
                    self.queue.push_back(clear(self.topic(&gone.id, &topic)));
                }
            }
        }
        self.announce();
    }

    fn topic(&self, device: &str, rest: &str) -> Topic {
        // Identifiers are levels of topics, and so is the domain by its type.
        #[allow(clippy::expect_used)]
        format!("{}/5/{device}/{rest}", self.domain).parse().expect("identifiers are topic levels")
    }

    pub fn subscriptions(&self) -> Vec<Subscription> {
        let mut all = Vec::new();
        for device in &self.devices {
            for property in device.properties.iter().filter(|property| property.set.is_some()) {
                let topic = self.topic(&device.id, &format!("{NODE}/{}/set", property.id));
                if let Ok(filter) = topic.as_str().parse() {
                    all.push(Subscription {
                        retain_handling: RetainHandling::DoNotSend,
                        ..Subscription::new(filter, Qos::AtLeastOnce)
                    });
                }
            }
        }
        all
    }

    /// What the broker says of the root device, and so of all, when the gateway is lost.
    pub fn will(&self) -> Message {
        self.state(&self.id, "lost")
    }

    fn state(&self, device: &str, word: &str) -> Message {
        retained(self.topic(device, "$state"), word.into())
    }

    /// All devices are described again, the children first ("Adding children").
    pub fn connected(&mut self) {
        self.is_connected = true;
        self.queue.clear();
        self.announce();
    }

    fn announce(&mut self) {
        self.queue.push_back(self.state(&self.id, "init"));
        for place in 0..self.devices.len() {
            self.describe(place);
        }
        self.describe_root();
    }

    /// A description may only change while the state is `init` ("Device Attributes").
    fn describe(&mut self, place: usize) {
        let device = &self.devices[place];
        let description = self.topic(&device.id, "$description");
        let messages = [
            self.state(&device.id, "init"),
            retained(description, device.description(&self.id)),
            self.state(&device.id, state_of(device)),
        ];
        self.queue.extend(messages);
    }

    fn describe_root(&mut self) {
        let children: Vec<&str> = self.devices.iter().map(|device| device.id.as_str()).collect();
        let document = json!({ "homie": "5.0", "name": self.name, "children": children });
        let description = self.topic(&self.id, "$description");
        let messages = [
            self.state(&self.id, "init"),
            retained(description, device::versioned(document)),
            self.state(&self.id, "ready"),
        ];
        self.queue.extend(messages);
    }

    pub fn disconnected(&mut self) {
        self.is_connected = false;
        self.queue.clear();
    }

    /// The gateway ends.
    pub fn leave(&mut self) {
        self.is_leaving = true;
    }

    pub fn has_left(&self) -> bool {
        self.is_connected && self.has_left
    }

    /// Whether something is to be said before the link is left.
    pub fn owes_farewell(&self) -> bool {
        self.is_connected && (!self.queue.is_empty() || self.is_leaving && !self.has_left)
    }

    /// Takes a message of the ports; what goes to the outbox is put into `out`.
    pub fn take(&mut self, entry: Entry, out: &mut Vec<Entry>) {
        match Said::of(&entry, &self.prefix, &self.facts) {
            Said::Readings(name, readings) => {
                let Some(place) = self.place(&name) else { return };
                self.devices[place].port = entry.port;
                for reading in readings {
                    self.value(place, &reading.field, &reading.value, &entry, out);
                }
                self.is_there(place, true);
            }
            Said::State { device, command, value } => {
                self.value(device, &command, &Scalar::Text(value), &entry, out);
            }
            // "Logging": such messages are not retained.
            Said::Result { device, command, text } if !matches!(text.as_str(), "sent" | "done") => {
                let topic = self.topic(&self.devices[device].id, "$log/warn");
                let message = Message::new(topic, format!("{command}: {text}"));
                out.push(Entry { message, ..entry });
            }
            Said::Answers(place, is_online) => self.is_there(place, is_online),
            Said::Port { number, status, is_open } => {
                let is_on_it = |n: usize, device: &Device| match self.facts.get(n) {
                    Some(facts) => facts.is_there_with(&status),
                    None => device.port == number,
                };
                let devices = self.devices.iter().enumerate();
                let on_it: Vec<usize> =
                    devices.filter(|(n, device)| is_on_it(*n, device)).map(|(n, _)| n).collect();
                on_it.into_iter().for_each(|place| self.is_there(place, is_open));
            }
            Said::Result { .. } | Said::Other => {}
        }
    }

    fn value(
        &mut self,
        place: usize,
        field: &str,
        value: &Scalar,
        entry: &Entry,
        out: &mut Vec<Entry>,
    ) {
        let Some((property, payload, is_changed)) = self.devices[place].value(field, value) else {
            return;
        };
        let rest = format!("{NODE}/{}", property.id);
        let topic = self.topic(&self.devices[place].id, &rest);
        if is_changed && self.is_connected {
            self.describe(place);
        }
        out.push(Entry { message: retained(topic, payload), ..entry.clone() });
    }

    fn is_there(&mut self, place: usize, is_online: bool) {
        let device = &mut self.devices[place];
        if device.is_online.replace(is_online) != Some(is_online) && self.is_connected {
            let device = &self.devices[place];
            let message = self.state(&device.id, state_of(device));
            self.queue.push_back(message);
        }
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        let known = self.devices.iter().position(|device| device.name == name);
        if known.is_some() || self.devices.len() >= MOST_DEVICES {
            return known;
        }
        self.devices.push(Device::new(self.device_id(name), name));
        let place = self.devices.len() - 1;
        if self.is_connected {
            self.describe(place);
            self.describe_root();
        }
        Some(place)
    }

    /// Takes a message from the broker.
    pub fn hear(&mut self, topic: &Topic, payload: &[u8], retain: bool) -> Heard {
        let mut heard = Heard::default();
        if retain {
            heard.refused.push("it was retained".into());
            return heard;
        }
        let own = topic.as_str().strip_prefix(self.domain.as_str());
        let levels: Vec<&str> = own.unwrap_or_default().split('/').collect();
        let ["", "5", device, NODE, property, "set"] = levels[..] else { return heard };
        let device = self.devices.iter().find(|it| it.id == device);
        let property = device.and_then(|it| it.properties.iter().find(|it| it.id == property));
        let Some((property, set)) = property.and_then(|it| Some((it, it.set.as_ref()?))) else {
            return heard;
        };
        match std::str::from_utf8(payload) {
            Ok(text) => heard.commands.push((set.clone(), property.command(text).into())),
            Err(_) => heard.refused.push("it is not text in UTF-8".into()),
        }
        heard
    }

    /// What goes before the outbox, if anything does. `is_empty`: nothing waits in there.
    pub fn prepare(&mut self, is_empty: bool) {
        if self.is_connected && self.is_leaving && is_empty && self.queue.is_empty() {
            if self.has_left {
                return;
            }
            // "Device Lifecycle": before a clean disconnect.
            let ids =
                self.devices.iter().map(|device| device.id.as_str()).chain([self.id.as_str()]);
            self.queue = ids.map(|id| self.state(id, "disconnected")).collect();
        }
    }

    pub fn next(&self) -> Option<&Message> {
        self.queue.front().filter(|_| self.is_connected)
    }

    /// What [`Homie::next`] returned is with the link.
    pub fn sent(&mut self) {
        let sent = self.queue.pop_front();
        let is_last = sent.is_some_and(|message| message.payload == "disconnected");
        self.has_left |= is_last && self.queue.is_empty();
    }
}

fn state_of(device: &Device) -> &'static str {
    match device.is_online {
        None => "init",
        Some(true) => "ready",
        Some(false) => "lost",
    }
}

/// "QoS and retained messages": all are retained, and QoS 1 suits them.
fn retained(topic: Topic, payload: String) -> Message {
    Message { qos: Qos::AtLeastOnce, retain: true, ..Message::new(topic, payload) }
}

/// An identifier ("Topic IDs") made of a name: of small letters, digits and hyphens.
fn unique(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut id = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => id.push(c),
            _ if id.ends_with('-') || id.is_empty() => {}
            _ => id.push('-'),
        }
    }
    let id = match id.trim_end_matches('-') {
        "" => "x",
        id => id,
    };
    let mut numbered = (2_u32..).map(|n| format!("{id}-{n}"));
    match is_taken(id) {
        false => id.to_owned(),
        // There are only so many names that it could be.
        true => numbered.find(|id| !is_taken(id)).unwrap_or_default(),
    }
}

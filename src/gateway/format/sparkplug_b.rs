//! An edge node of Sparkplug B 3.0: what it publishes and when, and what it is told. Sans-io.
//!
//! Readings wait in the outbox as JSON and become metrics when they are sent: only then is it known which sequence
//! number they get, whether the host applications know the metric, and whether a value is a historical one.

mod command;
mod device;
mod host;
mod payload;
#[cfg(test)]
mod tests;

use super::said::Said;
use super::{Facts, reading};
use crate::base::clock::{Now, Stamp};
use crate::base::scalar::Name;
use crate::config::{Config, SparkplugB};
use crate::mqtt::message::Message;
use crate::mqtt::packet::Subscription;
use crate::mqtt::topic::{Qos, Topic, TopicFilter};
use crate::outbox::entry::Entry;
use device::Device;
use host::Host;
use payload::{Metric, Value};

/// Most devices; the nodes of a frame make some of themselves.
const MOST_DEVICES: usize = 256;

/// The metric by which a host application asks for all births again (section 5.17).
const REBIRTH: &str = "Node Control/Rebirth";

/// The edge node (section 1.4.1.3) that the gateway is.
#[derive(Debug)]
pub struct EdgeNode {
    group: String,
    id: String,
    /// See [`data_prefix`].
    prefix: String,
    host: Option<Host>,
    /// Whether there are several brokers.
    has_fallback: bool,
    facts: Vec<Facts>,
    /// By their places in `facts`; then those that frames have named.
    devices: Vec<Device>,
    is_connected: bool,
    /// Whether the NBIRTH of this session was sent.
    is_born: bool,
    /// Whether NDEATH is to be sent, and when.
    farewell: Farewell,
    /// The number of the last CONNECT; none was sent yet.
    bd_seq: Option<u8>,
    /// The next sequence number.
    seq: u8,
    /// What is next to be sent.
    next: Option<(Step, Message)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    None,
    /// When the outbox is empty: the gateway ends.
    AtLast,
    /// Before everything else: the primary host application has gone.
    Now,
    Sent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    NodeBirth,
    NodeDeath,
    DeviceBirth(usize),
    DeviceDeath(usize),
    /// The front message of the outbox, as data of a device.
    Data,
    /// The front message of the outbox, which a birth has told.
    Told,
    /// The front message of the outbox as it is.
    Other,
}

impl EdgeNode {
    pub fn new(settings: &SparkplugB, config: &Config, facts: Vec<Facts>) -> EdgeNode {
        EdgeNode {
            group: settings.group.to_string(),
            id: node(settings, &config.gateway).to_string(),
            prefix: data_prefix(settings, &config.gateway),
            host: settings.primary_host.as_ref().map(|host| Host::new(host.as_str())),
            devices: facts.iter().map(|facts| Device::outlined(&facts.outline)).collect(),
            has_fallback: !config.broker.fallback.is_empty(),
            facts,
            is_connected: false,
            is_born: false,
            farewell: Farewell::None,
            bd_seq: None,
            seq: 0,
            next: None,
        }
    }

    /// Goes on in the place of another one, whose session it takes over if `is_same_link`. All births are due
    /// again, because devices or metrics may have changed.
    pub fn adopt(&mut self, old: EdgeNode, is_same_link: bool) {
        self.bd_seq = old.bd_seq;
        for old in old.devices {
            if let Some(place) = self.devices.iter().position(|device| device.name == old.name) {
                self.devices[place].adopt(old);
            }
        }
        if is_same_link {
            self.is_connected = old.is_connected;
            if let (Some(host), Some(old)) = (&mut self.host, old.host) {
                *host = old;
            }
        }
    }

    /// The topics of what is sent to this node (sections 5.4 and 5.6), and of the primary host application's STATE.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let node = self.topic("NCMD", None).to_string();
        let devices = self.facts.iter().filter(|facts| !facts.outline.commands.is_empty());
        let devices =
            devices.map(|facts| self.topic("DCMD", Some(&facts.outline.device)).to_string());
        let state = self.host.iter().map(|host| host.topic.clone());
        let filters = state.chain([node]).chain(devices);
        let filter = |text: String| text.parse::<TopicFilter>().ok();
        filters
            .filter_map(filter)
            .map(|filter| Subscription::new(filter, Qos::AtLeastOnce))
            .collect()
    }

    fn topic(&self, verb: &str, device: Option<&str>) -> Topic {
        topic(&self.group, verb, &self.id, device)
    }

    /// NDEATH as the will of the CONNECT that is about to be sent (section 6.4.25). Each has the next number.
    pub fn will(&mut self, now: Now) -> Message {
        self.bd_seq = Some(self.bd_seq.map_or(0, |last| last.wrapping_add(1)));
        self.death(now)
    }

    fn death(&self, now: Now) -> Message {
        let bd_seq = self.bd_seq_value();
        let metrics = [metric("bdSeq", &bd_seq, millis(now))];
        let payload = payload::encode(Some(millis(now)), &metrics, None);
        Message { qos: Qos::AtLeastOnce, ..Message::new(self.topic("NDEATH", None), payload) }
    }

    fn bd_seq_value(&self) -> Value {
        Value::Int64(self.bd_seq.unwrap_or_default().into())
    }

    /// A broker has let us in: all births are due.
    pub fn connected(&mut self) {
        self.is_connected = true;
        self.host.iter_mut().for_each(Host::forget);
        if self.farewell != Farewell::AtLast {
            self.farewell = Farewell::None;
        }
        self.begin_anew();
    }

    pub fn disconnected(&mut self) {
        self.is_connected = false;
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        (self.is_born, self.seq, self.next) = (false, 0, None);
        self.devices.iter_mut().for_each(|device| device.born = None);
    }

    /// The gateway ends: NDEATH is the last message (section 5.5).
    pub fn leave(&mut self) {
        self.farewell = Farewell::AtLast;
    }

    /// Whether NDEATH is still to be sent.
    pub fn owes_farewell(&self) -> bool {
        self.is_born && matches!(self.farewell, Farewell::AtLast | Farewell::Now)
    }

    /// Whether NDEATH was the last message.
    pub fn has_left(&self) -> bool {
        self.is_connected && self.farewell == Farewell::Sent
    }

    /// Whether this broker is to be left, because the primary host application is not there (section 5.4).
    pub fn wants_another_broker(&self) -> bool {
        let is_gone = self.host.as_ref().is_some_and(Host::is_gone);
        // Of several brokers it may be at another one.
        let is_elsewhere = self.is_connected && self.farewell == Farewell::None && !self.is_born;
        self.has_left() || is_gone && is_elsewhere && self.has_fallback
    }

    /// Takes a message of the ports; what goes to the outbox is put into `out`.
    pub fn take(&mut self, mut entry: Entry, now: Now, out: &mut Vec<Entry>) {
        match Said::of(&entry, &self.prefix, &self.facts) {
            Said::Readings(name, readings) => {
                let Some(place) = self.place(&name) else { return };
                let Some(device) = self.devices.get_mut(place) else { return };
                device.learn(&readings, entry.measured.map_or_else(|| millis(now), millis), true);
                (device.is_online, device.port) = (true, entry.port);
                out.push(entry);
            }
            Said::Answers(place, is_online) => self.devices[place].is_online = is_online,
            // A port is open, or not: so are the devices on it that speak by themselves.
            Said::Port { number, status, is_open } => {
                for (n, device) in self.devices.iter_mut().enumerate() {
                    let is_on_it = match self.facts.get(n) {
                        Some(facts) => facts.is_there_with(&status),
                        None => device.port == number,
                    };
                    if is_on_it {
                        device.is_online = is_open;
                    }
                }
            }
            Said::State { device, command, value } => {
                let payload = serde_json::json!({ command: value }).to_string();
                entry.message.topic = self.topic("DDATA", Some(&self.devices[device].name));
                entry.message.payload = payload.into();
                self.take(entry, now, out);
            }
            Said::Result { .. } | Said::Other => {}
        }
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        let known = self.devices.iter().position(|device| device.name == name);
        if known.is_none() && self.devices.len() < MOST_DEVICES {
            self.devices.push(Device::named(name));
            return Some(self.devices.len() - 1);
        }
        known
    }

    /// Prepares what is to be sent next: a birth that is due, else the message at the front of the outbox, at the
    /// end a death. Returns whether a birth has said already what the front message says.
    pub fn prepare(&mut self, front: Option<&Entry>, is_empty: bool, now: Now) -> bool {
        self.next = self.step(front, is_empty, now);
        let is_told = matches!(self.next, Some((Step::Told, _)));
        self.next.take_if(|_| is_told);
        is_told
    }

    /// What was prepared.
    pub fn next(&self) -> Option<&Message> {
        self.next.as_ref().map(|(_, message)| message)
    }

    /// What was prepared is with the link. Returns whether it was the front message of the outbox.
    pub fn sent(&mut self, now: Now) -> bool {
        let Some((step, _)) = self.next.take() else { return false };
        self.done(step, now)
    }

    /// The broker does not take what was prepared: the node goes on as if it did. Returns whether it was the front
    /// message of the outbox.
    pub fn pass_over(&mut self, now: Now) -> bool {
        let seq = self.seq;
        let is_front = self.sent(now);
        self.seq = seq;
        is_front
    }

    fn done(&mut self, step: Step, now: Now) -> bool {
        match step {
            Step::NodeBirth => (self.is_born, self.seq) = (true, 0),
            Step::NodeDeath => {
                self.begin_anew();
                self.farewell = Farewell::Sent;
                return false;
            }
            Step::DeviceBirth(place) => self.devices[place].is_born(millis(now)),
            Step::DeviceDeath(place) => self.devices[place].born = None,
            Step::Data => {}
            Step::Other | Step::Told => return true,
        }
        self.seq = self.seq.wrapping_add(1);
        step == Step::Data
    }

    fn step(&mut self, front: Option<&Entry>, is_empty: bool, now: Now) -> Option<(Step, Message)> {
        if !self.is_connected || self.farewell == Farewell::Sent {
            return None;
        }
        if self.farewell == Farewell::Now {
            return Some((Step::NodeDeath, self.death(now)));
        }
        if !self.is_born {
            let may_begin = self.host.as_ref().is_none_or(|host| host.is_online());
            return may_begin.then(|| (Step::NodeBirth, self.birth(now)));
        }
        let is_due = |it: &Device| it.is_online && it.born.is_none() && it.is_known();
        if let Some(place) = self.devices.iter().position(is_due) {
            return Some(self.device_birth(place, now));
        }
        if let Some(entry) = front {
            return Some(self.data(entry, now));
        }
        let is_dead = |it: &Device| !it.is_online && it.born.is_some();
        if is_empty && let Some(place) = self.devices.iter().position(is_dead) {
            let message = self.message("DDEATH", Some(place), &[], now);
            return Some((Step::DeviceDeath(place), message));
        }
        let is_over = is_empty && self.farewell == Farewell::AtLast;
        is_over.then(|| (Step::NodeDeath, self.death(now)))
    }

    /// NBIRTH (section 6.4.19).
    fn birth(&mut self, now: Now) -> Message {
        self.seq = 0;
        let (bd_seq, rebirth) = (self.bd_seq_value(), Value::Boolean(false));
        let version = Value::String(env!("CARGO_PKG_VERSION").to_owned());
        let at = millis(now);
        let metrics = [
            metric("bdSeq", &bd_seq, at),
            metric(REBIRTH, &rebirth, at),
            metric("Properties/tty2mqtt Version", &version, at),
        ];
        self.message("NBIRTH", None, &metrics, now)
    }

    fn device_birth(&self, place: usize, now: Now) -> (Step, Message) {
        let metrics = self.devices[place].birth(millis(now));
        (Step::DeviceBirth(place), self.message("DBIRTH", Some(place), &metrics, now))
    }

    /// The front message of the outbox as DDATA, or the birth that has to come before it.
    fn data(&mut self, entry: &Entry, now: Now) -> (Step, Message) {
        let other = || (Step::Other, entry.message.clone());
        let name = self.device_of(entry);
        let Some((name, readings)) = name.zip(reading::read(&entry.message.payload)) else {
            return other();
        };
        let Some(place) = self.place(name) else { return other() };
        let at = entry.measured.map_or_else(|| millis(now), millis);
        self.devices[place].learn(&readings, at, false);
        let device = &self.devices[place];
        let Some(born) = device.born else { return self.device_birth(place, now) };
        if device.has_told(&readings, at) {
            return (Step::Told, entry.message.clone());
        }
        (Step::Data, self.data_message(place, readings, at, at < born, now))
    }

    fn data_message(
        &self,
        place: usize,
        readings: Vec<reading::Reading>,
        timestamp: u64,
        is_historical: bool,
        now: Now,
    ) -> Message {
        let values = self.devices[place].values(readings);
        let metrics: Vec<Metric<'_>> = values
            .iter()
            .map(|(name, value)| Metric {
                data_type: None,
                is_historical,
                ..metric(name, value, timestamp)
            })
            .collect();
        self.message("DDATA", Some(place), &metrics, now)
    }

    /// A message of the outbox that stood aside, as it is sent now.
    pub fn aside(&self, entry: &Entry, now: Now) -> Option<Message> {
        let name = self.device_of(entry)?;
        let readings = reading::read(&entry.message.payload)?;
        let place = self.devices.iter().position(|device| device.name == name)?;
        let at = entry.measured.map_or_else(|| millis(now), millis);
        let born = self.devices[place].born?;
        Some(self.data_message(place, readings, at, at < born, now))
    }

    /// It was sent.
    pub fn sent_aside(&mut self) {
        self.seq = self.seq.wrapping_add(1);
        self.next = None;
    }

    /// The device whose readings wait in a message as JSON.
    fn device_of<'e>(&self, entry: &'e Entry) -> Option<&'e str> {
        entry.message.topic.as_str().strip_prefix(&self.prefix)
    }

    fn message(
        &self,
        verb: &str,
        place: Option<usize>,
        metrics: &[Metric<'_>],
        now: Now,
    ) -> Message {
        let device = place.map(|place| self.devices[place].name.as_str());
        let payload = payload::encode(Some(millis(now)), metrics, Some(self.seq));
        Message { qos: Qos::AtMostOnce, ..Message::new(self.topic(verb, device), payload) }
    }
}

fn metric<'a>(name: &'a str, value: &'a Value, timestamp: u64) -> Metric<'a> {
    let data_type = Some(value.data_type());
    Metric { name, timestamp, data_type, is_historical: false, value: Some(value), unit: None }
}

/// `spBv1.0/group_id/message_type/edge_node_id/[device_id]` (section 4.1).
fn topic(group: &str, verb: &str, node: &str, device: Option<&str>) -> Topic {
    let device = device.map(|device| format!("/{device}")).unwrap_or_default();
    // Names are topic levels by their type; those of nodes are levels of a topic that there was.
    #[allow(clippy::expect_used)]
    format!("spBv1.0/{group}/{verb}/{node}{device}").parse().expect("names are topic levels")
}

/// The identifier of the node.
fn node<'a>(settings: &'a SparkplugB, gateway: &'a Name) -> &'a Name {
    settings.node.as_ref().unwrap_or(gateway)
}

/// The topic of readings, which is that of their DDATA; the device's name follows.
pub fn data_prefix(settings: &SparkplugB, gateway: &Name) -> String {
    format!("spBv1.0/{}/DDATA/{}/", settings.group, node(settings, gateway))
}

fn millis(now: Now) -> u64 {
    Stamp(now.wall).millis()
}

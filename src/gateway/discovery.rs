//! What is announced to Home Assistant: the gateway, its devices, and their fields and commands. Sans-io.
//!
//! Each device has one retained message on `<prefix>/device/<gateway>/<device>/config`, so that one
//! subscription brings back what this gateway has announced, and nothing else.

mod announcer;
mod component;
mod names;
mod own;

pub use announcer::{Announcer, Heard};

use crate::base::path::Path;
use crate::codec::field::{Kind, Values};
use crate::config::home_assistant::{AnnouncedDevice, HomeAssistant};
use crate::config::made::Made;
use crate::config::{Config, Switch};
use crate::device::outline::{Outline, OutlinedField};
use crate::device::{Device, Newcomer};
use crate::gateway::topics::Topics;
use crate::mqtt::packet::{RetainHandling, Subscription};
use crate::mqtt::topic::{Qos, Topic, TopicFilter};
use bytes::Bytes;
use component::{Component, Keys, Owner};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// All that a configuration has to announce.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Where the messages of its devices are: `<prefix>/device/<gateway>`.
    base: String,
    /// The message with which Home Assistant says that it has started.
    birth: Option<(Topic, Bytes)>,
    devices: Vec<Announced>,
    /// Devices of which only frames say all.
    open: Vec<Open>,
    settings: HomeAssistant,
    origin: Value,
    /// The identifier of the gateway's own device, if there is one.
    gateway: Option<String>,
}

/// A device whose frames name further fields, or the devices that they are of.
#[derive(Clone, Debug)]
struct Open {
    port: String,
    device: String,
    slug: String,
    id: String,
    said: AnnouncedDevice,
    /// As that of [`Announced`].
    root: String,
    availability: Vec<Value>,
    /// Fields that are described, of whatever device they are.
    fields: Vec<OutlinedField>,
}

/// A device that is announced.
#[derive(Clone, Debug)]
struct Announced {
    /// Its level of the topic.
    slug: String,
    /// What its messages say besides their components: JSON without the bracket at the end.
    root: String,
    components: Vec<Arc<Component>>,
    /// Whether there may be components that frames have named in an earlier run.
    is_open: bool,
}

/// A message of an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    topic: Topic,
    root: String,
    components: Vec<Arc<Component>>,
    is_open: bool,
}

/// Most bytes of a message, if the broker takes as many: longer ones would delay readings on a slow line. A
/// device with more components has several.
const LARGEST: usize = 48 << 10;

/// What a message has besides its payload: fixed header, length of the topic, packet identifier and properties.
const OVERHEAD: usize = 64;

impl Announcement {
    /// What is to be announced; `None`: nothing, and nothing is cleared that was.
    ///
    /// It builds all devices: it takes a while, and must not keep a port waiting.
    pub fn of(config: &Config, version: &str) -> Option<Announcement> {
        let off = HomeAssistant::default();
        let settings = match config.home_assistant.as_ref()? {
            Switch::On(settings) => settings,
            // What was announced is cleared, where it is by default.
            Switch::Off => &off,
        };
        let gateway = config.gateway.as_str();
        let node = names::slug(gateway);
        let birth = settings.birth.on().and_then(|birth| {
            Some((birth.topic.0.parse().ok()?, Bytes::from(birth.payload.0.clone())))
        });
        let mut announcement = Announcement {
            base: format!("{}/device/{node}", settings.prefix.0),
            birth,
            devices: Vec::new(),
            open: Vec::new(),
            settings: settings.clone(),
            origin: json!({"name": "tty2mqtt", "sw": version}),
            gateway: None,
        };
        if let Some(Switch::On(_)) = &config.home_assistant {
            announcement.add_all(config, settings, &node, version);
        }
        Some(announcement)
    }

    fn add_all(&mut self, config: &Config, settings: &HomeAssistant, node: &str, version: &str) {
        let topics = Topics::with(&config.gateway, &config.status);
        let gateway_id = format!("tty2mqtt-{node}");
        let own =
            own::components(&topics, &gateway_id, config.ports.keys().map(|name| name.as_str()));
        let has_own = !own.is_empty();
        if has_own {
            let entry = json!({
                "ids": [gateway_id], "name": names::title(config.gateway.as_str()),
                "mf": "tty2mqtt", "mdl": "Serial gateway", "sw": version,
            });
            let root = root(entry, &self.origin, &[]);
            let components = own.into_iter().map(Arc::new).collect();
            self.devices.push(Announced { slug: GATEWAY.into(), root, components, is_open: false });
        }
        for (port, on_port) in &config.ports {
            let of_device = on_port.device(&config.gateway, port);
            // The check of the configuration has built them already.
            let Ok(mut device) = Device::build(&of_device) else { continue };
            if config.broker.amqp_topics {
                device.for_amqp();
            }
            for outline in device.outlines(&of_device) {
                let Some(said) = settings.device(port.as_str(), &outline.device) else { continue };
                let made = config.made.get(port.as_str(), &outline.device);
                let slug = names::slug(&outline.device);
                let id = format!("{gateway_id}--{slug}");
                let components = components(&outline, &said, &id, &topics);
                let is_open = outline.is_told_by_frames();
                if components.is_empty() && !is_open {
                    continue;
                }
                let via = has_own.then_some(gateway_id.as_str());
                let entry = entry(&outline.device, &said, &id, made, via);
                let availability = availability(&outline, &topics, port.as_str());
                let root = root(entry, &self.origin, &availability);
                let components = components.into_iter().map(Arc::new).collect();
                if is_open {
                    self.open.push(Open {
                        port: port.to_string(),
                        device: outline.device,
                        slug: slug.clone(),
                        id,
                        said: said.into_owned(),
                        root: root.clone(),
                        availability,
                        fields: outline.fields,
                    });
                }
                self.devices.push(Announced { slug, root, components, is_open });
            }
        }
        self.gateway = has_own.then_some(gateway_id);
    }

    /// Adds a field that frames have named. Whether it is announced.
    fn meet(&mut self, newcomer: &Newcomer) -> bool {
        let of_device = |open: &&Open| open.device == newcomer.device;
        let Some(open) = self.open.iter().find(of_device) else { return false };
        let (slug, id, name, said) = match &newcomer.node {
            None => (open.slug.clone(), open.id.clone(), &newcomer.device, open.said.clone()),
            Some(node) => {
                let Some(said) = self.settings.device(&open.port, node) else { return false };
                let slug = names::slug(node);
                let id = format!("{}--{slug}", open.id);
                (format!("{}--{slug}", open.slug), id, node, said.into_owned())
            }
        };
        let Some(settings) = said.field(&newcomer.field) else { return false };
        let field = open.field(newcomer);
        let Some(component) = (Owner { id: &id, name }).sensor(&field, &settings) else {
            return false;
        };
        let component = Arc::new(component);
        let root = match &newcomer.node {
            None => open.root.clone(),
            Some(_) => {
                let via = self.gateway.as_deref();
                root(entry(name, &said, &id, None, via), &self.origin, &open.availability)
            }
        };
        match self.devices.iter_mut().find(|device| device.slug == slug) {
            Some(device) => device.put(component),
            None => {
                let components = vec![component];
                self.devices.push(Announced { slug, root, components, is_open: true });
            }
        }
        true
    }

    /// Keeps what frames have named before a reload, as far as it may still be there.
    fn inherit(&mut self, old: Announcement) {
        if old.base != self.base {
            return;
        }
        for mut device in old.devices.into_iter().filter(|device| device.is_open) {
            let Some(said) = self.said(&device.slug) else { continue };
            device.components.retain(|component| said.field(&component.key).is_some());
            match self.devices.iter_mut().find(|known| known.slug == device.slug) {
                None => self.devices.push(device),
                Some(known) if known.is_open => {
                    let is_new = |it: &Arc<Component>| {
                        known.components.iter().all(|component| component.key != it.key)
                    };
                    let new: Vec<_> = device.components.into_iter().filter(is_new).collect();
                    known.components.extend(new);
                }
                Some(_) => {}
            }
        }
    }

    /// What is said of a device by its level of the topic, if only frames say all of it.
    fn said(&self, level: &str) -> Option<Cow<'_, AnnouncedDevice>> {
        let level = level.split("---").next().unwrap_or(level);
        let (of, node) = match level.split_once("--") {
            Some((of, node)) => (of, Some(node)),
            None => (level, None),
        };
        let open = self.open.iter().find(|open| open.slug == of)?;
        match node {
            None => Some(Cow::Borrowed(&open.said)),
            // Most names are their own level.
            Some(node) => self.settings.device(&open.port, node),
        }
    }

    /// The same by the whole topic.
    fn said_of(&self, topic: &Topic) -> Option<Cow<'_, AnnouncedDevice>> {
        let level = topic.as_str().strip_prefix(&self.base)?.strip_prefix('/')?;
        self.said(level.strip_suffix("/config")?)
    }

    /// What the broker is asked for: our own messages, and the birth of Home Assistant.
    pub fn filters(&self) -> (Option<TopicFilter>, Option<TopicFilter>) {
        let own = format!("{}/+/config", self.base).parse().ok();
        let birth = self.birth.as_ref().and_then(|(topic, _)| topic.as_str().parse().ok());
        (own, birth)
    }

    /// The same as subscriptions. Our own messages come once, those that the broker retains.
    pub fn subscriptions(&self) -> impl Iterator<Item = Subscription> {
        let (own, birth) = self.filters();
        let own = own.map(|filter| Subscription {
            no_local: true,
            ..Subscription::new(filter, Qos::AtLeastOnce)
        });
        let birth = birth.map(|filter| Subscription {
            retain_handling: RetainHandling::DoNotSend,
            ..Subscription::new(filter, Qos::AtLeastOnce)
        });
        own.into_iter().chain(birth)
    }

    /// Its messages, of at most so many bytes where the broker says how many.
    fn parts(&self, largest: Option<usize>) -> Vec<Part> {
        let largest = largest.unwrap_or(LARGEST).min(LARGEST);
        let mut parts = Vec::new();
        for device in &self.devices {
            let mut rest = device.components.iter().peekable();
            let mut n = 1;
            while rest.peek().is_some() {
                let level = match n {
                    1 => device.slug.clone(),
                    n => format!("{}---{n}", device.slug),
                };
                let Ok(topic) = format!("{}/{level}/config", self.base).parse::<Topic>() else {
                    break;
                };
                let mut bytes = OVERHEAD + topic.len() + device.root.len();
                let mut components = Vec::new();
                while let Some(next) = rest.peek() {
                    bytes += next.text.len() + next.key.len() + 8;
                    if bytes > largest && !components.is_empty() {
                        break;
                    }
                    components.extend(rest.next().cloned());
                }
                let (root, is_open) = (device.root.clone(), device.is_open);
                parts.push(Part { topic, root, components, is_open });
                n += 1;
            }
        }
        parts
    }

    /// Topics and payloads of all messages.
    #[cfg(any(test, feature = "testing"))]
    pub fn messages(&self) -> Vec<(String, String)> {
        let parts = self.parts(None);
        parts.iter().map(|part| (part.topic.to_string(), part.payload(&[]))).collect()
    }
}

impl Announced {
    /// Adds a component, or takes it in the place of what it was.
    fn put(&mut self, component: Arc<Component>) {
        match self.components.iter_mut().find(|known| known.key == component.key) {
            Some(known) => *known = component,
            None => self.components.push(component),
        }
    }
}

impl Open {
    /// What is known of a field that frames have named.
    fn field(&self, newcomer: &Newcomer) -> OutlinedField {
        let Newcomer { field, unit, is_number, place, .. } = newcomer;
        let place = Some(place.clone());
        if let Some(described) = self.fields.iter().find(|it| it.name == *field) {
            let unit = described.unit.clone().or_else(|| unit.clone());
            return OutlinedField { unit, place, has_nodes: false, ..described.clone() };
        }
        let has_unit = unit.as_deref().is_some_and(|unit| !unit.is_empty());
        let kind = if *is_number && has_unit { Kind::Number } else { Kind::Any };
        let values = Values { kind, words: Vec::new(), is_closed: false, decimals: None };
        OutlinedField {
            name: field.clone(),
            // A unit makes a number of every value, and of these the first is none.
            unit: unit.clone().filter(|_| *is_number),
            class: None,
            state_class: None,
            values,
            place,
            is_placed_by_values: false,
            has_nodes: false,
            lasts: None,
            is_asked: false,
            path: Path::default(),
        }
    }
}

/// The level of the topic of the gateway itself, which is no device's.
const GATEWAY: &str = "--gateway";

impl Part {
    /// The message; components that are gone are named once, by key and platform.
    fn payload(&self, gone: &[(String, String)]) -> String {
        let mut text = self.root.clone();
        text.push_str(",\"cmps\":{");
        let mut comma = "";
        let is_gone = |key: &str| gone.iter().any(|(gone, _)| gone == key);
        let kept = self.components.iter().filter(|component| !is_gone(&component.key));
        let kept = kept.map(|component| (&component.key, component.text.clone()));
        let gone = gone.iter().map(|(key, platform)| (key, json!({"p": platform}).to_string()));
        for (key, component) in kept.chain(gone) {
            text.push_str(comma);
            text.push_str(&Value::from(key.as_str()).to_string());
            text.push(':');
            text.push_str(&component);
            comma = ",";
        }
        text.push_str("}}");
        text
    }
}

/// What a device's messages say besides their components, without the bracket at the end.
fn root(entry: Value, origin: &Value, availability: &[Value]) -> String {
    let mut root = Keys::default().value("dev", entry).value("o", origin.clone());
    if !availability.is_empty() {
        // By default the last topic that says anything would decide alone.
        root = root.value("avty", availability.into()).text("avty_mode", "all");
    }
    let mut text = root.into_value().to_string();
    text.pop();
    text
}

/// A device in Home Assistant's registry.
fn entry(
    device: &str,
    said: &AnnouncedDevice,
    id: &str,
    made: Option<&Made>,
    via: Option<&str>,
) -> Value {
    let name = said.name.as_ref().map(|name| name.0.clone());
    let name = name.unwrap_or_else(|| names::title(device));
    let keys = Keys::default().value("ids", json!([id])).text("name", name);
    let keys = match made {
        Some(made) => keys
            .some("mf", Some(made.make.as_str()).filter(|make| !matches!(*make, "" | "various")))
            .some("mdl", Some(made.title.as_str()).filter(|title| !title.is_empty()))
            .some("mdl_id", Some(made.aliases.join(", ")).filter(|all| !all.is_empty()).as_deref()),
        None => keys,
    };
    let area = said.area.as_ref().map(|area| area.0.as_str());
    keys.some("sa", area).some("via_device", via).into_value()
}

/// What says whether a device is there: the gateway, and it itself if it is asked, else its port.
fn availability(outline: &Outline, topics: &Topics, port: &str) -> Vec<Value> {
    let Some(words) = topics.words() else { return Vec::new() };
    let mut all = vec![own::availability(words.topic.as_str(), words.online, words.offline)];
    let device = topics.availability(&outline.device).filter(|_| outline.is_asked);
    match (device, port.parse()) {
        (Some(topic), _) => all.push(own::availability(topic.as_str(), "online", "offline")),
        (None, Ok(port)) if topics.seen_program().is_some() => {
            let topic = topics.port(&port);
            let is_open = "{{ 'online' if value_json.state == 'open' else 'offline' }}";
            all.push(json!({"t": topic.as_str(), "val_tpl": is_open}));
        }
        _ => {}
    }
    all
}

/// The components of a device: its fields, its commands, and what is known of it.
fn components(
    outline: &Outline,
    said: &AnnouncedDevice,
    id: &str,
    topics: &Topics,
) -> Vec<Component> {
    let owner = Owner { id, name: &outline.device };
    let mut all = Vec::new();
    let is_command = |name: &str| outline.commands.iter().any(|command| command.name == name);
    for field in outline.fields.iter().filter(|it| !it.has_nodes && !is_command(&it.name)) {
        let settings = said.field(&field.name);
        all.extend(settings.and_then(|settings| owner.sensor(field, &settings)));
    }
    for command in &outline.commands {
        let Some(settings) = said.field(&command.name) else { continue };
        let field = outline.fields.iter().find(|it| it.name == command.name && !it.has_nodes);
        all.extend(owner.control(command, field, &settings));
    }
    let details = topics.details(&outline.device).filter(|_| outline.is_asked);
    if let (Some(details), Some(words)) = (details, topics.words())
        && !all.is_empty()
    {
        let gateway = own::availability(words.topic.as_str(), words.online, words.offline);
        let keys = Keys::default()
            .text("name", "Connection")
            .text("stat_t", details.as_str())
            .text("val_tpl", "{{ value_json['state'] }}")
            .value("avty", json!([gateway]))
            .text("ent_cat", "diagnostic");
        all.push(Component::new(CONNECTION, "sensor", id, keys));
    }
    all
}

/// The key of what is said of a device's connection. A field's key has no blank, but may be anything else.
const CONNECTION: &str = "connection--";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

//! When what is announced, and what is cleared of what was announced before. Sans-io.
//!
//! At each connect the broker is asked for what it retains of us. Then each device is announced, one after the
//! other; components that are gone are removed, and so are devices. Home Assistant loses components where two
//! messages on one topic follow each other too fast, so there is a pause between them.

use super::component::Component;
use super::{Announcement, Part};
use crate::device::Newcomer;
use crate::mqtt::message::Message;
use crate::mqtt::topic::{Qos, Topic};
use bytes::Bytes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least time between two messages on one topic.
const AGAIN: Duration = Duration::from_secs(2);

/// The time between two messages, so that readings are not delayed behind many of them.
const SPREAD: Duration = Duration::from_millis(25);

/// How long the answer to the subscription is awaited.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long retained messages are awaited behind that answer, and behind each of them.
const QUIET: Duration = Duration::from_millis(200);

/// How long after the announcement of a device its states are published again: Home Assistant subscribes to
/// them only then.
const SETTLED: Duration = Duration::from_millis(1200);

/// How long more fields are awaited where frames have named one.
const GATHER: Duration = Duration::from_millis(500);

/// Most states that are published again at once.
const AT_ONCE: usize = 16;

/// Most components of a retained message that are looked at.
const MOST: usize = 4096;

/// Tells Home Assistant, by the broker, what there is.
#[derive(Debug, Default)]
pub struct Announcer {
    announcement: Option<Announcement>,
    /// By topic.
    topics: BTreeMap<Topic, Told>,
    phase: Phase,
    /// Most bytes of a packet that the broker takes.
    largest: Option<usize>,
    /// The next message not before then.
    free: Option<Instant>,
    /// The last payload of each topic that may be published again, and when it came.
    states: HashMap<Topic, Option<(Bytes, Instant)>>,
    /// What is to be published again.
    again: VecDeque<Topic>,
}

/// What there is to say on a topic, and what was said.
#[derive(Debug, Default)]
struct Told {
    /// `None`: nothing, so that what is retained there has to go.
    wanted: Option<Part>,
    /// The platform of each component that Home Assistant may know by a message on this topic.
    known: BTreeMap<String, String>,
    /// Components that frames of an earlier run have named, as the broker has retained them.
    adopted: BTreeMap<String, Arc<Component>>,
    /// Home Assistant has started, and knows nothing any more.
    is_unknown: bool,
    /// Keys of the components that it did not know before the last message.
    fresh: BTreeSet<String>,
    /// Somebody else emptied the topic: the user deleted the device.
    is_deleted: bool,
    sent: Option<Instant>,
    due: Option<Instant>,
    /// When the states of these are published again.
    states: Option<Instant>,
}

/// How far the announcement on a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Away,
    /// What the broker retains is awaited, until then at most.
    Listening(Instant),
    Telling,
}

impl Announcer {
    /// Takes what there is to announce from now on, in place of what there was.
    pub fn update(&mut self, announcement: Option<Announcement>, now: Instant) {
        let old = std::mem::replace(&mut self.announcement, announcement);
        if let (Some(new), Some(old)) = (&mut self.announcement, old) {
            new.inherit(old);
        }
        self.want(now, Duration::ZERO);
    }

    /// A field came that only frames name.
    pub fn meet(&mut self, newcomer: Newcomer, now: Instant) {
        let Some(announcement) = &mut self.announcement else { return };
        if !announcement.meet(&newcomer) {
            return;
        }
        // Others come with it.
        self.want(now, GATHER);
        if let (Some(state), Some(payload)) =
            (self.states.get_mut(&newcomer.place.topic), newcomer.payload)
        {
            *state = Some((payload, now));
        }
    }

    /// Lays down what is wanted on each topic, to be said after a delay. What the user deleted is wanted again
    /// after a reload, which has none.
    fn want(&mut self, now: Instant, delay: Duration) {
        let parts = self.announcement.as_ref().map(|it| it.parts(self.largest)).unwrap_or_default();
        let is_telling = self.phase == Phase::Telling;
        let mut wanted: BTreeMap<Topic, Part> =
            parts.into_iter().map(|part| (part.topic.clone(), part)).collect();
        for (topic, told) in &mut self.topics {
            let part = wanted.remove(topic);
            let was_deleted = delay.is_zero() && std::mem::take(&mut told.is_deleted);
            if told.wanted != part || was_deleted {
                let due = told.due.unwrap_or_else(|| told.earliest(now + delay));
                told.due = (is_telling && !told.is_deleted).then_some(due);
            }
            told.wanted = part;
        }
        for (topic, part) in wanted {
            let told = Told {
                wanted: Some(part),
                due: is_telling.then_some(now + delay),
                ..Told::default()
            };
            self.topics.insert(topic, told);
        }
        let parts = self.topics.values().filter_map(|told| told.wanted.as_ref());
        let states = parts.flat_map(|part| &part.components).filter_map(|it| it.state.as_ref());
        let mut old = std::mem::take(&mut self.states);
        self.states =
            states.map(|state| (state.topic.clone(), old.remove(&state.topic).flatten())).collect();
    }

    /// The broker accepted the link; it takes packets of so many bytes.
    pub fn connected(&mut self, largest: Option<usize>, now: Instant) {
        if self.announcement.is_none() && self.topics.is_empty() {
            return;
        }
        self.phase = Phase::Listening(now + PATIENCE);
        if self.largest != largest {
            self.largest = largest;
            self.want(now, Duration::ZERO);
        }
        for told in self.topics.values_mut() {
            told.due = None;
        }
    }

    pub fn link_lost(&mut self) {
        self.phase = Phase::Away;
        self.again.clear();
        for told in self.topics.values_mut() {
            (told.due, told.states) = (None, None);
        }
    }

    /// The broker answered a subscription.
    pub fn subscribed(&mut self, filter: &str, now: Instant) {
        let own = self.announcement.as_ref().and_then(|it| it.filters().0);
        if let (Some(own), Phase::Listening(_)) = (own, self.phase)
            && own.as_str() == filter
        {
            self.phase = Phase::Listening(now + QUIET);
        }
    }

    /// A message came. Whether it was of the discovery.
    pub fn hear(&mut self, topic: &Topic, payload: &[u8], retain: bool, now: Instant) -> Heard {
        let Some(announcement) = &self.announcement else { return Heard::Nothing };
        if announcement.birth.as_ref().is_some_and(|(birth, _)| birth == topic) {
            let is_birth = announcement.birth.as_ref().is_some_and(|(_, word)| word == payload);
            if !is_birth || retain {
                return Heard::Own;
            }
            if self.phase == Phase::Telling {
                let is_there = |told: &&mut Told| told.wanted.is_some() && !told.is_deleted;
                for told in self.topics.values_mut().filter(is_there) {
                    (told.due, told.is_unknown) = (Some(told.earliest(now)), true);
                }
            }
            return Heard::Birth;
        }
        let is_own = announcement.filters().0.is_some_and(|filter| filter.matches(topic.as_str()));
        if !is_own {
            return Heard::Nothing;
        }
        match (payload.is_empty(), retain) {
            (true, _) => {
                // What nothing is wanted of we have emptied ourselves.
                let told = self.topics.get_mut(topic).filter(|told| told.wanted.is_some());
                let Some(told) = told else { return Heard::Own };
                (told.due, told.states, told.is_deleted) = (None, None, true);
                told.known.clear();
                return Heard::Deleted;
            }
            (false, true) => {
                let told = self.topics.entry(topic.clone()).or_default();
                let components = components_of(payload);
                if let Some(said) = announcement.said_of(topic) {
                    let kept = components.iter().filter(|it| said.field(&it.key).is_some());
                    told.adopted = kept.map(|it| (it.key.clone(), Arc::clone(it))).collect();
                }
                let named = |it: Arc<Component>| (it.key.clone(), it.platform.clone());
                told.known.extend(components.into_iter().map(named));
                if let Phase::Listening(until) = self.phase {
                    self.phase = Phase::Listening(until.max(now + QUIET));
                }
            }
            // What we have published ourselves.
            (false, false) => {}
        }
        Heard::Own
    }

    /// A device published something: what may have to be published again is kept.
    pub fn note(&mut self, message: &Message, now: Instant) {
        if let Some(state) = self.states.get_mut(&message.topic) {
            *state = Some((message.payload.clone(), now));
        }
    }

    /// When [`Announcer::messages`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Away => None,
            Phase::Listening(until) => Some(until),
            Phase::Telling => {
                let waits = (!self.again.is_empty()).then_some(self.free).flatten();
                let due = self.topics.values().flat_map(|told| [told.due, told.states]).flatten();
                let due = due.min().map(|due| self.free.map_or(due, |free| free.max(due)));
                waits.into_iter().chain(due).min()
            }
        }
    }

    /// What is to be published now. Ask again at the next [`Announcer::deadline`].
    pub fn messages(&mut self, now: Instant) -> Vec<Message> {
        match self.phase {
            Phase::Away => return Vec::new(),
            Phase::Listening(until) if until > now => return Vec::new(),
            Phase::Listening(_) => self.begin(now),
            Phase::Telling => {}
        }
        if self.free.is_some_and(|free| free > now) {
            return Vec::new();
        }
        self.free = Some(now + SPREAD);
        if let Some(message) = self.next(now) {
            return vec![message];
        }
        self.settle(now);
        let count = self.again.len().min(AT_ONCE);
        self.again
            .drain(..count)
            .filter_map(|topic| {
                let (payload, _) = self.states.get(&topic)?.as_ref()?;
                Some(Message::new(topic, payload.clone()))
            })
            .collect()
    }

    /// Nothing more is published for a while, because much waits already.
    pub fn postpone(&mut self, until: Instant) {
        self.free = Some(until);
    }

    /// It is known what the broker retains.
    fn begin(&mut self, now: Instant) {
        self.phase = Phase::Telling;
        for told in self.topics.values_mut() {
            // What only frames name may come again.
            let is_kept = told.wanted.is_none() && !told.adopted.is_empty();
            told.due = (!told.is_deleted && !is_kept).then(|| told.earliest(now));
        }
    }

    /// The next message of a device.
    fn next(&mut self, now: Instant) -> Option<Message> {
        let due = |told: &Told| told.due.filter(|due| *due <= now);
        let first =
            self.topics.iter_mut().filter_map(|(topic, told)| Some((due(told)?, topic, told)));
        let (_, topic, told) = first.min_by_key(|(due, ..)| *due)?;
        let topic = topic.clone();
        told.due = None;
        told.sent = Some(now);
        let payload = match told.whole() {
            None => {
                self.topics.remove(&topic);
                Bytes::new()
            }
            Some(part) => {
                let is_there = |key: &str, platform: &str| {
                    part.components.iter().any(|it| it.key == key && it.platform == platform)
                };
                let known = std::mem::take(&mut told.known);
                let is_unknown = std::mem::take(&mut told.is_unknown);
                for it in &part.components {
                    let is_known = known.get(&it.key).is_some_and(|known| *known == it.platform);
                    if is_unknown || !is_known {
                        told.fresh.insert(it.key.clone());
                    }
                }
                let gone: Vec<_> =
                    known.into_iter().filter(|(key, platform)| !is_there(key, platform)).collect();
                let payload = Bytes::from(part.payload(&gone));
                let now_there = part.components.iter();
                told.known = now_there.map(|it| (it.key.clone(), it.platform.clone())).collect();
                if !gone.is_empty() {
                    // Once more without them, and with those that have another platform now.
                    told.due = Some(now + AGAIN);
                }
                if !told.fresh.is_empty() {
                    told.states = Some(told.due.unwrap_or(now) + SETTLED);
                }
                payload
            }
        };
        Some(Message { qos: Qos::AtLeastOnce, retain: true, ..Message::new(topic, payload) })
    }

    /// Home Assistant has subscribed to the states of devices that were announced: they are due again.
    fn settle(&mut self, now: Instant) {
        for told in self.topics.values_mut() {
            if told.states.is_none_or(|due| due > now) {
                continue;
            }
            told.states = None;
            let fresh = std::mem::take(&mut told.fresh);
            let components = told.wanted.iter().flat_map(|part| &part.components);
            let components = components.filter(|component| fresh.contains(&component.key));
            for state in components.filter_map(|component| component.state.as_ref()) {
                let known = self.states.get(&state.topic).and_then(Option::as_ref);
                let age = known.map(|(_, came)| now.saturating_duration_since(*came));
                let is_valid = age.is_some_and(|age| state.expires.is_none_or(|most| age < most));
                if is_valid && !self.again.contains(&state.topic) {
                    self.again.push_back(state.topic.clone());
                }
            }
        }
    }
}

/// What a message was to the discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    Own,
    /// Home Assistant has started.
    Birth,
    /// Somebody deleted a device.
    Deleted,
}

impl Told {
    /// What is wanted, with what frames of an earlier run have named and this run has not yet.
    fn whole(&self) -> Option<Part> {
        let mut part = self.wanted.clone()?;
        if part.is_open {
            let is_new = |it: &&Arc<Component>| part.components.iter().all(|own| own.key != it.key);
            // A component without settings was one that is gone.
            let is_one = |it: &&Arc<Component>| it.text.contains("\"uniq_id\"");
            let more: Vec<_> =
                self.adopted.values().filter(is_new).filter(is_one).cloned().collect();
            part.components.extend(more);
        }
        Some(part)
    }

    /// When the next message on the topic may be sent.
    fn earliest(&self, now: Instant) -> Instant {
        self.sent.map_or(now, |sent| now.max(sent + AGAIN))
    }
}

/// The components of a message that is retained.
fn components_of(payload: &[u8]) -> Vec<Arc<Component>> {
    let Ok(Value::Object(root)) = serde_json::from_slice(payload) else { return Vec::new() };
    let Some(Value::Object(components)) = root.get("cmps") else { return Vec::new() };
    let component = |(key, component): (&String, &Value)| {
        let platform = component.get("p")?.as_str()?.to_owned();
        let text = component.to_string();
        Some(Arc::new(Component { key: key.clone(), platform, text, state: None }))
    };
    components.iter().take(MOST).filter_map(component).collect()
}

#[cfg(test)]
mod tests;

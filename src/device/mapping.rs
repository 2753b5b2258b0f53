//! Readings → messages.

mod template;

pub(crate) use template::Piece;
pub use template::{Slot, Template};

use crate::base::clock::{Now, Stamp};
use crate::base::durability::Durability;
use crate::base::path::BuildError;
use crate::base::plain::is_unfit;
use crate::codec::value::{Reading, Value};
use crate::device::Publication;
use crate::mqtt::message::Message;
use crate::mqtt::topic::{self, Qos, Topic};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::HashSet;
use std::io::Write;

/// What is published of the fields of a frame.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The topic. Placeholders: `{gateway}` `{port}` `{device}` `{node}`, and with one message per
    /// field also `{field}` `{value}` `{unit}`. Any other name is a field of the frame, also one with
    /// `publish: false`, whose value stands there: `{gateway}/{port}/{id}/{field}`; of a frame without that
    /// field nothing is published. What a device sends cannot add levels or wildcards: `/`, `+`, `#`,
    /// control characters and noncharacters of Unicode in it become `_`. Only with a slash behind the name,
    /// `{path/}`, its own slashes separate levels, at most 16.
    pub topic: Template,
    /// The payload. Placeholders: those of the topic, `{time}` and `{json}`. For a field without a
    /// unit the blank before `{unit}` is left out, too. Default: `{value}`, or `{json}` for a whole
    /// frame.
    #[serde(default)]
    pub payload: Option<Template>,
    /// `field`: one message per field. `frame`: one message for all fields of a frame; where filters hold
    /// fields back, it is sent if one of its fields at least is not held, and has the present values of all.
    /// Default: `field`.
    #[serde(default)]
    pub per: Per,
    /// Only these fields. Default: all.
    #[serde(default)]
    pub fields: Vec<String>,
    /// 0: sent once. 1: sent until the broker acknowledges it. 2: delivered exactly once.
    #[serde(default)]
    pub qos: Qos,
    /// Whether the broker retains the last message for later subscribers.
    #[serde(default)]
    pub retain: bool,
    /// What these messages survive while they wait. Default: as `outbox` says.
    #[serde(default)]
    pub durability: Option<Durability>,
}

/// How many messages a frame makes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// One message per field.
    #[default]
    Field,
    /// One message for all fields of a frame.
    Frame,
}

/// The names that hold for everything on one port.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub gateway: &'a str,
    pub port: &'a str,
    pub device: &'a str,
}

impl Names<'_> {
    /// The placeholders that these names fill.
    pub fn slots(&self) -> [(Slot, &str); 3] {
        [(Slot::Gateway, self.gateway), (Slot::Port, self.port), (Slot::Device, self.device)]
    }
}

impl Mapping {
    /// What holds where the user gave no `messages`: every field to `{gateway}/{node}/{field}`.
    pub fn standard() -> Mapping {
        let topic = "{gateway}/{node}/{field}".parse();
        Mapping {
            // The text above is a template, as the test `the_standard_mapping` shows.
            #[allow(clippy::expect_used)]
            topic: topic.expect("a template"),
            payload: None,
            per: Per::Field,
            fields: Vec::new(),
            qos: Qos::default(),
            retain: false,
            durability: None,
        }
    }

    /// One message for each frame, or for each of its nodes, as JSON: its name stands behind `prefix` in the topic.
    /// A `format` makes of it what it publishes, when it is sent.
    #[cfg(feature = "formats")]
    pub fn whole(prefix: &str) -> Result<Mapping, BuildError> {
        let topic = format!("{prefix}{{node}}").parse()?;
        Ok(Mapping { topic, per: Per::Frame, ..Mapping::standard() })
    }

    /// The running mapper for a port with these names. `fields` are the names of the fields that there may
    /// be; `None` where only the frames say that.
    pub fn build(&self, names: &Names<'_>, fields: Option<&[&str]>) -> Result<Mapper, BuildError> {
        let known = names.slots();
        let in_topic: &[Slot] = match self.per {
            Per::Field => &[Slot::Node, Slot::Field, Slot::Value, Slot::Unit],
            Per::Frame => &[Slot::Node],
        };
        let in_payload = [in_topic, &[Slot::Time, Slot::Json]].concat();
        let topic = self.topic(&known, in_topic, fields).map_err(|error| error.at("topic"))?;
        // It was checked.
        let constant = topic.as_text().and_then(|text| text.parse().ok());
        let payload = match (&self.payload, self.per) {
            (Some(payload), _) => payload.clone(),
            (None, Per::Field) => Template::of_slot(Slot::Value),
            (None, Per::Frame) => Template::of_slot(Slot::Json),
        };
        let payload = payload.fix(&known, &in_payload, fields);
        let payload = payload.map_err(|error| error.at("payload"))?;
        Ok(Mapper {
            topic,
            constant,
            payload,
            per: self.per,
            fields: self.fields.clone(),
            device: names.device.to_owned(),
            qos: self.qos,
            retain: self.retain,
            durability: self.durability,
            amqp: false,
        })
    }

    fn topic(
        &self,
        known: &[(Slot, &str)],
        slots: &[Slot],
        fields: Option<&[&str]>,
    ) -> Result<Template, BuildError> {
        let topic = self.topic.fix(known, slots, fields)?;
        if let Some(text) = topic.as_text() {
            text.parse::<Topic>()?;
        }
        let (mut wildcard, mut unfit) = (None, None);
        topic.render(|piece| {
            let Piece::Text(text) = piece else { return };
            if text.contains(['+', '#']) {
                wildcard = Some(text.to_owned());
            }
            unfit = unfit.take().or_else(|| topic::check_fit(text).err());
        });
        if let Some(error) = unfit {
            return Err(error.into());
        }
        match wildcard {
            Some(text) => Err(BuildError::new(format!("{text:?} has a wildcard"))
                .remedy("wildcards are for subscriptions")),
            None => Ok(topic),
        }
    }
}

/// Takes a message and the unit of its reading.
pub type Out<'a> = dyn FnMut(Publication, Option<&str>) + 'a;

/// Where the values of a field are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub topic: Topic,
    /// The member of the payload, which is a JSON object, that has the value; `None`: the payload is the value.
    pub member: Option<String>,
    /// Whether the broker retains it.
    pub retain: bool,
}

/// A running mapping.
#[derive(Clone, Debug)]
pub struct Mapper {
    topic: Template,
    /// The topic, if it is the same for every frame.
    constant: Option<Topic>,
    payload: Template,
    per: Per,
    fields: Vec<String>,
    device: String,
    qos: Qos,
    retain: bool,
    durability: Option<Durability>,
    /// Whether `.` and `*` mean `/` and `+` to the broker.
    amqp: bool,
}

impl Mapper {
    /// The broker translates topics for AMQP, in which `.` and `*` are what `/` and `+` are here.
    pub fn for_amqp(&mut self) {
        self.amqp = true;
    }

    /// The values that stand in the topic of a reading's message, which tell devices apart; `None` where none does.
    pub(super) fn values_in_topic(
        &self,
        reading: &Reading<'_>,
        readings: &[Reading<'_>],
        unpublished: &[Reading<'_>],
    ) -> Option<String> {
        let frame = Frame { readings, unpublished };
        let mut values = String::new();
        self.topic.render(|piece| {
            let (Piece::Field(name) | Piece::Levels(name)) = piece else { return };
            values.push_str(if values.is_empty() { "" } else { " " });
            values.push_str(frame.value_of(name, reading.node.as_deref()).unwrap_or_default());
        });
        Some(values).filter(|values| !values.is_empty())
    }

    /// Whether it makes messages of a field.
    pub(super) fn publishes(&self, field: &str) -> bool {
        self.fields.is_empty() || self.fields.iter().any(|it| it == field)
    }

    /// Where values of a field are published: of `node`, or of the device itself. `None` where its topic
    /// depends on values, or its payload is in a form of its own.
    pub(super) fn place(
        &self,
        node: Option<&str>,
        field: &str,
        unit: Option<&str>,
    ) -> Option<Place> {
        self.place_in(node, field, unit, &|_| None)
    }

    /// The same in a frame with these values of fields.
    pub(super) fn place_in<'v>(
        &self,
        node: Option<&str>,
        field: &str,
        unit: Option<&str>,
        value_of: &dyn Fn(&str) -> Option<&'v str>,
    ) -> Option<Place> {
        if !self.publishes(field) {
            return None;
        }
        let mut topic = Vec::with_capacity(64);
        let mut is_known = true;
        self.topic.render(|piece| match piece {
            Piece::Text(text) => topic.extend_from_slice(text.as_bytes()),
            Piece::Slot(Slot::Node) => {
                put_level(&mut topic, node.unwrap_or(&self.device), self.amqp);
            }
            Piece::Slot(Slot::Field) => put_level(&mut topic, field, self.amqp),
            Piece::Slot(Slot::Unit) => put_level(&mut topic, unit.unwrap_or_default(), self.amqp),
            Piece::Slot(_) => is_known = false,
            Piece::Field(name) => match value_of(name) {
                Some(value) => put_level(&mut topic, value, self.amqp),
                None => is_known = false,
            },
            Piece::Levels(name) => match value_of(name) {
                Some(value) => put_levels(&mut topic, value, self.amqp),
                None => is_known = false,
            },
        });
        let mut pieces = Vec::new();
        self.payload.render(|piece| {
            pieces.push(match piece {
                Piece::Slot(slot) => Some(slot),
                _ => None,
            });
        });
        let member = match (&pieces[..], self.per) {
            ([Some(Slot::Value)], Per::Field) => None,
            ([Some(Slot::Json)], Per::Field) => Some("value".to_owned()),
            ([Some(Slot::Json)], Per::Frame) => Some(field.to_owned()),
            _ => return None,
        };
        let topic = Topic::from_checked(topic.into()).filter(|_| is_known)?;
        Some(Place { topic, member, retain: self.retain })
    }

    /// Makes the messages of one frame, whose last byte came at `time`; `out` gets each with the
    /// unit of its reading, if it is of one reading only. `unpublished` are readings for placeholders
    /// only. Of the readings that filters have `held` back no message is made; one of a whole frame has
    /// them all if one of them at least is not held. Returns how many could not be made because their
    /// topic would be longer than MQTT allows, or the frame lacks a field that stands in their template.
    pub fn map(
        &self,
        readings: &[Reading<'_>],
        unpublished: &[Reading<'_>],
        held: &[bool],
        time: Now,
        out: &mut Out<'_>,
    ) -> u64 {
        let frame = Frame { readings, unpublished };
        let wanted = |reading: &Reading<'_>| {
            self.fields.is_empty() || self.fields.iter().any(|field| **field == *reading.field)
        };
        let is_held = |n: usize| held.get(n).is_some_and(|held| *held);
        match self.per {
            Per::Field => (0..)
                .zip(readings)
                .filter(|(n, reading)| !is_held(*n) && wanted(reading))
                .map(|(_, reading)| self.message(std::slice::from_ref(reading), frame, time, out))
                .sum(),
            // Several nodes in one frame are several devices: each gets its own message.
            Per::Frame => {
                let (mut first, mut unmappable) = (0, 0);
                for group in readings.chunk_by(|a, b| a.node == b.node) {
                    let mut all = (first..).zip(group);
                    first += group.len();
                    if !all.any(|(n, reading)| !is_held(n) && wanted(reading)) {
                        continue;
                    }
                    unmappable += if self.fields.is_empty() {
                        self.message(group, frame, time, out)
                    } else {
                        let some: Vec<_> = group.iter().filter(|r| wanted(r)).cloned().collect();
                        self.message(&some, frame, time, out)
                    };
                }
                unmappable
            }
        }
    }

    /// One message of a group of readings that is never empty. Returns 1 if it cannot be made.
    fn message(&self, group: &[Reading<'_>], frame: Frame<'_>, now: Now, out: &mut Out<'_>) -> u64 {
        let Some(first) = group.first() else { return 0 };
        let mut lacks = false;
        let mut value_of = |name: &str| {
            let value = frame.value_of(name, first.node.as_deref());
            lacks |= value.is_none();
            value.unwrap_or_default()
        };
        let time = Stamp(now.wall);
        let mut buffer = Vec::with_capacity(96);
        let constant = self.constant.clone();
        if constant.is_none() {
            self.topic.render(|piece| match piece {
                Piece::Text(text) => buffer.extend_from_slice(text.as_bytes()),
                Piece::Slot(slot) => put_level(&mut buffer, self.text_of(slot, first), self.amqp),
                Piece::Field(name) => put_level(&mut buffer, value_of(name), self.amqp),
                Piece::Levels(name) => put_levels(&mut buffer, value_of(name), self.amqp),
            });
        }
        let topic = buffer.len();
        let mut is_after_blank = false;
        self.payload.render(|piece| {
            match piece {
                Piece::Text(text) => buffer.extend_from_slice(text.as_bytes()),
                Piece::Field(name) | Piece::Levels(name) => {
                    buffer.extend_from_slice(value_of(name).as_bytes());
                }
                Piece::Slot(Slot::Time) => put(&mut buffer, format_args!("{time}")),
                Piece::Slot(Slot::Json) => match self.per {
                    Per::Field => put_reading(&mut buffer, first, time),
                    Per::Frame => put_readings(&mut buffer, group),
                },
                // The blank before a unit belongs to it.
                Piece::Slot(Slot::Unit)
                    if is_after_blank && self.text_of(Slot::Unit, first).is_empty() =>
                {
                    buffer.truncate(buffer.len() - 1);
                }
                Piece::Slot(slot) => buffer.extend_from_slice(self.text_of(slot, first).as_bytes()),
            }
            is_after_blank = matches!(piece, Piece::Text(text) if text.ends_with(' '));
        });
        if lacks {
            return 1;
        }
        // What stands in the template was checked at load, what a device sends by `put_level`.
        let mut payload = Bytes::from(buffer);
        let mut topic = payload.split_to(topic);
        if payload.len() > LONGEST_BESIDE_TOPIC {
            topic = Bytes::copy_from_slice(&topic);
        }
        match constant.or_else(|| Topic::from_checked(topic)) {
            Some(topic) => {
                let message =
                    Message { qos: self.qos, retain: self.retain, ..Message::new(topic, payload) };
                let durability = self.durability;
                let publication = Publication { message, durability, measured: now };
                out(publication, first.unit.filter(|_| self.per == Per::Field));
                0
            }
            None => 1,
        }
    }

    fn text_of<'r>(&'r self, slot: Slot, reading: &'r Reading<'_>) -> &'r str {
        match slot {
            Slot::Node => reading.node.as_deref().unwrap_or(&self.device),
            Slot::Field => &reading.field,
            Slot::Value => reading.value.as_str(),
            Slot::Unit => reading.unit.unwrap_or_default(),
            // `build` lets no other placeholder through.
            _ => "",
        }
    }
}

/// All that a frame said.
#[derive(Clone, Copy)]
struct Frame<'r> {
    readings: &'r [Reading<'r>],
    unpublished: &'r [Reading<'r>],
}

impl<'r> Frame<'r> {
    /// The value of a field, of this node if several have one.
    fn value_of(self, name: &str, node: Option<&str>) -> Option<&'r str> {
        let mut all = self.readings.iter().chain(self.unpublished).filter(|it| it.field == name);
        let first = all.next()?;
        let of_node = |it: &&Reading<'_>| it.node.as_deref() == node;
        let reading = if of_node(&first) { first } else { all.find(of_node).unwrap_or(first) };
        Some(reading.value.as_str())
    }
}

/// Bytes of a payload that shares memory with its topic: who keeps only the topic keeps no more than these.
const LONGEST_BESIDE_TOPIC: usize = 256;

/// The most levels that a value makes of itself.
const MOST_LEVELS: usize = 16;

/// Writes what came from the wire into a topic, with a level for each of its slashes; what stands behind
/// the last possible level is part of that.
fn put_levels(topic: &mut Vec<u8>, text: &str, amqp: bool) {
    for (n, level) in text.splitn(MOST_LEVELS, '/').enumerate() {
        if n > 0 {
            topic.push(b'/');
        }
        put_level(topic, level, amqp);
    }
}

/// Writes what came from the wire into a topic, as part of one level and never as more: `/`, `+`,
/// `#` and what a broker may refuse become `_`, with `amqp` `.` and `*` too, and `$` at the topic's
/// very start.
fn put_level(topic: &mut Vec<u8>, text: &str, amqp: bool) {
    if text.is_empty() {
        topic.push(b'_');
    }
    let start = topic.len();
    let is_plain = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'/' | b'+' | b'#');
    let is_amqp = |c: char| amqp && matches!(c, '.' | '*');
    if text.bytes().all(is_plain) && !(amqp && text.contains(is_amqp)) {
        topic.extend_from_slice(text.as_bytes());
    } else {
        for c in text.chars() {
            let is_special = matches!(c, '/' | '+' | '#') || is_unfit(c) || is_amqp(c);
            let c = if is_special { '_' } else { c };
            topic.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    if let (0, Some(first @ b'$')) = (start, topic.first_mut()) {
        *first = b'_';
    }
}

fn put(buffer: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = buffer.write_fmt(text);
}

fn put_json_text(buffer: &mut Vec<u8>, text: &str) {
    let is_plain = |byte| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        buffer.push(b'"');
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(b'"');
    } else {
        // Writing text to memory does not fail.
        let _ = serde_json::to_writer(buffer, text);
    }
}

fn put_json_value(buffer: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => put_json_text(buffer, text),
        Value::Number(_) | Value::Bool(_) => buffer.extend_from_slice(value.as_str().as_bytes()),
    }
}

fn put_reading(buffer: &mut Vec<u8>, reading: &Reading<'_>, time: Stamp) {
    buffer.extend_from_slice(b"{\"value\":");
    put_json_value(buffer, &reading.value);
    if let Some(unit) = &reading.unit {
        buffer.extend_from_slice(b",\"unit\":");
        put_json_text(buffer, unit);
    }
    put(buffer, format_args!(",\"time\":\"{time}\"}}"));
}

fn put_readings(buffer: &mut Vec<u8>, group: &[Reading<'_>]) {
    let mut seen = HashSet::new();
    // A JSON object has each name once; few fields are compared faster than hashed.
    let mut is_new = |n: usize, field: &'_ str| match group.len() {
        0..=32 => !group[..n].iter().any(|earlier| earlier.field == field),
        _ => seen.insert(field.to_owned()),
    };
    let mut separator = b'{';
    for (n, reading) in group.iter().enumerate() {
        if !is_new(n, &reading.field) {
            continue;
        }
        buffer.push(separator);
        put_json_text(buffer, &reading.field);
        buffer.push(b':');
        put_json_value(buffer, &reading.value);
        separator = b',';
    }
    buffer.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const NAMES: Names<'_> = Names { gateway: "gw", port: "p", device: "dev" };

    fn reading<'a>(field: &'a str, value: Value<'a>, unit: Option<&'a str>) -> Reading<'a> {
        Reading { node: None, field: field.into(), value, unit }
    }

    fn number<'a>(field: &'a str, text: &'a str) -> Reading<'a> {
        reading(field, Value::Number(text.into()), Some("C"))
    }

    fn mapped(yaml: &str, readings: &[Reading<'_>]) -> Vec<(String, String)> {
        let mapping: Mapping = crate::config::tree::parse(yaml).unwrap();
        let wall = UNIX_EPOCH + Duration::from_secs(1_793_491_200);
        let time = Now { wall, ..Now::read() };
        let mut out = Vec::new();
        mapping
            .build(&NAMES, None)
            .unwrap()
            .map(readings, &[], &[], time, &mut |it, _| out.push(it.message));
        out.into_iter()
            .map(|m| (m.topic.to_string(), String::from_utf8(m.payload.to_vec()).unwrap()))
            .collect()
    }

    fn one(topic: &str, payload: &str) -> Vec<(String, String)> {
        vec![(topic.into(), payload.into())]
    }

    #[test]
    fn the_standard_mapping() {
        let mapper = Mapping::standard().build(&NAMES, None).unwrap();
        let mut out = Vec::new();
        let time = Now::read();
        let mut push = |it: Publication, _: Option<&str>| out.push(it.message);
        assert_eq!(mapper.map(&[number("temperature", "21.50")], &[], &[], time, &mut push), 0);
        assert_eq!(out[0].topic.as_str(), "gw/dev/temperature");
        assert_eq!(&out[0].payload[..], b"21.50");
        assert_eq!(out[0].qos, Qos::AtLeastOnce);
    }

    #[test]
    fn placeholders_of_a_field() {
        let yaml = r#"{topic: "{gateway}/{port}/{device}/{node}", payload: "{field} {value} {unit} {time}"}"#;
        assert_eq!(
            mapped(yaml, &[number("t", "1")]),
            one("gw/p/dev/dev", "t 1 C 2026-11-01T00:00:00.000Z")
        );
    }

    #[test]
    fn json_of_a_field_and_of_a_frame_keep_the_spelling() {
        let readings = [
            number("t", "21.50"),
            reading("s\"", Value::Text("a\\b".into()), None),
            number("t", "9"),
        ];
        assert_eq!(
            mapped("{topic: a, per: frame}", &readings),
            one("a", r#"{"t":21.50,"s\"":"a\\b"}"#)
        );
        assert_eq!(
            mapped(r#"{topic: a, payload: "{json}", fields: [t]}"#, &readings[..2]),
            one("a", r#"{"value":21.50,"unit":"C","time":"2026-11-01T00:00:00.000Z"}"#)
        );
    }

    #[test]
    fn each_node_of_a_frame_gets_its_own_message() {
        let of =
            |node: &'static str, field| Reading { node: Some(node.into()), ..number(field, "1") };
        assert_eq!(
            mapped("{topic: '{node}', per: frame}", &[of("a", "x"), of("a", "y"), of("b", "x")]),
            [("a".into(), r#"{"x":1,"y":1}"#.into()), ("b".into(), r#"{"x":1}"#.into())]
        );
    }

    #[test]
    fn a_value_never_smuggles_a_level_or_a_wildcard() {
        let evil = "$SYS/+/#\0\n";
        let refused = "\u{85}\u{FDD0}ä\u{FFFF}\u{10FFFE}";
        assert_eq!(
            mapped("{topic: '{field}', payload: x}", &[number(refused, "1")]),
            one("__ä__", "x")
        );
        let readings = [reading(evil, Value::Text(evil.into()), None)];
        assert_eq!(mapped("{topic: '{field}', payload: x}", &readings), one("_SYS______", "x"));
        assert_eq!(mapped("{topic: 'a/{value}', payload: x}", &readings), one("a/$SYS______", "x"));
        assert_eq!(mapped("{topic: 'a/{field}', payload: x}", &[number("", "1")]), one("a/_", "x"));
    }

    #[test]
    fn for_amqp_a_dot_and_a_star_of_a_device_are_no_level_and_no_wildcard() {
        let yaml = "{topic: 'a.b/{field}', payload: x}";
        let mapping: Mapping = crate::config::tree::parse(yaml).unwrap();
        let mut mapper = mapping.build(&NAMES, None).unwrap();
        for (amqp, expected) in [(false, "a.b/c.d*e.ä"), (true, "a.b/c_d_e_ä")] {
            if amqp {
                mapper.for_amqp();
            }
            let mut topics = Vec::new();
            let mut push =
                |it: Publication, _: Option<&str>| topics.push(it.message.topic.to_string());
            mapper.map(&[number("c.d*e.ä", "1")], &[], &[], Now::read(), &mut push);
            assert_eq!(topics, [expected]);
        }
    }

    #[test]
    fn a_topic_too_long_for_mqtt_is_counted_not_sent() {
        let long = "x".repeat(70_000);
        let mapper = Mapping::standard().build(&NAMES, None).unwrap();
        let mut out = Vec::new();
        let mut push = |it: Publication, _: Option<&str>| out.push(it.message);
        assert_eq!(mapper.map(&[number(&long, "1")], &[], &[], Now::read(), &mut push), 1);
        assert!(out.is_empty());
    }

    #[test]
    fn fields_of_the_frame_stand_in_topic_and_payload() {
        let text = |field, text: &'static str| reading(field, Value::Text(text.into()), None);
        let readings = [text("id", "58/d0"), text("path", "/src/+/time"), number("t", "1")];
        let yaml = r#"{topic: "{port}/{id}/{field}", payload: "{id} {value}", fields: [t]}"#;
        assert_eq!(mapped(yaml, &readings), one("p/58_d0/t", "58/d0 1"));
        let yaml = r#"{topic: "{path/}", payload: "{t}", per: frame}"#;
        assert_eq!(mapped(yaml, &readings), one("_/src/_/time", "1"));
        // Of a frame without the field nothing is published.
        assert!(mapped(r#"{topic: "{port}/{id}/{field}"}"#, &readings[1..]).is_empty());
        let mapping: Mapping = crate::config::tree::parse(r#"{topic: "{port}/{id}"}"#).unwrap();
        let mapper = mapping.build(&NAMES, None).unwrap();
        let mut out = Vec::new();
        let mut push = |it: Publication, _: Option<&str>| out.push(it.message);
        assert_eq!(mapper.map(&readings[2..], &readings[..1], &[], Now::read(), &mut push), 0);
        assert_eq!(mapper.map(&readings[2..], &[], &[], Now::read(), &mut push), 1);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].topic.as_str(), "p/58_d0");
        let many = [text("path", "$a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q")];
        let levels = one("_a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p_q", "1");
        assert_eq!(mapped(r#"{topic: "{path/}", payload: "1"}"#, &many), levels);
    }

    #[test]
    fn mistakes_are_found_at_load() {
        for (yaml, expected) in [
            ("{topic: 'a/+'}", "wildcard"),
            ("{topic: 'a/#/{field}'}", "wildcard"),
            ("{topic: ''}", "empty"),
            ("{topic: \"a\\u0085/{field}\"}", "U+0085 at byte 1"),
            ("{topic: \"a\\u0085\"}", "U+0085 at byte 1"),
            ("{topic: '{time}'}", "{time} has no meaning here"),
            ("{topic: '{field}', per: frame}", "{field} has no meaning here"),
            ("{topic: a, payload: '{value}', per: frame}", "{value} has no meaning here"),
        ] {
            let mapping: Mapping = crate::config::tree::parse(yaml).unwrap();
            let error = mapping.build(&NAMES, Some(&["id"])).unwrap_err();
            assert!(error.to_string().contains(expected), "{yaml}: {error}");
        }
    }
}

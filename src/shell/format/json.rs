//! A message as JSON, laid out as mosquitto_sub does.

use super::time::Moment;
use super::{JsonPayload, NotJson, PrintedMessage};
use crate::mqtt::packet::{Properties, Property, Varint};
use crate::mqtt::topic::Qos;
use serde_json::Value;

/// Appends a message as a JSON object.
pub(super) fn print(
    message: &PrintedMessage<'_>,
    at: &Moment,
    payload: JsonPayload,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), NotJson> {
    let parsed = match payload {
        JsonPayload::Text => None,
        _ if message.payload.is_empty() => Some(Value::Null),
        _ => serde_json::from_slice::<Value>(message.payload).ok(),
    };
    if parsed.is_none() && payload == JsonPayload::Json {
        return Err(NotJson);
    }
    let mut writer = Writer { out, pretty, depth: 0 };
    writer.open(b'{');
    writer.entry("tst", |w| w.text(&at.json()));
    writer.entry("topic", |w| w.text(message.topic));
    writer.number("qos", message.qos.bits().into());
    writer.number("retain", message.retain.into());
    writer.number("payloadlen", message.payload.len() as u32);
    if message.qos > Qos::AtMostOnce {
        writer.number("mid", message.id.into());
    }
    if !message.properties.is_empty() {
        writer.entry("properties", |w| w.properties(message.properties));
    }
    writer.entry("payload", |w| match parsed {
        Some(value) => w.value(&value),
        None => w.payload(message.payload),
    });
    writer.close_object();
    Ok(())
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    pretty: bool,
    depth: usize,
}

impl Writer<'_> {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.raw(&Value::from(text).to_string());
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
        if self.pretty && bracket == b'{' {
            self.out.push(b'\n');
        }
    }

    fn tabs(&mut self) {
        if self.pretty {
            self.out.resize(self.out.len() + self.depth, b'\t');
        }
    }

    /// A name and a value of an object.
    fn entry(&mut self, name: &str, value: impl FnOnce(&mut Self)) {
        // Only `open` leaves these at the end.
        if !matches!(self.out.last(), Some(b'{' | b'\n')) {
            self.raw(if self.pretty { ",\n" } else { "," });
        }
        self.tabs();
        self.text(name);
        self.raw(if self.pretty { ":\t" } else { ":" });
        value(self);
    }

    fn number(&mut self, name: &str, number: u32) {
        self.entry(name, |w| w.raw(&number.to_string()));
    }

    fn close_object(&mut self) {
        self.depth -= 1;
        if self.pretty && self.out.last() != Some(&b'\n') {
            self.out.push(b'\n');
        }
        self.tabs();
        self.out.push(b'}');
    }

    fn array<T>(&mut self, items: impl IntoIterator<Item = T>, each: impl Fn(&mut Self, T)) {
        self.open(b'[');
        for (n, item) in items.into_iter().enumerate() {
            if n > 0 {
                self.raw(if self.pretty { ", " } else { "," });
            }
            each(self, item);
        }
        self.depth -= 1;
        self.out.push(b']');
    }

    fn object(&mut self, entries: &[(&str, &str)]) {
        self.open(b'{');
        for (key, value) in entries {
            self.entry(key, |w| w.text(value));
        }
        self.close_object();
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(items) => self.array(items, Self::value),
            Value::Object(entries) => {
                self.open(b'{');
                for (name, value) in entries {
                    self.entry(name, |w| w.value(value));
                }
                self.close_object();
            }
            plain => self.raw(&plain.to_string()),
        }
    }

    /// A payload that is not JSON: text, or an array of bytes if it is not UTF-8.
    fn payload(&mut self, payload: &[u8]) {
        match std::str::from_utf8(payload) {
            Ok("") => self.raw("null"),
            Ok(text) => self.text(text),
            Err(_) => self.array(payload, |w, byte| w.raw(&byte.to_string())),
        }
    }

    /// The properties that a message can have; the user properties stand where the first of them does.
    fn properties(&mut self, properties: &Properties) {
        let mut user: Vec<_> = properties.user().collect();
        // JSON readers keep only the last of several entries with the same name.
        let repeats = (1..user.len()).any(|n| user[..n].iter().any(|(key, _)| *key == user[n].0));
        self.open(b'{');
        for property in &properties.0 {
            let name = property.name();
            match property {
                Property::PayloadFormat(is_text) => self.number(name, (*is_text).into()),
                Property::TopicAlias(n) => self.number(name, (*n).into()),
                Property::MessageExpiry(n) | Property::SubscriptionId(Varint(n)) => {
                    self.number(name, *n);
                }
                Property::ContentType(text) | Property::ResponseTopic(text) => {
                    self.entry(name, |w| w.payload(text.as_bytes()));
                }
                Property::CorrelationData(data) => self.entry(name, |w| w.payload(data)),
                Property::UserProperty(_) if !user.is_empty() => {
                    let user = std::mem::take(&mut user);
                    self.entry("user-properties", |w| match repeats {
                        true => w.array(user.chunks(1), Self::object),
                        false => w.object(&user),
                    });
                }
                _ => {}
            }
        }
        self.close_object();
    }
}

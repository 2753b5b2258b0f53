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
    writer.entry("tst", true, |w| w.text(&at.json()));
    writer.entry("topic", false, |w| w.text(message.topic));
    writer.entry("qos", false, |w| w.raw(&message.qos.bits().to_string()));
    writer.entry("retain", false, |w| w.raw(&u8::from(message.retain).to_string()));
    writer.entry("payloadlen", false, |w| w.raw(&message.payload.len().to_string()));
    if message.qos > Qos::AtMostOnce {
        writer.entry("mid", false, |w| w.raw(&message.id.to_string()));
    }
    if !message.properties.is_empty() {
        writer.entry("properties", false, |w| w.properties(message.properties));
    }
    writer.entry("payload", false, |w| match parsed {
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
    fn entry(&mut self, name: &str, first: bool, value: impl FnOnce(&mut Self)) {
        if !first {
            self.out.push(b',');
            if self.pretty {
                self.out.push(b'\n');
            }
        }
        self.tabs();
        self.text(name);
        self.raw(if self.pretty { ":\t" } else { ":" });
        value(self);
    }

    fn close_object(&mut self) {
        self.depth -= 1;
        // In an empty object `open` has put the line break.
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
        for (n, (key, value)) in entries.iter().enumerate() {
            self.entry(key, n == 0, |w| w.text(value));
        }
        self.close_object();
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(items) => self.array(items, Self::value),
            Value::Object(entries) => {
                self.open(b'{');
                for (n, (name, value)) in entries.iter().enumerate() {
                    self.entry(name, n == 0, |w| w.value(value));
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

    fn properties(&mut self, properties: &Properties) {
        let user: Vec<_> = properties.user().collect();
        // JSON readers keep only the last of several entries with the same name.
        let repeats = (1..user.len()).any(|n| user[..n].iter().any(|(key, _)| *key == user[n].0));
        let (mut first, mut user_printed) = (true, false);
        self.open(b'{');
        for property in &properties.0 {
            if matches!(property, Property::UserProperty(_)) {
                if std::mem::replace(&mut user_printed, true) {
                    continue;
                }
                self.entry("user-properties", first, |w| {
                    if repeats {
                        w.array(&user, |w, one| w.object(std::slice::from_ref(one)));
                    } else {
                        w.object(&user);
                    }
                });
                first = false;
            } else if let Some(value) = value(property) {
                self.entry(property.name(), first, |w| match value {
                    Scalar::Number(number) => w.raw(&number.to_string()),
                    Scalar::Bytes(bytes) => w.payload(bytes),
                });
                first = false;
            }
        }
        self.close_object();
    }
}

enum Scalar<'p> {
    Number(u32),
    Bytes(&'p [u8]),
}

/// The value of a property that a message can have, but for user properties.
fn value(property: &Property) -> Option<Scalar<'_>> {
    Some(match property {
        Property::PayloadFormat(n) => Scalar::Number((*n).into()),
        Property::MessageExpiry(n) | Property::SubscriptionId(Varint(n)) => Scalar::Number(*n),
        Property::ContentType(text) | Property::ResponseTopic(text) => {
            Scalar::Bytes(text.as_bytes())
        }
        Property::CorrelationData(data) => Scalar::Bytes(data),
        Property::TopicAlias(n) => Scalar::Number((*n).into()),
        _ => return None,
    })
}

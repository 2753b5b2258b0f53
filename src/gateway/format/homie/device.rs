//! A device of Homie: its properties, and the document that describes it.

use crate::codec::decimal::Decimal;
use crate::codec::field::{Kind, Values};
use crate::device::outline::{Outline, OutlinedCommand, Takes};
use crate::gateway::format::reading::Scalar;
use crate::mqtt::topic::Topic;
use serde_json::{Map, Value, json};

/// Most properties of a device; further fields of frames that name their own are not published.
const MOST_PROPERTIES: usize = 1000;

/// Types of properties (Homie 5, "Payload").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    Integer,
    Float,
    Boolean,
    Enum,
    DateTime,
    String,
}

impl DataType {
    fn word(self) -> &'static str {
        match self {
            DataType::Integer => "integer",
            DataType::Float => "float",
            DataType::Boolean => "boolean",
            DataType::Enum => "enum",
            DataType::DateTime => "datetime",
            DataType::String => "string",
        }
    }
}

/// A device, whose properties are all below one node.
#[derive(Debug)]
pub(super) struct Device {
    /// Its identifier in topics.
    pub id: String,
    /// As the configuration or a frame has it.
    pub name: String,
    pub properties: Vec<Property>,
    /// The number of the port on which it was read last.
    pub port: u16,
    /// Whether it is there; nobody knows before it was asked.
    pub is_online: Option<bool>,
}

/// A property: a field, a command, or both.
#[derive(Debug)]
pub(super) struct Property {
    pub id: String,
    pub name: String,
    pub unit: Option<String>,
    /// `None` until the first value.
    pub data_type: Option<DataType>,
    /// The payloads of an enum.
    words: Vec<String>,
    /// What a number has to be.
    range: String,
    /// Where its commands go.
    pub set: Option<Topic>,
    /// Whether values come of it.
    has_values: bool,
}

impl Device {
    pub fn new(id: String, name: &str) -> Device {
        let (name, properties) = (name.to_owned(), Vec::new());
        Device { id, name, properties, port: 0, is_online: None }
    }

    /// A device of which nothing was read yet.
    pub fn outlined(id: String, outline: &Outline) -> Device {
        let mut device = Device::new(id, &outline.device);
        // Those of the nodes that a frame names are announced with the nodes.
        for field in outline.fields.iter().filter(|field| !field.has_nodes) {
            let place = device.add(&field.name);
            let property = &mut device.properties[place];
            property.unit.clone_from(&field.unit);
            property.has_values = true;
            property.describe(&field.values);
        }
        for command in &outline.commands {
            let known = device.properties.iter().position(|it| it.name == command.name);
            let place = known.unwrap_or_else(|| device.add(&command.name));
            device.properties[place].take_commands(command);
        }
        device
    }

    fn add(&mut self, name: &str) -> usize {
        let is_taken = |id: &str| self.properties.iter().any(|property| property.id == id);
        self.properties.push(Property {
            id: super::unique(name, is_taken),
            name: name.to_owned(),
            unit: None,
            data_type: None,
            words: Vec::new(),
            range: String::new(),
            set: None,
            has_values: false,
        });
        self.properties.len() - 1
    }

    /// The property of a field, with its payload; and whether the description has changed.
    pub fn value(&mut self, field: &str, value: &Scalar) -> Option<(&Property, String, bool)> {
        let known = self.properties.iter().position(|property| property.name == field);
        if known.is_none() && self.properties.len() >= MOST_PROPERTIES {
            return None;
        }
        let place = known.unwrap_or_else(|| self.add(field));
        let property = self.properties.get_mut(place)?;
        let is_changed = property.widen(value) || !property.has_values;
        property.has_values = true;
        let payload = property.payload(value);
        Some((property, payload, is_changed))
    }

    /// `$description` ("Device Attributes"). Its version is a digest: it changes with the document, and only then.
    pub fn description(&self, root: &str) -> String {
        let mut properties = Map::new();
        for property in self.properties.iter().filter(|it| it.data_type.is_some()) {
            properties.insert(property.id.clone(), property.description());
        }
        let nodes = json!({ super::NODE: { "properties": properties } });
        versioned(json!({ "homie": "5.0", "name": self.name, "root": root, "nodes": nodes }))
    }
}

impl Property {
    fn describe(&mut self, values: &Values) {
        self.data_type = match values.kind {
            _ if values.is_closed && is_on_off(&values.words) => Some(DataType::Boolean),
            _ if values.is_closed && !values.words.is_empty() => {
                self.words.clone_from(&values.words);
                Some(DataType::Enum)
            }
            _ if !values.words.is_empty() => Some(DataType::String),
            Kind::Any => None,
            Kind::Number if values.decimals == Some(0) => Some(DataType::Integer),
            Kind::Number => Some(DataType::Float),
            Kind::Timestamp => Some(DataType::DateTime),
            Kind::Text | Kind::Date => Some(DataType::String),
        };
    }

    fn take_commands(&mut self, command: &OutlinedCommand) {
        self.set = Some(command.topic.clone());
        let data_type = match &command.takes {
            Takes::Words(words) if is_on_off(words) => DataType::Boolean,
            Takes::Words(words) => {
                self.words.clone_from(words);
                DataType::Enum
            }
            Takes::Number { bounds, is_whole } => {
                let text = |number: Decimal| number.spelled().to_string();
                let [min, max] =
                    [bounds.min(), bounds.max()].map(|it| it.map_or_else(String::new, text));
                let step =
                    bounds.step().map_or_else(String::new, |step| format!(":{}", text(step)));
                self.range = format!("{min}:{max}{step}");
                if *is_whole { DataType::Integer } else { DataType::Float }
            }
            Takes::Text { .. } => DataType::String,
            Takes::Anything => {
                self.words = vec!["press".into()];
                DataType::Enum
            }
        };
        self.has_values |= command.state.is_some();
        self.data_type.get_or_insert(data_type);
    }

    /// The type holds this value from now on. Returns whether it is another one.
    fn widen(&mut self, value: &Scalar) -> bool {
        let is_word = |text: &str| self.words.iter().any(|word| word == text);
        let other = match value {
            Scalar::Number(text) if text.parse::<i64>().is_ok() => DataType::Integer,
            Scalar::Number(_) => DataType::Float,
            Scalar::Boolean(_) => DataType::Boolean,
            Scalar::Text(text) => match (self.data_type, text.as_str()) {
                (Some(DataType::Boolean), "ON" | "OFF") => DataType::Boolean,
                (Some(DataType::Enum), text) if is_word(text) => DataType::Enum,
                (Some(DataType::DateTime), _) => DataType::DateTime,
                _ => DataType::String,
            },
        };
        let common = match (self.data_type, other) {
            (None, other) => other,
            (Some(own), other) if own == other => own,
            (Some(DataType::Float), DataType::Integer) => DataType::Float,
            (Some(DataType::Integer), DataType::Float) => DataType::Float,
            _ => DataType::String,
        };
        self.data_type.replace(common) != Some(common)
    }

    /// A value as it is published ("Payload").
    fn payload(&self, value: &Scalar) -> String {
        match (value, self.data_type) {
            (Scalar::Text(text), Some(DataType::Boolean)) => (text == "ON").to_string(),
            // An empty message would delete the topic ("Empty string values").
            (Scalar::Text(text), _) if text.is_empty() => "\0".into(),
            (Scalar::Number(text) | Scalar::Text(text), _) => text.clone(),
            (Scalar::Boolean(yes), _) => yes.to_string(),
        }
    }

    /// What a message on its `set` topic is to the command.
    pub fn command(&self, payload: &str) -> String {
        match (self.data_type, payload) {
            (Some(DataType::Boolean), "true") => "ON".into(),
            (Some(DataType::Boolean), "false") => "OFF".into(),
            (_, "\0") => String::new(),
            _ => payload.to_owned(),
        }
    }

    fn description(&self) -> Value {
        let mut about = Map::new();
        let mut say = |key: &str, value: Value| about.insert(key.into(), value);
        say("name", self.name.clone().into());
        let data_type = self.data_type.unwrap_or(DataType::String);
        say("datatype", data_type.word().into());
        if let Some(unit) = self.unit.as_deref().filter(|unit| !unit.is_empty()) {
            say("unit", unit.into());
        }
        match data_type {
            DataType::Enum => {
                say("format", self.words.join(",").into());
            }
            DataType::Integer | DataType::Float if !self.range.is_empty() => {
                say("format", self.range.clone().into());
            }
            _ => {}
        }
        if self.set.is_some() {
            say("settable", true.into());
        }
        if !self.has_values {
            say("retained", false.into());
        }
        Value::Object(about)
    }
}

fn is_on_off(words: &[String]) -> bool {
    words.len() == 2 && ["ON", "OFF"].iter().all(|word| words.iter().any(|it| it == word))
}

/// A document with its version.
pub(super) fn versioned(mut document: Value) -> String {
    let digest = document
        .to_string()
        .bytes()
        .fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    document["version"] = digest.into();
    document.to_string()
}

//! The message of a whole frame as it waits in the outbox, read again.

use serde_json::{Map, Value};

/// A field with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub field: String,
    pub value: Scalar,
}

/// A value as the decoder gave it; a number keeps its spelling.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Number(String),
    Boolean(bool),
    Text(String),
}

/// The fields of a message that [`Mapping::whole`](crate::device::mapping::Mapping::whole) made; `None`: it is
/// another one.
pub fn read(payload: &[u8]) -> Option<Vec<Reading>> {
    let fields: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let reading = |(field, value): (String, Value)| {
        let value = match value {
            Value::Number(number) => Scalar::Number(number.to_string()),
            Value::Bool(yes) => Scalar::Boolean(yes),
            Value::String(text) => Scalar::Text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(Reading { field, value })
    };
    Some(fields.into_iter().filter_map(reading).collect())
}

//! JSON.

use super::Decoded;
use super::field::{Field, Running};
use crate::value::{Cause, Convert, Value};
use serde::Deserialize;
use serde_json::Value as Json_;
use std::borrow::Cow;

/// JSON (RFC 8259). Numbers keep their spelling; `null` is a value that the device does not have.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Json {
    /// The fields that are wanted, each with a JSON pointer (RFC 6901) as `from`, such as
    /// `/main/temp`; without it the member of that name. Default: every text, number, true and
    /// false in it; the names of nested ones are joined by `_`.
    pub fields: Vec<Field>,
    /// JSON pointer to the name of the device that sent it, for `{node}`.
    pub node: Option<String>,
}

impl Json {
    pub(super) fn build(&self) -> Result<Decoder, String> {
        let mut fields = Running::build_all("fields", &self.fields)?;
        for field in &mut fields {
            if !field.from.starts_with('/') {
                field.from = format!("/{}", field.from);
            }
        }
        match &self.node {
            Some(node) if !node.starts_with('/') => {
                Err(format!("node: a JSON pointer begins with `/`; write /{node}"))
            }
            node => Ok(Decoder { fields, node: node.clone(), all: Convert::default() }),
        }
    }
}

/// See [`Json`].
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<Running>,
    node: Option<String>,
    all: Convert,
}

impl Decoder {
    pub(super) fn decode<'a>(&'a self, frame: &'a [u8], out: &mut Decoded<'a>) {
        let root: Json_ = match serde_json::from_slice(frame) {
            Ok(root) => root,
            Err(_) => {
                let not_utf8 = std::str::from_utf8(frame).is_err();
                return out
                    .refuse("json", if not_utf8 { Cause::NotUtf8 } else { Cause::Malformed });
            }
        };
        if self.fields.is_empty() {
            self.add_all(&root, String::new(), out);
        }
        for field in &self.fields {
            let value = match root.pointer(&field.from) {
                Some(value) => convert(&field.convert, value),
                None => Err(Cause::Missing),
            };
            out.add(&field.name, field.unit.as_deref(), value);
        }
        let node = self.node.as_ref().and_then(|pointer| root.pointer(pointer));
        let node = match node {
            Some(Json_::String(name)) => Some(name.clone()),
            Some(Json_::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        for reading in &mut out.readings {
            reading.node = node.clone().map(Cow::Owned);
        }
    }

    /// Every scalar below a value; nesting is bounded by the parser.
    fn add_all(&self, value: &Json_, name: String, out: &mut Decoded<'_>) {
        let below = |key: &str| match name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}_{key}"),
        };
        match value {
            Json_::Object(members) => {
                for (key, value) in members {
                    self.add_all(value, below(key), out);
                }
            }
            Json_::Array(items) => {
                for (n, value) in items.iter().enumerate() {
                    self.add_all(value, below(&n.to_string()), out);
                }
            }
            scalar => {
                let name = if name.is_empty() { "value".to_owned() } else { name };
                out.add(name, None, convert(&self.all, scalar));
            }
        }
    }
}

fn convert(convert: &Convert, value: &Json_) -> Result<Option<Value<'static>>, Cause> {
    let text = match value {
        Json_::Null => return Ok(None),
        Json_::Bool(yes) => {
            // A lookup table may say what they stand for.
            return Ok(convert.token(if *yes { "true" } else { "false" })?.map(
                |value| match value {
                    Value::Text(text) if text == "true" => Value::Bool(true),
                    Value::Text(text) if text == "false" => Value::Bool(false),
                    other => owned(other),
                },
            ));
        }
        Json_::String(text) => {
            let value = convert.token(text)?.map(owned);
            // What the device marks as text stays text, unless the settings want a number.
            return Ok(match value {
                Some(Value::Number(_)) if !convert.wants_number() => {
                    Some(Value::Text(text.clone().into()))
                }
                value => value,
            });
        }
        Json_::Number(number) => number.to_string(),
        Json_::Array(_) | Json_::Object(_) => value.to_string(),
    };
    Ok(convert.token(&text)?.map(owned))
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Number(text) => Value::Number(Cow::Owned(text.into_owned())),
        Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        Value::Bool(yes) => Value::Bool(yes),
    }
}

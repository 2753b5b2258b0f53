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
        for (n, field) in fields.iter().enumerate() {
            check_pointer(&field.from).map_err(|why| format!("fields[{n}]: from: {why}"))?;
        }
        if let Some(node) = &self.node {
            if !node.starts_with('/') {
                return Err(format!("node: a JSON pointer begins with `/`; write /{node}"));
            }
            check_pointer(node).map_err(|why| format!("node: {why}"))?;
        }
        Ok(Decoder { fields, node: self.node.clone(), all: Convert::default() })
    }
}

/// RFC 6901, section 3: a `~` is part of `~0` or `~1`.
fn check_pointer(pointer: &str) -> Result<(), String> {
    let mut parts = pointer.split('~').skip(1);
    if parts.all(|part| part.starts_with(['0', '1'])) {
        return Ok(());
    }
    Err(format!("{pointer:?} is no JSON pointer; write ~0 for a `~` in a name, and ~1 for a `/`"))
}

/// The longest name of a node, and of a field that a whole object's values get. It keeps the size
/// of what a frame becomes in proportion to the frame.
const LONGEST_NAME: usize = 255;

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
            self.add_all(&root, &mut String::new(), out);
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
        if node.as_ref().is_some_and(|node| node.len() > LONGEST_NAME) {
            out.readings.clear();
            return out.refuse("node", Cause::Malformed);
        }
        for reading in &mut out.readings {
            reading.node = node.clone().map(Cow::Owned);
        }
    }

    /// Every scalar below a value; nesting is bounded by the parser.
    fn add_all(&self, value: &Json_, name: &mut String, out: &mut Decoded<'_>) {
        match value {
            Json_::Object(members) => {
                for (key, value) in members {
                    self.add_below(key, value, name, out);
                }
            }
            Json_::Array(items) => {
                for (n, value) in items.iter().enumerate() {
                    self.add_below(&n.to_string(), value, name, out);
                }
            }
            scalar => {
                let name = if name.is_empty() { "value" } else { name.as_str() };
                out.add(name.to_owned(), None, convert(&self.all, scalar));
            }
        }
    }

    fn add_below(&self, key: &str, value: &Json_, name: &mut String, out: &mut Decoded<'_>) {
        let before = name.len();
        if before + 1 + key.len() > LONGEST_NAME {
            let shown = if name.is_empty() { "json" } else { name.as_str() };
            return out.refuse(shown.to_owned(), Cause::Malformed);
        }
        if before > 0 {
            name.push('_');
        }
        name.push_str(key);
        self.add_all(value, name, out);
        name.truncate(before);
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
                    other => other.into_owned(),
                },
            ));
        }
        Json_::String(text) => {
            let value = convert.token(text)?.map(Value::into_owned);
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
    Ok(convert.token(&text)?.map(Value::into_owned))
}

//! JSON.

use super::{Decoded, Decoder, Format};
use crate::base::path::BuildError;
use crate::codec::field::{Convert, Field, Named, PLAIN, Wire, build_named};
use crate::codec::spelled::Spelled;
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;
use serde_json::Value as Json_;
use std::borrow::Cow;

/// JSON (RFC 8259) with at most 1024 values. Numbers keep their spelling, and texts are texts unless
/// the field's settings make it a number. `null` means that the device has no value, and so do the words
/// that sketches print for a float that is not a number: `nan`, `inf`, `infinity`, `ovf`, in any case,
/// with or without sign.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Json {
    /// The fields that are wanted, each with a JSON pointer (RFC 6901) as `from`, such as `/main/temp`;
    /// without `from`, the member with the field's name. Default: every text, number, true and false; the
    /// names of nested ones are joined by `_`.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    pub fields: Vec<Named>,
    /// JSON pointer to the name of the device that sent the frame, for `{node}`.
    pub node: Option<String>,
}

impl Json {
    pub(super) fn build(&self) -> Result<Decoder, BuildError> {
        let mut fields = build_named("fields", &self.fields)?;
        for (n, field) in fields.iter_mut().enumerate() {
            if !field.from.starts_with('/') {
                field.from.insert(0, '/');
            }
            check_pointer(&field.from).map_err(|e| e.at("from").item(n).at("fields"))?;
        }
        if let Some(node) = &self.node {
            if !node.starts_with('/') {
                let error = BuildError::new("a JSON pointer begins with `/`");
                return Err(error.remedy(format!("write /{node}")).at("node"));
            }
            check_pointer(node).map_err(|e| e.at("node"))?;
        }
        Ok(Decoder::new(fields, self.clone()))
    }
}

/// RFC 6901, section 3: a `~` is part of `~0` or `~1`.
fn check_pointer(pointer: &str) -> Result<(), BuildError> {
    let mut parts = pointer.split('~').skip(1);
    if parts.all(|part| part.starts_with(['0', '1'])) {
        return Ok(());
    }
    let error = BuildError::new(format!("{pointer:?} is not a valid JSON pointer"));
    Err(error.remedy("write ~0 for a `~` in a name, and ~1 for a `/`"))
}

/// The longest name of a node or of a nested field. It keeps what a frame becomes in proportion to the
/// frame.
const LONGEST_NAME: usize = 255;

/// A text with more commas is not parsed: its values would take fifty times its bytes in memory.
const MOST_VALUES: usize = 1024;

const SHORT_NAME: &str = "a name of at most 255 bytes";

impl Format for Json {
    fn decode<'a>(&'a self, fields: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        if frame.len() > MOST_VALUES
            && frame.iter().filter(|byte| **byte == b',').count() > MOST_VALUES
        {
            return out.reject("json", RejectReason::Malformed, "at most 1024 values", frame);
        }
        let root = serde_json::from_slice(frame).ok();
        let root = root.or_else(|| serde_json::from_slice(&with_nulls(frame)?).ok());
        let Some(root): Option<Json_> = root else {
            let is_text = std::str::from_utf8(frame).is_ok();
            let reason = if is_text { RejectReason::Malformed } else { RejectReason::NotUtf8 };
            let expected = if is_text { "JSON" } else { reason.expected() };
            return out.reject("json", reason, expected, frame);
        };
        if fields.is_empty() {
            add_all(&root, &mut String::new(), out);
        }
        for field in fields {
            let value = root.pointer(&field.from);
            if let (Some(Json_::String(text)), Some(nested)) = (value, &field.nested) {
                out.add_nested(field, nested, text.as_bytes());
                continue;
            }
            match value {
                Some(value) => match convert(&field.convert, value) {
                    Err(reason) => {
                        let expected = field.convert.expected(reason);
                        out.reject(&field.name, reason, expected, shown(value));
                    }
                    good => out.add(&field.name, field.unit.as_deref(), good, || shown(value)),
                },
                None => out.missing(&field.name),
            }
        }
        let node = self.node.as_ref().and_then(|pointer| root.pointer(pointer));
        let node = match node {
            Some(Json_::String(name)) => Some(name.clone()),
            Some(Json_::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        if let Some(node) = node.as_ref().filter(|node| node.len() > LONGEST_NAME) {
            out.readings.clear();
            let found = node.clone().into_bytes();
            return out.reject("node", RejectReason::Malformed, SHORT_NAME, found);
        }
        for reading in &mut out.readings {
            reading.node = node.clone().map(Spelled::from);
        }
    }
}

/// Every scalar below a value; nesting is bounded by the parser.
fn add_all(value: &Json_, name: &mut String, out: &mut Decoded<'_>) {
    match value {
        Json_::Object(members) => {
            for (key, value) in members {
                add_below(key, value, name, out);
            }
        }
        Json_::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                add_below(&n.to_string(), value, name, out);
            }
        }
        scalar => {
            let name = if name.is_empty() { "value" } else { name.as_str() };
            out.add(name.to_owned(), None, convert(&PLAIN, scalar), || shown(scalar));
        }
    }
}

fn add_below(key: &str, value: &Json_, name: &mut String, out: &mut Decoded<'_>) {
    let before = name.len();
    if before + 1 + key.len() > LONGEST_NAME {
        let shown = if name.is_empty() { "json" } else { name.as_str() };
        let found = key.as_bytes().to_owned();
        return out.reject(shown.to_owned(), RejectReason::Malformed, SHORT_NAME, found);
    }
    if before > 0 {
        name.push('_');
    }
    name.push_str(key);
    add_all(value, name, out);
    name.truncate(before);
}

fn convert(convert: &Convert, value: &Json_) -> Result<Option<Value<'static>>, RejectReason> {
    let (text, wire) = match value {
        Json_::Null => return Ok(None),
        Json_::Bool(yes) => {
            // `lookup` may say what they stand for.
            let value = convert.token(if *yes { "true" } else { "false" }, Wire::Text)?;
            return Ok(value.map(|value| match value {
                Value::Text(text) if text == "true" => Value::Bool(true),
                Value::Text(text) if text == "false" => Value::Bool(false),
                other => other.into_owned(),
            }));
        }
        Json_::String(text) => return Ok(convert.token(text, Wire::Text)?.map(Value::into_owned)),
        Json_::Number(number) => (number.to_string(), Wire::Number),
        Json_::Array(_) | Json_::Object(_) => (value.to_string(), Wire::Text),
    };
    Ok(convert.token(&text, wire)?.map(Value::into_owned))
}

fn shown(value: &Json_) -> Cow<'static, [u8]> {
    let text = match value {
        Json_::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.into_bytes().into()
}

/// The frame with `null` for each bare word that C's and Arduino's `print` write for a float that is not
/// a number; `None` if it has no such word.
fn with_nulls(frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(frame.len() + 16);
    let mut rest = frame;
    let mut found = false;
    while let Some(first) = rest.first() {
        let n = match first {
            b'"' => text_of(rest),
            _ => rest.iter().position(|b| !is_of_word(*b)).unwrap_or(rest.len()).max(1),
        };
        let (piece, after) = rest.split_at(n);
        let word = piece.strip_prefix(b"-").or(piece.strip_prefix(b"+")).unwrap_or(piece);
        let is_none = ["nan", "inf", "infinity", "ovf"]
            .iter()
            .any(|none| word.eq_ignore_ascii_case(none.as_bytes()));
        out.extend_from_slice(if is_none { b"null" } else { piece });
        found |= is_none;
        rest = after;
    }
    found.then_some(out)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)
}

/// Bytes of the text in quotes with which some JSON begins.
fn text_of(json: &[u8]) -> usize {
    let mut escaped = false;
    let end = json.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(json.len(), |end| end + 2)
}

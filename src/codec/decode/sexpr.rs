//! Node lines of the Aiko platform.

use super::{Decoded, Format};
use crate::codec::field::{Field, PLAIN, Wire};
use crate::codec::spelled::Spelled;
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;
use std::borrow::Cow;

/// Node lines of the Aiko platform: `(node NAME TIME (name value unit) …)`. TIME is published as the
/// field `time`, unless it is `?` because the node has no clock. `;` begins a comment. Events outside
/// of a node, such as `(status boot)`, are readings of the port's own device. A value with a unit is a
/// number, a value in double quotes is a text.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sexpr {}

/// Aiko's node lines are not nested deeper.
const DEEPEST: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    Word(Word<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word<'a> {
    bytes: &'a [u8],
    is_quoted: bool,
}

const NODE: Word = Word { bytes: b"node", is_quoted: false };

/// Cuts a line into brackets and words; a `;` ends it. `Err` stands for a quote that is not closed.
struct Tokens<'a>(&'a [u8]);

impl<'a> Iterator for Tokens<'a> {
    type Item = Result<Token<'a>, ()>;

    fn next(&mut self) -> Option<Result<Token<'a>, ()>> {
        let rest = self.0.trim_ascii_start();
        let (first, after) = rest.split_first()?;
        let (token, after) = match first {
            b';' => return None,
            b'(' => (Token::Open, after),
            b')' => (Token::Close, after),
            b'"' => match after.iter().position(|byte| *byte == b'"') {
                Some(end) => {
                    let word = Word { bytes: &after[..end], is_quoted: true };
                    (Token::Word(word), &after[end + 1..])
                }
                None => {
                    self.0 = b"";
                    return Some(Err(()));
                }
            },
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b"();\"".contains(byte);
                let end = rest.iter().position(ends).unwrap_or(rest.len());
                (Token::Word(Word { bytes: &rest[..end], is_quoted: false }), &rest[end..])
            }
        };
        self.0 = after;
        Some(Ok(token))
    }
}

impl Format for Sexpr {
    fn decode<'a>(&'a self, _: &'a [Field], frame: &'a [u8], out: &mut Decoded<'a>) {
        let mut node = None;
        let mut depth = 0_usize;
        let mut node_depth = 0;
        // A list in an event is an error; it is skipped until the depth is this again.
        let mut pass_to = None;
        let mut words: Vec<Word<'a>> = Vec::new();
        for token in Tokens(frame) {
            match token {
                Ok(Token::Open) if pass_to.is_some() => depth += 1,
                Ok(Token::Close) if pass_to.is_some() => {
                    depth -= 1;
                    pass_to = pass_to.filter(|to| *to != depth);
                }
                Ok(_) if pass_to.is_some() => {}
                Ok(Token::Open) => {
                    if words.first() == Some(&NODE) {
                        node = head(&words, out);
                        node_depth = depth;
                    } else if !words.is_empty() {
                        reject(&words, out);
                        pass_to = depth.checked_sub(1);
                    }
                    words.clear();
                    depth += 1;
                    if depth > DEEPEST {
                        return no_node_line(frame, out);
                    }
                }
                Ok(Token::Close) => {
                    if words.first() == Some(&NODE) {
                        head(&words, out);
                    } else if !words.is_empty() {
                        event(node, &words, out);
                    }
                    words.clear();
                    if depth == 0 {
                        return no_node_line(frame, out);
                    }
                    if node.is_some() && depth == node_depth {
                        node = None;
                    }
                    depth -= 1;
                }
                // Words outside of all brackets are what a device prints for people.
                Ok(_) if depth == 0 => return no_node_line(frame, out),
                Ok(Token::Word(word)) => words.push(word),
                Err(()) => return no_node_line(frame, out),
            }
        }
        if depth > 0 {
            out.reject(shown(&words), RejectReason::Malformed, "a closing bracket", frame);
        }
    }
}

fn no_node_line<'a>(frame: &'a [u8], out: &mut Decoded<'a>) {
    out.reject("node line", RejectReason::Malformed, "(node NAME TIME (name value unit) …)", frame);
}

fn reject<'a>(words: &[Word<'a>], out: &mut Decoded<'a>) {
    let found: Vec<_> = words.iter().map(|word| word.bytes).collect();
    out.reject(shown(words), RejectReason::Malformed, "(name value unit)", found.join(&b' '));
}

fn shown<'a>(words: &[Word<'a>]) -> Cow<'a, str> {
    words.first().map_or("node line".into(), |word| String::from_utf8_lossy(word.bytes))
}

/// `node NAME TIME`: its name; a time becomes a reading.
fn head<'a>(words: &[Word<'a>], out: &mut Decoded<'a>) -> Option<&'a str> {
    let found = words.get(1).map_or(&b""[..], |name| name.bytes);
    let name = words.get(1).and_then(|name| std::str::from_utf8(name.bytes).ok());
    if name.is_none() {
        out.reject("node", RejectReason::Malformed, "a name in UTF-8", found);
    }
    if let Some(time) = words.get(2).filter(|time| time.bytes != b"?") {
        add(name, "time", None, Value::text(time.bytes), time.bytes, out);
    }
    name
}

/// `name value [unit]`.
fn event<'a>(node: Option<&'a str>, words: &[Word<'a>], out: &mut Decoded<'a>) {
    let (name, value, unit) = match words {
        [name, value] if !name.is_quoted => (name, value, None),
        [name, value, unit] if !name.is_quoted => (name, value, Some(unit.bytes)),
        _ => return reject(words, out),
    };
    let Ok(name) = std::str::from_utf8(name.bytes) else {
        return out.reject(shown(words), RejectReason::NotUtf8, "a name in UTF-8", name.bytes);
    };
    let Ok(unit_name) = unit.map(std::str::from_utf8).transpose() else {
        let found = unit.unwrap_or_default();
        return out.reject(name, RejectReason::NotUtf8, "a unit in UTF-8", found);
    };
    let wire = if unit.is_some() { Wire::Number } else { Wire::Bare };
    let converted =
        if value.is_quoted { Value::text(value.bytes) } else { PLAIN.text(value.bytes, wire) };
    add(node, name, unit_name, converted, value.bytes, out);
}

fn add<'a>(
    node: Option<&'a str>,
    field: &'a str,
    unit: Option<&'a str>,
    value: Result<Option<Value<'a>>, RejectReason>,
    found: &'a [u8],
    out: &mut Decoded<'a>,
) {
    let before = out.readings.len();
    out.add(field, unit, value, || found.into());
    for reading in &mut out.readings[before..] {
        reading.node = node.map(Spelled::from);
    }
}

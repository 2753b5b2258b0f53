//! Answers as lines of JSON that are safe on a terminal.

use crate::base::clock::Stamp;
use crate::base::plain::steers;
use crate::config::error::ConfigError;
use crate::device::pipeline::{FrameSeen, RejectedField};
use crate::gateway::Changes;
use crate::mqtt::message::Message;
use crate::port::task::monitor::{PortEvent, TimedEvent};
use serde_json::{Value, json};
use std::fmt::Write;

/// One line. Characters that steer a terminal, which JSON lets through, are escaped too: a device
/// must not reach the screen of who looks on.
pub fn line(value: &Value) -> String {
    let text = value.to_string();
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if steers(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

/// Why there is no other answer.
pub(super) fn error(why: &str) -> Value {
    json!({ "error": why })
}

/// What a payload says: as text, or in hexadecimal digits where it is none.
pub(crate) fn payload(value: &mut Value, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => value["payload"] = text.into(),
        Err(_) => value["hex"] = hex(bytes).into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a reload did.
pub(super) fn changes(changes: &Changes, warnings: &[String]) -> Value {
    let Changes { added, removed, restarted, broker, control } = changes;
    let names = |names: &[crate::base::scalar::Name]| {
        names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    json!({
        "ok": true,
        "added": names(added),
        "removed": names(removed),
        "restarted": names(restarted),
        "broker": broker,
        "restart_needed": control,
        "warnings": warnings,
    })
}

/// What is wrong with a configuration.
pub(crate) fn problems(error: &ConfigError) -> Value {
    let problems = error.problems.iter().map(|problem| {
        let place = problem.place.as_ref();
        json!({
            "file": problem.file.as_ref().unwrap_or(&error.file),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "path": problem.path,
            "what": problem.what,
            "remedy": problem.remedy,
        })
    });
    json!({
        "error": "the configuration is wrong; nothing was changed",
        "problems": problems.collect::<Vec<_>>(),
        "more": error.more,
        "text": error.to_string(),
    })
}

/// Something that happened on a port.
pub(super) fn event(event: &TimedEvent) -> Value {
    let mut value = match &event.what {
        PortEvent::Read(bytes, size) => {
            json!({ "event": "read", "direction": "in", "size": size, "hex": hex(bytes),
                    "text": bytes.escape_ascii().to_string() })
        }
        PortEvent::Frame(frame) => seen(frame),
        PortEvent::Wrote(topic, bytes, size) => {
            json!({ "event": "command", "direction": "out", "topic": topic.as_str(), "size": size,
                    "hex": hex(bytes), "text": bytes.escape_ascii().to_string() })
        }
        PortEvent::Refused(topic, why) => {
            json!({ "event": "refused", "topic": topic.as_str(), "reason": why.to_string() })
        }
        PortEvent::State(state, error) => {
            json!({ "event": "state", "state": state, "error": error })
        }
    };
    value["time"] = Stamp(event.at.wall).to_string().into();
    if event.missed > 0 {
        value["missed"] = event.missed.into();
    }
    value
}

fn seen(frame: &FrameSeen) -> Value {
    let no_values = frame.no_values.iter();
    let no_values = no_values.map(|(field, found)| json!({ "field": field, "found": found }));
    json!({
        "event": "frame",
        "direction": "in",
        "size": frame.size,
        "hex": hex(&frame.frame),
        "text": frame.frame.escape_ascii().to_string(),
        "matched": frame.matched,
        "messages": frame.messages.iter().map(message).collect::<Vec<_>>(),
        "refused": frame.refused.iter().map(refused).collect::<Vec<_>>(),
        "no_value": no_values.collect::<Vec<_>>(),
    })
}

/// A field that was refused.
pub(crate) fn refused(refused: &RejectedField) -> Value {
    json!({ "field": refused.field, "cause": refused.reason.word(), "what": refused.what })
}

fn message(message: &Message) -> Value {
    let mut value = json!({
        "topic": message.topic.as_str(),
        "qos": message.qos.bits(),
        "retain": message.retain,
    });
    let shown = &message.payload[..message.payload.len().min(FrameSeen::LONGEST)];
    payload(&mut value, shown);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::plain::plain;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let hostile = "a\x1b[2J\u{9b}31m\u{202e}b\u{7f}\n\"\u{e0041}é";
        let line = line(&json!({ "payload": hostile }));
        assert!(line.ends_with("}\n"));
        assert!(!line.trim_end_matches('\n').chars().any(steers), "{line:?}");
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["payload"], hostile);
        assert!(!plain(hostile).chars().any(steers));
        assert!(plain(hostile).ends_with('é'));
    }

    #[test]
    fn a_payload_that_is_no_text_is_hexadecimal() {
        let mut value = json!({});
        payload(&mut value, b"\xff\x00");
        assert_eq!(value, json!({ "hex": "ff00" }));
    }
}

//! What happens on a port, for people.

use crate::base::plain::plain;
use serde_json::Value;
use std::fmt::Write;

/// An event as a line, a frame with a line for each of its messages.
pub(super) fn event(event: &Value, hex: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    if let Some(missed) = event["missed"].as_u64() {
        let _ = writeln!(
            out,
            "({missed} events were missed: this program or its terminal is too slow)"
        );
    }
    let word = |key: &str| plain(event[key].as_str().unwrap_or_default());
    let time = word("time");
    let bytes = match hex {
        true => pairs(&word("hex")),
        false => word("text"),
    };
    let size = &event["size"];
    let _ = match event["event"].as_str() {
        Some("read") => writeln!(out, "{time} <- {size} bytes: {bytes}"),
        Some("frame") => writeln!(out, "{time} <- frame of {size} bytes: {bytes}"),
        Some("command") => {
            writeln!(out, "{time} -> {} ({size} bytes): {bytes}", word("topic"))
        }
        Some("refused") => writeln!(out, "{time} -x {} refused: {}", word("topic"), word("reason")),
        Some("state") => writeln!(out, "{time} -- {}{}", word("state"), error(event)),
        Some("end") => writeln!(out, "-- {}", word("reason")),
        _ => writeln!(out, "{time} {}", word("event")),
    };
    if event["event"] == "frame" && event["matched"] == false {
        out.push_str("    no entry of `frames` wants it\n");
    }
    for message in list(&event["messages"]) {
        let said = match message["payload"].as_str() {
            Some(payload) => plain(payload),
            None => format!("hex:{}", plain(message["hex"].as_str().unwrap_or_default())),
        };
        let _ =
            writeln!(out, "    {} {said}", plain(message["topic"].as_str().unwrap_or_default()));
    }
    for refused in list(&event["refused"]) {
        let field = plain(refused["field"].as_str().unwrap_or_default());
        let what = plain(refused["what"].as_str().unwrap_or_default());
        let _ = writeln!(out, "    {field} refused: {what}");
    }
    for none in list(&event["no_value"]) {
        let field = plain(none["field"].as_str().unwrap_or_default());
        let found = plain(none["found"].as_str().unwrap_or_default());
        let _ = writeln!(out, "    {field} has no value: {found}");
    }
    out
}

/// Hexadecimal digits as data sheets write them, with a blank behind each byte.
fn pairs(digits: &str) -> String {
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    pairs.join(" ")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn error(event: &Value) -> String {
    let is_open = event["state"] == "open";
    let error = event["error"].as_str().filter(|_| !is_open);
    error.map_or_else(String::new, |error| format!(": {}", plain(error)))
}

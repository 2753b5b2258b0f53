//! The status for people.

use crate::base::plain::plain;
use serde_json::Value;
use std::fmt::Write;

/// The status as one screen.
pub(super) fn screen(status: &Value) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let program = &status["program"];
    let _ = writeln!(
        out,
        "{} · tty2mqtt {} · up {} · process {}",
        text(&status["gateway"]),
        text(&program["version"]),
        time(status["uptime"].as_f64().unwrap_or(0.0)),
        text(&status["pid"]),
    );
    let ends = &program["unexpected_ends"];
    if number(&ends["count"]) > 0 {
        let within = time(ends["within"].as_f64().unwrap_or(0.0));
        let _ = write!(out, "WARNING  ended unexpectedly {} times in {within}", ends["count"]);
        match ends["panic"].as_str() {
            Some(panic) => drop(writeln!(out, ": {}", plain(panic))),
            None => out.push('\n'),
        }
    }
    broker(&mut out, &status["broker"]);
    ports(&mut out, &status["ports"]);
    values(&mut out, &status["ports"]);
    out
}

fn broker(out: &mut String, broker: &Value) {
    let url = broker["url"].as_str().map_or_else(String::new, plain);
    let since = text(&broker["since"]);
    let _ = writeln!(out, "broker   {url} {} since {since}", text(&broker["state"]));
    if let (Some(error), Some(false)) = (broker["error"].as_str(), broker["connected"].as_bool()) {
        let _ = writeln!(out, "         {}", plain(error));
    }
    let outbox = &broker["outbox"];
    let _ = writeln!(
        out,
        "outbox   {} messages wait, {} bytes; {} sent, {} acknowledged",
        text(&outbox["messages"]),
        text(&outbox["bytes"]),
        text(&broker["sent"]),
        text(&broker["acknowledged"]),
    );
    let lost: Vec<_> = ["dropped", "refused"]
        .into_iter()
        .filter(|key| number(&broker[*key]) > 0)
        .map(|key| format!("{} {key}", broker[key]))
        .collect();
    if !lost.is_empty() {
        let _ = writeln!(out, "LOST     {}", lost.join(", "));
    }
}

fn ports(out: &mut String, ports: &Value) {
    let mut rows =
        vec![["PORT", "STATE", "DEVICE", "FRAMES", "LAST BYTE", "BAD AND LOST"].map(String::from)];
    let mut errors = Vec::new();
    for (name, port) in ports.as_object().into_iter().flatten() {
        rows.push([
            plain(name),
            text(&port["state"]),
            text(&port["device"]),
            text(&port["frames"]),
            port["heard_ago"].as_f64().map_or_else(|| "never".into(), |ago| time(ago) + " ago"),
            trouble(port),
        ]);
        let is_open = port["state"] == "open";
        if let Some(error) = port["error"].as_str().filter(|_| !is_open) {
            errors.push(format!("{}: {}\n", plain(name), plain(error)));
        }
    }
    out.push('\n');
    table(out, &rows);
    out.extend(errors);
}

/// Everything of a port that did not get through, by cause.
fn trouble(port: &Value) -> String {
    let counts =
        [&port["bad"], &port["refused"]].into_iter().filter_map(Value::as_object).flatten();
    let counts = counts.map(|(cause, count)| (cause.as_str(), count));
    let more = ["skipped", "unmatched", "unmappable", "dropped", "limited"];
    let all = counts.chain(more.map(|key| (key, &port[key])));
    let words: Vec<_> = all
        .filter(|(_, count)| number(count) > 0)
        .map(|(cause, count)| format!("{count} {}", plain(cause)))
        .collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

fn values(out: &mut String, ports: &Value) {
    let mut rows = vec![["TOPIC", "LAST VALUE", "AGE"].map(String::from)];
    for port in ports.as_object().into_iter().flatten().map(|(_, port)| port) {
        for value in port["values"].as_array().into_iter().flatten() {
            let said = match value["payload"].as_str() {
                Some(payload) => plain(payload),
                None => format!("hex:{}", text(&value["hex"])),
            };
            let unit =
                value["unit"].as_str().map_or_else(String::new, |u| format!(" {}", plain(u)));
            let age = time(value["ago"].as_f64().unwrap_or(0.0));
            rows.push([text(&value["topic"]), short(&said, 48) + &unit, age]);
        }
    }
    if rows.len() > 1 {
        out.push('\n');
        table(out, &rows);
    }
}

/// What a reload did, in words.
pub(super) fn changes(answer: &Value) -> String {
    let mut out = String::from("the changed configuration counts from now on\n");
    for (key, words) in [
        ("added", "new ports"),
        ("removed", "ports that are gone"),
        ("restarted", "ports set up anew"),
    ] {
        let names: Vec<_> = answer[key].as_array().into_iter().flatten().map(text).collect();
        if !names.is_empty() {
            let _ = writeln!(out, "{words}: {}", names.join(", "));
        }
    }
    if answer["broker"] == true {
        out.push_str("the link to the broker is made anew\n");
    }
    if answer["restart_needed"] == true {
        out.push_str("the control socket stays where it is until the next start\n");
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "warning: {}", text(warning));
    }
    out
}

/// The most characters that a cell shows: a device's name may have 64 KiB.
const WIDEST: usize = 120;

/// Columns as wide as their longest cell.
fn table<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let rows: Vec<_> =
        rows.iter().map(|row| row.each_ref().map(|cell| short(cell, WIDEST))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A length of time in its two largest units.
fn time(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_screen() {
        let status = json!({
            "gateway": "barn", "pid": 812, "uptime": 11_520,
            "program": {"version": "0.1.0", "unexpected_ends": {"count": 2, "within": 90, "panic": "boom\u{1b}[2J"}},
            "broker": {"url": "mqtt://lan", "state": "backoff (no route)", "since": "2026-11-01T00:00:00.000Z",
                "connected": false, "error": "no route", "sent": 5, "acknowledged": 4, "dropped": 3, "refused": 0,
                "outbox": {"messages": 1, "bytes": 180}},
            "ports": {"weather": {"state": "open", "device": "/dev/ttyUSB0", "frames": 7, "heard_ago": 1.5,
                "bad": {"checksum": 2, "cut": 0}, "refused": {"range": 1}, "dropped": 0, "error": "old",
                "values": [{"topic": "barn/weather/t", "payload": "21.50", "unit": "°C", "ago": 61.0},
                    {"topic": "barn/weather/x", "hex": "ff", "unit": null, "ago": 0.2}]},
                "gone": {"state": "away", "device": null, "frames": 0, "heard_ago": null, "error": "no such file"}},
        });
        let expected = "\
barn · tty2mqtt 0.1.0 · up 3 h 12 min · process 812
WARNING  ended unexpectedly 2 times in 1 min 30 s: boom\\u{1b}[2J
broker   mqtt://lan backoff (no route) since 2026-11-01T00:00:00.000Z
         no route
outbox   1 messages wait, 180 bytes; 5 sent, 4 acknowledged
LOST     3 dropped

PORT     STATE  DEVICE        FRAMES  LAST BYTE  BAD AND LOST
weather  open   /dev/ttyUSB0  7       1 s ago    2 checksum, 1 range
gone     away   -             0       never      none
gone: no such file

TOPIC           LAST VALUE  AGE
barn/weather/t  21.50 °C    1 min 1 s
barn/weather/x  hex:ff      0 s
";
        assert_eq!(screen(&status), expected);
    }

    #[test]
    fn a_name_of_any_length_is_shown_cut() {
        let name = "\u{202e}".repeat(12_000);
        let value =
            json!({"topic": format!("gw/{name}"), "payload": "1", "unit": name, "ago": 1.0});
        let port = json!({"state": "open", "device": name, "frames": 7, "values": [value]});
        let text = screen(&json!({"ports": {name.as_str(): port}}));
        assert!(text.lines().all(|line| line.chars().count() < 500), "{text}");
        assert!(text.contains("gw/\\u{202e}"), "{text}");
    }
}

//! `tty2mqtt status`: the status for people.

use super::connection::Connection;
use super::options::{Flag, Options};
use super::{gone, shown, write};
use crate::base::command_line::CliError;
use crate::base::json::line;
use crate::base::plain::{cut, plain};
use crate::control::request::Request;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::io::IsTerminal;
use std::process::ExitCode;

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let watch = options.has(Flag::Watch);
    let mut connection = Connection::open(options)?;
    connection.ask(&Request::Status { watch })?;
    let clear = watch && !options.json && std::io::stdout().is_terminal();
    loop {
        let Some(answer) = connection.answer()? else { return Err(gone()) };
        let text = if options.json { line(&answer) } else { screen(&answer) };
        // Cursor home, then clear: the screen does not scroll.
        let before = if clear { "\x1b[H\x1b[2J" } else { "" };
        if !write(&format!("{before}{text}"))? || !watch {
            return Ok(ExitCode::SUCCESS);
        }
        if !clear && !options.json && !write("\n")? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// A [`Status`](crate::control::protocol::Status) as lines.
fn screen(status: &Value) -> String {
    let program = &status["program"];
    let mut out = format!(
        "{} · tty2mqtt {} · up {} · process {}\n",
        shown(&status["gateway"]),
        shown(&program["version"]),
        time(&status["uptime"]),
        shown(&status["pid"]),
    );
    let ends = &program["unexpected_ends"];
    if is_more_than_zero(&ends["count"]) {
        let (count, within) = (shown(&ends["count"]), time(&ends["within"]));
        let panic =
            ends["panic"].as_str().map_or_else(String::new, |it| format!(": {}", plain(it)));
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "WARNING  ended unexpectedly {count} times in {within}{panic}");
    }
    let nothing = Map::new();
    let ports = status["ports"].as_object().unwrap_or(&nothing);
    broker(&mut out, &status["broker"]);
    port_rows(&mut out, ports);
    device_rows(&mut out, ports);
    value_rows(&mut out, ports);
    out
}

fn broker(out: &mut String, broker: &Value) {
    if let Some(why) = silence(broker) {
        let _ = writeln!(out, "broker   {why}");
        return;
    }
    let url = broker["url"].as_str().map_or_else(String::new, plain);
    let (state, since) = (shown(&broker["state"]), shown(&broker["since"]));
    let _ = writeln!(out, "broker   {url} {state} since {since}");
    if broker["connected"] == false
        && let Some(error) = broker["error"].as_str()
    {
        let _ = writeln!(out, "         {}", plain(error));
    }
    let outbox = &broker["outbox"];
    let _ = writeln!(
        out,
        "outbox   {} messages wait, {} bytes; {} sent, {} acknowledged",
        shown(&outbox["messages"]),
        shown(&outbox["bytes"]),
        shown(&broker["sent"]),
        shown(&broker["acknowledged"]),
    );
    let lost = counts(["dropped", "refused"].map(|cause| (cause, &broker[cause])));
    if !lost.is_empty() {
        let _ = writeln!(out, "LOST     {lost}");
    }
}

/// Why a part of the gateway did not answer. What answers has a state, and may have an error beside it.
fn silence(part: &Value) -> Option<String> {
    part["error"].as_str().filter(|_| part.get("state").is_none()).map(plain)
}

fn port_rows(out: &mut String, ports: &Map<String, Value>) {
    let mut rows =
        vec![["PORT", "STATE", "DEVICE", "FRAMES", "LAST BYTE", "BAD AND LOST"].map(String::from)];
    let mut notes = Vec::new();
    for (name, port) in ports {
        let name = plain(name);
        if let Some(why) = silence(port) {
            notes.push(format!("{name}: {why}\n"));
            let unknown = || "-".to_owned();
            rows.push([name, unknown(), unknown(), unknown(), unknown(), unknown()]);
            continue;
        }
        if port["state"] != "open"
            && let Some(error) = port["error"].as_str()
        {
            notes.push(format!("{name}: {}\n", plain(error)));
        }
        if is_more_than_zero(&port["filtered"]) {
            let filtered = shown(&port["filtered"]);
            notes.push(format!("{name}: {filtered} values held back by filters\n"));
        }
        rows.push([
            name,
            shown(&port["state"]),
            port["device"].as_str().map_or_else(|| "-".into(), plain),
            shown(&port["frames"]),
            match &port["heard_ago"] {
                Value::Null => "never".into(),
                ago => time(ago) + " ago",
            },
            trouble(port),
        ]);
    }
    out.push('\n');
    table(out, &rows);
    out.extend(notes);
}

/// The devices that are asked.
fn device_rows(out: &mut String, ports: &Map<String, Value>) {
    let head = ["DEVICE", "PORT", "STATE", "LAST ANSWER", "ROUND TRIP", "ANSWERS", "FAILED"];
    let mut rows = vec![head.map(String::from)];
    for (port_name, port) in ports {
        for (name, device) in port["devices"].as_object().into_iter().flatten() {
            let word = match device["online"].as_bool() {
                Some(true) => "online",
                Some(false) => "offline",
                None => "unknown",
            };
            let state = match device["state"].as_str() {
                Some("up") | None => word.to_owned(),
                Some(state) => format!("{word}, {}", plain(state)),
            };
            let errors = device["errors"].as_object().into_iter().flatten();
            let errors = errors.map(|(cause, count)| (cause.as_str(), count));
            let failed = counts(errors.chain([("skipped", &device["skipped"])]));
            rows.push([
                plain(name),
                plain(port_name),
                state,
                match &device["answered_ago"] {
                    Value::Null => "never".into(),
                    ago => time(ago) + " ago",
                },
                match &device["round_trip_ms"] {
                    Value::Null => "-".into(),
                    round_trip => shown(round_trip) + " ms",
                },
                format!("{} of {}", shown(&device["answers"]), shown(&device["requests"])),
                if failed.is_empty() { "none".into() } else { failed },
            ]);
        }
    }
    if rows.len() > 1 {
        out.push('\n');
        table(out, &rows);
    }
}

/// Everything that a port has lost, by cause.
fn trouble(port: &Value) -> String {
    let all = |counts: &'static str| port[counts].as_object().into_iter().flatten();
    let by_cause = all("bad").chain(all("refused")).map(|(cause, count)| (cause.as_str(), count));
    let more = ["skipped", "unmatched", "unmappable", "dropped", "limited"];
    let exchange = ["stray", "foreign"].map(|cause| (cause, &port["exchange"][cause]));
    let more = more.map(|cause| (cause, &port[cause])).into_iter().chain(exchange);
    let words = counts(by_cause.chain(more));
    if words.is_empty() { "none".into() } else { words }
}

/// The counts that are not zero, in words.
fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, &'a Value)>) -> String {
    let counts = counts.into_iter().filter(|(_, count)| is_more_than_zero(count));
    let words = counts.map(|(what, count)| format!("{} {}", shown(count), plain(what)));
    words.collect::<Vec<_>>().join(", ")
}

fn is_more_than_zero(count: &Value) -> bool {
    count.as_u64().is_some_and(|count| count > 0)
}

fn value_rows(out: &mut String, ports: &Map<String, Value>) {
    let mut rows = vec![["TOPIC", "LAST VALUE", "AGE"].map(String::from)];
    for value in ports.values().filter_map(|port| port["values"].as_array()).flatten() {
        let unit = value["unit"].as_str().map_or_else(String::new, |it| format!(" {}", plain(it)));
        rows.push([shown(&value["topic"]), cut(&payload(value), 48) + &unit, time(&value["ago"])]);
    }
    if rows.len() > 1 {
        out.push('\n');
        table(out, &rows);
    }
}

/// The payload of a value or message as text that is safe on a terminal.
pub(super) fn payload(of: &Value) -> String {
    match &of["hex"] {
        Value::Null => shown(&of["payload"]),
        digits => format!("hex:{}", shown(digits)),
    }
}

/// The most characters that a cell shows: a device's name may have 64 KiB.
const WIDEST: usize = 120;

/// Columns as wide as their longest cell.
fn table<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let rows: Vec<_> =
        rows.iter().map(|row| row.each_ref().map(|cell| cut(cell, WIDEST))).collect();
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

/// Seconds as a length of time in its two largest units.
fn time(seconds: &Value) -> String {
    let s = seconds.as_f64().unwrap_or(0.0) as u64;
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
    use crate::control::protocol::{Failure, Part, Status};
    use serde_json::json;

    /// A whole status in which all is zero and nothing is there, but for these. It is a [`Status`]: a
    /// field that has another name there is not shown here.
    fn status(parts: Value, port_parts: &[(&str, Value)]) -> Status {
        let text = include_str!("../../../docs/CONTROL.md");
        let status = crate::control::protocol::example(text, "status");
        let mut base: Value = serde_json::from_str(&status).unwrap();
        let port = base["ports"]["meter"].take();
        base["ports"] = json!({});
        for (name, parts) in port_parts {
            let mut port = port.clone();
            clear(&mut port);
            let device = port["devices"]["house"].take();
            port["devices"] = json!({});
            if let Some(devices) = parts["devices"].as_object() {
                devices.keys().for_each(|name| port["devices"][name] = device.clone());
            }
            merge(&mut port, parts);
            base["ports"][*name] = port;
        }
        clear(&mut base["broker"]);
        merge(&mut base, &parts);
        serde_json::from_value(base).unwrap()
    }

    /// Numbers become 0 and lists empty.
    fn clear(value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(clear),
            Value::Number(_) => *value = json!(0),
            Value::Array(list) => list.clear(),
            _ => {}
        }
    }

    fn merge(into: &mut Value, from: &Value) {
        match from {
            Value::Object(map) => map.iter().for_each(|(key, value)| merge(&mut into[key], value)),
            other => *into = other.clone(),
        }
    }

    #[test]
    fn a_screen() {
        let program = json!({"version": "0.1.0", "unexpected_ends": {"count": 2, "within": 90, "panic": "boom\u{1b}[2J"}});
        let broker = json!({"url": "mqtt://lan", "state": "backoff (no route)", "since": "2026-11-01T00:00:00.000Z",
            "connected": false, "error": "no route", "sent": 5, "acknowledged": 4, "dropped": 3, "refused": 0,
            "outbox": {"messages": 1, "bytes": 180}});
        let parts = json!({"gateway": "barn", "pid": 812, "uptime": 11_520, "program": program, "broker": broker});
        let value = |topic: &str, key: &str, payload: &str, unit: Option<&str>, ago: f64| json!({"topic": topic, key: payload, "unit": unit, "time": "now", "size": 1, "ago": ago});
        let weather = json!({"state": "open", "device": "/dev/ttyUSB0", "frames": 7, "heard_ago": 1.5,
            "bad": {"checksum": 2, "cut": 0}, "refused": {"range": 1}, "dropped": 0, "error": "old",
            "values": [value("barn/weather/t", "payload", "21.50", Some("°C"), 61.0),
                value("barn/weather/x", "hex", "ff", None, 0.2)]});
        let bus = json!({"state": "open", "device": "/dev/ttyS1", "frames": 0, "heard_ago": 0.1, "error": null,
            "exchange": {"stray": 0, "foreign": 2},
            "devices": {
                "house": {"online": true, "state": "up", "answered_ago": 0.1, "round_trip_ms": 41, "requests": 9, "answers": 9},
                "pump": {"online": false, "state": "no answer", "answered_ago": null, "round_trip_ms": null, "requests": 4,
                    "errors": {"no_answer": 4}, "skipped": 2}}});
        let gone = json!({"state": "away", "device": null, "frames": 0, "heard_ago": null, "error": "no such file"});
        let expected = "\
barn · tty2mqtt 0.1.0 · up 3 h 12 min · process 812
WARNING  ended unexpectedly 2 times in 1 min 30 s: boom\\u{1b}[2J
broker   mqtt://lan backoff (no route) since 2026-11-01T00:00:00.000Z
         no route
outbox   1 messages wait, 180 bytes; 5 sent, 4 acknowledged
LOST     3 dropped

PORT     STATE  DEVICE        FRAMES  LAST BYTE  BAD AND LOST
bus      open   /dev/ttyS1    0       0 s ago    2 foreign
weather  open   /dev/ttyUSB0  7       1 s ago    2 checksum, 1 range
yard     away   -             0       never      none
yard: no such file

DEVICE  PORT  STATE               LAST ANSWER  ROUND TRIP  ANSWERS  FAILED
house   bus   online              0 s ago      41 ms       9 of 9   none
pump    bus   offline, no answer  never        -           0 of 4   4 no_answer, 2 skipped

TOPIC           LAST VALUE  AGE
barn/weather/t  21.50 °C    1 min 1 s
barn/weather/x  hex:ff      0 s
";
        let status = status(parts, &[("bus", bus), ("weather", weather), ("yard", gone)]);
        assert_eq!(screen(&json!(status)), expected);
    }

    #[test]
    fn a_name_of_any_length_is_shown_cut() {
        let name = "\u{202e}".repeat(12_000);
        let value = json!({"topic": format!("gw/{name}"), "payload": "1", "unit": name, "ago": 1.0, "time": "now", "size": 1});
        let port = json!({"state": "open", "device": name, "frames": 7, "values": [value]});
        let text = screen(&json!(status(json!({}), &[(name.as_str(), port)])));
        assert!(text.lines().all(|line| line.chars().count() < 500), "{text}");
        assert!(text.contains("gw/\\u{202e}"), "{text}");
    }

    #[test]
    fn parts_that_do_not_answer_say_so() {
        let mut status = status(json!({}), &[("meter", json!({}))]);
        let silent = "no answer within 5 s";
        status.broker = Part::Silent(Failure::new(silent));
        status.ports.insert("meter".into(), Part::Silent(Failure::new(silent)));
        let text = screen(&json!(status));
        assert!(text.contains("broker   no answer within 5 s\n"), "{text}");
        assert!(text.contains("\nmeter: no answer within 5 s\n"), "{text}");
    }
}

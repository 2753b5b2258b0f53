//! `tty2mqtt status`: the status for people.

use super::connection::{Connection, typed};
use super::options::{Flag, Options};
use super::{gone, write};
use crate::base::command_line::CliError;
use crate::base::json::line;
use crate::base::plain::{cut, plain};
use crate::control::protocol::{Broker, Part, Port, Request, Status};
use crate::port::status::{PortReport, PortState};
use std::collections::BTreeMap;
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
        let text = if options.json { line(&answer) } else { screen(&typed(answer)?) };
        // Home and clear, so that the screen stands still.
        let before = if clear { "\x1b[H\x1b[2J" } else { "" };
        if !write(&format!("{before}{text}"))? || !watch {
            return Ok(ExitCode::SUCCESS);
        }
        if !clear && !options.json && !write("\n")? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn screen(status: &Status) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "{} · tty2mqtt {} · up {} · process {}",
        plain(&status.gateway),
        plain(&status.program.version),
        time(status.uptime),
        status.pid,
    );
    let ends = &status.program.unexpected_ends;
    if ends.count > 0 {
        let within = time(ends.within);
        let _ = write!(out, "WARNING  ended unexpectedly {} times in {within}", ends.count);
        match &ends.panic {
            Some(panic) => drop(writeln!(out, ": {}", plain(panic))),
            None => out.push('\n'),
        }
    }
    match &status.broker {
        Part::Answer(answer) => broker(&mut out, answer),
        Part::Silent(why) => drop(writeln!(out, "broker   {}", plain(&why.error))),
    }
    ports(&mut out, &status.ports);
    values(&mut out, &status.ports);
    out
}

fn broker(out: &mut String, Broker { report, url, state, .. }: &Broker) {
    let url = url.as_deref().map_or_else(String::new, plain);
    let since = plain(&report.since);
    let _ = writeln!(out, "broker   {url} {} since {since}", plain(state));
    if !report.connected
        && let Some(error) = &report.error
    {
        let _ = writeln!(out, "         {}", plain(error));
    }
    let _ = writeln!(
        out,
        "outbox   {} messages wait, {} bytes; {} sent, {} acknowledged",
        report.outbox.messages, report.outbox.bytes, report.sent, report.acknowledged,
    );
    let lost = counts([("dropped", report.dropped), ("refused", report.refused)]);
    if !lost.is_empty() {
        let _ = writeln!(out, "LOST     {lost}");
    }
}

fn ports(out: &mut String, ports: &BTreeMap<String, Part<Port>>) {
    let mut rows =
        vec![["PORT", "STATE", "DEVICE", "FRAMES", "LAST BYTE", "BAD AND LOST"].map(String::from)];
    let mut errors = Vec::new();
    for (name, port) in ports {
        let name = plain(name);
        let mut complain = |error: &str| errors.push(format!("{name}: {}\n", plain(error)));
        rows.push(match port {
            Part::Silent(why) => {
                complain(&why.error);
                let unknown = || "-".to_owned();
                [name, unknown(), unknown(), unknown(), unknown(), unknown()]
            }
            Part::Answer(Port { report, heard_ago, .. }) => {
                if let Some(error) =
                    report.error.as_ref().filter(|_| report.state != PortState::Open)
                {
                    complain(error);
                }
                [
                    name,
                    report.state.to_string(),
                    report.device.as_deref().map_or_else(|| "-".into(), plain),
                    report.frames.to_string(),
                    heard_ago.map_or_else(|| "never".into(), |ago| time(ago as u64) + " ago"),
                    trouble(report),
                ]
            }
        });
    }
    out.push('\n');
    table(out, &rows);
    out.extend(errors);
}

/// Everything of a port that did not get through, by cause.
fn trouble(port: &PortReport) -> String {
    let bad = &port.bad;
    let bad = [
        ("checksum", bad.checksum),
        ("too_long", bad.too_long),
        ("cut", bad.cut),
        ("malformed", bad.malformed),
        ("line_error", bad.line_error),
    ];
    let more = [
        ("skipped", port.skipped),
        ("unmatched", port.unmatched),
        ("unmappable", port.unmappable),
        ("dropped", port.dropped),
        ("limited", port.limited),
    ];
    let refused = port.refused.iter().map(|(cause, count)| (cause.as_str(), *count));
    let words = counts(bad.into_iter().chain(refused).chain(more));
    if words.is_empty() { "none".into() } else { words }
}

/// Those that are not zero, in words.
fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let words: Vec<_> = counts.map(|(what, count)| format!("{count} {}", plain(what))).collect();
    words.join(", ")
}

fn values(out: &mut String, ports: &BTreeMap<String, Part<Port>>) {
    let mut rows = vec![["TOPIC", "LAST VALUE", "AGE"].map(String::from)];
    for port in ports.values() {
        let Part::Answer(port) = port else { continue };
        for value in &port.values {
            let unit =
                value.unit.as_deref().map_or_else(String::new, |unit| format!(" {}", plain(unit)));
            rows.push([
                plain(&value.topic),
                cut(&value.payload.plain(), 48) + &unit,
                time(value.ago as u64),
            ]);
        }
    }
    if rows.len() > 1 {
        out.push('\n');
        table(out, &rows);
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

/// A length of time in its two largest units.
fn time(s: u64) -> String {
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
    use serde_json::{Value, json};

    /// A whole status in which all is zero and nothing is there, but for these.
    fn status(parts: Value, port_parts: &[(&str, Value)]) -> Status {
        let text = include_str!("../../../docs/CONTROL.md");
        let status = crate::control::protocol::example(text, "status");
        let mut base: Value = serde_json::from_str(&status).unwrap();
        let port = base["ports"]["meter"].take();
        base["ports"] = json!({});
        for (name, parts) in port_parts {
            let mut port = port.clone();
            clear(&mut port);
            merge(&mut port, parts);
            base["ports"][*name] = port;
        }
        clear(&mut base["broker"]);
        merge(&mut base, &parts);
        typed(base).unwrap()
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
        let gone = json!({"state": "away", "device": null, "frames": 0, "heard_ago": null, "error": "no such file"});
        let expected = "\
barn · tty2mqtt 0.1.0 · up 3 h 12 min · process 812
WARNING  ended unexpectedly 2 times in 1 min 30 s: boom\\u{1b}[2J
broker   mqtt://lan backoff (no route) since 2026-11-01T00:00:00.000Z
         no route
outbox   1 messages wait, 180 bytes; 5 sent, 4 acknowledged
LOST     3 dropped

PORT     STATE  DEVICE        FRAMES  LAST BYTE  BAD AND LOST
weather  open   /dev/ttyUSB0  7       1 s ago    2 checksum, 1 range
yard     away   -             0       never      none
yard: no such file

TOPIC           LAST VALUE  AGE
barn/weather/t  21.50 °C    1 min 1 s
barn/weather/x  hex:ff      0 s
";
        assert_eq!(screen(&status(parts, &[("weather", weather), ("yard", gone)])), expected);
    }

    #[test]
    fn a_name_of_any_length_is_shown_cut() {
        let name = "\u{202e}".repeat(12_000);
        let value = json!({"topic": format!("gw/{name}"), "payload": "1", "unit": name, "ago": 1.0, "time": "now", "size": 1});
        let port = json!({"state": "open", "device": name, "frames": 7, "values": [value]});
        let text = screen(&status(json!({}), &[(name.as_str(), port)]));
        assert!(text.lines().all(|line| line.chars().count() < 500), "{text}");
        assert!(text.contains("gw/\\u{202e}"), "{text}");
    }

    #[test]
    fn parts_that_do_not_answer_say_so() {
        let mut status = status(json!({}), &[("meter", json!({}))]);
        let silent = "no answer within 5 s";
        status.broker = Part::Silent(crate::control::protocol::Failure::new(silent));
        status
            .ports
            .insert("meter".into(), Part::Silent(crate::control::protocol::Failure::new(silent)));
        let text = screen(&status);
        assert!(text.contains("broker   no answer within 5 s\n"), "{text}");
        assert!(text.contains("\nmeter: no answer within 5 s\n"), "{text}");
    }
}

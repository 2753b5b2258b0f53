//! `tty2mqtt monitor`: what happens on a port, for people.

use super::connection::Connection;
use super::options::{Flag, Options};
use super::status::payload;
use super::{gone, shown, write};
use crate::base::command_line::CliError;
use crate::base::json::line;
use crate::base::plain::plain;
use crate::control::request::Request;
use serde_json::Value;
use std::fmt::Write;
use std::process::ExitCode;

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let port = options.word(0).unwrap_or_default();
    let mut connection = Connection::open(options)?;
    connection.ask(&Request::Monitor { port, raw: options.has(Flag::Raw) })?;
    let (hex, raw) = (options.has(Flag::Hex), options.has(Flag::Raw));
    while let Some(answer) = connection.answer()? {
        let text = if options.json { line(&answer) } else { lines(&answer, hex, raw) };
        if !write(&text)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    Err(gone())
}

/// An [`Event`](crate::control::protocol::Event) as a line, a frame with a line for each of its
/// messages. With `raw` the bytes of a frame were shown already, as they were read.
fn lines(event: &Value, hex: bool, raw: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    if let missed @ Value::Number(_) = &event["missed"] {
        let _ = writeln!(
            out,
            "({missed} events were missed: this program or its terminal is too slow)"
        );
    }
    let of = |key| shown(&event[key]);
    let (time, topic, size) = (of("time"), of("topic"), of("size"));
    let bytes = if hex { pairs(&of("hex")) } else { of("text") };
    let _ = match event["event"].as_str().unwrap_or_default() {
        "read" => writeln!(out, "{time} <- {size} bytes: {bytes}"),
        "write" => writeln!(out, "{time} -> {size} bytes: {bytes}"),
        "frame" => {
            let bytes = if raw { String::new() } else { format!(": {bytes}") };
            let _ = writeln!(out, "{time} <- frame of {size} bytes{bytes}");
            meaning(&mut out, event)
        }
        "command" => writeln!(out, "{time} -> {topic} ({size} bytes): {bytes}"),
        "refused" => writeln!(out, "{time} -x {topic} refused: {}", of("reason")),
        "failed" => writeln!(out, "{time} -x {topic} failed: {}", of("reason")),
        "state" => {
            let error = event["error"].as_str().filter(|_| event["state"] != "open");
            let error = error.map_or_else(String::new, |error| format!(": {}", plain(error)));
            writeln!(out, "{time} -- {}{error}", of("state"))
        }
        _ => writeln!(out, "-- {}", of("reason")),
    };
    out
}

fn meaning(out: &mut String, frame: &Value) -> std::fmt::Result {
    if frame["matched"] == false {
        out.push_str("    no entry of `frames` wants it\n");
    }
    let all = |key| frame[key].as_array().into_iter().flatten();
    for message in all("messages") {
        writeln!(out, "    {} {}", shown(&message["topic"]), payload(message))?;
    }
    for refused in all("refused") {
        writeln!(out, "    {} refused: {}", shown(&refused["field"]), shown(&refused["what"]))?;
    }
    for none in all("no_value") {
        writeln!(out, "    {} has no value: {}", shown(&none["field"]), shown(&none["found"]))?;
    }
    Ok(())
}

/// Hexadecimal digits as data sheets write them, with a blank behind each byte.
fn pairs(digits: &str) -> String {
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    pairs.join(" ")
}

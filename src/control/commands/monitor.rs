//! `tty2mqtt monitor`: what happens on a port, for people.

use super::connection::{Connection, typed};
use super::options::{Flag, Options};
use super::{gone, write};
use crate::base::command_line::CliError;
use crate::base::json::line;
use crate::base::plain::plain;
use crate::control::protocol::{Bytes, Event, Frame, Happened, Request};
use crate::port::status::PortState;
use std::fmt::Write;
use std::process::ExitCode;

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let port = options.word(0).unwrap_or_default();
    let mut connection = Connection::open(options)?;
    connection.ask(&Request::Monitor { port, raw: options.has(Flag::Raw) })?;
    let hex = options.has(Flag::Hex);
    while let Some(answer) = connection.answer()? {
        let text = if options.json { line(&answer) } else { event(&typed(answer)?, hex) };
        if !write(&text)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    Err(gone())
}

/// An event as a line, a frame with a line for each of its messages.
fn event(event: &Event, hex: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    if let Some(missed) = event.missed {
        let _ = writeln!(
            out,
            "({missed} events were missed: this program or its terminal is too slow)"
        );
    }
    let time = plain(&event.time);
    let shown = |bytes: &Bytes| if hex { pairs(&plain(&bytes.hex)) } else { plain(&bytes.text) };
    let _ = match &event.what {
        Happened::Read(bytes) => {
            writeln!(out, "{time} <- {} bytes: {}", bytes.size, shown(bytes))
        }
        Happened::Frame(frame) => {
            let bytes = &frame.bytes;
            let _ = writeln!(out, "{time} <- frame of {} bytes: {}", bytes.size, shown(bytes));
            meaning(&mut out, frame)
        }
        Happened::Command(command) => {
            let (topic, bytes) = (plain(&command.topic), &command.bytes);
            writeln!(out, "{time} -> {topic} ({} bytes): {}", bytes.size, shown(bytes))
        }
        Happened::Refused { topic, reason } => {
            writeln!(out, "{time} -x {} refused: {}", plain(topic), plain(reason))
        }
        Happened::State { state, error } => {
            let error = error.as_ref().filter(|_| *state != PortState::Open);
            let error = error.map_or_else(String::new, |error| format!(": {}", plain(error)));
            writeln!(out, "{time} -- {state}{error}")
        }
        Happened::End { reason } => writeln!(out, "-- {}", plain(reason)),
    };
    out
}

fn meaning(out: &mut String, frame: &Frame) -> std::fmt::Result {
    if !frame.matched {
        out.push_str("    no entry of `frames` wants it\n");
    }
    for message in &frame.messages {
        writeln!(out, "    {} {}", plain(&message.topic), message.payload.plain())?;
    }
    for refused in &frame.refused {
        writeln!(out, "    {} refused: {}", plain(&refused.field), plain(&refused.what))?;
    }
    for none in &frame.no_value {
        writeln!(out, "    {} has no value: {}", plain(&none.field), plain(&none.found))?;
    }
    Ok(())
}

/// Hexadecimal digits as data sheets write them, with a blank behind each byte.
fn pairs(digits: &str) -> String {
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    pairs.join(" ")
}

//! `tty2mqtt decode`: shows what captured bytes become.

use super::port_words;
use crate::base::command_line::{CliError, print};
use crate::base::plain::{plain, plain_bytes};
use crate::base::scalar::Name;
use crate::config::file::DEFAULT_CONFIG;
use crate::config::load;
use crate::device::Device;
use crate::device::Publication;
use crate::device::capture::{BEGINS, Capture, HexText};
use crate::device::frame_seen::FrameSeen;
use crate::device::pipeline::Rest;
use crate::gateway::StartError;
use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
tty2mqtt decode sends bytes from standard input through a port's framing, decoding and mapping, and
prints each message as topic and payload. Refused fields, fields without a value and bytes left over
at the end are reported on standard error. The last line needs no terminator.

Usage: tty2mqtt decode [OPTIONS] [FILE] < CAPTURE

  FILE                configuration [/etc/tty2mqtt/config.yaml]; also behind -c or --config
  -p, --port NAME     the port whose settings are used; may be left out if there is only one
  -m, --model NAME    the settings of this device file, in place of a configuration
  -x, --hex           the input is hexadecimal, as data sheets write it (42 4D, 0x42,0x4D, 42:4d),
                      or as `tty2mqtt monitor --raw --hex`, `tty2mqtt sniff`, hexdump -C, xxd,
                      od -tx1, candump or Wireshark print it. Each line is one burst, with silence
                      behind it; rows of one dump are one burst, and times that the lines have
                      pass. What `tty2mqtt sniff --record` wrote is replayed without this option.

Exit codes: 0 everything was decoded, 1 something was refused, skipped or left over,
2 wrong usage.
Example: echo '01 03 02 01 2C B8 09' | tty2mqtt decode --config my.yaml --port meter --hex
         tty2mqtt decode --model dsmr-5 < meter.txt
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let mut file = None;
    let mut port = None;
    let mut model = None;
    let mut hex = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('c') | Long("config") => file = Some(parser.value()?),
            Value(path) if file.is_none() => file = Some(path),
            Short('p') | Long("port") => port = Some(parser.value()?.parse::<Name>()?),
            Short('m') | Long("model") => model = Some(parser.value()?.string()?),
            Short('x') | Long("hex") => hex = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if model.is_some() && (file.is_some() || port.is_some()) {
        let why = "--model takes the place of a configuration: leave --config and --port out";
        return Err(CliError::Usage(why.into()));
    }
    let is_model = model.is_some();
    let file = file.map_or_else(|| DEFAULT_CONFIG.into(), PathBuf::from);
    let (config, _) = match model {
        Some(model) => port_words::of_model(&model)?,
        None => load::load(&file)?,
    };
    let names: Vec<_> = config.ports.keys().map(Name::as_str).collect();
    let names = names.join(", ");
    let name = match (port, config.ports.keys().next()) {
        (Some(name), _) => name,
        (None, Some(only)) if config.ports.len() == 1 => only.clone(),
        (None, _) => return Err(CliError::Usage(format!("--port NAME is needed: one of {names}"))),
    };
    let Some(port) = config.ports.get(&name) else {
        return Err(CliError::Usage(format!("no port {name} in {}: {names}", file.display())));
    };
    let device = Device::build(&port.device(&config.gateway, &name))
        .map_err(|errors| StartError::of_port(&name, errors))?;
    if !device.listens() {
        let (reads, asked) = match is_model {
            true => ("the device sends".into(), "it is asked"),
            false => (format!("port {name} reads"), "it asked"),
        };
        return Err(CliError::Usage(format!(
            "what {reads} is decoded only as the reply to what {asked}, and a capture has no \
             requests; golden cases have both: `tty2mqtt golden FILE`"
        )));
    }
    let mut capture = Capture::new(device);
    capture.device.pipeline_mut().show_frames(true);
    Decode { capture, told: BTreeSet::new(), is_terminal: io::stdout().is_terminal() }.run(hex)
}

struct Decode {
    capture: Capture,
    /// The fields without a value that have been reported already.
    told: BTreeSet<String>,
    is_terminal: bool,
}

impl Decode {
    fn run(mut self, hex: bool) -> Result<ExitCode, CliError> {
        let mut input = io::stdin().lock();
        let failed = |source| CliError::Io { what: "standard input".into(), source };
        let is_recording = input.fill_buf().map_err(failed)?.starts_with(BEGINS.as_bytes());
        if hex || is_recording {
            let (mut text, mut line) = (HexText::default(), Vec::new());
            for n in 1.. {
                line.clear();
                if input.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                    break;
                }
                let wrong = |e| CliError::Usage(format!("input line {n}: {e}"));
                let burst = text.line(&String::from_utf8_lossy(&line)).map_err(wrong)?;
                burst.iter().for_each(|burst| self.capture.burst(burst));
                self.print()?;
            }
        } else {
            let mut buffer = [0; 4096];
            loop {
                match input.read(&mut buffer).map_err(failed)? {
                    0 => break,
                    n => self.capture.push(&buffer[..n]),
                }
                self.print()?;
            }
        }
        let rest = self.capture.end();
        self.print()?;
        self.report(rest)
    }

    /// Prints what came out since the last call: messages, each refusal, and each field without a value
    /// once. On a terminal the control characters of a message are shown.
    fn print(&mut self) -> Result<(), CliError> {
        let mut text = Vec::new();
        for Publication { message, .. } in self.capture.messages.drain(..) {
            let start = text.len();
            text.extend_from_slice(message.topic.as_str().as_bytes());
            text.push(b' ');
            text.extend_from_slice(&message.payload);
            if self.is_terminal {
                let shown = plain_bytes(&text[start..]);
                text.truncate(start);
                text.extend_from_slice(shown.as_bytes());
            }
            text.push(b'\n');
        }
        let failed = |source| CliError::Io { what: "standard output".into(), source };
        io::stdout().lock().write_all(&text).map_err(failed)?;
        for frame in self.capture.device.pipeline_mut().seen() {
            for refused in frame.refused {
                eprintln!("{}", plain(&refused.to_string()));
            }
            for (field, found) in frame.no_values {
                if self.told.len() < FrameSeen::MOST && self.told.insert(field.clone()) {
                    eprintln!("{} has no value: {found} (said once)", plain(&field));
                }
            }
        }
        Ok(())
    }

    fn report(&self, rest: Rest) -> Result<ExitCode, CliError> {
        let frames = self.capture.device.pipeline().frame_counts();
        let counts = self.capture.device.pipeline().counts();
        let bad = frames.bad.total();
        let refused = counts.refused.values().sum::<u64>() + counts.unmappable;
        match rest {
            Rest { bytes: 0, .. } => {}
            Rest { bytes, is_line: true } => eprintln!(
                "{bytes} bytes at the end without a terminator, taken as a line; a port would wait for the terminator"
            ),
            Rest { bytes, is_line: false } => {
                eprintln!("{bytes} bytes at the end that do not make a whole frame");
            }
        }
        let filtered = match counts.filtered {
            0 => String::new(),
            filtered => format!(", {filtered} held back by filters"),
        };
        eprintln!(
            "{} frames, {} readings; {bad} bad frames, {} bytes skipped, {refused} refused, {} unmatched, {} without a value{filtered}",
            frames.frames, counts.readings, frames.skipped, counts.unmatched, counts.no_value
        );
        let clean = bad + frames.skipped + refused == 0 && rest.bytes == 0;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

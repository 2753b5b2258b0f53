//! `tty2mqtt modbus`: reads and writes registers, and finds devices, without a configuration.

mod master;
mod model;
mod options;
mod outcome;
mod scan;
mod values;

use crate::base::command_line::{CliError, print, write};
use crate::codec::modbus::Place as Read;
use master::Master;
use options::{Action, Options};
use outcome::Outcome;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
tty2mqtt modbus asks Modbus devices without a configuration and without a broker. Its options are
those of mbpoll, whose command lines read the same values here.

Usage: tty2mqtt modbus read PORT PLACE [OPTIONS]
       tty2mqtt modbus write PORT PLACE [OPTIONS] VALUE...       (-- before negative values)
       tty2mqtt modbus scan PORT [PLACE] [OPTIONS]

  PORT                  /dev/ttyUSB0, or host[:port] of Modbus TCP; telnet:// and rfc2217:// too
  PLACE                 input:0x0010, holding:32, coil:3 or discrete:3; addresses as on the wire,
                        from 0, as in a configuration
      --one-based       PLACE counts from 1
  -a, --address LIST    address (unit) of the device: 1, or 1,5 or 1-20 [1; scan: 1-247]
  -t, --type TYPE       u16 i16 u32 i32 u64 i64 f32 f64 hex bcd:4 text:12 bytes:8, lengths in bytes
  -c, --count N         number of values [1]
      --order ORDER     ABCD, CDAB, BADC or DCBA, A the most significant byte [ABCD]
      --model NAME      read all registers of a device file, with names and units
  -l, --poll-rate TIME  read again and again; without a unit in milliseconds
  -o, --timeout TIME    for an answer; without a unit in seconds [1s; scan: 200ms]
      --blind           do not read back what was written
      --multiple        write one register by function 16, one coil by function 15
  -q, --quiet           values only
  -v, --verbose         show the bytes

The line, where PORT is a tty:
      --line LINE       as in \"9600 8N1\" [9600 8N1, or that of the model]
  -b BAUD, -P none|even|odd, -d DATABITS, -s STOPBITS
  -m, --mode MODE       rtu, ascii or tcp [tty: rtu; host: tcp]; `-m rtu HOST:PORT` is RTU over TCP
  -p, --tcp-port PORT   [502]

mbpoll's places:
  -r REFERENCE          counts from 1, with -0 from 0 [1]
  -t 0 | 1 | 3 | 4      coil, discrete, input, holding; 4:hex, 4:int16, 4:int, 4:float, whose
                        numbers of 32 bits have the low word first (CDAB), with -B the high one
  -1                    read once, which is the default here

Exit codes: 0 it answered, 1 it did not, refused, or did not take the value, 2 wrong usage.
Examples: tty2mqtt modbus read /dev/ttyUSB0 -a 1 input:0 -t f32 -c 3
          tty2mqtt modbus read /dev/ttyUSB0 --model eastron-sdm120
          tty2mqtt modbus write 192.168.1.7 -a 5 holding:32 -t i16 -- -30
          tty2mqtt modbus scan /dev/ttyUSB0 -b 19200 -P even
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let action = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return print(HELP),
        Some(Value(word)) => match word.to_string_lossy().as_ref() {
            "read" => Action::Read,
            "write" => Action::Write,
            "scan" => Action::Scan,
            _ => {
                let what = format!("modbus has read, write and scan, and no {word:?}; see --help");
                return Err(CliError::Usage(what));
            }
        },
        Some(other) => return Err(other.unexpected().into()),
    };
    let Some(mut options) = Options::parse(action, &mut parser)? else { return print(HELP) };
    let model = options.model.clone().map(|name| model::Model::load(&name, &mut options));
    let model = model.transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |source| CliError::Io { what: "cannot start".into(), source };
    runtime.map_err(failed)?.block_on(async {
        let mut master = Master::open(&options).await?;
        let done = match (action, &model) {
            (Action::Write, _) => write_values(&mut master, &options).await,
            (Action::Scan, _) => scan::scan(&mut master, &options).await,
            (Action::Read, model) => read_values(&mut master, &options, model.as_ref()).await,
        };
        master.close().await;
        done
    })
}

/// A line on stderr, unless it is to be quiet.
fn say(options: &Options, line: &str) {
    if !options.is_quiet {
        eprintln!("{line}");
    }
}

/// What went wrong, and what to look at.
fn complain(options: &Options, unit: u8, outcome: &Outcome) {
    let what = outcome.what(options.timeout);
    eprintln!("address {unit}: {what}");
    say(options, &outcome.hint(options, unit));
}

async fn read_values(
    master: &mut Master,
    options: &Options,
    model: Option<&model::Model>,
) -> Result<ExitCode, CliError> {
    loop {
        let mut all_answered = true;
        for unit in &options.units {
            if options.units.len() > 1 && !options.is_quiet && !write(&format!("address {unit}\n"))?
            {
                return Ok(ExitCode::SUCCESS);
            }
            let has_answered = match model {
                Some(model) => model.read(master, options, *unit).await?,
                None => read_places(master, options, *unit).await?,
            };
            all_answered &= has_answered;
        }
        let Some(rate) = options.rate else {
            if all_answered && model.is_none() {
                say(options, values::configured(options).trim_end());
            }
            return Ok(if all_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        };
        tokio::time::sleep(rate.duration()).await;
    }
}

async fn read_places(master: &mut Master, options: &Options, unit: u8) -> Result<bool, CliError> {
    for group in values::groups(options.place, &options.format, options.count) {
        let place = Read { table: group.table, start: group.start, count: group.count };
        match master.ask(unit, &place.read()).await? {
            Outcome::Answer(payload) => {
                let mut lines = String::new();
                for (at, text) in values::texts(&group, &options.format, &payload) {
                    lines += &format!("{}\t{text}\n", values::label(options.place, at));
                }
                write(&lines)?;
            }
            outcome => {
                complain(options, unit, &outcome);
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// How long what still comes of an answer is waited for before the next request.
const SETTLED: Duration = Duration::from_millis(50);

async fn write_values(master: &mut Master, options: &Options) -> Result<ExitCode, CliError> {
    let request = values::written(options)?;
    let unit = options.units.first().copied().unwrap_or(1);
    let outcome = master.ask(unit, &request).await?;
    let Outcome::Answer(_) = outcome else {
        complain(options, unit, &outcome);
        return Ok(ExitCode::FAILURE);
    };
    if unit == 0 && options.port.tcp.is_none() {
        say(options, "sent to all devices; none of them answers");
        return Ok(ExitCode::SUCCESS);
    }
    if options.is_blind {
        say(options, "written");
        return Ok(ExitCode::SUCCESS);
    }
    tokio::time::sleep(SETTLED).await;
    let written = request.written();
    let width = options.format.width(options.place.table);
    let count = width * options.values.len() as u16;
    let place = Read { table: options.place.table, start: options.place.start, count };
    match master.ask(unit, &place.read()).await? {
        Outcome::Answer(payload) => {
            let group = crate::codec::modbus::Group {
                table: place.table,
                start: place.start,
                count,
                members: Vec::new(),
            };
            let mut lines = String::new();
            for (at, text) in values::texts(&group, &options.format, &payload) {
                lines += &format!("{}\t{text}\n", values::label(options.place, at));
            }
            write(&lines)?;
            if payload != written {
                eprintln!("address {unit}: not taken: above is what it holds now");
                return Ok(ExitCode::FAILURE);
            }
            say(options, "written and read back");
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Exception(exception) => {
            say(options, &format!("written; it cannot be read back: {exception}"));
            Ok(ExitCode::SUCCESS)
        }
        outcome => {
            complain(options, unit, &outcome);
            Ok(ExitCode::FAILURE)
        }
    }
}

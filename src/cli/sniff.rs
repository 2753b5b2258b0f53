//! `tty2mqtt sniff`: shows what comes on a port, without configuration or broker.

mod rows;
mod summary;

use super::port_words;
use crate::base::clock::Now;
use crate::base::command_line::{CliError, print, write};
use crate::base::line::Line;
use crate::base::scalar::Span;
use crate::codec::recognise::{Found, Kind, Recogniser};
use crate::device::capture::{BEGINS, Piece, record};
use crate::port::bare::BarePort;
use crate::port::line_counts::LineCounts;
use rows::Rows;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use summary::{Summary, errors};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep_until;

const HELP: &str = "\
tty2mqtt sniff shows what comes on a serial port, and writes nothing to it: each burst with its time
(UTC), the gap before it, its bytes in hexadecimal digits and as text, and which frames these are as
far as a checksum proves it. `!` stands behind a byte that came with a parity or framing error, or as
a break. At the end there is a summary with a guess.

Usage: tty2mqtt sniff [OPTIONS] PORT [LINE]

  PORT               a tty (/dev/ttyUSB0), tcp:HOST:PORT, telnet://HOST:PORT or rfc2217://HOST:PORT;
                     `tty2mqtt ports` lists the ttys
  LINE               speed and format [9600 8N1]
  -r, --record FILE  also writes a new file that `tty2mqtt decode < FILE` replays with its times
      --for TIME     end after this time, as in 10s [until Ctrl-C]
      --gap TIME     silence that ends a burst [3.5 characters, at least 20ms: USB adapters hand
                     over what they receive in pieces that are up to 16ms apart]

A port that another program has open is refused. On a port of a running gateway it is `tty2mqtt
monitor PORT --raw --hex` that shows the bytes.

Exit codes: 0 bytes came, 1 none came, or the port failed, 2 wrong usage.
Example: tty2mqtt sniff /dev/ttyUSB0 115200 8N1 --record meter.txt
";

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let (mut place, mut line) = (None, String::new());
    let (mut file, mut time, mut gap) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('r') | Long("record") => file = Some(PathBuf::from(parser.value()?)),
            Long("for") => time = Some(parser.value()?.parse::<Span>()?.duration()),
            Long("gap") => gap = Some(parser.value()?.parse::<Span>()?.duration()),
            Value(word) if place.is_none() => place = Some(word.string()?),
            // `9600 8N1`, in quotes or as two words.
            Value(word) => line = format!("{line} {}", word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(place) = place else {
        let why = "PORT is needed, as in /dev/ttyUSB0; `tty2mqtt ports` lists what is there";
        return Err(CliError::Usage(why.into()));
    };
    let line = port_words::line(&line)?;
    let port = port_words::port(&place, line)?;
    let failed = |source| CliError::Io { what: "cannot start".into(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(async {
        let opened = BarePort::open(&port).await;
        let mut bare = opened.map_err(|e| CliError::Failed(e.to_string()))?;
        let name = bare.device.clone();
        let recording = file.map(|file| Recording::begin(file, &name, line)).transpose()?;
        let is_coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let gap = gap.unwrap_or(line.time_of(3.5).max(Duration::from_millis(20)));
        let mut sniff = Sniff {
            rows: Rows::new(is_coloured),
            recogniser: Recogniser::default(),
            summary: Summary::default(),
            recording,
            gap,
            last: None,
            is_open: false,
            noted: Vec::new(),
            counted: LineCounts::default(),
        };
        write(&format!("# {name}, {line}; times are UTC; Ctrl-C ends it\n"))?;
        let why = sniff.run(&mut bare, time.map(|time| Instant::now() + time)).await;
        let counts = bare.counts();
        sniff.end_burst(counts)?;
        write(&sniff.summary.text(&sniff.recogniser, counts))?;
        bare.close().await;
        why?;
        Ok(ExitCode::from(u8::from(sniff.summary.bytes == 0)))
    })
}

struct Sniff {
    rows: Rows,
    recogniser: Recogniser,
    summary: Summary,
    recording: Option<Recording>,
    /// The silence that ends a burst.
    gap: Duration,
    /// When the last bytes came.
    last: Option<Instant>,
    is_open: bool,
    /// What had been recognised when the last burst ended.
    noted: Vec<(Kind, Found)>,
    /// Line errors that were shown already.
    counted: LineCounts,
}

impl Sniff {
    /// Shows what comes until the time is over, a signal or the reader of the output ends it.
    async fn run(&mut self, port: &mut BarePort, until: Option<Instant>) -> Result<(), CliError> {
        let failed = |source| CliError::Io { what: "cannot start".into(), source };
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        loop {
            let ends = self.last.filter(|_| self.is_open).map(|last| last + self.gap);
            let due = ends.into_iter().chain(until).min();
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                read = port.read() => match read {
                    Ok(pieces) => self.take(pieces, port.counts())?,
                    Err(source) => return Err(CliError::Io { what: port.device.clone(), source }),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    if until.is_some_and(|until| until <= Instant::now()) {
                        return Ok(());
                    }
                    self.end_burst(port.counts())?;
                }
            }
            if !write(&std::mem::take(&mut self.rows.text))? {
                return Ok(());
            }
        }
    }

    fn take(&mut self, pieces: Vec<Piece>, counts: Option<LineCounts>) -> Result<(), CliError> {
        let now = Now::read();
        let silence = self.last.map(|last| now.mono.saturating_duration_since(last));
        if silence.is_some_and(|silence| silence >= self.gap) {
            self.end_burst(counts)?;
        }
        if !self.is_open {
            self.is_open = true;
            self.summary.bursts += 1;
            silence.into_iter().for_each(|silence| self.summary.gap(silence));
            self.rows.begin(now.wall, silence);
        }
        self.last = Some(now.mono);
        for piece in pieces {
            let size = piece.bytes.len() as u64;
            self.summary.bytes += size;
            self.summary.damaged += if piece.is_damaged { size } else { 0 };
            self.rows.push(&piece.bytes, piece.is_damaged);
            self.recogniser.push(&piece.bytes, piece.is_damaged, now.mono);
            if let Some(recording) = &mut self.recording {
                recording.take(now, &piece)?;
            }
        }
        Ok(())
    }

    fn end_burst(&mut self, counts: Option<LineCounts>) -> Result<(), CliError> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        self.rows.end();
        let of_modbus = self.recogniser.pause(Instant::now());
        let found: Vec<_> = self.recogniser.found().collect();
        for (kind, Found { frames, .. }) in &found {
            let before = self.noted.iter().find(|(noted, _)| noted == kind);
            let new = frames - before.map_or(0, |(_, before)| before.frames);
            // What is text can be read beside, and Modbus is said with its functions.
            if new > 0 && !matches!(kind, Kind::Lines | Kind::ModbusRtu) {
                self.rows.note(&format!("{new} {kind}{}", if new > 1 { "s" } else { "" }));
            }
        }
        self.noted = found;
        if !of_modbus.is_empty() {
            let of = |(address, function): &(u8, u8)| format!("{address} function {function}");
            let frames: Vec<_> = of_modbus.iter().take(8).map(of).collect();
            self.rows.note(&format!("Modbus RTU: {}", frames.join(", ")));
        }
        if let Some(counts) = counts.filter(|counts| *counts != self.counted) {
            self.rows.note(&errors(counts.since(self.counted)));
            self.counted = counts;
        }
        if let Some(recording) = &mut self.recording {
            recording.flush()?;
        }
        Ok(())
    }
}

/// A file that `decode` replays.
struct Recording {
    file: io::BufWriter<File>,
    path: PathBuf,
}

impl Recording {
    fn begin(path: PathBuf, device: &str, line: Line) -> Result<Recording, CliError> {
        let file = match File::create_new(&path) {
            Ok(file) => io::BufWriter::new(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let why = format!("{} is there already; name a new file", path.display());
                return Err(CliError::Usage(why));
            }
            Err(source) => return Err(CliError::Io { what: path.display().to_string(), source }),
        };
        let mut recording = Recording { file, path };
        recording.write(&format!("{BEGINS}{device} {line}\n"))?;
        Ok(recording)
    }

    fn take(&mut self, now: Now, piece: &Piece) -> Result<(), CliError> {
        let mut text = String::new();
        record(&mut text, now.wall, piece);
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<(), CliError> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|source| CliError::Io { what: self.path.display().to_string(), source })
    }

    fn flush(&mut self) -> Result<(), CliError> {
        let flushed = self.file.flush();
        flushed.map_err(|source| CliError::Io { what: self.path.display().to_string(), source })
    }
}

//! `tty2mqtt detect`: finds out at which speed a device speaks, and which one it is.

mod candidates;
mod probe;
mod report;

use super::port_words;
use crate::base::command_line::{CliError, print};
use crate::base::line::{Line, Parity};
use crate::base::scalar::Span;
use crate::config::library::Library;
use crate::device::detect::{Confidence, Heard, Looks};
use crate::port::bare::BarePort;
use candidates::{Candidate, Passive, Speed};
use report::Report;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

const HELP: &str = "\
tty2mqtt detect listens on a serial port at one speed after the other, and says at which one the
device speaks, which device of the library it is, and what to write into the configuration. It
writes nothing to the port without --probe.

Usage: tty2mqtt detect [OPTIONS] PORT

  PORT         a tty (/dev/ttyUSB0), tcp:HOST:PORT, telnet://HOST:PORT or rfc2217://HOST:PORT
      --probe  if nothing comes, ask as the library's devices are asked: one request of each, at its
               usual speed and address. They are listed first, and sent once you agree
      --yes    agree beforehand
      --for T  give up after this time [55s]; a device may be silent for a third of it
  -j, --json   a line of JSON for each step, for other programs

Exit codes: 0 a device or at least its speed was found, 1 it was not, 2 wrong usage.
Example: tty2mqtt detect /dev/ttyUSB0
";

/// The usual settings of lines, the most usual ones first. That characters have 7 bits shows in what 8N1 makes of
/// them.
const USUAL: &[(u32, Parity)] = &[
    (9600, Parity::None),
    (115_200, Parity::None),
    (2400, Parity::None),
    (19_200, Parity::None),
    (38_400, Parity::None),
    (57_600, Parity::None),
    (4800, Parity::None),
    (1200, Parity::None),
    (9600, Parity::Even),
    (2400, Parity::Even),
    (19_200, Parity::Even),
];

/// The shortest and the longest time for one setting, once something was heard.
const DWELL: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(12));

pub(super) fn main(mut parser: lexopt::Parser) -> Result<ExitCode, CliError> {
    use lexopt::prelude::*;
    let (mut place, mut is_json) = (None, false);
    let (mut probes, mut agrees) = (false, false);
    let mut time = Duration::from_secs(55);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return print(HELP),
            Short('j') | Long("json") => is_json = true,
            Long("probe") => probes = true,
            Long("yes") => agrees = true,
            Long("for") => time = parser.value()?.parse::<Span>()?.duration(),
            Value(word) if place.is_none() => place = Some(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(place) = place else {
        let why = "PORT is needed, as in /dev/ttyUSB0; `tty2mqtt ports` lists what is there";
        return Err(CliError::Usage(why.into()));
    };
    let port = port_words::port(&place, Line::DEFAULT)?;
    let library = Library::beside(Path::new("/etc/tty2mqtt"));
    let passive = candidates::passive(&library);
    let failed = |source| CliError::Io { what: "cannot start".into(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(async {
        let bare = BarePort::open(&port).await;
        let bare = bare.map_err(|error| CliError::Failed(error.to_string()))?;
        let report = Report::new(&place, &port, is_json);
        let mut detect = Detect { port: bare, report, passive, until: Instant::now() + time, time };
        let heard = detect.listen_at_all_speeds().await;
        let found = match heard {
            Ok(Found::Nothing) if probes => {
                probe::run(&mut detect.port, &mut detect.report, &library, agrees).await
            }
            found => found,
        };
        detect.port.close().await;
        Ok(ExitCode::from(u8::from(found? == Found::Nothing)))
    })
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Something,
    Nothing,
}

struct Detect {
    port: BarePort,
    report: Report,
    passive: Vec<Passive>,
    /// When it is over.
    until: Instant,
    time: Duration,
}

impl Detect {
    async fn listen_at_all_speeds(&mut self) -> Result<Found, CliError> {
        let mut lines = lines(&self.passive);
        let mut dwell = None;
        let mut best: Option<(Heard, Looks)> = None;
        let mut speed = Speed::Usual;
        let mut n = 0;
        while let Some(line) = lines.get(n).copied() {
            if Instant::now() >= self.until {
                break;
            }
            if let Err(why) = self.port.set(line).await {
                // A serial server has one speed, whatever it is.
                if n == 0 {
                    (speed, lines) = (Speed::Unknown, vec![line]);
                } else {
                    self.report.skipped(line, &why);
                    n += 1;
                    continue;
                }
            }
            let heard = self.listen(line, dwell, (n, lines.len())).await?;
            n += 1;
            if heard.bytes == 0 && dwell.is_none() {
                self.report.silent();
                return Ok(Found::Nothing);
            }
            // How often the device sends shows at any speed.
            let gap = heard.longest_gap.mul_f32(1.3) + Duration::from_millis(500);
            dwell.get_or_insert(gap.clamp(DWELL.0, DWELL.1));
            let looks = heard.looks();
            self.report.heard(&heard, &looks, speed);
            let found = match looks.damaged {
                0..30 => candidates::of(&self.passive, &heard, looks.line, speed),
                _ => Vec::new(),
            };
            if self.names(&found, &looks, speed) {
                return Ok(Found::Something);
            }
            let is_better = best.as_ref().is_none_or(|(_, best)| score(&looks) > score(best));
            if is_better {
                best = Some((heard, looks));
            }
        }
        let Some((heard, looks)) = best.filter(|(_, looks)| score(looks) > 0) else {
            self.report.no_sense();
            return Ok(Found::Nothing);
        };
        let speed = if speed == Speed::Unknown { speed } else { Speed::Any };
        let found = candidates::of(&self.passive, &heard, looks.line, speed);
        if !self.names(&found, &looks, speed) {
            self.report.only_speed(&found, &looks, speed);
        }
        Ok(Found::Something)
    }

    /// Whether a device is named.
    fn names(&mut self, found: &[Candidate], looks: &Looks, speed: Speed) -> bool {
        let best = candidates::best(found);
        let is_named = best.first().is_some_and(|it| it.confidence > Confidence::Possible);
        if is_named {
            self.report.devices(best, looks.line, speed);
        }
        is_named
    }

    /// Listens until there is enough, at most as long as `dwell` says; without it, until it is known how often
    /// something comes.
    async fn listen(
        &mut self,
        line: Line,
        dwell: Option<Duration>,
        step: (usize, usize),
    ) -> Result<Heard, CliError> {
        let start = Instant::now();
        let longest = dwell.unwrap_or(self.time / 3);
        let mut end = (start + longest).min(self.until);
        let mut heard = Heard::new(line);
        loop {
            self.report.progress(line, heard.bytes, step, start.elapsed(), longest);
            let now = Instant::now();
            // Of a device that sends rarely, two bursts tell how rarely.
            let is_rare = dwell.is_none() && heard.longest_gap > DWELL.0 * 3;
            let is_over = heard.last.is_some_and(|last| now - last > DWELL.0 / 2);
            if heard.is_enough() || now >= end || is_rare && is_over {
                return Ok(heard);
            }
            // So often the progress is shown.
            let tick = end.min(now + Duration::from_millis(200));
            let Ok(read) = timeout_at(tick.into(), self.port.read()).await else { continue };
            let failed = |source| CliError::Io { what: self.port.device.clone(), source };
            let at = Instant::now();
            for piece in read.map_err(failed)? {
                heard.push(piece, at);
            }
            // What never pauses tells all within a moment.
            if dwell.is_none() && heard.bursts == 1 && at - start > longest / 4 {
                end = end.min(at + Duration::from_secs(1)).max(now);
            }
        }
    }
}

/// The settings to be tried: the usual ones, then those of the library's devices.
fn lines(passive: &[Passive]) -> Vec<Line> {
    let usual = USUAL.iter().map(|(baud, parity)| (*baud, *parity));
    let of_devices = passive.iter().filter_map(|it| it.line).map(|line| {
        let parity = if line.data_bits == 7 { Parity::None } else { line.parity };
        (line.baud, parity)
    });
    let mut lines: Vec<Line> = Vec::new();
    for (baud, parity) in usual.chain(of_devices) {
        let line = Line { baud, data_bits: 8, parity, stop_bits: 1 };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// How much sense bytes make: frames and text, none of it damaged.
fn score(looks: &Looks) -> u64 {
    let sense = looks.framed.max(if looks.guess.is_some() { 60 } else { 0 });
    if sense < 60 || looks.damaged > 20 { 0 } else { 2 * sense + looks.text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_tried_once_and_the_library_adds_its_own() {
        let all = lines(&candidates::passive(&Library::beside(Path::new("/nowhere"))));
        assert_eq!(all.first().unwrap().to_string(), "9600 8N1");
        assert!(all.iter().any(|line| line.baud == 256_000));
        assert!(all.iter().all(|line| line.data_bits == 8));
        let mut once: Vec<String> = all.iter().map(ToString::to_string).collect();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), all.len());
    }
}

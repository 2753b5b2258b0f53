//! `tty2mqtt devices new`: prints a draft of a device file from captured bytes.

use crate::base::command_line::{CliError, print};
use crate::base::plain::plain;
use crate::config::library::draft::{self, Burst, Draft};
use crate::device::capture::{BEGINS, HexText};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Default, PartialEq)]
pub(super) struct Options {
    pub(super) from: Option<PathBuf>,
    pub(super) hex: bool,
    pub(super) line: Option<String>,
}

/// Most bytes of a capture that are read: those of a case in hexadecimal text, with room for times.
const MOST: u64 = 64 << 10;

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let Some(path) = &options.from else {
        let why = "--from CAPTURE is needed: what `tty2mqtt sniff PORT --record CAPTURE` writes, or bytes";
        return Err(CliError::Usage(why.into()));
    };
    let what = plain(&path.display().to_string());
    let failed = |source| CliError::Io { what: what.clone(), source };
    let bytes = read(path).map_err(failed)?;
    let is_recording = bytes.starts_with(BEGINS.as_bytes());
    let bursts = if options.hex || is_recording {
        of_text(&String::from_utf8_lossy(&bytes))
            .map_err(|why| CliError::Usage(format!("{what}: {why}")))?
    } else {
        vec![Burst { at: Duration::ZERO, bytes }]
    };
    if bursts.iter().all(|burst| burst.bytes.is_empty()) {
        return Err(CliError::Failed(format!("{what} has no bytes")));
    }
    let name = path.file_name().map(|name| plain(&name.to_string_lossy()));
    let name = name.unwrap_or_else(|| what.clone());
    let Draft { text, guess, left } = draft::draft(&bursts, &name, options.line.as_deref());
    eprintln!("{what}: {guess}; left to say: make, title, about, wiring, source, and {left}");
    print(&text)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(MOST).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// What was read, with its times; what came damaged is left out. Without times, with a second between the lines.
fn of_text(text: &str) -> Result<Vec<Burst>, String> {
    let mut lines = HexText::default();
    let mut bursts: Vec<Burst> = Vec::new();
    let (mut first, mut now) = (None, Duration::ZERO);
    // The last line may have been cut off.
    let whole = if text.len() as u64 == MOST {
        text.rsplit_once('\n').map_or(text, |it| it.0)
    } else {
        text
    };
    for (n, line) in whole.lines().enumerate() {
        let burst = lines.line(line).map_err(|why| format!("line {}: {why}", n + 1))?;
        let Some(burst) = burst else { continue };
        now = match burst.at {
            _ if burst.goes_on => now,
            Some(at) => at.saturating_sub(*first.get_or_insert(at)).max(now),
            None if bursts.is_empty() => now,
            None => now + Duration::from_secs(1),
        };
        let pieces = burst.pieces.iter().filter(|piece| !piece.is_damaged);
        let bytes = pieces.flat_map(|piece| piece.bytes.clone()).collect();
        bursts.push(Burst { at: now, bytes });
    }
    Ok(bursts)
}

//! Plays a simulation on a virtual serial port, and prints what goes over it.

use super::simulation::Simulation;
use crate::base::clock::{Now, Stamp};
use crate::testing::pty::Pty;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A virtual serial port, and the name that it has while this is there.
#[derive(Debug)]
pub struct VirtualPort {
    pub pty: Pty,
    link: Option<PathBuf>,
}

impl VirtualPort {
    pub fn open(link: Option<PathBuf>) -> io::Result<VirtualPort> {
        let pty = Pty::open()?;
        if let Some(path) = &link {
            // What is no link, such as that of one that was killed, is the user's.
            if path.symlink_metadata().is_ok_and(|there| !there.is_symlink()) {
                return Err(io::Error::other("it is there and is no link; name another one"));
            }
            pty.link(path)?;
        }
        Ok(VirtualPort { pty, link })
    }

    /// What the gateway opens.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(self.pty.path())
    }
}

impl Drop for VirtualPort {
    fn drop(&mut self) {
        let _ = self.link.as_ref().map(std::fs::remove_file);
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Gateway,
    Device,
}

/// What goes over the line, a line of text for each run of bytes.
struct Trace {
    is_quiet: bool,
    run: Vec<u8>,
    who: Who,
    last: Instant,
    /// A speed that is wrong, since when, and whether that was said.
    wrong_speed: Option<(u32, Instant, bool)>,
}

/// How often the line is looked at.
const TICK: Duration = Duration::from_millis(1);

/// A silence of so long ends a run of bytes, at any speed from 300 Bd on.
const RUN_ENDS: Duration = Duration::from_millis(150);

/// How long a speed is wrong until that is said.
const SPEED_IS_SET: Duration = Duration::from_secs(1);

/// Bytes of a run that are shown.
const SHOWN: usize = 64;

/// Plays until the port fails, or until its future is dropped.
pub async fn play(mut simulation: Simulation, pty: &Pty, is_quiet: bool) -> io::Result<()> {
    let now = Instant::now();
    let mut trace =
        Trace { is_quiet, run: Vec::new(), who: Who::Device, last: now, wrong_speed: None };
    let mut buffer = [0; 512];
    loop {
        let now = Instant::now();
        let heard = pty.try_read(&mut buffer)?;
        let speed = pty.speed()?;
        if let Some(n @ 1..) = heard {
            let bytes = buffer.get(..n).unwrap_or_default();
            trace.add(Who::Gateway, bytes, now);
            simulation.hear(bytes, speed, now);
        }
        let bytes = simulation.say(speed, now);
        // Without anybody at the other end it would be read later on, as if it were new.
        if !bytes.is_empty() && heard.is_some() {
            pty.try_write(&bytes)?;
            trace.add(Who::Device, &bytes, now);
        }
        trace.silence(now);
        trace.speeds(&simulation, now);
        sleep(TICK).await;
    }
}

impl Trace {
    fn add(&mut self, who: Who, bytes: &[u8], now: Instant) {
        if who != self.who {
            self.flush();
        }
        self.who = who;
        self.last = now;
        self.run.extend_from_slice(bytes);
    }

    fn silence(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) > RUN_ENDS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run.is_empty() || self.is_quiet {
            return;
        }
        let time = Stamp(Now::read().wall).to_string();
        let time = time.get(11..23).unwrap_or_default();
        let arrow = match self.who {
            Who::Gateway => "->",
            Who::Device => "<-",
        };
        println!("{time} {arrow} {}", shown(&run));
    }

    fn speeds(&mut self, simulation: &Simulation, now: Instant) {
        let Some(wrong) = simulation.wrong_speed else {
            self.wrong_speed = None;
            return;
        };
        let (speed, since, is_told) = self.wrong_speed.get_or_insert((wrong, now, false));
        // Who opens a port sets its speed a moment later.
        if *is_told || now.saturating_duration_since(*since) < SPEED_IS_SET {
            return;
        }
        *is_told = true;
        let speed = *speed;
        self.flush();
        if !self.is_quiet {
            println!(
                "the other end has set {speed} Bd and the device has {}: neither understands the other",
                simulation.line
            );
        }
    }
}

/// A text in quotes, other bytes in hexadecimal.
fn shown(run: &[u8]) -> String {
    let first = run.get(..SHOWN).unwrap_or(run);
    let is_text = |byte: &u8| byte.is_ascii_graphic() || b" \r\n\t".contains(byte);
    let mut text = match run.iter().all(is_text) {
        true => format!("\"{}\"", first.escape_ascii()),
        false => first.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    };
    if first.len() < run.len() {
        // Writing to a String does not fail.
        let _ = write!(text, " … ({} bytes)", run.len());
    }
    text
}

//! A person at a terminal: questions, and answers that Ctrl-C may end.

use super::Stop;
use crate::base::command_line::{CliError, write};
use crate::base::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Read};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Longest answer in bytes.
const LONGEST: u64 = 64 << 10;

/// Standard input and output. Signals are heard from its making on: whoever holds it ends in good order.
#[derive(Debug)]
pub(super) struct Terminal {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    signals: [(u8, Signal); 3],
}

impl Terminal {
    /// `None` if input or output are none.
    pub(super) fn open() -> Result<Option<Terminal>, CliError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let failed = |source| CliError::Io { what: "cannot start".into(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let guard = runtime.enter();
        let listen = |kind: SignalKind, number| Ok((number, signal(kind)?));
        let signals = [
            listen(SignalKind::interrupt(), 2).map_err(failed)?,
            listen(SignalKind::terminate(), 15).map_err(failed)?,
            listen(SignalKind::hangup(), 1).map_err(failed)?,
        ];
        drop(guard);
        Ok(Some(Terminal { runtime: Some(runtime), signals }))
    }

    /// Asks, and returns the line without blanks around it.
    pub(super) fn line(&mut self, question: &str) -> Result<String, Stop> {
        write(question)?;
        let line = self.read()?;
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Asks for what must not be seen.
    pub(super) fn secret(&mut self, question: &str) -> Result<Secret, Stop> {
        write(question)?;
        let line = {
            let _hidden = Hidden::begin();
            self.read()
        };
        write("\n")?;
        Ok(Secret::from(line?))
    }

    /// `true` for yes; an empty answer is the proposal.
    pub(super) fn yes(&mut self, question: &str, proposal: bool) -> Result<bool, Stop> {
        let choice = if proposal { "[Y/n]" } else { "[y/N]" };
        loop {
            match self.line(&format!("{question} {choice}: "))?.to_ascii_lowercase().as_str() {
                "" => return Ok(proposal),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => write("  yes or no, please\n")?,
            };
        }
    }

    /// A line without its line break, or the signal that came before its end.
    fn read(&mut self) -> Result<Vec<u8>, Stop> {
        let Some(runtime) = &self.runtime else { return Err(Stop::End) };
        let [interrupt, terminate, hangup] = &mut self.signals;
        let line = runtime.block_on(async {
            let line = tokio::task::spawn_blocking(|| {
                let mut line = Vec::new();
                let read = io::stdin().lock().take(LONGEST).read_until(b'\n', &mut line);
                read.map(|_| line)
            });
            tokio::select! {
                line = line => Ok(line),
                _ = interrupt.1.recv() => Err(Stop::Signal(interrupt.0)),
                _ = terminate.1.recv() => Err(Stop::Signal(terminate.0)),
                _ = hangup.1.recv() => Err(Stop::Signal(hangup.0)),
            }
        })?;
        let failed = |source| CliError::Io { what: "standard input".into(), source };
        let mut line = line.map_err(io::Error::other).and_then(|line| line).map_err(failed)?;
        if line.pop_if(|byte| *byte == b'\n').is_none() && line.is_empty() {
            return Err(Stop::End);
        }
        Ok(line)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A thread may still read the terminal, and it does so until the process ends.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// While it lives the terminal does not show what is typed.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Hidden {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
        }
        Hidden(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

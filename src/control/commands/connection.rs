//! The connection to a running gateway.

use super::options::Options;
use crate::base::command_line::CliError;
use crate::base::json::line;
use crate::base::plain::plain;
use crate::control::request::{LONGEST, Request};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

/// The longest answer that is taken, in bytes.
const LONGEST_ANSWER: u64 = 64 << 20;

pub(super) struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    pub(super) fn open(options: &Options) -> Result<Connection, CliError> {
        let sockets = options.sockets()?;
        let mut failed = None;
        for socket in &sockets {
            match UnixStream::connect(socket) {
                Ok(stream) => return Ok(Connection { stream: BufReader::new(stream) }),
                // The error names the last place that was tried.
                Err(error) => failed = Some((socket, error)),
            }
        }
        let Some((socket, error)) = failed else {
            return Err(CliError::Failed("no control socket is named".into()));
        };
        Err(CliError::Failed(explain(socket, &error)))
    }

    pub(super) fn ask(&mut self, request: &Request) -> Result<(), CliError> {
        let request = line(request);
        if request.len() > LONGEST {
            let what = format!("a request has at most {LONGEST} bytes");
            return Err(CliError::Usage(what));
        }
        match self.stream.get_mut().write_all(request.as_bytes()) {
            // The gateway closed this connection; why it did so can be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done.map_err(failed),
        }
    }

    /// The next answer; `{"error": …}` is an error here, too. `None`: the gateway has ended.
    pub(super) fn answer(&mut self) -> Result<Option<Value>, CliError> {
        self.any_answer()?.map(good).transpose()
    }

    /// The next answer, if it is complete by then.
    pub(super) fn answer_by(&mut self, end: Instant) -> Result<Option<Value>, CliError> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        self.stream.get_ref().set_read_timeout(Some(left)).map_err(failed)?;
        match self.answer() {
            // A read time-out of a socket has either of these kinds.
            Err(CliError::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
                Ok(None)
            }
            answer => answer,
        }
    }

    /// The next answer, which may be `{"error": …}`.
    pub(super) fn any_answer(&mut self) -> Result<Option<Value>, CliError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(LONGEST_ANSWER).read_until(b'\n', &mut line);
        match read {
            Ok(0) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Ok(_) => serde_json::from_slice(&line).map(Some).map_err(not_ours),
            Err(error) => Err(failed(error)),
        }
    }
}

/// The answer, unless it is `{"error": …}`.
pub(super) fn good(answer: Value) -> Result<Value, CliError> {
    match answer
        .get("error")
        .filter(|_| answer.get("ok").is_none() && answer.get("event").is_none())
    {
        Some(why) => Err(CliError::Failed(plain(why.as_str().unwrap_or("it failed")))),
        None => Ok(answer),
    }
}

fn not_ours(error: serde_json::Error) -> CliError {
    CliError::Failed(format!("no gateway of this version answers there: {error}"))
}

fn failed(source: io::Error) -> CliError {
    CliError::Io { what: "the control socket".into(), source }
}

fn explain(socket: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "no gateway runs there; start one with `tty2mqtt run` or name its socket with --socket"
        }
        io::ErrorKind::PermissionDenied => {
            "only the gateway's own user and root may ask it; try as one of them"
        }
        _ => "name the gateway's socket with --socket",
    };
    format!("{}: {error}: {remedy}", socket.display())
}

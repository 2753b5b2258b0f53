//! A client of the control socket.

use super::DEADLINE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    pub fn new(socket: &Path) -> Client {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    /// One that was turned away may be closed already.
    pub fn try_say(&mut self, request: &str) {
        let _ = self.stream.get_mut().write_all(format!("{request}\n").as_bytes());
    }

    pub fn say(&mut self, request: &str) {
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
    }

    /// The next line as it came; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    pub fn answer(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    pub fn ask(&mut self, request: &str) -> Value {
        self.say(request);
        self.answer()
    }

    pub fn error(&mut self, request: &str) -> String {
        let answer = self.ask(request);
        answer["error"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The status, as soon as it is as wanted.
    pub fn status(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.say(r#"{"request":"status","watch":true}"#);
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            let status = self.answer();
            if wanted(&status) {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "{status:#}");
        }
    }

    /// The next line that contains a text.
    pub fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the connection ended before {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The next event of a kind on a monitored port.
    pub fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.answer();
            if event["event"] == kind {
                return event;
            }
        }
    }
}

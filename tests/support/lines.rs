//! Lines that a child process prints, waited for with a deadline.

use super::DEADLINE;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The lines of a stream, read by a thread of their own.
#[derive(Clone)]
pub struct Lines {
    receiver: Arc<Mutex<Receiver<String>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Lines {
    pub fn of(stream: impl Read + Send + 'static) -> Lines {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        Lines { receiver: Arc::new(Mutex::new(receiver)), seen: Arc::default() }
    }

    /// The next line, or a panic that shows what came before.
    pub fn next(&self, waiting_for: &str) -> String {
        let line = self.receiver.lock().unwrap().recv_timeout(DEADLINE);
        match line {
            Ok(line) => {
                self.seen.lock().unwrap().push(line.clone());
                line
            }
            Err(error) => {
                let seen = self.seen.lock().unwrap();
                let tail: Vec<_> = seen.iter().rev().take(20).rev().collect();
                let why = match error {
                    RecvTimeoutError::Timeout => "nothing more came in time",
                    RecvTimeoutError::Disconnected => "the stream ended",
                };
                panic!("waiting for {waiting_for:?}: {why}; last lines: {tail:#?}");
            }
        }
    }

    /// The next line that contains `text`; if the stream ends first, all that came.
    pub fn find(&self, text: &str) -> Result<String, String> {
        let receiver = self.receiver.lock().unwrap();
        let mut passed = String::new();
        while let Ok(line) = receiver.recv_timeout(DEADLINE) {
            if line.contains(text) {
                return Ok(line);
            }
            passed += &(line + "\n");
        }
        Err(passed)
    }

    /// Passes over lines until one contains `text`.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_any(&[text])
    }

    /// Passes over lines until one contains one of the texts.
    pub fn wait_for_any(&self, texts: &[&str]) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let line = self.next(&texts.join(" or "));
            if texts.iter().any(|text| line.contains(text)) {
                return line;
            }
            assert!(Instant::now() < deadline, "waiting for {texts:?}, last {line:?}");
        }
    }

    /// Passes over lines until each of the texts was in one, in any order.
    pub fn wait_for_all(&self, texts: &[&str]) {
        let mut missing = texts.to_vec();
        while !missing.is_empty() {
            let line = self.wait_for_any(&missing);
            missing.retain(|text| !line.contains(text));
        }
    }

    /// Whether the next line comes within a time and contains `text`.
    pub fn comes(&self, text: &str, within: Duration) -> bool {
        self.next_within(within).is_some_and(|line| line.contains(text))
    }

    /// The next line, if it comes within a time.
    pub fn next_within(&self, within: Duration) -> Option<String> {
        self.receiver.lock().unwrap().recv_timeout(within).ok()
    }

    /// All lines seen, and all that come until the stream ends.
    pub fn rest(&self) -> String {
        while let Ok(line) = self.receiver.lock().unwrap().recv_timeout(DEADLINE) {
            self.seen.lock().unwrap().push(line);
        }
        self.seen.lock().unwrap().join("\n")
    }
}

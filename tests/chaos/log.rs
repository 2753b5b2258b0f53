//! What a child process prints, read by a thread of its own, waited for with a deadline.

use crate::DEADLINE;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Lines {
    /// What came so far.
    all: Vec<String>,
    /// How many of them were passed over.
    read: usize,
    ended: bool,
}

pub struct Log(Arc<(Mutex<Lines>, Condvar)>);

impl Log {
    pub fn of(stream: impl Read + Send + 'static) -> Log {
        let shared = Arc::<(Mutex<Lines>, Condvar)>::default();
        let log = Log(shared.clone());
        std::thread::spawn(move || {
            let (lines, more) = &*shared;
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                lines.lock().unwrap().all.push(String::from_utf8_lossy(&line).into_owned());
                more.notify_all();
            }
            lines.lock().unwrap().ended = true;
            more.notify_all();
        });
        log
    }

    /// Passes over lines until one contains `text`.
    pub fn wait_for(&self, text: &str) {
        let (lines, more) = &*self.0;
        let mut lines = lines.lock().unwrap();
        loop {
            while lines.read < lines.all.len() {
                lines.read += 1;
                let line = &lines.all[lines.read - 1];
                if line.contains(text) {
                    return;
                }
            }
            let last = lines.all.len().saturating_sub(20);
            assert!(!lines.ended, "no {text:?} before its end: {:#?}", &lines.all[last..]);
            let (next, waited) = more.wait_timeout(lines, DEADLINE).unwrap();
            lines = next;
            assert!(!waited.timed_out(), "no {text:?}: {:#?}", &lines.all[last..]);
        }
    }

    /// Whether a line that contains `text` comes, or came, within a time.
    pub fn has_within(&self, text: &str, time: Duration) -> bool {
        let (lines, more) = &*self.0;
        let is_missing =
            |lines: &mut Lines| !lines.ended && !lines.all.iter().any(|line| line.contains(text));
        let lines = more.wait_timeout_while(lines.lock().unwrap(), time, is_missing).unwrap().0;
        lines.all.iter().any(|line| line.contains(text))
    }

    /// Everything up to now, or up to its end.
    pub fn so_far(&self) -> Vec<String> {
        self.0.0.lock().unwrap().all.clone()
    }
}

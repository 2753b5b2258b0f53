//! Captured bytes on their way through a port's pipeline, on a clock of their own.

use crate::clock::Now;
use crate::message::Message;
use crate::pipeline::{Pipeline, Rest};
use std::time::Duration;

pub(super) struct Capture {
    pub(super) pipeline: Pipeline,
    /// What came out since it was last taken.
    pub(super) messages: Vec<Message>,
    now: Now,
}

impl Capture {
    /// The port is open and has been silent: the first byte begins a frame.
    pub(super) fn new(pipeline: Pipeline) -> Capture {
        let mut capture = Capture { pipeline, now: Now::read(), messages: Vec::new() };
        capture.pipeline.open(capture.now.mono);
        capture.silence();
        capture
    }

    /// Bytes that come together.
    pub(super) fn burst(&mut self, bytes: &[u8]) {
        self.pipeline.push(bytes, self.now, &mut self.messages);
    }

    /// The end of the input, after a silence: what was left over.
    pub(super) fn end(&mut self) -> Rest {
        self.silence();
        self.pipeline.finish(self.now, &mut self.messages)
    }

    /// Lets a second pass, in which every rule that waits for silence has had it.
    pub(super) fn silence(&mut self) {
        let end = self.now.after(Duration::from_secs(1));
        while let Some(due) = self.pipeline.deadline().filter(|due| *due <= end.mono) {
            let by = due.saturating_duration_since(self.now.mono);
            self.now = self.now.after(by);
            self.pipeline.timeout(self.now, &mut self.messages);
        }
        self.now = end;
    }
}

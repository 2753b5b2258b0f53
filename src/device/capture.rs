//! Captured bytes on their way through a port's device, on a clock of their own.

mod hex_text;
mod recording;

pub(crate) use hex_text::{Burst, HexText};
#[cfg(feature = "tools")]
pub(crate) use recording::record;
pub(crate) use recording::{BEGINS, Piece};

use crate::base::clock::Now;
use crate::device::pipeline::Rest;
use crate::device::{Device, Publication};
use std::time::{Duration, UNIX_EPOCH};

pub(crate) struct Capture {
    pub(crate) device: Device,
    /// Messages since they were last taken.
    pub(crate) messages: Vec<Publication>,
    now: Now,
    /// When the last bytes came, by the clock of whoever captured them.
    at: Option<Duration>,
}

impl Capture {
    /// The port is open and has been silent: the first byte begins a frame.
    pub(crate) fn new(device: Device) -> Capture {
        let mut capture = Capture { device, now: Now::read(), messages: Vec::new(), at: None };
        capture.device.opened(capture.now.mono);
        capture.silence();
        capture
    }

    /// Bytes that come together.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.device.push(bytes, self.now, &mut self.messages);
    }

    /// Bytes of a text, after as much time as there was; after a silence where it says no times.
    pub(crate) fn burst(&mut self, burst: &Burst) {
        match (burst.at, self.at) {
            _ if burst.goes_on => {}
            (Some(at), Some(before)) => self.pass(at.saturating_sub(before)),
            (Some(_), None) => {}
            (None, _) => self.silence(),
        }
        // Time stamps in messages are those of the capture, where it has dates.
        if let Some(at) = burst.at.filter(|at| *at >= Duration::from_secs(86_400)) {
            self.now.wall = UNIX_EPOCH + at;
        }
        self.at = burst.at.or(self.at);
        for Piece { bytes, is_damaged } in &burst.pieces {
            if *is_damaged {
                self.device.push_damaged(bytes, self.now, &mut self.messages);
            } else {
                self.push(bytes);
            }
        }
    }

    /// The end of the input, after a silence: what was left over.
    pub(crate) fn end(&mut self) -> Rest {
        self.silence();
        self.device.finish(self.now, &mut self.messages)
    }

    /// Lets a second pass, in which every rule that waits for silence has had it.
    fn silence(&mut self) {
        self.pass(Duration::from_secs(1));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.device.pass(&mut self.now, end, &mut self.messages);
    }
}

//! Golden cases: bytes with times in, messages out. They are the tests of framing, decoding and
//! mapping, and their documentation.

use crate::base::clock::Now;
use crate::base::scalar::{Span, parse_hex};
use crate::device::Publication;
use crate::device::pipeline::Pipeline;
use crate::device::settings::DeviceSettings;
use serde::Deserialize;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// One stream of bytes and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Whether the line was silent before the first byte, or the port was opened in mid-frame.
    #[serde(default)]
    pub open: Open,
    /// The reads.
    pub input: Vec<Burst>,
    /// The messages, in order.
    #[serde(default)]
    pub messages: Vec<Expected>,
    /// Counters of the port's status that must have these values.
    #[serde(default)]
    pub counts: std::collections::BTreeMap<String, u64>,
}

/// How a stream begins.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Open {
    /// The line was silent before the first byte.
    #[default]
    Synchronised,
    /// The port was opened while a frame was under way.
    Middle,
}

/// The bytes of one read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// When they were read, from the first byte on; default: at once behind the one before.
    #[serde(default)]
    pub at: Option<Span>,
    /// As text.
    #[serde(default)]
    pub text: Option<String>,
    /// As hexadecimal digits.
    #[serde(default)]
    pub hex: Option<String>,
}

/// A message that must come out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: String,
}

impl Case {
    /// Runs it through a device with these settings; the text says what went wrong.
    pub fn run(&self, device: &DeviceSettings<'_>) -> Result<(), String> {
        let failed = |why: String| format!("{}: {why}", self.name);
        let pipeline = Pipeline::build(device);
        let mut pipeline = pipeline.map_err(|e| failed(format!("{e:?}")))?;
        // Any set clock does: time stamps are compared too.
        let wall = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let opened = Now { wall, ..Now::read() };
        pipeline.open(opened.mono);
        let start = match self.open {
            Open::Synchronised => opened.after(Duration::from_secs(1)),
            Open::Middle => opened,
        };
        let mut messages = Vec::new();
        let mut now = opened;
        for burst in &self.input {
            let at = burst.at.map_or(now.max(start), |at| start.after(at.duration()));
            wait(&mut pipeline, &mut now, at, &mut messages);
            pipeline.push(&burst.bytes().map_err(&failed)?, now, &mut messages);
        }
        let end = now.after(Duration::from_secs(2));
        wait(&mut pipeline, &mut now, end, &mut messages);
        self.compare(&messages, &pipeline).map_err(failed)
    }

    fn compare(&self, messages: &[Publication], pipeline: &Pipeline) -> Result<(), String> {
        let expected = self.messages.iter().map(|m| format!("{} {}", m.topic, m.payload));
        let expected: Vec<_> = expected.collect();
        let got = messages
            .iter()
            .map(|it| &it.message)
            .map(|m| format!("{} {}", m.topic, String::from_utf8_lossy(&m.payload)));
        let got: Vec<_> = got.collect();
        let mut why = String::new();
        if expected != got {
            // Writing to a String does not fail.
            let _ = write!(why, "\n  expected: {expected:#?}\n  got: {got:#?}");
        }
        let frames = pipeline.frame_counts();
        let counts = pipeline.counts();
        for (name, expected) in &self.counts {
            let got = match name.as_str() {
                "bytes" => frames.bytes,
                "frames" => frames.frames,
                "skipped" => frames.skipped,
                "checksum" => frames.bad_checksum,
                "too_long" => frames.too_long,
                "cut" => frames.cut,
                "malformed" => frames.malformed,
                "line_error" => frames.line_error,
                "readings" => counts.readings,
                "refused" => counts.refused.values().sum(),
                "no_value" => counts.no_value,
                "passed_over" => counts.passed_over,
                "unmatched" => counts.unmatched,
                _ => return Err(format!("no count {name}")),
            };
            if got != *expected {
                let _ = write!(why, "\n  {name}: expected {expected}, got {got}");
            }
        }
        if why.is_empty() { Ok(()) } else { Err(why) }
    }
}

impl Burst {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.text, &self.hex) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(digits)) => parse_hex(digits).map_err(|e| e.to_string()),
            _ => Err("a burst has either `text` or `hex`".into()),
        }
    }
}

/// Lets time pass until `at`, as the port task would: silence may complete frames.
fn wait(pipeline: &mut Pipeline, now: &mut Now, at: Now, messages: &mut Vec<Publication>) {
    while let Some(due) = pipeline.deadline().filter(|due| *due <= at.mono) {
        *now = now.after(due.saturating_duration_since(now.mono));
        pipeline.timeout(*now, messages);
    }
    *now = now.max(at);
}

//! Golden cases: what is read and commanded, and when; what must be published and written. They are
//! the tests of framing, decoding, mapping and commands, and their documentation.

#[cfg(any(feature = "demo", feature = "testing"))]
mod told;

#[cfg(any(feature = "demo", feature = "testing"))]
pub use told::{Exchange, Said, Told};

use crate::base::clock::Now;
use crate::base::line::Line;
use crate::base::scalar::{ByteString, Span, parse_hex};
use crate::device::inbound::{Inbound, Receipt};
use crate::device::settings::DeviceSettings;
use crate::device::{Device, MemberStatus, Message, Publication, Transmit};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

/// A device's story: `input` and the `messages` that must come of it, or `steps`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// The registers or polls that are there in this case, for documents that show one request of
    /// many; default: all.
    #[serde(default)]
    pub only: Vec<String>,
    /// The device's address in this case, if not as in the file.
    #[serde(default)]
    pub address: Option<u8>,
    /// Whether the line was silent before the first byte, or the port was opened in mid-frame.
    #[serde(default)]
    pub open: Open,
    #[serde(default)]
    pub input: Vec<Burst>,
    #[serde(default)]
    pub messages: Vec<Content>,
    /// All that happens, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Counters of the port's status that must have these values.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
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
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub hex: Option<String>,
}

/// A message: one that must be published, or one that comes from the broker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    pub topic: String,
    pub payload: String,
}

/// One thing that happens: exactly one of `read`, `command`, `room`, `written`, `message` and
/// `refused`. What the device does, the last three, must stand in the order in which it does it, and
/// all of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Bytes are read, as text or `hex:…`.
    pub read: Option<ByteString>,
    /// A message comes from the broker.
    pub command: Option<Content>,
    /// From now on the line takes only so many bytes. At first it takes all.
    pub room: Option<usize>,
    /// Bytes are written, as text or `hex:…`.
    pub written: Option<ByteString>,
    /// A message is published.
    pub message: Option<Content>,
    /// A command is refused, for this reason.
    pub refused: Option<String>,
    /// How long after the step before this one happens. What the device does must not happen sooner.
    pub after: Option<Span>,
    /// How long after the step before the device must have done it. Default: 2s.
    pub within: Option<Span>,
    /// Speed and format that the line must have then.
    pub line: Option<Line>,
}

/// What happens to the device in a step.
enum Event<'a> {
    Read(&'a [u8]),
    Command(&'a Content),
    Room(usize),
    Expected(Outcome),
}

/// What a device does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Written(Bytes),
    Message(String, String),
    Refused(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Written(bytes) => {
                let is_text = |c: char| c == '\r' || c == '\n' || !c.is_control();
                match std::str::from_utf8(bytes) {
                    Ok(text) if text.chars().all(is_text) => write!(f, "written: {text:?}"),
                    _ => {
                        f.write_str("written: hex:")?;
                        bytes.iter().try_for_each(|byte| write!(f, " {byte:02X}"))
                    }
                }
            }
            Outcome::Message(topic, payload) => write!(f, "{topic} {payload}"),
            Outcome::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// How long a device has for what it must do, and for nothing more at the end.
const PATIENCE: Duration = Duration::from_secs(2);

impl Case {
    /// All that is read, in order.
    #[cfg(any(test, feature = "testing"))]
    pub fn read(&self) -> impl Iterator<Item = Vec<u8>> {
        let input = self.input.iter().filter_map(|burst| burst.bytes().ok());
        let steps = self.steps.iter().filter_map(|step| step.read.as_ref());
        input.chain(steps.map(|bytes| bytes.as_bytes().to_vec()))
    }

    /// Runs it through a device with these settings; the text says what went wrong.
    pub fn run(&self, settings: &DeviceSettings<'_>) -> Result<(), String> {
        let failed = |why: String| format!("{}: {why}", self.name);
        let device = Device::build(settings).map_err(|e| failed(format!("{e:?}")))?;
        let mut stage = Stage::new(device, settings.line.copied(), self.open);
        let ran = match (&self.input[..], &self.steps[..]) {
            (input, []) => stage.read_all(input).and_then(|()| stage.compare(&self.messages)),
            ([], steps) if self.messages.is_empty() => stage.play(steps),
            _ => Err("a case has either `steps`, or `input` and `messages`".into()),
        };
        ran.and_then(|()| stage.compare_counts(&self.counts)).map_err(failed)
    }
}

/// What a device makes of the `input` of a case.
#[cfg(feature = "tools")]
#[derive(Debug, Default)]
pub struct Recorded {
    /// Topics and payloads.
    pub messages: Vec<(String, String)>,
    pub frames: u64,
    /// Frames that are damaged, and values that are none of their field's.
    pub wrong: u64,
    /// Bytes in no frame.
    pub skipped: u64,
}

#[cfg(feature = "tools")]
impl Case {
    /// Runs its `input`, whatever it expects.
    pub fn record(&self, settings: &DeviceSettings<'_>) -> Result<Recorded, String> {
        let device = Device::build(settings).map_err(|e| format!("{e:?}"))?;
        let mut stage = Stage::new(device, settings.line.copied(), self.open);
        stage.read_all(&self.input)?;
        stage.wait(stage.now.after(PATIENCE));
        let messages = stage.outcomes.drain(..).filter_map(|(_, outcome)| match outcome {
            Outcome::Message(topic, payload) => Some((topic, payload)),
            Outcome::Written(_) | Outcome::Refused(_) => None,
        });
        let messages = messages.collect();
        let frames = stage.device.pipeline().frame_counts();
        let refused: u64 = stage.device.pipeline().counts().refused.values().sum();
        let (wrong, skipped) = (frames.bad.total() + refused, frames.skipped);
        Ok(Recorded { messages, frames: frames.frames, wrong, skipped })
    }
}

/// A device on a clock of its own, whose line takes each write at once while it has room.
struct Stage {
    device: Device,
    /// How many bytes the line takes.
    room: usize,
    now: Now,
    /// Speed and format of the line, once the device has changed them or the settings say them.
    line: Option<Line>,
    /// When the line was silent for long enough.
    start: Now,
    messages: Vec<Publication>,
    /// What the device did, and when.
    outcomes: VecDeque<(Now, Outcome)>,
}

impl Stage {
    fn new(mut device: Device, line: Option<Line>, open: Open) -> Stage {
        // Any set clock does: time stamps are compared too.
        let wall = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let now = Now { wall, ..Now::read() };
        device.opened(now.mono);
        let start = match open {
            // A device that is asked speaks when it was asked.
            Open::Synchronised if device.members().next().is_none() => {
                now.after(Duration::from_secs(1))
            }
            Open::Synchronised | Open::Middle => now,
        };
        let (room, messages, outcomes) = (usize::MAX, Vec::new(), VecDeque::new());
        Stage { device, room, now, line, start, messages, outcomes }
    }

    /// One thing that the device does by itself until then, if it does any.
    fn advance(&mut self, until: Now) -> bool {
        let transmit = self.device.transmit(self.now, &mut self.messages);
        if let Some(Transmit::Set(line)) = transmit {
            self.line = Some(line);
            self.device.set(line, self.now, &mut self.messages);
        } else if let Some(Transmit::Write(mut bytes)) = transmit.filter(|_| self.room > 0) {
            bytes.truncate(self.room);
            self.room -= bytes.len();
            self.device.wrote(bytes.len(), self.now, &mut self.messages);
            self.outcomes.push_back((self.now, Outcome::Written(bytes)));
        } else if let Some(due) = self.device.deadline().filter(|due| *due <= until.mono) {
            self.now = self.now.after(due.saturating_duration_since(self.now.mono));
            self.device.timeout(self.now, &mut self.messages);
        } else {
            self.now = self.now.max(until);
            self.collect();
            return false;
        }
        self.collect();
        true
    }

    fn wait(&mut self, until: Now) {
        while self.advance(until) {}
    }

    fn read(&mut self, bytes: &[u8]) {
        self.device.push(bytes, self.now, &mut self.messages);
        self.collect();
    }

    fn collect(&mut self) {
        let published = |message: Message| {
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            Outcome::Message(message.topic.to_string(), payload)
        };
        for Publication { message, .. } in self.messages.drain(..) {
            self.outcomes.push_back((self.now, published(message)));
        }
        for concluded in self.device.concluded() {
            if let Err(why) = concluded.result {
                self.outcomes.push_back((self.now, Outcome::Refused(why.to_string())));
            }
            for message in concluded.messages {
                self.outcomes.push_back((self.now, published(message)));
            }
        }
    }

    fn read_all(&mut self, input: &[Burst]) -> Result<(), String> {
        for burst in input {
            let at = burst.at.map(|at| self.start.after(at.duration()));
            self.wait(at.unwrap_or_else(|| self.now.max(self.start)));
            self.read(&burst.bytes()?);
        }
        Ok(())
    }

    fn compare(&mut self, messages: &[Content]) -> Result<(), String> {
        self.wait(self.now.after(PATIENCE));
        let expected: Vec<_> = messages.iter().map(|m| m.expected().to_string()).collect();
        let got: Vec<_> = self.outcomes.iter().map(|(_, outcome)| outcome.to_string()).collect();
        if expected == got {
            return Ok(());
        }
        Err(format!(
            "what it does is not what is expected (-), but (+)\n{}",
            differences(&expected, &got)
        ))
    }

    fn play(&mut self, steps: &[Step]) -> Result<(), String> {
        self.wait(self.start);
        for (n, step) in steps.iter().enumerate() {
            self.step(step).map_err(|why| format!("step {}: {why}", n + 1))?;
        }
        self.wait(self.now.after(PATIENCE));
        let more = self.outcomes.iter().map(|(_, outcome)| format!("\n  {outcome}"));
        let more: String = more.collect();
        if more.is_empty() { Ok(()) } else { Err(format!("behind the last step:{more}")) }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let after = step.after.map_or(Duration::ZERO, Span::duration);
        let event = step.event()?;
        if let Event::Expected(expected) = event {
            self.expect_line(step.line)?;
            return self.expect(&expected, after, step.within.map_or(PATIENCE, Span::duration));
        }
        // Without time between them, nothing comes between two steps.
        if !after.is_zero() {
            self.wait(self.now.after(after));
        }
        if let Some((_, outcome)) = self.outcomes.front() {
            return Err(format!("before it came\n  {outcome}"));
        }
        self.expect_line(step.line)?;
        match event {
            Event::Read(bytes) => self.read(bytes),
            Event::Command(Content { topic, payload }) => {
                let inbound = Inbound {
                    topic: topic.parse().map_err(|e| format!("topic: {e}"))?,
                    payload: payload.clone().into(),
                    retain: false,
                    since: Some(self.now.mono),
                    expires: None,
                    respond: None,
                    receipt: Receipt::default(),
                };
                self.device.command(inbound, self.now.mono);
                self.collect();
            }
            Event::Room(room) => self.room = room,
            Event::Expected(_) => {}
        }
        Ok(())
    }

    /// What the device still wants to do at once is done before.
    fn expect_line(&mut self, expected: Option<Line>) -> Result<(), String> {
        match expected {
            Some(line) if self.line != Some(line) => {
                let now = self.line.map_or("unknown".into(), |line| line.to_string());
                Err(format!("expected the line to be {line}, it is {now}"))
            }
            _ => Ok(()),
        }
    }

    fn expect(
        &mut self,
        expected: &Outcome,
        after: Duration,
        within: Duration,
    ) -> Result<(), String> {
        let start = self.now;
        let end = start.after(within);
        while self.outcomes.is_empty() && self.advance(end) {}
        let Some((at, outcome)) = self.outcomes.pop_front() else {
            return Err(format!("expected within {within:?}\n  {expected}\nbut nothing came"));
        };
        let late = at.mono.saturating_duration_since(start.mono);
        if outcome != *expected {
            return Err(format!("expected\n  {expected}\ngot after {late:?}\n  {outcome}"));
        }
        if late < after {
            return Err(format!("expected after {after:?}, came after {late:?}\n  {outcome}"));
        }
        Ok(())
    }

    fn compare_counts(&self, expected: &BTreeMap<String, u64>) -> Result<(), String> {
        // Over all devices on the line.
        let sum = |count: fn(&MemberStatus) -> u64| -> u64 {
            self.device.members().map(|(_, status)| count(status)).sum()
        };
        let frames = self.device.pipeline().frame_counts();
        let counts = self.device.pipeline().counts();
        let mut why = String::new();
        for (name, expected) in expected {
            let got = match name.as_str() {
                "bytes" => frames.bytes,
                "frames" => frames.frames,
                "skipped" => frames.skipped,
                "unchecked" => frames.unchecked,
                "checksum" => frames.bad.checksum,
                "too_long" => frames.bad.too_long,
                "cut" => frames.bad.cut,
                "malformed" => frames.bad.malformed,
                "line_error" => frames.bad.line_error,
                "readings" => counts.readings,
                "refused" => counts.refused.values().sum(),
                "no_value" => counts.no_value,
                "filtered" => counts.filtered,
                "passed_over" => counts.passed_over,
                "unmatched" => counts.unmatched,
                "answers" => sum(|member| member.answers),
                "no_answer" => sum(|member| member.no_answer),
                "exceptions" => sum(|member| member.exceptions),
                "bad_answers" => sum(|member| member.bad_checksum),
                "refusals" => sum(|member| member.refused),
                "stray" => self.device.exchange_counts().stray,
                "foreign" => self.device.exchange_counts().foreign,
                "echoes" => self.device.exchange_counts().echoes,
                _ => return Err(format!("no count {name}")),
            };
            if got != *expected {
                // Writing to a String does not fail.
                let _ = write!(why, "\n  {name}: expected {expected}, got {got}");
            }
        }
        if why.is_empty() { Ok(()) } else { Err(why) }
    }
}

/// The lines in which two lists differ, those of the first with `-`, those of the second with `+`. Of what is
/// the same between them, the line before.
fn differences(before: &[String], after: &[String]) -> String {
    // How many lines the rests of the two have in common, in order.
    let width = after.len() + 1;
    let mut common = vec![0_u32; (before.len() + 1) * width];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            let next = |i: usize, j: usize| common[i * width + j];
            common[i * width + j] = if before[i] == after[j] {
                next(i + 1, j + 1) + 1
            } else {
                next(i + 1, j).max(next(i, j + 1))
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut same = None;
    let mut lines = Vec::new();
    while i < before.len() || j < after.len() {
        let (old, new) = (before.get(i), after.get(j));
        if old.is_some() && old == new {
            same = old;
            (i, j) = (i + 1, j + 1);
            continue;
        }
        lines.extend(same.take().map(|line| format!("    {line}")));
        // At the end of one, the table has 0 for both ways.
        let drops = common.get((i + 1) * width + j) >= common.get(i * width + j + 1);
        if let Some(old) = old.filter(|_| drops || new.is_none()) {
            lines.push(format!("  - {old}"));
            i += 1;
        } else if let Some(new) = new {
            lines.push(format!("  + {new}"));
            j += 1;
        }
    }
    lines.join("\n")
}

impl Content {
    fn expected(&self) -> Outcome {
        Outcome::Message(self.topic.clone(), self.payload.clone())
    }
}

impl Step {
    fn event(&self) -> Result<Event<'_>, String> {
        let written = |bytes: &ByteString| Outcome::Written(bytes.as_bytes().to_vec().into());
        let events = [
            self.read.as_ref().map(|bytes| Event::Read(bytes.as_bytes())),
            self.command.as_ref().map(Event::Command),
            self.room.map(Event::Room),
            self.written.as_ref().map(|bytes| Event::Expected(written(bytes))),
            self.message.as_ref().map(|message| Event::Expected(message.expected())),
            self.refused.clone().map(|why| Event::Expected(Outcome::Refused(why))),
        ];
        let mut events = events.into_iter().flatten();
        match (events.next(), events.next()) {
            (Some(Event::Read(_) | Event::Command(_) | Event::Room(_)), None)
                if self.within.is_some() =>
            {
                Err("`within` is for what the device does; what is done to it happens `after`"
                    .into())
            }
            (Some(event), None) => Ok(event),
            _ => {
                Err("exactly one of `read`, `command`, `room`, `written`, `message`, `refused`"
                    .into())
            }
        }
    }
}

impl Burst {
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.text, &self.hex) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(digits)) => parse_hex(digits).map_err(|e| e.to_string()),
            _ => Err("a burst has either `text` or `hex`".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_line_by_line() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let differences = |a: &str, b: &str| differences(&lines(a), &lines(b));
        assert_eq!(differences("a b c d", "a b X d"), "    b\n  - c\n  + X");
        assert_eq!(differences("a b c", "b c d"), "  - a\n    c\n  + d");
        assert_eq!(differences("a", "a b a"), "    a\n  + b\n  + a");
        assert_eq!(differences("a b c", "c"), "  - a\n  - b");
        assert_eq!(differences("a b", "a b"), "");
    }
}

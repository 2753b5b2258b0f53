//! What a device says in its cases: by itself, and as answers. This is what a simulated one says.

use super::{Case, Event, Open, Outcome, Stage};
use crate::base::line::Line;
use crate::device::Device;
use crate::device::settings::DeviceSettings;
use std::time::Duration;

/// What a device says in a case in which nothing is damaged.
#[derive(Debug, Default)]
pub struct Told {
    /// Some of it became no reading: it is damaged, or nobody wants to know it.
    pub is_doubtful: bool,
    /// What it sends by itself.
    pub unasked: Vec<Said>,
    pub exchanges: Vec<Exchange>,
}

/// What is written to it, and what it answers.
#[derive(Debug)]
pub struct Exchange {
    pub request: Vec<u8>,
    /// It carries out a command.
    pub is_command: bool,
    pub answers: Vec<Said>,
}

/// Bytes that it sends at once.
#[derive(Clone, Debug)]
pub struct Said {
    /// The time since what came before.
    pub after: Duration,
    /// Speed and format of the line from then on.
    pub line: Option<Line>,
    pub bytes: Vec<u8>,
}

impl Case {
    /// `None` if a frame in it is damaged, refused or not whole, or nothing comes of it.
    pub fn told(&self, settings: &DeviceSettings<'_>) -> Option<Told> {
        if self.open == Open::Middle {
            return None;
        }
        let mut told =
            Told { is_doubtful: self.refused_readings(settings)? > 0, ..Told::default() };
        let mut before = Duration::ZERO;
        for burst in &self.input {
            let at = burst.at.map_or(before, |at| at.duration());
            let after = at.saturating_sub(std::mem::replace(&mut before, at));
            told.unasked.push(Said { after, line: None, bytes: burst.bytes().ok()? });
        }
        let (mut is_command, mut is_answering) = (false, false);
        for step in &self.steps {
            let after = step.after.map_or(Duration::ZERO, |after| after.duration());
            match step.event().ok()? {
                Event::Read(bytes) => {
                    let said = Said { after, line: step.line, bytes: bytes.to_vec() };
                    match told.exchanges.last_mut().filter(|_| is_answering) {
                        Some(exchange) => exchange.answers.push(said),
                        None => told.unasked.push(said),
                    }
                }
                Event::Command(_) => is_command = true,
                Event::Room(_) => return None,
                Event::Expected(Outcome::Written(bytes)) => {
                    is_answering = true;
                    told.exchanges.push(Exchange {
                        request: bytes.to_vec(),
                        is_command: std::mem::take(&mut is_command),
                        answers: Vec::new(),
                    });
                }
                Event::Expected(Outcome::Message(..)) => is_answering = false,
                Event::Expected(Outcome::Refused(_)) => return None,
            }
        }
        Some(told)
    }

    /// `None` if something is wrong with its frames, or nothing comes of it.
    fn refused_readings(&self, settings: &DeviceSettings<'_>) -> Option<u64> {
        let device = Device::build(settings).ok()?;
        let mut stage = Stage::new(device, settings.line.copied(), self.open);
        let ran = match (&self.input[..], &self.steps[..]) {
            (input, []) => stage.read_all(input).and_then(|()| stage.compare(&self.messages)),
            (_, steps) => stage.play(steps),
        };
        ran.ok()?;
        let device = &stage.device;
        let frames = device.pipeline().frame_counts();
        // The last request of a case is often left unanswered, and what stands between frames is skipped.
        let failed = device
            .members()
            .map(|(_, status)| status.exceptions + status.bad_checksum + status.refused);
        let bad = frames.bad.total() + failed.sum::<u64>();
        let is_published = |step: &super::Step| step.message.is_some();
        let says_something = !self.messages.is_empty() || self.steps.iter().any(is_published);
        let refused = device.pipeline().counts().refused.values().sum();
        (bad == 0 && says_something).then_some(refused)
    }
}

//! Always the same number of bytes.

use super::{Cut, FrameFault, Split, before_start};
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Size, Span};
use serde::Deserialize;
use std::time::Duration;

/// Frames that always have the same number of bytes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// Bytes of a frame, 1 to 64KiB.
    pub size: Size,
    /// What each frame begins with, and is a part of it: `"hex:AA 55"`. Without it the first frame
    /// after opening begins behind a silence, or wherever the checksum matches.
    #[serde(default)]
    pub start: ByteString,
    /// A silence after which an unfinished frame is dropped. Longer than 20ms on USB adapters, and
    /// more over a network.
    #[serde(default = "default_idle")]
    pub idle: Span,
}

pub(super) fn default_idle() -> Span {
    Span::from_millis(200)
}

impl Fixed {
    pub(super) fn build(&self, has_checksum: bool) -> Result<Rule, BuildError> {
        let (size, start) = (self.size.bytes(), self.start.as_bytes().to_vec());
        if start.len() > size {
            return Err(BuildError::new("it is longer than the whole frame").at("start"));
        }
        let self_synchronising = has_checksum || !start.is_empty();
        Ok(Rule { size, start, self_synchronising, idle: Some(self.idle.duration()) })
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    size: usize,
    start: Vec<u8>,
    /// Whether a frame can be told from its middle without a silence before it.
    pub(super) self_synchronising: bool,
    pub(super) idle: Option<Duration>,
}

impl Rule {
    pub(super) fn split(&self, buffer: &[u8], synchronised: bool, quiet: bool) -> Split {
        if !synchronised && !self.self_synchronising {
            return Split::Skip(buffer.len());
        }
        match before_start(buffer, &self.start) {
            0 if buffer.len() >= self.size => Split::Frame(Cut::plain(self.size)),
            // A good frame may stand within what has come.
            0 if quiet && self.self_synchronising => Split::Bad(FrameFault::Cut, 1),
            0 if quiet => Split::Bad(FrameFault::Cut, buffer.len()),
            0 => Split::More { searched: 0 },
            garbage => Split::Skip(garbage),
        }
    }
}

//! Always the same number of bytes.

use super::{Cut, FrameFault, FrameSize, Rule, Seen, Silence, Split, Splitter, before_start};
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Span};
use serde::Deserialize;

/// Frames that always have the same number of bytes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// Size of a frame in bytes, 1 to 64KiB.
    pub size: FrameSize,
    /// First bytes of each frame, which are a part of it: `"hex:AA 55"`. Without them the first frame
    /// after opening begins after a silence, or wherever the checksum matches.
    #[serde(default)]
    pub prefix: ByteString,
    /// Silence after which an unfinished frame is dropped. It must be longer than 20ms on USB adapters,
    /// and longer still over a network.
    #[serde(default = "default_idle")]
    pub idle: Span,
}

pub(super) fn default_idle() -> Span {
    Span::from_millis(200)
}

impl Fixed {
    pub(super) fn build(&self, has_checksum: bool) -> Result<Rule, BuildError> {
        let size = self.size.0;
        let start = self.prefix.as_bytes().to_vec();
        if start.len() > size {
            return Err(BuildError::new("it is longer than the whole frame").at("prefix"));
        }
        let self_synchronising = has_checksum || !start.is_empty();
        let silence = Silence::DropsFrame(self.idle.duration());
        let frames = SameSize { size, start, self_synchronising };
        Ok(Rule { silence, self_synchronising, ..Rule::new(self.size, frames) })
    }
}

struct SameSize {
    size: usize,
    start: Vec<u8>,
    /// Whether a frame can be found without a silence before it.
    self_synchronising: bool,
}

impl Splitter for SameSize {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        if !seen.synchronised && !self.self_synchronising {
            return Split::Skip(buffer.len());
        }
        match before_start(buffer, &self.start) {
            0 if buffer.len() >= self.size => Split::Frame(Cut::plain(self.size)),
            // A good frame may begin within these bytes.
            0 if seen.silent && self.self_synchronising => Split::Bad(FrameFault::Cut, 1),
            0 if seen.silent => Split::Bad(FrameFault::Cut, buffer.len()),
            0 => Split::More { searched: 0 },
            garbage => Split::Skip(garbage),
        }
    }
}

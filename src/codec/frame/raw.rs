//! No frames: whatever comes in within a time.

use super::{Cut, FrameSize, Rule, Seen, Silence, Split, Splitter};
use crate::base::scalar::Span;
use serde::Deserialize;

/// No frames: the bytes as they come, in pieces bounded by size and by time.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// Largest piece in bytes, 1 to 64KiB.
    pub size: FrameSize,
    /// Time after its first byte at which a piece ends.
    pub after: Span,
}

impl Default for Raw {
    fn default() -> Raw {
        Raw { size: FrameSize(1024), after: Span::from_millis(50) }
    }
}

impl Raw {
    pub(super) fn build(&self) -> Rule {
        let silence = Silence::EndsPiece(self.after.duration());
        Rule { silence, ..Rule::new(self.size, self.clone()) }
    }
}

impl Splitter for Raw {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let n = seen.bytes.len();
        if n >= self.size.0 {
            Split::Frame(Cut::plain(self.size.0))
        } else if seen.silent {
            Split::Frame(Cut::plain(n))
        } else {
            Split::More { searched: n }
        }
    }
}

//! No frames: whatever comes in within a time.

use super::{Cut, Split};
use crate::base::scalar::{Size, Span};
use serde::Deserialize;
use std::time::Duration;

/// No frames: the bytes as they come, in pieces bounded by size and by time.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// Most bytes of a piece, 1 to 64KiB.
    #[serde(default = "Raw::default_size")]
    pub size: Size,
    /// How long after its first byte a piece ends.
    #[serde(default = "Raw::default_after")]
    pub after: Span,
}

impl Raw {
    fn default_size() -> Size {
        Size::from_bytes(1024)
    }

    fn default_after() -> Span {
        Span::from_millis(50)
    }

    pub(super) fn build(&self) -> Rule {
        Rule { size: self.size.bytes(), after: self.after.duration() }
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    size: usize,
    pub(super) after: Duration,
}

impl Rule {
    pub(super) fn split(&self, buffer: &[u8], quiet: bool) -> Split {
        if buffer.len() >= self.size {
            Split::Frame(Cut::plain(self.size))
        } else if quiet {
            Split::Frame(Cut::plain(buffer.len()))
        } else {
            Split::More { searched: buffer.len() }
        }
    }
}

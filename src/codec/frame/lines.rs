//! Lines of text.

use super::{Cut, FrameSize, Rule, Seen, Split, Splitter, find};
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use serde::Deserialize;

/// Lines of text. Empty lines are skipped.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Lines {
    /// What ends a line, 1 to 8 bytes. With the default `"\n"`, a `"\r"` before it is dropped too.
    pub terminator: ByteString,
    /// Longest line in bytes, 1 to 64KiB. A longer one is dropped and counted.
    pub limit: FrameSize,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines { terminator: b"\n".as_slice().into(), limit: FrameSize::default() }
    }
}

impl Lines {
    pub(super) fn build(&self) -> Result<Rule, BuildError> {
        let terminator = self.terminator.as_bytes();
        if terminator.is_empty() || terminator.len() > 8 {
            let what = "a line ends with 1 to 8 bytes, such as \"\\r\\n\"";
            return Err(BuildError::new(what).at("terminator"));
        }
        let around = terminator.len() + 1;
        let terminator = terminator.to_vec();
        Ok(Rule { around, terminator, ..Rule::new(self.limit, self.clone()) })
    }
}

impl Splitter for Lines {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let buffer = seen.bytes;
        let terminator = self.terminator.as_bytes();
        let Some(end) = find(buffer, terminator, seen.searched) else {
            return Split::More { searched: buffer.len().saturating_sub(terminator.len() - 1) };
        };
        let whole = end + terminator.len();
        if !seen.synchronised {
            // The end of a line whose beginning was not seen: the next byte begins a line.
            return if end == 0 { Split::Pass(whole) } else { Split::Align(whole) };
        }
        let crlf = terminator == b"\n" && end > 0 && buffer[end - 1] == b'\r';
        let text = if crlf { end - 1 } else { end };
        // A device that is switched on pulls its line low, which is received as NULs.
        let Some(from) = buffer[..text].iter().position(|byte| *byte != 0) else {
            return Split::Pass(whole);
        };
        Split::Frame(Cut { frame: from..text, checked: from..text, ..Cut::plain(whole) })
    }
}

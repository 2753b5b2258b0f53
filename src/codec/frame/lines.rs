//! Lines of text.

use super::{Cut, Split, default_limit, find};
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Size};
use serde::Deserialize;

/// Lines of text. Empty lines are passed over.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// What ends a line, 1 to 8 bytes. Default `"\n"`, before which a `"\r"` is dropped too.
    #[serde(default = "Lines::default_terminator")]
    pub terminator: ByteString,
    /// Longest line in bytes, 1 to 64KiB. A longer one is dropped and counted.
    #[serde(default = "default_limit")]
    pub limit: Size,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines { terminator: Lines::default_terminator(), limit: default_limit() }
    }
}

impl Lines {
    fn default_terminator() -> ByteString {
        ByteString::from(b"\n".as_slice())
    }

    pub(super) fn build(&self) -> Result<Rule, BuildError> {
        let terminator = self.terminator.as_bytes();
        if terminator.is_empty() || terminator.len() > 8 {
            let what = "a line ends with 1 to 8 bytes, such as \"\\r\\n\"";
            return Err(BuildError::new(what).at("terminator"));
        }
        Ok(Rule { terminator: terminator.to_vec() })
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) terminator: Vec<u8>,
}

impl Rule {
    pub(super) fn split(&self, buffer: &[u8], searched: usize, synchronised: bool) -> Split {
        let terminator = self.terminator.as_slice();
        let Some(end) = find(buffer, terminator, searched) else {
            return Split::More { searched: buffer.len().saturating_sub(terminator.len() - 1) };
        };
        let whole = end + terminator.len();
        if !synchronised {
            // The end of a line whose beginning was not seen; the next byte begins one.
            return if end == 0 { Split::Pass(whole) } else { Split::Align(whole) };
        }
        let crlf = terminator == b"\n" && end > 0 && buffer[end - 1] == b'\r';
        let text = if crlf { end - 1 } else { end };
        // A device that is switched on pulls its line low, which is received as NULs.
        let Some(from) = buffer[..text].iter().position(|byte| *byte != 0) else {
            return Split::Pass(whole);
        };
        Split::Frame(Cut { whole, frame: from..text, checked: from..text, unescaped: None })
    }
}

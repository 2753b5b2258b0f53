//! Silence ends a frame.

use super::{Cut, Split, default_limit};
use crate::base::line::Line;
use crate::base::scalar::{Size, Span};
use serde::Deserialize;
use std::time::Duration;

/// Frames that end with silence, as on Modbus RTU.
///
/// With a `checksum`, a frame whose checksum does not match yet is given 20ms more: USB adapters
/// hand over one frame in several bursts.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// How long the silence is. Default: the time of 3.5 characters at the line's speed (Modbus
    /// over serial line 1.02, 2.5.1.1), and at least 2ms, which is what a program can notice.
    #[serde(default)]
    pub after: Option<Span>,
    /// Longest frame in bytes, 1 to 64KiB.
    #[serde(default = "default_limit")]
    pub limit: Size,
}

impl Gap {
    pub(super) fn build(&self, line: Option<&Line>) -> Rule {
        const LEAST: Duration = Duration::from_millis(2);
        // Packets of a port on the network are further apart than characters on a wire.
        const NETWORK: Duration = Duration::from_millis(20);
        let after = match (self.after, line) {
            (Some(after), _) => after.duration(),
            (None, Some(line)) => line.time_of(3.5),
            (None, None) => NETWORK,
        };
        Rule { after: after.max(LEAST) }
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) after: Duration,
}

pub(super) fn split(buffer: &[u8], synchronised: bool, quiet: bool) -> Split {
    match (quiet, synchronised) {
        (false, _) => Split::More { searched: buffer.len() },
        (true, true) => Split::Frame(Cut::plain(buffer.len())),
        (true, false) => Split::Align(buffer.len()),
    }
}

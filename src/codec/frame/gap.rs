//! Silence ends a frame.

use super::{Cut, FrameSize, Rule, Seen, Silence, Split, Splitter};
use crate::base::line::Line;
use crate::base::scalar::Span;
use serde::Deserialize;
use std::time::Duration;

/// Frames that end with silence, as on Modbus RTU.
///
/// With a `checksum`, a frame whose checksum does not match yet gets 20ms more: USB adapters deliver
/// one frame in several bursts.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Gap {
    /// Length of the silence. Default: the time of 3.5 characters at the line's speed (Modbus over serial
    /// line 1.02, 2.5.1.1), but at least 2ms, the shortest silence that a program can notice.
    pub after: Option<Span>,
    /// Longest frame in bytes, 1 to 64KiB.
    pub limit: FrameSize,
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
        let silence = Silence::EndsFrame(after.max(LEAST));
        Rule { silence, ..Rule::new(self.limit, self.clone()) }
    }
}

impl Splitter for Gap {
    fn split(&self, seen: &Seen<'_>) -> Split {
        let n = seen.bytes.len();
        match (seen.silent, seen.synchronised) {
            (false, _) => Split::More { searched: n },
            (true, true) => Split::Frame(Cut::plain(n)),
            (true, false) => Split::Align(n),
        }
    }
}

//! How a link stands.

use crate::mqtt::transport::Stage;
use std::fmt;
use std::time::Instant;

/// How a link stands, for others to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing was tried yet.
    #[default]
    Disconnected,
    /// A stream is being made.
    Dialing(Stage),
    /// CONNECT was sent.
    Handshake,
    /// The broker let us in.
    Ready,
    /// The next try is at that time.
    Backoff {
        /// When.
        until: Instant,
        /// Why the last one failed.
        cause: String,
    },
    /// It ended for good.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Disconnected => "disconnected",
            State::Dialing(stage) => return stage.fmt(f),
            State::Handshake => "handshake",
            State::Ready => "ready",
            State::Backoff { cause, .. } => return write!(f, "backoff ({cause})"),
            State::Stopped => "stopped",
        })
    }
}

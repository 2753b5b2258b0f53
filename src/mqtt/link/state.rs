//! The state of a link.

use crate::mqtt::transport::Stage;
use std::fmt;
use std::time::Instant;

/// The state of a link, for others to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing was tried yet.
    #[default]
    Disconnected,
    /// A stream is being made.
    Dialing(Stage),
    /// CONNECT was sent.
    Handshake,
    /// The broker accepted the connection.
    Ready,
    /// The link waits before the next attempt.
    Backoff {
        /// The time of the next attempt.
        until: Instant,
        /// Why the last attempt failed.
        cause: String,
    },
    /// The link ended and does not reconnect.
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

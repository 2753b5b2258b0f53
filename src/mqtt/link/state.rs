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
    /// The broker's name is looked up.
    Resolving,
    /// A connection is made, perhaps by way of a proxy.
    Connecting,
    /// TLS begins.
    Tls,
    /// The clock must be set before a certificate can be judged.
    WaitingForClock,
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
            State::Resolving => "resolving",
            State::Connecting => "connecting",
            State::Tls => "tls",
            State::WaitingForClock => "waiting for clock",
            State::Handshake => "handshake",
            State::Ready => "ready",
            State::Backoff { cause, .. } => return write!(f, "backoff ({cause})"),
            State::Stopped => "stopped",
        })
    }
}

impl From<Stage> for State {
    fn from(stage: Stage) -> State {
        match stage {
            Stage::Resolving => State::Resolving,
            Stage::Connecting => State::Connecting,
            Stage::Tls => State::Tls,
            Stage::WaitingForClock => State::WaitingForClock,
        }
    }
}

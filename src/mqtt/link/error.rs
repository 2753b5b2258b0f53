//! Why a link ended, or was not made.

use super::stream::WRITE_DEADLINE;
use crate::mqtt::packet::Reason;
use crate::mqtt::session::SessionError;
use crate::mqtt::transport::ConnectError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a link ended, or was not made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum LinkError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the link broke: {0}")]
    Io(#[from] io::Error),
    #[error("the broker closed the link")]
    Closed,
    #[error(
        "the broker threw us out right after letting us in, {times} times in a row; does another \
         client use the client identifier {client_id:?}? Set `broker.client_id` to one of our own"
    )]
    ThrownOut { times: u32, client_id: String },
    #[error("the broker took no bytes for {} s", WRITE_DEADLINE.as_secs())]
    Stuck,
    #[error("the first broker is back")]
    BetterBroker,
    #[error("asked to connect again")]
    Asked,
    #[error("left for the next broker")]
    MovedOn,
    #[error("password_file {}: {source}", path.display())]
    Password { path: PathBuf, source: io::Error },
}

/// The kind of a [`LinkError`], in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// No stream to the broker could be made.
    NotConnected,
    /// The broker refused CONNECT.
    Refused,
    /// The broker closed the link, with DISCONNECT or without.
    ClosedByBroker,
    /// The stream failed.
    NetworkError,
    /// The broker did not answer a packet.
    Timeout,
    /// The broker did not answer a PINGREQ.
    PingTimeout,
    /// The broker broke the protocol.
    ProtocolError,
    /// The cause is on this side.
    Local,
}

impl CloseReason {
    /// A name for programs; it does not change.
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::NotConnected => "not_connected",
            CloseReason::Refused => "refused",
            CloseReason::ClosedByBroker => "closed_by_broker",
            CloseReason::NetworkError => "network_error",
            CloseReason::Timeout => "timeout",
            CloseReason::PingTimeout => "ping_timeout",
            CloseReason::ProtocolError => "protocol_error",
            CloseReason::Local => "local",
        }
    }
}

impl LinkError {
    /// After an error that only an operator can mend the link waits longer, or the broker might take
    /// it for an attack.
    pub(super) fn least_wait(&self) -> Duration {
        let slow = Duration::from_secs(60);
        match self {
            LinkError::Session(SessionError::Disconnected(disconnect))
                if disconnect.reason == Reason::SESSION_TAKEN_OVER =>
            {
                slow
            }
            LinkError::Session(error) if error.needs_operator() => slow,
            LinkError::ThrownOut { .. } => slow,
            LinkError::Password { .. } => Duration::from_secs(10),
            _ => Duration::ZERO,
        }
    }

    /// Whether the other side closed the stream without DISCONNECT, by an end or by a reset.
    pub(super) fn is_hang_up(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match self {
            LinkError::Closed => true,
            LinkError::Io(error) => matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
            ),
            _ => false,
        }
    }

    /// Whether the broker ended the link, in whatever way. Two clients with the same identifier and a
    /// network that fails have causes of their own.
    pub(super) fn is_by_broker(&self) -> bool {
        use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
        match self {
            LinkError::Closed => true,
            LinkError::Session(SessionError::Disconnected(it)) => {
                it.reason != Reason::SESSION_TAKEN_OVER
            }
            LinkError::Io(error) => !matches!(
                error.kind(),
                HostUnreachable | NetworkDown | NetworkUnreachable | TimedOut
            ),
            _ => false,
        }
    }

    /// The reason in the broker's DISCONNECT.
    pub(super) fn reason(&self) -> Reason {
        match self {
            LinkError::Session(SessionError::Disconnected(it)) => it.reason,
            _ => Reason::UNSPECIFIED_ERROR,
        }
    }

    /// The kind of the error.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            LinkError::Connect(_) => CloseReason::NotConnected,
            LinkError::Session(error) => match error {
                SessionError::Refused(_) => CloseReason::Refused,
                SessionError::Disconnected(_) => CloseReason::ClosedByBroker,
                SessionError::NoPingResp => CloseReason::PingTimeout,
                SessionError::NoConnAck | SessionError::NoAnswer => CloseReason::Timeout,
                SessionError::Packet(_) | SessionError::Protocol(..) | SessionError::Auth(_) => {
                    CloseReason::ProtocolError
                }
                SessionError::TooLong(_) => CloseReason::Local,
            },
            LinkError::Closed | LinkError::ThrownOut { .. } => CloseReason::ClosedByBroker,
            LinkError::Io(_) => CloseReason::NetworkError,
            LinkError::Stuck => CloseReason::Timeout,
            LinkError::Password { .. }
            | LinkError::BetterBroker
            | LinkError::Asked
            | LinkError::MovedOn => CloseReason::Local,
        }
    }

    /// A number for the cause: for a failed connect that of NodeMCU, from -5 (no server) to 5 (not
    /// authorized); otherwise the reason code of MQTT 5.0, from 0x80 on.
    pub fn code(&self) -> i16 {
        match self {
            LinkError::Connect(error) => error.code(),
            LinkError::Session(SessionError::Refused(answer)) => match answer.reason {
                reason if reason.return_code() == 3 && reason != Reason::SERVER_UNAVAILABLE => {
                    i16::from(reason.code())
                }
                reason => i16::from(reason.return_code()),
            },
            LinkError::Session(SessionError::NoConnAck) => -2,
            LinkError::Session(SessionError::Packet(_)) => -4,
            LinkError::Session(error) => i16::from(error.reason().code()),
            LinkError::Stuck => -1,
            LinkError::Io(_)
            | LinkError::Closed
            | LinkError::BetterBroker
            | LinkError::Asked
            | LinkError::MovedOn => -2,
            LinkError::ThrownOut { .. } => i16::from(Reason::SESSION_TAKEN_OVER.code()),
            LinkError::Password { .. } => i16::from(Reason::BAD_USER_NAME_OR_PASSWORD.code()),
        }
    }
}

//! The exit codes of `pub`, `sub` and `test`. Where mosquitto's library has a number for the same,
//! it is that one. Codes from 128 on are MQTT 5's reason codes.

use crate::shell::options::UsageError;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked for happened.
    Done,
    /// 1: something on this machine, such as a file that is not there.
    Local,
    /// 2: the command line is wrong.
    Usage,
    /// 3, 4, 5 and 128 to 162: the broker refused, with this reason (of MQTT 5, and of a CONNACK of
    /// MQTT 3.x, which has 3, 4 and 5 for what is 136, 134 and 135 in MQTT 5).
    Refused(u8),
    /// 7: the broker went away, and we are not to come back.
    Lost,
    /// 8: TLS failed, or the broker is not to be trusted.
    Tls,
    /// 14: no TCP connection.
    Tcp,
    /// 15: the broker's name has no address.
    Dns,
    /// 16: the proxy does not let us through.
    Proxy,
    /// 19: the broker does not answer any more.
    Silent,
    /// 21: what the broker sent is no MQTT.
    Protocol,
    /// 25: the broker takes no packet of this size.
    TooLarge,
    /// 27: the time was up.
    Timeout,
    /// 30, 31 and 32: a message of QoS 0, 1 or 2 did not come back.
    RoundTrip(u8),
    /// 130 and 143: ended by SIGINT or SIGTERM before it was done.
    Signal(u8),
}

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Local => 1,
            Exit::Usage => 2,
            Exit::Refused(reason) => reason,
            Exit::Lost => 7,
            Exit::Tls => 8,
            Exit::Tcp => 14,
            Exit::Dns => 15,
            Exit::Proxy => 16,
            Exit::Silent => 19,
            Exit::Protocol => 21,
            Exit::TooLarge => 25,
            Exit::Timeout => 27,
            Exit::RoundTrip(qos) => 30 + qos,
            Exit::Signal(number) => 128 + number,
        }
    }

    /// The code of a refused CONNECT. MQTT 3.x had numbers of its own, three of which scripts know
    /// from mosquitto; the other two mean something else here.
    pub fn refused(reason: u8, is_5: bool) -> Exit {
        Exit::Refused(match (is_5, reason) {
            (false, 0x88) => 3,
            (false, 0x86) => 4,
            (false, 0x87) => 5,
            (_, reason) => reason,
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// The reason for people.
    pub text: String,
}

impl Failure {
    /// A failure with its reason.
    pub fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Failure {
        Failure::new(Exit::Usage, error.to_string())
    }
}

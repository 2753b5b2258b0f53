//! Why a command failed, as an exit code and a sentence that names options.

use super::exit::Exit;
use super::options::UsageError;
use crate::mqtt::link::LinkError;
use crate::mqtt::packet::{Reason, Version};
use crate::mqtt::session::SessionError;
use crate::mqtt::transport::ConnectError;
use std::fmt;

/// As mosquitto says it.
pub(super) const TIMED_OUT: &str = "Timed out";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// Printed unless it is empty.
    pub text: String,
}

impl Failure {
    pub fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }

    /// An error of this machine.
    pub fn local(what: impl fmt::Display, error: impl fmt::Display) -> Failure {
        Failure::new(Exit::LOCAL, format!("{what}: {error}"))
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Failure {
        Failure::new(Exit::USAGE, error.to_string())
    }
}

/// The failure of a command whose link failed.
pub(super) fn of_link(error: &LinkError, version: Version) -> Failure {
    let exit = match error {
        LinkError::Connect(error) => return of_connect(error),
        LinkError::Session(error) => match error {
            SessionError::Refused(answer) => {
                let words = answer.properties.reason_string();
                let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
                let (reason, remedy) = (answer.reason, remedy(answer.reason));
                let text = format!("the broker refused the connection: {reason}{words}{remedy}");
                return Failure::new(Exit::refused(reason.code(), version == Version::V5), text);
            }
            SessionError::Disconnected(bye) if bye.reason.is_error() => Exit(bye.reason.code()),
            SessionError::Disconnected(_) => Exit::LOST,
            SessionError::NoConnAck => Exit::TIMEOUT,
            SessionError::NoPingResp | SessionError::NoAnswer => Exit::SILENT,
            SessionError::Packet(_) | SessionError::Protocol(..) => Exit::PROTOCOL,
            SessionError::TooLong(_) => Exit::USAGE,
            SessionError::Auth(_) => Exit(Reason::NOT_AUTHORIZED.code()),
        },
        LinkError::Closed
        | LinkError::BetterBroker
        | LinkError::Asked
        | LinkError::MovedOn
        | LinkError::Io(_)
        | LinkError::ThrownOut { .. } => Exit::LOST,
        LinkError::Stuck => Exit::SILENT,
        LinkError::Password { .. } => Exit::LOCAL,
    };
    Failure::new(exit, in_options(&error.to_string()))
}

/// The failure of a command that could not connect.
pub(super) fn of_connect(error: &ConnectError) -> Failure {
    let exit = match error {
        ConnectError::NoBroker => Exit::USAGE,
        ConnectError::Lookup { .. } | ConnectError::NoAddress { .. } => Exit::DNS,
        ConnectError::Proxy { .. } => Exit::PROXY,
        ConnectError::TlsFile(_)
        | ConnectError::Tls { .. }
        | ConnectError::NoTls
        | ConnectError::UntrustedWithCredentials { .. } => Exit::TLS,
        ConnectError::WebSocket { .. } => Exit::PROTOCOL,
        ConnectError::Deadline { .. } => Exit::TIMEOUT,
        _ => Exit::TCP,
    };
    Failure::new(exit, in_options(&error.to_string()))
}

fn remedy(reason: Reason) -> &'static str {
    match reason {
        Reason::UNSUPPORTED_PROTOCOL_VERSION => "; try another -V, or -V auto",
        Reason::CLIENT_IDENTIFIER_NOT_VALID => "; try another -i, or before MQTT 5 a shorter -k",
        Reason::BAD_USER_NAME_OR_PASSWORD => "; see -u and --password-file",
        Reason::NOT_AUTHORIZED => {
            "; does it want -u and a password, or another -i or --will-topic?"
        }
        Reason::QOS_NOT_SUPPORTED | Reason::RETAIN_NOT_SUPPORTED => "; it does not accept the will",
        _ => "",
    }
}

/// Replaces the configuration keys in the texts of link and transport by options.
fn in_options(text: &str) -> String {
    const NAMES: [(&str, &str); 18] = [
        ("`tls.verify: none`", "--insecure"),
        ("`tls.ca_file`", "--cafile"),
        ("`tls.cert_file`", "--cert"),
        ("`tls.fingerprint`", "--fingerprint"),
        ("`cert_file` and `key_file`", "--cert and --key"),
        ("`cert_file`", "--cert"),
        ("`key_file`", "--key"),
        ("`key_password_file`", "--key-password-file"),
        ("`bind_device`", "--bind-device"),
        ("`local_address`", "-A"),
        ("`proxy`", "--proxy"),
        ("`broker.url`", "-h"),
        ("Set `broker.client_id` to one of our own", "Give one of your own with -i"),
        ("set `broker.client_id` to one of our own", "give one of your own with -i"),
        ("`broker.client_id`", "-i"),
        ("`broker.version`", "-V"),
        ("`broker.keepalive`", "-k"),
        ("`broker.will`", "--will-topic"),
    ];
    NAMES.iter().fold(text.to_owned(), |text, (key, option)| text.replace(key, option))
}

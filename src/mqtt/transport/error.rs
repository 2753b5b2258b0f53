//! Why no stream could be made: each cause by itself, in a plain sentence, with its remedy.

use super::proxy::{ProxyError, ProxyUrl};
#[cfg(feature = "tls")]
use super::settings::Pem;
use super::settings::{Family, Fingerprint};
use super::tls::{CertificateFault, TlsFault};
use super::ws::WebSocketError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Why no stream could be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum ConnectError {
    #[error("there is no broker to connect to")]
    NoBroker,
    #[error("this build has no TLS; install the package tty2mqtt, not tty2mqtt-mini")]
    NoTls,
    #[error("cannot look up {host}: {source}")]
    Lookup { host: String, source: io::Error },
    #[error("{host} has no {}address", kind_of(*.family))]
    NoAddress { host: String, family: Family },
    #[error("cannot connect to {address}: {source}")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("cannot connect to the socket {}: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("cannot make a socket: {0}")]
    Socket(io::Error),
    #[error("cannot use `bind_device` {device}: {source}{}", device_remedy(.source))]
    Device { device: String, source: io::Error },
    #[error("cannot connect from `local_address` {address}: {source}")]
    LocalAddress { address: IpAddr, source: io::Error },
    #[error("proxy {proxy}: {source}")]
    Proxy { proxy: ProxyUrl, source: ProxyError },
    #[error(transparent)]
    TlsFile(#[from] TlsFileError),
    #[error("TLS with {host}: {fault}")]
    Tls { host: String, fault: TlsFault },
    #[error(
        "{host} is not trusted and gets no user name, password or certificate: {fault}; \
         mend that, or leave these out"
    )]
    UntrustedWithCredentials { host: String, fault: CertificateFault },
    #[error("WebSocket with {host}: {source}")]
    WebSocket { host: String, source: WebSocketError },
    #[error("no stream is left")]
    NoStreamLeft,
    /// A dialer of the program's own failed.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    #[error("no stream to {host} within {} s: {step} did not end", super::DEADLINE.as_secs())]
    Deadline { host: String, step: &'static str },
}

impl ConnectError {
    /// NodeMCU's number for it: -5 no server, -3 no such name, -2 no answer in time.
    pub fn code(&self) -> i16 {
        match self {
            ConnectError::Lookup { .. } | ConnectError::NoAddress { .. } => -3,
            ConnectError::Deadline { .. } => -2,
            _ => -5,
        }
    }
}

/// Why a file for TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum TlsFileError {
    #[error("{key} {file}: {source}")]
    Read { key: &'static str, file: String, source: io::Error },
    #[error("{key} {file}: {why}")]
    Content { key: &'static str, file: String, why: String },
    #[error("`cert_file` and `key_file` belong together; write both or none")]
    HalfAnIdentity,
    #[error(
        "no certificate authorities on this system{0}; install them \
         (OpenWrt: opkg install ca-bundle) or name the broker's own in `tls.ca_file`"
    )]
    NoAuthorities(String),
    #[cfg(feature = "tls")]
    #[error("TLS settings: {0}")]
    Rustls(rustls::Error),
}

#[cfg(feature = "tls")]
impl TlsFileError {
    pub(super) fn read(key: &'static str, file: &Pem, source: io::Error) -> TlsFileError {
        TlsFileError::Read { key, file: file.to_string(), source }
    }

    pub(super) fn content(key: &'static str, file: &Pem, why: impl Into<String>) -> TlsFileError {
        TlsFileError::Content { key, file: file.to_string(), why: why.into() }
    }
}

/// A pinned fingerprint, and the one that was found instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The fingerprint of the settings.
    pub pinned: Fingerprint,
    /// The fingerprint of the broker's certificate.
    pub found: Fingerprint,
}

fn kind_of(family: Family) -> &'static str {
    match family {
        Family::Any => "",
        Family::V4 => "IPv4 ",
        Family::V6 => "IPv6 ",
    }
}

fn device_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "; it takes root or the right CAP_NET_RAW",
        _ if source.raw_os_error() == Some(19) => "; `ip link` lists the devices there are",
        _ => "",
    }
}

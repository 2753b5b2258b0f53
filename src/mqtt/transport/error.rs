//! Why no stream came about: each cause by itself, in a plain sentence, with its remedy.

use super::proxy::{ProxyError, ProxyUrl};
#[cfg(feature = "tls")]
use super::settings::Pem;
use super::settings::{Family, Fingerprint};
use super::tls::{CertificateFault, TlsFault};
use super::ws::WebSocketError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Why no stream came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The settings name no broker.
    #[error("there is no broker to connect to")]
    NoBroker,
    /// The broker is spoken to with TLS, and this build has none (feature `tls`).
    #[error("this build has no TLS; install the package tty2mqtt, not tty2mqtt-mini")]
    NoTls,
    /// A name could not be looked up.
    #[error("cannot look up {host}: {source}")]
    Lookup {
        /// The name, of the broker or of a proxy.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// A name has no address of the wanted family.
    #[error("{host} has no {}address", kind_of(*.family))]
    NoAddress {
        /// The name, of the broker or of a proxy.
        host: String,
        /// The wanted family.
        family: Family,
    },
    /// No address answered; the last one's error.
    #[error("cannot connect to {address}: {source}")]
    Tcp {
        /// The address that failed last.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The socket's file does not answer.
    #[error("cannot connect to the socket {}: {source}", path.display())]
    Unix {
        /// The socket's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no socket for us.
    #[error("cannot make a socket: {0}")]
    Socket(io::Error),
    /// The network device cannot be used.
    #[error("cannot use `bind_device` {device}: {source}{}", device_remedy(.source))]
    Device {
        /// Its name.
        device: String,
        /// What the system said.
        source: io::Error,
    },
    /// The local address cannot be used.
    #[error("cannot connect from `local_address` {address}: {source}")]
    LocalAddress {
        /// The address.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The proxy did not let us through.
    #[error("proxy {proxy}: {source}")]
    Proxy {
        /// The proxy; its password is not printed.
        proxy: ProxyUrl,
        /// What went wrong.
        source: ProxyError,
    },
    /// A file for TLS cannot be used. The text names it.
    #[error("{0}")]
    TlsFile(TlsFileError),
    /// The TLS handshake failed.
    #[error("TLS with {host}: {fault}")]
    Tls {
        /// The broker's name.
        host: String,
        /// What went wrong.
        fault: TlsFault,
    },
    /// The broker is not trusted, and there is something that only a trusted one may get. It got
    /// nothing.
    #[error(
        "{host} is not trusted and gets no user name, password or certificate: {fault}; \
         mend that, or leave these out"
    )]
    UntrustedWithCredentials {
        /// The broker's name.
        host: String,
        /// Why it is not trusted.
        fault: CertificateFault,
    },
    /// The broker opened no WebSocket.
    #[error("WebSocket with {host}: {source}")]
    WebSocket {
        /// The broker's name.
        host: String,
        /// What went wrong.
        source: WebSocketError,
    },
    /// There is no stream left of those that were given to the link.
    #[error("no stream is left")]
    NoStreamLeft,
    /// A dialer of the program's own failed.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no stream to {host} within {} s: {step} did not end", super::DEADLINE.as_secs())]
    Deadline {
        /// The broker's name.
        host: String,
        /// What was under way.
        step: &'static str,
    },
}

impl ConnectError {
    /// The number that NodeMCU gives it: -5 no server, -3 no such name, -2 no answer in time.
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
pub enum TlsFileError {
    /// It cannot be read.
    #[error("{key} {file}: {source}")]
    Read {
        /// The setting that names it.
        key: &'static str,
        /// Its name.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{key} {file}: {why}")]
    Content {
        /// The setting that names it.
        key: &'static str,
        /// Its name.
        file: String,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// One is given without the other.
    #[error("`cert_file` and `key_file` belong together; write both or none")]
    HalfAnIdentity,
    /// The system has no authorities.
    #[error(
        "no certificate authorities on this system{0}; install them \
         (OpenWrt: opkg install ca-bundle) or name the broker's own in `tls.ca_file`"
    )]
    NoAuthorities(String),
    /// rustls does not take them.
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

impl From<TlsFileError> for ConnectError {
    fn from(error: TlsFileError) -> ConnectError {
        ConnectError::TlsFile(error)
    }
}

/// A pin and what came in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the settings say.
    pub pinned: Fingerprint,
    /// What the broker's certificate has.
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

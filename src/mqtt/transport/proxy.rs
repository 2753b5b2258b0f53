//! Proxies between us and the broker: SOCKS5 (RFC 1928, login by RFC 1929) and HTTP CONNECT
//! (RFC 9110, 9.3.6).

mod http;
mod socks;

use crate::base::path::BuildError;
use crate::base::scalar::wrong;
use crate::base::secret::Secret;
use crate::mqtt::url::{Parts, authority, show_login};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use tokio::net::TcpStream;

crate::base::scalar::deserialize_from_str!(ProxyUrl: "address");

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS5; the broker's name is looked up by us.
    Socks5,
    /// SOCKS5; the broker's name is looked up by the proxy.
    Socks5h,
    /// HTTP CONNECT; the broker's name is looked up by the proxy.
    Http,
}

/// Address of a proxy: `socks5://`, `socks5h://` or `http://`, `user:password@` if it requires a
/// login, host and port. `Display` and `Debug` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// The protocol.
    pub kind: ProxyKind,
    /// User name, decoded.
    pub user: Option<String>,
    /// Password, decoded.
    pub password: Option<Secret>,
    /// Host name or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port; 1080 for SOCKS and 80 for HTTP unless given.
    pub port: u16,
}

const HELP: &str = "write socks5://host:1080, socks5h://host:1080 or http://host:8080";

impl FromStr for ProxyUrl {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<ProxyUrl, BuildError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("a proxy's address has a scheme", HELP);
        };
        let (kind, port) = match scheme.to_ascii_lowercase().as_str() {
            "socks5" => (ProxyKind::Socks5, 1080),
            "socks5h" => (ProxyKind::Socks5h, 1080),
            "http" => (ProxyKind::Http, 80),
            _ => return wrong(format!("unknown scheme {scheme:?} of a proxy"), HELP),
        };
        let parts = Parts::split(rest)?;
        if !matches!(parts.path, "" | "/") || parts.query.is_some() {
            return wrong("a proxy's address ends with its port", HELP);
        }
        let (user, password) = parts.login()?;
        let (host, given) = parts.host_and_port()?;
        let url = ProxyUrl { kind, user, password, host, port: given.unwrap_or(port) };
        let (user, password) = url.login();
        if kind == ProxyKind::Http && user.contains(&b':') {
            return wrong(
                "a user name for an HTTP proxy cannot contain a colon",
                "use another user",
            );
        }
        if kind != ProxyKind::Http && (user.len() > 255 || password.len() > 255) {
            return wrong(
                "SOCKS5 takes user names and passwords of at most 255 bytes",
                "use shorter ones",
            );
        }
        Ok(url)
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ProxyKind::Socks5 => "socks5://",
            ProxyKind::Socks5h => "socks5h://",
            ProxyKind::Http => "http://",
        })?;
        show_login(f, self.user.as_deref(), self.password.is_some())?;
        f.write_str(&authority(&self.host, self.port))
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl ProxyUrl {
    fn login(&self) -> (&[u8], &[u8]) {
        let password = self.password.as_ref().map(Secret::reveal);
        (self.user.as_deref().unwrap_or_default().as_bytes(), password.unwrap_or_default())
    }

    fn has_login(&self) -> bool {
        self.user.is_some() || self.password.is_some()
    }
}

/// The host that a proxy is to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A name that the proxy looks up, and a port.
    Name(String, u16),
    /// An address that we looked up.
    Address(SocketAddr),
}

impl Target {
    /// From a host as the user wrote it; an IP address needs no look-up.
    pub fn of(host: &str, port: u16) -> Target {
        match host.parse() {
            Ok(ip) => Target::Address(SocketAddr::new(ip, port)),
            Err(_) => Target::Name(host.to_owned(), port),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(host, port) => f.write_str(&authority(host, *port)),
            Target::Address(address) => address.fmt(f),
        }
    }
}

/// Why a proxy made no connection to the broker.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts of `error` say what each one is")]
pub enum ProxyError {
    #[error("the link to it broke: {0}")]
    Io(#[from] io::Error),
    #[error("it does not answer as such a proxy does ({0}); is the address of `proxy` right?")]
    Protocol(String),
    #[error("it wants a login; write the address of `proxy` with user:password@")]
    LoginNeeded,
    #[error("it does not take this user and password")]
    LoginRefused,
    #[error("it could not connect to the broker: {0}")]
    Refused(String),
}

/// Asks the proxy at the other end of `stream` to connect to `target`. All bytes after its answer are
/// the broker's; none of them is read here.
pub(super) async fn tunnel(
    stream: &mut TcpStream,
    proxy: &ProxyUrl,
    target: &Target,
) -> Result<(), ProxyError> {
    match proxy.kind {
        ProxyKind::Socks5 | ProxyKind::Socks5h => socks::connect(stream, proxy, target).await,
        ProxyKind::Http => http::connect(stream, proxy, target).await,
    }
}

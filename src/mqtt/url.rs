//! Addresses of brokers and proxies: `mqtts://user:password@host:port/path?query`, percent-encoded
//! as RFC 3986 says. What is wrong is named by its part; a password is never printed.

/// Why an address is not valid; the text names the part and the remedy.
pub use crate::base::path::BuildError;
use crate::base::scalar::wrong;
use crate::base::secret::Secret;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;

crate::base::scalar::deserialize_from_str!(BrokerUrl: "address");

const ENCODE: &str = "write it as % and two hexadecimal digits";

/// The scheme of a broker's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// MQTT on TCP: `mqtt://` or `tcp://`, port 1883.
    Mqtt,
    /// MQTT on TLS: `mqtts://`, `ssl://` or `tls://`, port 8883.
    Mqtts,
    /// MQTT in WebSocket messages: `ws://`, port 80.
    Ws,
    /// MQTT in WebSocket messages on TLS: `wss://`, port 443.
    Wss,
    /// MQTT on a Unix socket: `unix:///run/mosquitto.sock`.
    Unix,
}

impl Scheme {
    /// Whether the link uses TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Mqtts | Scheme::Wss)
    }

    /// Whether the link uses a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }

    /// A keep-alive that suits proxies on the way: many web servers in front of brokers close a link
    /// after 60 s without a byte.
    pub fn keepalive(self) -> Duration {
        Duration::from_secs(if self.is_websocket() { 45 } else { 60 })
    }

    /// The TCP port where none is given; 0 for a Unix socket.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Mqtt => 1883,
            Scheme::Mqtts => 8883,
            Scheme::Ws => 80,
            Scheme::Wss => 443,
            Scheme::Unix => 0,
        }
    }
}

impl FromStr for Scheme {
    type Err = BuildError;
    fn from_str(word: &str) -> Result<Scheme, BuildError> {
        match word.to_ascii_lowercase().as_str() {
            "mqtt" | "tcp" => Ok(Scheme::Mqtt),
            "mqtts" | "ssl" | "tls" => Ok(Scheme::Mqtts),
            "ws" => Ok(Scheme::Ws),
            "wss" => Ok(Scheme::Wss),
            "unix" => Ok(Scheme::Unix),
            _ => wrong(format!("unknown scheme {word:?}"), HELP),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Mqtt => "mqtt",
            Scheme::Mqtts => "mqtts",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
            Scheme::Unix => "unix",
        })
    }
}

const HELP: &str = "write mqtt://host:1883, mqtts://host:8883 for TLS, ws:// or wss:// for \
                    WebSocket, or unix:///path";

/// Address of a broker. `Display` and `Debug` hide the password and the query.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// The scheme.
    pub scheme: Scheme,
    /// User name in front of the `@`, decoded.
    pub user: Option<String>,
    /// Password in front of the `@`, decoded.
    pub password: Option<Secret>,
    /// Host name or IP address; an IPv6 address without its brackets. Empty for a Unix socket.
    pub host: String,
    /// TCP port, the scheme's own unless given.
    pub port: u16,
    /// For a Unix socket its file, decoded; for a WebSocket the path as the broker gets it, by default
    /// `/mqtt`; otherwise empty.
    pub path: String,
    /// The text after the `?`, as it was written.
    pub query: Option<String>,
}

impl BrokerUrl {
    /// An address without user, path and query.
    pub fn new(scheme: Scheme, host: impl Into<String>, port: u16) -> BrokerUrl {
        let path = if scheme.is_websocket() { "/mqtt".into() } else { String::new() };
        let host = host.into();
        BrokerUrl { scheme, user: None, password: None, host, port, path, query: None }
    }

    /// The same address without user and password.
    #[must_use]
    pub fn without_login(&self) -> BrokerUrl {
        BrokerUrl { user: None, password: None, ..self.clone() }
    }

    /// Whether the link uses TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme.is_tls()
    }

    /// Whether the broker is on this machine.
    pub fn is_local(&self) -> bool {
        let loopback = |ip: std::net::IpAddr| ip.is_loopback();
        self.scheme == Scheme::Unix
            || self.host == "localhost"
            || self.host.parse().is_ok_and(loopback)
    }

    /// The target of a WebSocket's request: path and query.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Host and port for an HTTP header, always with the port.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl FromStr for BrokerUrl {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<BrokerUrl, BuildError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("a broker's address has a scheme", HELP);
        };
        let scheme: Scheme = scheme.parse()?;
        let parts = Parts::split(rest)?;
        let (user, password) = parts.login()?;
        let query = match parts.query {
            Some(query) if !query.bytes().all(|b| b.is_ascii_graphic()) => {
                return wrong("the query has a character that must be percent-encoded", ENCODE);
            }
            query => query.map(str::to_owned),
        };
        let (mut host, mut port) = (String::new(), 0);
        let path = match scheme {
            Scheme::Unix if !parts.host.is_empty() => {
                return wrong(
                    "a Unix socket has no host",
                    "write unix:///path, with three slashes",
                );
            }
            Scheme::Unix if parts.path.len() < 2 => {
                return wrong("the path of the Unix socket is missing", "write unix:///path");
            }
            Scheme::Unix => decode(parts.path, "the path")?,
            _ => {
                let given;
                (host, given) = parts.host_and_port()?;
                port = given.unwrap_or(scheme.default_port());
                match parts.path {
                    "" if scheme.is_websocket() => "/mqtt".into(),
                    path if scheme.is_websocket() => {
                        if !path.bytes().all(|b| b.is_ascii_graphic()) {
                            let what = "the path has a character that must be percent-encoded";
                            return wrong(what, ENCODE);
                        }
                        path.to_owned()
                    }
                    "" | "/" => String::new(),
                    path => {
                        return wrong(
                            format!("the path {path:?} means nothing with {scheme}://"),
                            "leave it out",
                        );
                    }
                }
            }
        };
        Ok(BrokerUrl { scheme, user, password, host, port, path, query })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        show_login(f, self.user.as_deref(), self.password.is_some())?;
        if self.scheme != Scheme::Unix {
            f.write_str(&self.authority())?;
        }
        // A query may be a signature, which is as good as a password.
        let query = if self.query.is_some() { "?***" } else { "" };
        write!(f, "{}{query}", self.path)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

/// `user:***@`, or nothing.
pub(crate) fn show_login(
    f: &mut fmt::Formatter<'_>,
    user: Option<&str>,
    password: bool,
) -> fmt::Result {
    match (user, password) {
        (None, false) => Ok(()),
        (user, false) => write!(f, "{}@", user.unwrap_or_default()),
        (user, true) => write!(f, "{}:***@", user.unwrap_or_default()),
    }
}

/// `host:port`, with the brackets of IPv6.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The parts behind `scheme://`, not yet decoded.
pub(crate) struct Parts<'a> {
    login: Option<&'a str>,
    host: &'a str,
    /// With its slash, or empty.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn split(rest: &'a str) -> Result<Parts<'a>, BuildError> {
        if rest.contains('#') {
            return wrong("a `#` means nothing in an address", "write it %23 where it is meant");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        // In `mqtt://me:a/b@host` the text that looks like a port is the start of a password, which
        // the error must not print.
        if login.is_none() && host.contains(':') && tail.contains('@') {
            let digits = host.rsplit(':').next().unwrap_or_default();
            if host.starts_with('[') || digits.parse::<u16>().is_err() {
                return wrong(
                    "the password has a character that must be percent-encoded",
                    "write / as %2F, ? as %3F, # as %23",
                );
            }
        }
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (tail, None),
        };
        Ok(Parts { login, host, path, query })
    }

    /// User and password, decoded.
    pub(crate) fn login(&self) -> Result<(Option<String>, Option<Secret>), BuildError> {
        let Some(login) = self.login else { return Ok((None, None)) };
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decode(password, "the password")?)),
            None => (login, None),
        };
        let user = decode(user, "the user name")?;
        Ok((Some(user).filter(|user| !user.is_empty()), password.map(Secret::from)))
    }

    /// Host and port, where the port is given.
    pub(crate) fn host_and_port(&self) -> Result<(String, Option<u16>), BuildError> {
        let text = self.host;
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let Some((host, rest)) = rest.split_once(']') else {
                return wrong(format!("the host {text:?} has an unclosed `[`"), "add the `]`");
            };
            let port = match rest.strip_prefix(':') {
                None if rest.is_empty() => None,
                None => {
                    return wrong(format!("{rest:?} stands between host and port"), "leave it out");
                }
                port => port,
            };
            // RFC 6874 has `%25` before the zone; people write `%`.
            let host = host.replacen("%25", "%", 1);
            let (ip, zone) = host.split_once('%').unwrap_or((&host, "x"));
            if ip.parse::<Ipv6Addr>().is_err() || !zone.bytes().all(is_name) {
                return wrong(
                    format!("the host {host:?} is not a valid IPv6 address"),
                    "write one, as in [2001:db8::7]",
                );
            }
            (host, port)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => {
                    return wrong(
                        "an IPv6 address stands in brackets",
                        format!("write the host as [{text}]"),
                    );
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if host.is_empty() {
                return wrong("the host is missing", "write it behind the `//`");
            }
            if !host.is_ascii() {
                return wrong(
                    format!("the host {host:?} is not ASCII"),
                    "write its international form, xn--…",
                );
            }
            if host.len() > 253 || !host.bytes().all(is_name) {
                return wrong(
                    format!("the host {host:?} is not a valid host name"),
                    "it has letters, digits, `-`, `.` and `_`",
                );
            }
            (host.to_owned(), port)
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) => match digits.parse() {
                Ok(port) if port != 0 => Some(port),
                _ => {
                    return wrong(
                        format!("the port {digits:?} is not valid"),
                        "write a number from 1 to 65535",
                    );
                }
            },
        };
        Ok((host, port))
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Replaces `%41` by `A`. The text itself stays out of the error: it may be a password.
fn decode(text: &str, part: &str) -> Result<String, BuildError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        match digit().zip(digit()) {
            Some((high, low)) => bytes.push((high * 16 + low) as u8),
            None => {
                return wrong(
                    format!("{part} has a % without two hexadecimal digits"),
                    "write % as %25",
                );
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => {
            wrong(format!("{part} has a NUL character"), "leave it out")
        }
        Ok(text) => Ok(text),
        Err(_) => {
            wrong(format!("{part} is not UTF-8 when decoded"), "write its characters in UTF-8")
        }
    }
}

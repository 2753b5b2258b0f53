//! `-L mqtts://user:password@host:port/topic` and `--proxy socks5h://user:password@host:port`.

use super::connection::Password;
use super::{UsageError, wrong};
use crate::config::scalar::Secret;

/// How MQTT travels to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// MQTT right on TCP or TLS.
    #[default]
    Plain,
    /// In WebSocket messages.
    WebSocket,
}

/// What `-L` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) carrier: Carrier,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) topic: String,
}

const URL: &str = "write mqtt://[user[:password]@]host[:port]/topic; mqtts, ws and wss work too";

impl Url {
    pub(super) fn parse(text: &str) -> Result<Url, UsageError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| UsageError(URL.into()))?;
        let (carrier, tls) = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => (Carrier::Plain, false),
            "mqtts" => (Carrier::Plain, true),
            "ws" => (Carrier::WebSocket, false),
            "wss" => (Carrier::WebSocket, true),
            _ => return wrong(format!("unknown scheme {scheme:?}; {URL}")),
        };
        let Some((authority, topic)) = rest.split_once('/') else {
            return wrong(format!("no topic behind the host; {URL}"));
        };
        let Authority { user, password, host, port } = Authority::parse(authority, URL)?;
        Ok(Url { carrier, tls, user, password, host, port, topic: topic.into() })
    }
}

/// The kind of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS5; we resolve the broker's name.
    Socks5,
    /// SOCKS5; the proxy resolves it.
    Socks5h,
    /// HTTP CONNECT.
    Http,
}

/// A proxy on the way to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Who we are to it.
    pub user: Option<String>,
    /// How we prove that.
    pub password: Option<Secret>,
}

impl Proxy {
    pub(super) fn parse(text: &str) -> Result<Proxy, UsageError> {
        const HELP: &str = "write socks5h://[user[:password]@]host[:port], or socks5:// or http://";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| UsageError(HELP.into()))?;
        let (kind, default) = match scheme.to_ascii_lowercase().as_str() {
            "socks5h" => (ProxyKind::Socks5h, 1080),
            "socks5" => (ProxyKind::Socks5, 1080),
            "http" => (ProxyKind::Http, 8080),
            _ => return wrong(format!("unknown scheme {scheme:?}; {HELP}")),
        };
        let Authority { user, password, host, port } =
            Authority::parse(rest.strip_suffix('/').unwrap_or(rest), HELP)?;
        let password = match password {
            Some(Password::Given(secret)) => Some(secret),
            _ => None,
        };
        Ok(Proxy { kind, host, port: port.unwrap_or(default), user, password })
    }
}

struct Authority {
    user: Option<String>,
    password: Option<Password>,
    host: String,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str, help: &str) -> Result<Authority, UsageError> {
        // Whatever stands before the last @ is no part of the host, even if the user forgot to
        // write an @ in the password as %40.
        let (login, address) = match text.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, text),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            None => (None, None),
            Some((user, password)) => {
                let with_password = login.is_some_and(|login| login.contains(':'));
                let secret = |text: String| Password::Given(Secret::from(text));
                (
                    Some(decode(user)?),
                    with_password.then(|| decode(password)).transpose()?.map(secret),
                )
            }
        };
        let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match address.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        if host.is_empty() {
            return wrong(format!("no host; {help}"));
        }
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return wrong(format!("the port is no number from 1 to 65535; {help}")),
        };
        Ok(Authority { user, password, host: host.into(), port })
    }
}

/// `%40` → `@`. A `%` that begins no two hexadecimal digits stays one.
fn decode(text: &str) -> Result<String, UsageError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).or_else(|_| wrong("user and password are UTF-8 in a URL"))
}

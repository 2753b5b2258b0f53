//! The options that say how to reach the broker, and as whom.

use super::property::Given;
use super::tls::Tls;
use super::{UsageError, Values, url, wrong};
use crate::base::secret::Secret;
use crate::mqtt::packet::{Property, Version};
use crate::mqtt::topic::{Qos, Topic};
use crate::mqtt::transport::proxy::ProxyUrl;
use crate::mqtt::transport::settings::Family;
use crate::mqtt::url::Scheme;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where a password is. A command line is for all users of a machine to read: a file, a variable
/// and the standard input are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// On the command line, with `-P` or in a URL.
    Given(Secret),
    /// The first line of a file.
    File(PathBuf),
    /// The first line of the standard input.
    Stdin,
    /// An environment variable.
    Variable(String),
}

/// The client identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientId {
    /// The broker makes one up, or we do for MQTT 3.1.
    #[default]
    Generated,
    /// This one.
    Exactly(String),
    /// This and the process's number behind it.
    Prefix(String),
}

/// What the broker publishes when we are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: Option<Topic>,
    /// What.
    pub payload: Option<Vec<u8>>,
    /// Delivery guarantee.
    pub qos: Qos,
    /// Whether it is kept.
    pub retain: bool,
}

/// How to reach the broker, and as whom.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port; that of the scheme unless given.
    pub port: Option<u16>,
    /// A socket in the file system instead.
    pub unix: Option<PathBuf>,
    /// Whether MQTT goes in WebSocket messages.
    pub websocket: bool,
    /// What is asked of a WebSocket server.
    pub ws_path: Option<String>,
    /// Encryption.
    pub tls: Tls,
    /// A proxy on the way.
    pub proxy: Option<ProxyUrl>,
    /// Our address.
    pub bind_address: Option<IpAddr>,
    /// Our network interface.
    pub bind_device: Option<String>,
    /// Which addresses of the broker count.
    pub family: Family,
    /// `None`: the newest that the broker speaks.
    pub version: Option<Version>,
    /// Who we are.
    pub id: ClientId,
    /// Whether the session begins anew.
    pub clean: bool,
    /// For how many seconds the broker keeps the session; MQTT 5 only.
    pub session_expiry: Option<u32>,
    /// Seconds, 0: never. `None`: as is best for the way to the broker.
    pub keep_alive: Option<u16>,
    /// Login.
    pub user: Option<String>,
    /// Login.
    pub password: Option<Password>,
    /// What the broker publishes when we are lost.
    pub will: Option<Will>,
    /// How many messages may be unacknowledged.
    pub max_inflight: u16,
    /// Until CONNACK, over all.
    pub connect_timeout: Duration,
    /// From the start of the program, over all.
    pub timeout: Option<Duration>,
    /// Prints each packet.
    pub debug: bool,
    /// Prints no error.
    pub quiet: bool,
}

impl Default for Connection {
    fn default() -> Connection {
        Connection {
            host: "localhost".into(),
            port: None,
            unix: None,
            websocket: false,
            ws_path: None,
            tls: Tls::default(),
            proxy: None,
            bind_address: None,
            bind_device: None,
            family: Family::Any,
            // As mosquitto's programs do, so that scripts see the same.
            version: Some(Version::V311),
            id: ClientId::Generated,
            clean: true,
            session_expiry: None,
            keep_alive: None,
            user: None,
            password: None,
            will: None,
            max_inflight: 1000,
            connect_timeout: Duration::from_secs(30),
            timeout: None,
            debug: false,
            quiet: false,
        }
    }
}

impl Connection {
    /// How the broker is spoken to.
    pub fn scheme(&self) -> Scheme {
        match (&self.unix, self.websocket, self.tls.on) {
            (Some(_), ..) => Scheme::Unix,
            (None, false, false) => Scheme::Mqtt,
            (None, false, true) => Scheme::Mqtts,
            (None, true, false) => Scheme::Ws,
            (None, true, true) => Scheme::Wss,
        }
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme().default_port())
    }

    pub(super) fn speak_5(&mut self) {
        self.version = Some(Version::V5);
    }

    pub(super) fn url(&mut self, text: &str, option: &str) -> Result<String, UsageError> {
        let (url, topic) = url::split(text, option)?;
        self.host = url.host;
        self.unix = None;
        self.websocket = url.scheme.is_websocket();
        self.tls.on = url.scheme.is_tls();
        self.port = Some(url.port);
        self.user = url.user.or(self.user.take());
        self.password = url.password.map(Password::Given).or(self.password.take());
        Ok(topic.into())
    }

    pub(super) fn take(
        &mut self,
        name: &str,
        values: &mut Values<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, UsageError> {
        match name {
            "-h" | "--host" => {
                let host = values.text("the broker's host")?;
                if host.is_empty() {
                    return wrong(format!("{name}: the host is empty"));
                }
                let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
                self.host = bare.unwrap_or(&host).into();
                self.unix = None;
            }
            "-p" | "--port" => {
                self.port = Some(values.number("a port", 1, 65_535)? as u16);
            }
            "--unix" => self.unix = Some(values.path("the path of a socket")?),
            "--ws" => self.websocket = true,
            "--ws-path" => {
                self.websocket = true;
                self.ws_path = Some(values.text("a path")?);
            }
            "--proxy" => {
                let url = values.text("a URL")?.parse();
                // Without the text: there may be a password in it.
                self.proxy = Some(url.map_err(|why| UsageError(format!("{name}: {why}")))?);
            }
            "-A" | "--bind-address" => self.bind_address = Some(values.parse("an IP address")?),
            "--bind-device" => self.bind_device = Some(values.text("an interface")?),
            "-4" => self.family = Family::V4,
            "-6" => self.family = Family::V6,
            "-V" | "--protocol-version" => {
                let text = values.text("a version of MQTT")?;
                self.version = match text.as_str() {
                    "auto" => None,
                    text => Some(text.parse().or_else(|_| {
                        wrong(format!("{name} {text}: write 5, 311 or 31, or auto"))
                    })?),
                };
            }
            "-i" | "--id" => match self.id {
                ClientId::Prefix(_) => return wrong("-i and -I exclude each other"),
                _ => self.id = ClientId::Exactly(values.text("a client identifier")?),
            },
            "-I" | "--id-prefix" => match self.id {
                ClientId::Exactly(_) => return wrong("-i and -I exclude each other"),
                _ => self.id = ClientId::Prefix(values.text("the begin of a client identifier")?),
            },
            "-c" | "--disable-clean-session" => self.clean = false,
            "-x" | "--session-expiry-interval" => {
                self.session_expiry = Some(match values.text("seconds")?.as_str() {
                    "∞" | "-1" => u32::MAX,
                    text => text.parse().or_else(|_| {
                        wrong(format!("{name} {text}: write seconds, 0 to 4294967295, or ∞"))
                    })?,
                });
            }
            "-k" | "--keepalive" => {
                let seconds = values.number("a number of seconds", 0, 65_535)?;
                self.keep_alive = Some(seconds as u16);
            }
            "-u" | "--username" => self.user = Some(values.text("a user name")?),
            "-P" | "--pw" => {
                self.password = Some(Password::Given(Secret::from(values.bytes("a password")?)));
            }
            "--password-file" => {
                let path = values.path("a file")?;
                self.password = Some(match path.as_os_str() == "-" {
                    true => Password::Stdin,
                    false => Password::File(path),
                });
            }
            "--password-env" => {
                self.password = Some(Password::Variable(values.text("a variable's name")?));
            }
            "-M" | "--max-inflight" => {
                self.max_inflight = values.number("a number of messages", 1, 65_535)? as u16;
            }
            "--connect-timeout" => self.connect_timeout = values.seconds()?,
            "-W" | "--timeout" => {
                let time = values.seconds()?;
                if time.is_zero() {
                    return wrong(format!("{name}: more than 0 seconds, please"));
                }
                self.timeout = Some(time);
            }
            "-d" | "--debug" => self.debug = true,
            "--quiet" => self.quiet = true,
            // Always so.
            "--nodelay" => {}
            _ => return Ok(self.take_will(name, values)? || self.tls.take(name, values, warnings)?),
        }
        Ok(true)
    }

    /// mosquitto's names, and Aiko's with underscores. Aiko gives all four of hers the letter `w`;
    /// here it is the payload.
    fn take_will(&mut self, name: &str, values: &mut Values<'_>) -> Result<bool, UsageError> {
        let none = Will { topic: None, payload: None, qos: Qos::AtMostOnce, retain: false };
        let will = || self.will.clone().unwrap_or(none);
        self.will = Some(match name {
            "--will-topic" | "--will_topic" => {
                Will { topic: Some(values.parse("a topic")?), ..will() }
            }
            "--will-payload" | "--will_message" | "-w" => {
                Will { payload: Some(values.bytes("a payload")?), ..will() }
            }
            "--will-qos" | "--will_qos" => Will { qos: values.qos()?, ..will() },
            "--will-retain" => Will { retain: true, ..will() },
            "--will_retain" => Will { retain: values.number("a flag", 0, 1)? == 1, ..will() },
            _ => return Ok(false),
        });
        Ok(true)
    }

    pub(super) fn finish(
        &mut self,
        properties: &mut Given,
        warnings: &mut Vec<String>,
    ) -> Result<(), UsageError> {
        // As mosquitto's programs do.
        if self.port == Some(8883) {
            self.tls.on = true;
        }
        if self.tls.off || self.unix.is_some() {
            self.tls.on = false;
        }
        let tls = &self.tls;
        if tls.cert.is_some() != tls.key.is_some() {
            return wrong("--cert and --key need each other");
        }
        if !tls.on && (tls.cert.is_some() || tls.insecure || tls.alpn.is_some()) {
            warnings.push("no TLS without --cafile, --tls-use-os-certs or port 8883".into());
        }
        if let Some(Will { topic: None, .. }) = &self.will {
            return wrong("a will needs a --will-topic");
        }
        let v5 = matches!(self.version, Some(Version::V5) | None);
        if !v5 && !properties.is_empty() {
            return wrong("-D: only MQTT 5 has properties; leave out -V or write -V 5");
        }
        if self.will.is_none() && !properties.will.0.is_empty() {
            return wrong("-D WILL: there is no will; give it a --will-topic");
        }
        if !v5 && self.session_expiry.is_some() {
            warnings.push("-x does nothing before MQTT 5; write -V 5".into());
        }
        if !v5 && self.password.is_some() && self.user.is_none() {
            return wrong("a password needs a user name (-u) before MQTT 5");
        }
        if let Some(seconds) = properties.connect.session_expiry().copied() {
            if self.session_expiry.is_some_and(|other| other != seconds) {
                return wrong("the session's expiry is given twice, by -D and by -x");
            }
            properties.connect.0.retain(|p| !matches!(p, Property::SessionExpiry(_)));
            self.session_expiry = Some(seconds);
        }
        if v5 && !self.clean && self.session_expiry.is_none() {
            self.session_expiry = Some(u32::MAX);
        }
        let kept = if v5 { self.session_expiry == Some(u32::MAX) } else { !self.clean };
        if kept && !matches!(self.id, ClientId::Exactly(_)) {
            return wrong("a session that stays needs a client identifier; give it with -i");
        }
        Ok(())
    }
}

//! The options that say how to reach the broker, and as whom.

use super::property::Given;
use super::url::{Carrier, Proxy, Url};
use super::{UsageError, Values, wrong};
use crate::cli::mqtt::stub::{Property, Version};
use crate::config::scalar::Secret;
use crate::mqtt::topic::Topic;
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: Option<Topic>,
    /// What.
    pub payload: Option<Vec<u8>>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is kept.
    pub retain: bool,
}

/// Encryption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Asked for by an option, a scheme or the port 8883.
    pub on: bool,
    /// `--no-tls`
    pub off: bool,
    /// A file of authorities we trust.
    pub ca_file: Option<PathBuf>,
    /// A folder of such files.
    pub ca_path: Option<PathBuf>,
    /// Our own certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// What opens the key: the first line of this file.
    pub key_password: Option<PathBuf>,
    /// SHA-256 of the broker's certificate.
    pub fingerprint: Option<String>,
    /// No check of the broker's certificate. Then neither user nor password is sent.
    pub insecure: bool,
    /// The protocol that is asked for inside of TLS.
    pub alpn: Option<String>,
    /// No older version than 1.3.
    pub only_13: bool,
}

/// Where addresses may be from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// `-4`
    V4,
    /// `-6`
    V6,
}

/// How to reach the broker, and as whom.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port; 1883, or 8883 with TLS, unless given.
    pub port: Option<u16>,
    /// A socket in the file system instead.
    pub unix: Option<PathBuf>,
    /// WebSocket or not.
    pub carrier: Carrier,
    /// What is asked of a WebSocket server.
    pub ws_path: Option<String>,
    /// Encryption.
    pub tls: Tls,
    /// A proxy on the way.
    pub proxy: Option<Proxy>,
    /// Our address.
    pub bind_address: Option<String>,
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
    /// Seconds, 0: never.
    pub keep_alive: u16,
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
            carrier: Carrier::Plain,
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
            keep_alive: 60,
            user: None,
            password: None,
            will: None,
            max_inflight: 20,
            connect_timeout: Duration::from_secs(30),
            timeout: None,
            debug: false,
            quiet: false,
        }
    }
}

const FILE: &str = "a file";

impl Connection {
    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls.on { 8883 } else { 1883 })
    }

    pub(super) fn speak_5(&mut self) {
        self.version = Some(Version::V5);
    }

    pub(super) fn url(&mut self, text: &str, option: &str) -> Result<String, UsageError> {
        let at = |UsageError(why)| UsageError(format!("{option}: {why}"));
        let url = Url::parse(text).map_err(at)?;
        self.host = url.host;
        self.unix = None;
        self.carrier = url.carrier;
        self.tls.on = url.tls;
        let default = if url.tls { 8883 } else { 1883 };
        self.port = Some(url.port.unwrap_or(default));
        self.user = url.user.or(self.user.take());
        self.password = url.password.or(self.password.take());
        Ok(url.topic)
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
            "--ws" => self.carrier = Carrier::WebSocket,
            "--ws-path" => {
                self.carrier = Carrier::WebSocket;
                self.ws_path = Some(values.text("a path")?);
            }
            "--proxy" => {
                let at = |UsageError(why)| UsageError(format!("{name}: {why}"));
                self.proxy = Some(Proxy::parse(&values.text("a URL")?).map_err(at)?);
            }
            "-A" | "--bind-address" => self.bind_address = Some(values.text("an address")?),
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
                self.keep_alive = values.number("a number of seconds", 0, 65_535)? as u16;
            }
            "-u" | "--username" => self.user = Some(values.text("a user name")?),
            "-P" | "--pw" => {
                self.password = Some(Password::Given(Secret::from(values.text("a password")?)));
            }
            "--password-file" => {
                let path = values.path(FILE)?;
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
            _ => return Ok(self.take_will(name, values)? || self.take_tls(name, values, warnings)?),
        }
        Ok(true)
    }

    /// mosquitto's names, and Aiko's with underscores. Aiko gives all four of hers the letter `w`;
    /// here it is the payload.
    fn take_will(&mut self, name: &str, values: &mut Values<'_>) -> Result<bool, UsageError> {
        let will = || self.will.clone().unwrap_or_default();
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

    fn take_tls(
        &mut self,
        name: &str,
        values: &mut Values<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, UsageError> {
        let tls = &mut self.tls;
        match name {
            "--cafile" => tls.ca_file = Some(values.path(FILE)?),
            "--capath" => tls.ca_path = Some(values.path("a folder")?),
            "--tls-use-os-certs" => {}
            "--no-tls" => {
                tls.off = true;
                return Ok(true);
            }
            "--fingerprint" => tls.fingerprint = Some(values.text("a SHA-256 in hexadecimal")?),
            // These do not ask for TLS, as they do not with mosquitto.
            "--cert" => return Ok(values.path(FILE).map(|path| tls.cert = Some(path)).is_ok()),
            "--key"
            | "--key-password-file"
            | "--insecure"
            | "--tls-alpn"
            | "--tls-version"
            | "--ciphers"
            | "--keyform" => return self.take_tls_detail(name, values, warnings),
            "--psk" | "--psk-identity" => {
                return wrong(format!(
                    "{name}: there is no TLS with shared keys here; use --cafile"
                ));
            }
            "--tls-engine" | "--tls-engine-kpass-sha1" => {
                return wrong(format!(
                    "{name}: there are no TLS engines here; use --cert and --key"
                ));
            }
            "-S" => return wrong("-S: brokers are not looked up by SRV records; use -h"),
            _ => return Ok(false),
        }
        self.tls.on = true;
        Ok(true)
    }

    fn take_tls_detail(
        &mut self,
        name: &str,
        values: &mut Values<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, UsageError> {
        let tls = &mut self.tls;
        match name {
            "--key" => tls.key = Some(values.path(FILE)?),
            "--key-password-file" => tls.key_password = Some(values.path(FILE)?),
            "--insecure" => tls.insecure = true,
            "--tls-alpn" => tls.alpn = Some(values.text("a protocol")?),
            "--tls-version" => match values.text("a version of TLS")?.as_str() {
                "tlsv1.3" => tls.only_13 = true,
                "tlsv1.2" => tls.only_13 = false,
                other => return wrong(format!("{name} {other}: write tlsv1.2 or tlsv1.3")),
            },
            "--keyform" => match values.text("a key's form")?.as_str() {
                "pem" => {}
                other => return wrong(format!("{name} {other}: only pem is possible")),
            },
            _ => {
                values.text("a list")?;
                warnings.push(format!("{name} does nothing: only strong ciphers are there"));
            }
        }
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
        if v5 && !self.clean && self.session_expiry.is_none() {
            self.session_expiry = Some(u32::MAX);
        }
        let is_given = |p: &Property| matches!(p, Property::SessionExpiry(_));
        if let Some(seconds) = self.session_expiry.filter(|_| v5) {
            if properties.connect.0.iter().any(is_given) {
                return wrong("the session's expiry is given twice, by -D and by -x or -c");
            }
            if seconds > 0 {
                properties.connect.0.push(Property::SessionExpiry(seconds));
            }
        }
        let kept = if v5 { self.session_expiry == Some(u32::MAX) } else { !self.clean };
        if kept && !matches!(self.id, ClientId::Exactly(_)) {
            return wrong("a session that stays needs a client identifier; give it with -i");
        }
        Ok(())
    }
}

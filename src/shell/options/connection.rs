//! The options that say how to reach the broker, and as whom.

use super::arguments::{Argument, PROPERTY, Row, on, set, some};
use super::property::PacketProperties;
use super::{UsageError, wrong};
use crate::base::secret::Secret;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{Properties, Property, Version};
use crate::mqtt::session::{self, Clean};
use crate::mqtt::topic::{Qos, Topic};
use crate::mqtt::transport::Settings;
use crate::mqtt::transport::settings::{Family, TlsVersion, Verify};
use crate::mqtt::url::{BrokerUrl, Scheme};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The largest packet that MQTT can carry.
const LARGEST: usize = 268_435_455 + 5;

/// How many messages of QoS 1 and 2 the broker may send ahead, as with mosquitto's programs.
pub(super) const AHEAD: u16 = 20;

/// Where a password is. All users of a machine can read its command lines, but not a file, a variable
/// or the standard input.
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

/// How to reach the broker, and as whom.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The session's options; the password is not read yet.
    pub session: session::Options,
    /// Pipes are not read yet.
    pub transport: Settings,
    /// Properties of MQTT 5 for each packet.
    pub properties: PacketProperties,
    pub password: Option<Password>,
    /// A folder of certificate authorities, used if there is no file of them.
    pub ca_path: Option<PathBuf>,
    /// Until CONNACK, over all attempts.
    pub connect_timeout: Duration,
    /// From the start of the program to its end.
    pub timeout: Option<Duration>,
    pub debug: bool,
    pub quiet: bool,
    /// Says which options have no effect.
    pub warnings: Vec<String>,
    /// The topic of `-L`, for the command to take.
    pub(super) topic: Option<String>,
    pub(super) parts: Parts,
}

/// What becomes a part of the address or the session when all options have been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    unix: Option<String>,
    websocket: bool,
    ws_path: Option<String>,
    tls: bool,
    no_tls: bool,
    has_prefix: bool,
    keeps_session: bool,
    /// In seconds, as in CONNECT.
    session_expiry: Option<u32>,
    keep_alive: Option<u16>,
    will: Option<Will>,
}

/// What the broker publishes when it loses us.
#[derive(Clone, Debug, Default)]
struct Will {
    topic: Option<Topic>,
    payload: Vec<u8>,
    qos: Option<Qos>,
    retain: bool,
}

impl Default for Connection {
    fn default() -> Connection {
        Connection {
            session: session::Options {
                // As mosquitto's programs do, so that scripts see the same.
                version: Some(Version::V311),
                // A will on the command line is meant as it is.
                adapt_will: false,
                inflight: 1000,
                receive_maximum: AHEAD,
                largest: LARGEST,
                // No message is that large.
                overflow: 0,
                manual_ack: true,
                ..session::Options::default()
            },
            transport: Settings::new(BrokerUrl::new(Scheme::Mqtt, "localhost", 1883)),
            properties: PacketProperties::default(),
            password: None,
            ca_path: None,
            connect_timeout: Duration::from_secs(30),
            timeout: None,
            debug: false,
            quiet: false,
            warnings: Vec::new(),
            topic: None,
            parts: Parts::default(),
        }
    }
}

/// The options of all three commands. Those that say whom to trust turn TLS on, as with mosquitto; the other
/// ones about TLS have no effect without it.
pub(in crate::shell) const OPTIONS: &[Row<Connection>] = &[
    ("-h --host", "HOST", "[localhost]", Connection::take_host),
    ("-p --port", "PORT", "[1883, 8883]", |c, v| some(&mut c.parts.port, v.number(1, 65_535))),
    ("-L --url", "URL", "broker and topic", |c, v| c.take_url(&v.text()?, &v.name)),
    ("-u --username", "NAME", "user name", |c, v| some(&mut c.session.user, v.text())),
    ("--password-file", "FILE", "-: stdin", |c, v| {
        let path = v.path();
        let is_stdin = path.as_os_str() == "-";
        c.password = Some(if is_stdin { Password::Stdin } else { Password::File(path) });
        Ok(())
    }),
    ("--password-env", "VARIABLE", "its name", |c, v| {
        some(&mut c.password, v.text().map(Password::Variable))
    }),
    ("-P --pw", "PASSWORD", "seen by all users", |c, v| {
        some(&mut c.password, Ok(Password::Given(v.bytes().into())))
    }),
    ("-V --protocol-version", "VERSION", "5 [311] 31 auto", Connection::take_version),
    ("-i --id", "ID", "client identifier", |c, v| c.take_id(v, false)),
    ("-I --id-prefix", "ID", "with process id", |c, v| c.take_id(v, true)),
    ("-c --disable-clean-session", "", "keep the session", |c, _| on(&mut c.parts.keeps_session)),
    ("-x --session-expiry-interval", "SECONDS", "session expiry", Connection::take_expiry),
    ("-k --keepalive", "SECONDS", "[60; with --ws 45]", |c, v| {
        some(&mut c.parts.keep_alive, v.number(0, 65_535))
    }),
    ("-M --max-inflight", "N", "in flight [1000]", |c, v| {
        set(&mut c.session.inflight, v.number(1, 65_535))
    }),
    ("--cafile", "FILE", "TLS; authorities", |c, v| some(&mut c.transport.tls.ca_file, v.pem())),
    ("--capath", "FOLDER", "a folder of them", |c, v| some(&mut c.ca_path, Ok(v.path()))),
    ("--tls-use-os-certs", "", "the system's", |c, _| on(&mut c.parts.tls)),
    ("--fingerprint", "SHA256", "its certificate", |c, v| {
        some(&mut c.transport.tls.fingerprint, v.parse())
    }),
    ("--cert", "FILE", "our own certificate", |c, v| some(&mut c.transport.tls.cert_file, v.pem())),
    ("--key", "FILE", "its key", |c, v| some(&mut c.transport.tls.key_file, v.pem())),
    ("--key-password-file", "FILE", "of --key", |c, v| {
        some(&mut c.transport.tls.key_password_file, Ok(v.path()))
    }),
    ("--insecure", "", "no check, no login", |c, _| {
        set(&mut c.transport.tls.verify, Ok(Verify::None))
    }),
    ("--no-tls", "", "also on port 8883", |c, _| on(&mut c.parts.no_tls)),
    ("--tls-alpn", "NAME", "ALPN", |c, v| {
        set(&mut c.transport.tls.alpn, v.text().map(|name| vec![name]))
    }),
    ("--tls-version", "VERSION", "[tlsv1.2]", |c, v| {
        let versions = [("tlsv1.2", TlsVersion::V12), ("tlsv1.3", TlsVersion::V13)];
        set(&mut c.transport.tls.min_version, v.one_of(versions))
    }),
    ("--keyform", "FORM", "", |_, v| v.one_of([("pem", ())])),
    ("--ciphers", "LIST", "", |c, v| {
        c.warnings.push(format!("{} has no effect: all ciphers are strong", v.name));
        Ok(())
    }),
    ("--psk --psk-identity", "KEY", "", |_, v| {
        v.wrong("pre-shared keys are not supported; use --cafile")
    }),
    ("--tls-engine --tls-engine-kpass-sha1", "ENGINE", "", |_, v| {
        v.wrong("TLS engines are not supported; use --cert and --key")
    }),
    ("-S", "", "", |_, v| v.wrong("SRV records are not supported; use -h")),
    ("--proxy", "URL", "socks5h, http", |c, v| {
        // Without the text: there may be a password in it.
        some(&mut c.transport.proxy, v.text()?.parse().or_else(|why| v.wrong(why)))
    }),
    ("--ws", "", "WebSocket", |c, _| on(&mut c.parts.websocket)),
    ("--ws-path", "PATH", "[/mqtt]", |c, v| some(&mut c.parts.ws_path, v.text())),
    ("--unix", "SOCKET", "not by TCP", |c, v| some(&mut c.parts.unix, v.text())),
    ("-A --bind-address", "ADDRESS", "local address", |c, v| {
        some(&mut c.transport.network.local_address, v.parse())
    }),
    ("--bind-device", "NAME", "local interface", |c, v| {
        some(&mut c.transport.network.bind_device, v.text())
    }),
    ("-4", "", "IPv4 only; -6: IPv6", |c, _| set(&mut c.transport.network.family, Ok(Family::V4))),
    ("-6", "", "", |c, _| set(&mut c.transport.network.family, Ok(Family::V6))),
    // mosquitto's names, and Aiko's with underscores. Aiko gives all four of hers the letter `w`; here
    // it is the payload.
    ("--will-topic --will_topic", "TOPIC", "the will", |c, v| some(&mut c.will().topic, v.parse())),
    ("--will-payload --will_message -w", "TEXT", "its payload", |c, v| {
        set(&mut c.will().payload, Ok(v.bytes()))
    }),
    ("--will-qos --will_qos", "QOS", "0, 1, 2", |c, v| some(&mut c.will().qos, v.qos())),
    ("--will-retain", "", "retain it", |c, _| on(&mut c.will().retain)),
    ("--will_retain", "FLAG", "", |c, v| {
        set(&mut c.will().retain, v.one_of([("0", false), ("1", true)]))
    }),
    ("-D --property", PROPERTY, "MQTT 5 property", |c, v| {
        c.session.version = Some(Version::V5);
        c.properties.take(v)
    }),
    ("-o --options", "FILE", "options, one a line", |_, v| v.wrong("only on the command line")),
    ("-W --timeout", "SECONDS", "end with code 27", |c, v| match v.seconds()? {
        Duration::ZERO => v.wrong("it must be more than 0 seconds"),
        time => some(&mut c.timeout, Ok(time)),
    }),
    ("--connect-timeout", "SECONDS", "[30]", |c, v| set(&mut c.connect_timeout, v.seconds())),
    ("-d --debug", "", "print packets", |c, _| on(&mut c.debug)),
    ("--quiet", "", "print no errors", |c, _| on(&mut c.quiet)),
    // Nagle's algorithm is always off.
    ("--nodelay", "", "", |_, _| Ok(())),
    ("--help --version", "", "", |_, v| v.wrong("only on the command line")),
];

impl Connection {
    fn take_host(&mut self, value: &Argument) -> Result<(), UsageError> {
        let host = value.text()?;
        if host.is_empty() {
            return value.wrong("the host is empty");
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        self.parts.host = Some(bare.unwrap_or(&host).into());
        self.parts.unix = None;
        Ok(())
    }

    /// `-L mqtts://user:password@host:port/topic`. The topic is taken as it stands.
    pub(super) fn take_url(&mut self, text: &str, option: &str) -> Result<(), UsageError> {
        const HELP: &str =
            "write mqtt://[user[:password]@]host[:port]/topic; mqtts, ws and wss too";
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong(format!("{option}: {HELP}"));
        };
        if !["mqtt", "mqtts", "ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return wrong(format!("{option}: unknown scheme {scheme:?}; {HELP}"));
        }
        let Some((authority, topic)) = rest.split_once('/') else {
            return wrong(format!("{option}: no topic behind the host; {HELP}"));
        };
        let url = text[..scheme.len() + 3 + authority.len()].parse();
        let url: BrokerUrl = url.map_err(|why| UsageError(format!("{option}: {why}")))?;
        self.parts.host = Some(url.host);
        self.parts.unix = None;
        self.parts.websocket = url.scheme.is_websocket();
        self.parts.tls = url.scheme.is_tls();
        self.parts.port = Some(url.port);
        self.session.user = url.user.or(self.session.user.take());
        self.password = url.password.map(Password::Given).or(self.password.take());
        self.topic = Some(topic.into());
        Ok(())
    }

    fn take_version(&mut self, value: &Argument) -> Result<(), UsageError> {
        let text = value.text()?;
        self.session.version = match text.as_str() {
            "auto" => None,
            text => match text.parse() {
                Ok(version) => Some(version),
                Err(_) => return value.wrong(format_args!("{text}: write 5, 311 or 31, or auto")),
            },
        };
        Ok(())
    }

    fn take_id(&mut self, value: &Argument, is_prefix: bool) -> Result<(), UsageError> {
        if !self.session.client_id.is_empty() && self.parts.has_prefix != is_prefix {
            return wrong("-i and -I exclude each other");
        }
        let process = if is_prefix { std::process::id().to_string() } else { String::new() };
        self.session.client_id = value.text()? + &process;
        self.parts.has_prefix = is_prefix;
        Ok(())
    }

    fn take_expiry(&mut self, value: &Argument) -> Result<(), UsageError> {
        let text = value.text()?;
        let seconds = if text == "∞" || text == "-1" { Ok(u32::MAX) } else { text.parse() };
        let why = || value.wrong(format_args!("{text}: write seconds, 0 to 4294967295, or ∞"));
        some(&mut self.parts.session_expiry, seconds.or_else(|_| why()))
    }

    fn will(&mut self) -> &mut Will {
        self.parts.will.get_or_insert_default()
    }

    /// All options have been read: completes session and transport.
    pub(super) fn finish(&mut self) -> Result<(), UsageError> {
        let tls = &self.transport.tls;
        let is_trusted = tls.ca_file.is_some() || tls.fingerprint.is_some();
        // As mosquitto's programs do.
        self.parts.tls |= is_trusted || self.ca_path.is_some() || self.parts.port == Some(8883);
        self.parts.tls &= !self.parts.no_tls && self.parts.unix.is_none();
        self.parts.websocket |= self.parts.ws_path.is_some();
        self.finish_address();
        let tls = &self.transport.tls;
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            return wrong("--cert and --key need each other");
        }
        let only_with_tls =
            tls.cert_file.is_some() || tls.verify == Verify::None || !tls.alpn.is_empty();
        if !self.parts.tls && only_with_tls {
            self.warnings.push("no TLS without --cafile, --tls-use-os-certs or port 8883".into());
        }
        if let Some(Will { topic: None, .. }) = &self.parts.will {
            return wrong("a will needs a --will-topic");
        }
        let v5 = matches!(self.session.version, Some(Version::V5) | None);
        if !v5 && self.properties != PacketProperties::default() {
            return wrong("-D: only MQTT 5 has properties; leave out -V or write -V 5");
        }
        if self.parts.will.is_none() && !self.properties.will.is_empty() {
            return wrong("-D WILL: there is no will; give it a --will-topic");
        }
        if !v5 && self.parts.session_expiry.is_some() {
            self.warnings.push("-x has no effect before MQTT 5; write -V 5".into());
        }
        if !v5 && self.password.is_some() && self.session.user.is_none() {
            return wrong("a password needs a user name (-u) before MQTT 5");
        }
        self.finish_session(v5)
    }

    fn finish_address(&mut self) {
        let parts = &self.parts;
        let scheme = match (&parts.unix, parts.websocket, parts.tls) {
            (Some(_), ..) => Scheme::Unix,
            (None, false, false) => Scheme::Mqtt,
            (None, false, true) => Scheme::Mqtts,
            (None, true, false) => Scheme::Ws,
            (None, true, true) => Scheme::Wss,
        };
        let host = parts.host.as_deref().unwrap_or("localhost");
        let mut url = BrokerUrl::new(scheme, host, parts.port.unwrap_or(scheme.default_port()));
        if let Some(socket) = &parts.unix {
            url = BrokerUrl::new(scheme, "", 0);
            url.path = socket.clone();
        } else if let Some(path) = &parts.ws_path {
            url.path = format!("/{}", path.trim_start_matches('/'));
        }
        let keep_alive = parts.keep_alive.map(|seconds| Duration::from_secs(seconds.into()));
        self.session.keepalive = keep_alive.unwrap_or(scheme.keepalive());
        self.transport.urls = vec![url];
    }

    fn finish_session(&mut self, v5: bool) -> Result<(), UsageError> {
        let connect = &mut self.properties.connect;
        if let Some(seconds) = connect.session_expiry().copied() {
            if self.parts.session_expiry.is_some_and(|other| other != seconds) {
                return wrong("the session's expiry is given twice, by -D and by -x");
            }
            connect.0.retain(|p| !matches!(p, Property::SessionExpiry(_)));
            self.parts.session_expiry = Some(seconds);
        }
        if v5 && self.parts.keeps_session {
            self.parts.session_expiry.get_or_insert(u32::MAX);
        }
        let kept =
            if v5 { self.parts.session_expiry == Some(u32::MAX) } else { self.parts.keeps_session };
        if kept && (self.session.client_id.is_empty() || self.parts.has_prefix) {
            return wrong("a persistent session needs a client identifier; give it with -i");
        }
        let session = &mut self.session;
        session.session_expiry = Duration::from_secs(self.parts.session_expiry.unwrap_or(0).into());
        session.clean = match (self.parts.keeps_session, self.parts.session_expiry) {
            (true, _) => Clean::Never,
            (false, Some(1..)) => Clean::First,
            (false, _) => Clean::Always,
        };
        session.own_aliases = self.properties.publish.topic_alias().is_some();
        for property in &self.properties.connect.0 {
            match property {
                Property::ReceiveMaximum(n) => session.receive_maximum = *n,
                Property::TopicAliasMaximum(n) => session.topic_aliases = *n,
                Property::MaximumPacketSize(n) => session.largest = *n as usize,
                Property::AuthMethod(_) | Property::AuthData(_) => {}
                other => session.properties.0.push(other.clone()),
            }
        }
        if self.properties.proves_by_scram() && !cfg!(feature = "tls") {
            return wrong("this build has no SCRAM");
        }
        if self.properties.proves_by_scram() && (session.user.is_none() || self.password.is_none())
        {
            return wrong("SCRAM-SHA-256 needs a user name (-u) and a password (--password-file)");
        }
        session.will = self.parts.will.take().and_then(|will| {
            let properties = shared(&self.properties.will);
            let message = Message::new(will.topic?, will.payload);
            Some(Message {
                qos: will.qos.unwrap_or(Qos::AtMostOnce),
                retain: will.retain,
                properties,
                ..message
            })
        });
        Ok(())
    }
}

/// The properties that each message carries; a topic alias comes by itself.
pub(in crate::shell) fn shared(properties: &Properties) -> Option<Arc<Properties>> {
    let kept = properties.0.iter().filter(|p| !matches!(p, Property::TopicAlias(_))).cloned();
    let kept: Properties = kept.collect();
    (!kept.is_empty()).then(|| Arc::new(kept))
}

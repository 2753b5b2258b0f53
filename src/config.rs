//! What the user wrote, as types. Every type's doc comment is the manual of its key:
//! `docs/CONFIG.md` and `config/schema.json` are generated from them.

pub mod cases;
mod check;
pub mod control_path;
#[cfg(test)]
mod docs;
pub mod error;
mod excerpt;
pub mod file;
pub(crate) mod hint;
pub mod load;
mod overlay;
mod switch;
pub mod tree;
mod warn;
pub mod yaml;

pub use overlay::Files;
pub use switch::Switch;

use crate::base::one_by_one;
use crate::base::path::BuildError;
use crate::base::scalar::{Name, Size, Span, Token};
use crate::base::secret::Secret;
use crate::device::mapping::{Slot, Template};
use crate::mqtt::auth::Login;
use crate::mqtt::packet::VersionChoice;
use crate::mqtt::session::Clean;
use crate::mqtt::topic::{Qos, Topic};
use crate::mqtt::transport;
use crate::mqtt::transport::proxy::ProxyUrl;
use crate::mqtt::transport::settings::{Family, Network, TlsSettings};
use crate::mqtt::url::BrokerUrl;
use crate::outbox::settings::OutboxBounds;
use crate::port::settings::Port;
use control_path::Control;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The whole configuration file.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this gateway, the first level of its topics. Default: the host name.
    #[serde(default = "Name::of_host")]
    pub gateway: Name,
    /// The MQTT broker that everything goes to.
    pub broker: Broker,
    /// How much is kept while the broker is away, and what it survives.
    #[serde(default = "OutboxBounds::of_gateway")]
    pub outbox: OutboxBounds,
    /// Most memory that the whole process takes (resident, program and libraries included, as
    /// `VmHWM` in `/proc` counts it), 8MiB to 1GiB; 12MiB at least with a journal. The outbox and
    /// what waits before it get what the program, the ports and the journal leave: the more ports,
    /// the longer their frames and the larger the journal, the less. Default: as `outbox.bytes` and
    /// the speeds of the ports say.
    #[serde(default)]
    pub memory: Option<Size>,
    /// What the gateway says about itself, under `{gateway}/status` unless `topic` says another
    /// place. `off`: nothing at all, no will either unless `broker.will` says one.
    #[serde(default)]
    pub status: Switch<Status>,
    /// Where `tty2mqtt status` and the router's web page reach the gateway: the path of a Unix
    /// socket that only the gateway's user and root may open, or `off`. The folder must be there, or
    /// one that the gateway may make. Default: `/var/run/tty2mqtt/control.sock`, for other users
    /// than root `tty2mqtt/control.sock` in `$XDG_RUNTIME_DIR`, if that is set.
    #[serde(default)]
    pub control: Control,
    /// How long the gateway may go on sending what waits when it is told to end, 0s to 60s. Without
    /// a link to the broker it ends at once. Default: 5s.
    #[serde(default = "Config::default_grace")]
    pub grace: Span,
    /// The serial ports, each under a name of your choice.
    #[serde(deserialize_with = "one_by_one::map")]
    pub ports: BTreeMap<Name, Port>,
    /// The file as it was written, to tell what has changed since.
    #[serde(skip)]
    pub source: Source,
}

/// A configuration as it was written, secrets and all: it is not printed.
#[derive(Clone, Default, PartialEq)]
pub struct Source(pub yaml::Tree);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// What the program itself takes, TLS and its buffers included: measured 5.0 MB on x86-64.
const PROGRAM: usize = 6 << 20;

/// What the journal takes besides: a segment that is read, and what is on its way to it.
const JOURNAL: usize = 3 << 20;

/// It knows of each of its messages whether it is needed, and whether it waits there alone: so many
/// bytes on the disk take one in memory.
const INDEX: usize = 128;

/// What a port takes: its last values (32 KiB of text), its buffers besides those for a frame, and
/// its share of clients that look on.
const PORT: usize = 96 << 10;

/// Memory for what all ports of a configuration make in two seconds at line rate. A reading as a
/// message takes many times its bytes on the line: three short fields in a line of 15 bytes, each
/// with a topic of its own, take 80 times as much. Room is made for 100 times; it is taken up only
/// while the MQTT side stalls.
fn two_seconds_of(config: &Config) -> usize {
    let rates = config.ports.values().map(|port| {
        // A port on the network has no speed of its own; it is taken for a fast one.
        let baud = port.line.map_or(115_200, |line| line.baud) as usize;
        (baud / 10).min(115_200)
    });
    rates.sum::<usize>().saturating_mul(2 * 100).clamp(1 << 20, 32 << 20)
}

impl Config {
    /// How much may wait: in the outbox, and in bytes before it.
    pub fn bounds(&self) -> (OutboxBounds, usize) {
        let mut outbox = self.outbox.clone();
        let before = two_seconds_of(self);
        let Some(memory) = self.memory else { return (outbox, before) };
        let journal = outbox.journal.as_ref();
        let journal = journal.map_or(0, |journal| JOURNAL + journal.size.bytes() / INDEX);
        let all = memory.bytes().saturating_sub(PROGRAM);
        let limits = || self.ports.values().map(|port| port.framing.limit());
        let ports: usize = limits().map(|limit| PORT + 2 * limit).sum();
        let frame = 8 * limits().max().unwrap_or(0);
        // An eighth is left whatever the ports could take all at once: not all of it is ever taken.
        let left = all.saturating_sub(journal + ports + frame).max(all / 8);
        // The last quarter is for what the allocator wastes, and for clients of the control socket.
        outbox.bytes = outbox.bytes.min(Size::from_bytes(left / 2));
        (outbox, before.min(left / 4))
    }

    /// How often the gateway looks after what it says about itself.
    pub fn status_interval(&self) -> Span {
        self.status.on().map_or(Status::default().interval, |status| status.interval)
    }

    /// Whether everything below a key, such as `ports` and a name, is as it was.
    pub fn is_same(&self, other: &Config, path: &[&str]) -> bool {
        self.written(path) == other.written(path)
    }

    fn default_grace() -> Span {
        Span::from_secs(5)
    }

    fn written(&self, path: &[&str]) -> Option<&yaml::Tree> {
        path.iter().try_fold(&self.source.0, |value, key| value.get(key))
    }
}

/// The MQTT broker that everything goes to.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `mqtt://host:1883`, or `mqtts://host:8883` for TLS; `ws://host:80/mqtt` or
    /// `wss://host:443/mqtt` for WebSocket; `unix:///run/mosquitto.sock`. Ports and the path
    /// `/mqtt` may be left out. `user:password@` may stand in front of the host, percent-encoded;
    /// `user`, `password` and `password_file` win over it.
    pub url: BrokerUrl,
    /// Addresses of other brokers, tried in order while the first does not take us in. Each new
    /// link prefers the first again. TLS settings and login are those of the first. Each is spoken
    /// to in its own version. Once a message of QoS 2 went either way, going from one broker to
    /// another begins a new session: what was in flight is sent again, so that brokers which share
    /// sessions may have it twice; what the other one kept for us from an earlier session is gone.
    #[serde(default)]
    pub fallback: Vec<BrokerUrl>,
    /// Client identifier, unique at the broker. Default: `tty2mqtt-`, the gateway's name and six digits
    /// that tell this machine from others of its name: of its machine-id, or else of the address of
    /// its first wired network device.
    #[serde(default)]
    pub client_id: Option<String>,
    /// User name at the broker.
    #[serde(default)]
    pub user: Option<String>,
    /// Password in the clear. Better: `password_file`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File that holds the password in its first line, at most 64 KiB. Read again before each try,
    /// and at a reload.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How the broker proves who it is, and we to it. For `mqtts://` and `wss://`.
    #[serde(default)]
    pub tls: TlsSettings,
    /// A proxy on the way: `socks5://host:1080`, `socks5h://host:1080` (it looks up the broker's
    /// name), `http://host:8080` (CONNECT); `user:password@` may stand in front of the host. TLS
    /// goes through it to the broker.
    #[serde(default)]
    pub proxy: Option<ProxyUrl>,
    /// The only network device to use, such as `wwan0`, as `ip link` names it.
    #[serde(default)]
    pub bind_device: Option<String>,
    /// Address of this machine to connect from.
    #[serde(default)]
    pub local_address: Option<IpAddr>,
    /// Which addresses of a name are used. Default: any, whichever answers first.
    #[serde(default)]
    pub family: Family,
    /// Longest silence towards the broker before a PINGREQ is sent, 5s to 18h. Default: 60s; with
    /// `ws://` or `wss://` 45s, because many web servers in front of brokers end a link after 60s.
    #[serde(default)]
    pub keepalive: Option<Span>,
    /// Header lines of the WebSocket's request, a name and its value each, such as `Authorization`
    /// for a web server in front of the broker. They are kept as secret as a password. Only with
    /// `ws://` and `wss://`, and then for all brokers of the list.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// `true`: the broker takes a `.` for a `/` and a `*` for a `+`, as RabbitMQ does for AMQP. Then
    /// both become `_` in what devices put into topics.
    #[serde(default)]
    pub amqp_topics: bool,
    /// `true`: the broker forgets us when the link ends. `false`: it keeps subscriptions and
    /// commands for us while we are away.
    /// `first`: it forgets us once, when the gateway starts.
    #[serde(default = "Broker::default_clean")]
    pub clean: Clean,
    /// How user name and password are used: `password` sends them, `scram-sha-256` proves in an
    /// exchange that we know them, and that the broker does; that takes MQTT 5.
    #[serde(default)]
    pub auth: Auth,
    /// How long the broker keeps subscriptions and commands for us while we are away, with MQTT 5
    /// and `clean: false` or `first`. Default: 1h.
    #[serde(default = "Broker::default_session_expiry")]
    pub session_expiry: Span,
    /// Version of MQTT: `5`, `3.1.1` or `3.1`; `auto` takes the newest that the broker knows.
    #[serde(default)]
    pub version: VersionChoice,
    /// How many QoS 1 and 2 messages may wait for their acknowledgement at once, 1 to 65535.
    #[serde(default = "Broker::default_inflight")]
    pub inflight: u16,
    /// What the broker publishes when the gateway is lost without a farewell. `off`: nothing.
    /// Default: what `status` says, `offline` on `{gateway}/status`. A broker that does not take it
    /// as it is gets it without retain, with a lower QoS, or not at all; the log says so.
    #[serde(default)]
    pub will: Option<Switch<Will>>,
}

impl Broker {
    /// The addresses in order of preference.
    pub fn urls(&self) -> impl Iterator<Item = &BrokerUrl> {
        std::iter::once(&self.url).chain(&self.fallback)
    }

    /// User name and password for all brokers: the keys, or else what stands in the first address.
    pub fn login(&self) -> Login {
        Login {
            user: self.user.clone().or_else(|| self.url.user.clone()),
            password: self.password.clone().or_else(|| self.url.password.clone()),
        }
    }

    /// Whether commands that are not acknowledged when the gateway ends come again at its next start.
    pub fn keeps_commands(&self) -> bool {
        self.clean == Clean::Never && !self.session_expiry.duration().is_zero()
    }

    /// The keepalive that is asked for.
    pub fn keepalive(&self) -> Duration {
        let shortest = self.urls().map(|url| url.scheme.keepalive()).min();
        let default = shortest.unwrap_or_else(|| self.url.scheme.keepalive());
        self.keepalive.map_or(default, Span::duration)
    }

    /// What a connection needs to know. The addresses are without a login: [`Broker::login`] has
    /// it.
    pub fn transport(&self) -> transport::Settings {
        transport::Settings {
            urls: self.urls().map(|url| url.without_login()).collect(),
            proxy: self.proxy.clone(),
            headers: self.headers.clone(),
            tls: self.tls.clone(),
            network: Network {
                bind_device: self.bind_device.clone(),
                local_address: self.local_address,
                family: self.family,
            },
            // A login in the first address goes to the fallback brokers too.
            credentials: self.login() != Login::default() || self.password_file.is_some(),
        }
    }

    fn default_clean() -> Clean {
        Clean::Always
    }
    fn default_session_expiry() -> Span {
        Span::from_secs(3600)
    }
    fn default_inflight() -> u16 {
        100
    }
}

/// How user name and password are used.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// They are sent.
    #[default]
    Password,
    /// They are proved (RFC 7677).
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
}

/// What the broker publishes when the gateway is lost without a farewell.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Will {
    /// Where to; `{gateway}` is possible. Default: that of `status`.
    pub topic: Option<Template>,
    /// What it says. Default: `offline` of `status`.
    pub payload: Option<Token>,
    /// Its QoS. Default: that of `status`.
    pub qos: Option<Qos>,
    /// Whether the broker keeps it for later subscribers. Default: as `status` says.
    pub retain: Option<bool>,
}

/// What the gateway says about itself: `online` and `offline` on one topic, and JSON below it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Status {
    /// How often it is published when nothing changes, 1s to 24h: what others wrote in its place
    /// counts no longer. Default: 60s.
    pub interval: Span,
    /// Topic of `online` and `offline`; `{gateway}` is possible. Default: `{gateway}/status`.
    pub topic: Template,
    /// What it says while the gateway is connected. Default: `online`.
    pub online: Token,
    /// What it says when the gateway has ended, or was lost. Default: `offline`.
    pub offline: Token,
    /// QoS of these two. JSON goes with QoS 0.
    pub qos: Qos,
    /// Whether the broker keeps it all for later subscribers. Default: true.
    pub retain: bool,
    /// Whether there is JSON below the topic: of the program, the link to the broker, the ports and
    /// what became of commands. Default: true.
    pub details: bool,
}

impl Status {
    /// As others than `topic` write it.
    pub fn topic_of(topic: &Template, gateway: &Name) -> Result<Topic, BuildError> {
        let fixed = topic.fix(&[(Slot::Gateway, gateway.as_str())], &[])?;
        let topic: Topic = fixed.as_text().unwrap_or_default().parse()?;
        match topic.len() > Status::LONGEST {
            true => Err(BuildError::new(format!("longer than {} bytes", Status::LONGEST))
                .remedy("shorten it")),
            false => Ok(topic),
        }
    }

    /// So long may a topic be, in bytes, that has names of ports behind it.
    const LONGEST: usize = 1024;
}

impl Default for Status {
    fn default() -> Status {
        Status {
            interval: Span::from_secs(60),
            topic: Template::of_slot(Slot::Gateway).then("/status"),
            online: Token("online".into()),
            offline: Token("offline".into()),
            qos: Qos::AtLeastOnce,
            retain: true,
            details: true,
        }
    }
}

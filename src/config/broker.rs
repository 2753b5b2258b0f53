//! The broker in the configuration: its addresses, the login and the session.

use super::Switch;
use crate::base::scalar::{Span, Token};
use crate::base::secret::Secret;
use crate::device::mapping::Template;
use crate::mqtt::auth::Login;
use crate::mqtt::packet::VersionChoice;
use crate::mqtt::session::Clean;
use crate::mqtt::topic::Qos;
use crate::mqtt::transport;
use crate::mqtt::transport::proxy::ProxyUrl;
use crate::mqtt::transport::settings::{Family, Network, TlsSettings};
use crate::mqtt::url::BrokerUrl;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach the MQTT broker.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Address of the broker: `mqtt://host:1883`, or `mqtts://host:8883` for TLS;
    /// `ws://host:80/mqtt` or `wss://host:443/mqtt` for WebSocket; `unix:///run/mosquitto.sock` for
    /// a Unix socket. The port and the path `/mqtt` can be left out. `user:password@` can stand
    /// before the host, percent-encoded; `user`, `password` and `password_file` override it.
    pub url: BrokerUrl,
    /// Addresses of other brokers. They are tried in order while the first broker cannot be reached
    /// or refuses the connection; each reconnect tries the first one again. All of them get the TLS
    /// settings and the login of the first; the version of MQTT is found out for each. After any
    /// QoS 2 traffic, switching brokers starts a clean session: messages in flight are sent again,
    /// so that brokers which share sessions may get them twice, and commands that wait at the other
    /// broker are lost.
    #[serde(default)]
    pub fallback: Vec<BrokerUrl>,
    /// Client identifier, unique at the broker. Default: `tty2mqtt-`, the name of the gateway, and
    /// six digits that distinguish this machine from others of the same name. They are derived from
    /// its machine-id or, if it has none, from the address of its first wired network interface.
    pub client_id: Option<String>,
    /// User name at the broker.
    pub user: Option<String>,
    /// Password in clear text. `password_file` is safer.
    pub password: Option<Secret>,
    /// File with the password in its first line, at most 64 KiB. It is read again before each
    /// attempt to connect and at a reload.
    pub password_file: Option<PathBuf>,
    /// How the broker proves its identity, and how the gateway proves its own. For `mqtts://` and
    /// `wss://`.
    #[serde(default)]
    pub tls: TlsSettings,
    /// A proxy to connect through: `socks5://host:1080`, `socks5h://host:1080` (the proxy looks up
    /// the name of the broker) or `http://host:8080` (CONNECT). `user:password@` can stand before
    /// the host. TLS goes through the proxy to the broker.
    pub proxy: Option<ProxyUrl>,
    /// The only network interface to use, by the name that `ip link` shows, such as `wwan0`.
    /// Default: any.
    pub bind_device: Option<String>,
    /// IP address of this machine to connect from. Default: the system chooses.
    pub local_address: Option<IpAddr>,
    /// Which IP addresses of a host name are used: `4`, `6` or `any`. Default: `any`, whichever
    /// answers first.
    #[serde(default)]
    pub family: Family,
    /// MQTT keep-alive: the longest time without traffic before the gateway sends a PINGREQ, 5s to
    /// 18h. Default: 60s; with `ws://` or `wss://` 45s, because many web servers close connections
    /// that are idle for 60s.
    pub keepalive: Option<Span>,
    /// Additional header lines of the WebSocket request, a map of names to values: `Authorization`,
    /// for example, for a web server in front of the broker. The values are kept as secret as a
    /// password. Only with `ws://` and `wss://`; all brokers of the list get them.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// `true`: the broker treats `.` as `/` and `*` as `+`, as RabbitMQ does to translate topics
    /// for AMQP. The gateway then replaces both by `_` in what devices put into topics.
    #[serde(default)]
    pub amqp_topics: bool,
    /// `true`: the broker discards the session when the connection ends. `false`: it keeps
    /// subscriptions and commands while the gateway is not connected. `first`: it discards the
    /// session once, when the gateway starts. Default: `true`.
    #[serde(default = "Broker::default_clean")]
    pub clean: Clean,
    /// How user name and password are used: `password` sends them; `scram-sha-256` proves to the
    /// broker that the gateway knows them, and lets the broker prove the same, without sending the
    /// password. This needs MQTT 5. Default: `password`.
    #[serde(default)]
    pub auth: Auth,
    /// How long the broker keeps subscriptions and commands while the gateway is not connected,
    /// with MQTT 5 and `clean: false` or `first`. Default: 1h.
    #[serde(default = "Broker::default_session_expiry")]
    pub session_expiry: Span,
    /// Version of MQTT: `5`, `3.1.1` or `3.1`; `auto` uses the newest that the broker supports.
    /// Default: `auto`.
    #[serde(default)]
    pub version: VersionChoice,
    /// How many QoS 1 and QoS 2 messages may wait for their acknowledgement at the same time, 1 to
    /// 65535.
    #[serde(default = "Broker::default_inflight")]
    pub inflight: u16,
    /// The will: what the broker publishes when it loses the gateway without a DISCONNECT. `off`:
    /// nothing. Default: the word `offline` of `status`, on the topic of `status`. A broker that
    /// refuses the will is offered it without retain, then with a lower QoS, then none at all; the
    /// log says so.
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
    /// They are sent to the broker.
    #[default]
    Password,
    /// The gateway proves that it knows them, without sending the password (RFC 7677).
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
}

/// What the broker publishes when it loses the gateway without a DISCONNECT.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Will {
    /// Its topic; `{gateway}` can be used. Default: the topic of `status`.
    pub topic: Option<Template>,
    /// Its payload. Default: the word `offline` of `status`.
    pub payload: Option<Token>,
    /// Its QoS. Default: the QoS of `status`.
    pub qos: Option<Qos>,
    /// Whether the broker retains it for later subscribers. Default: as `status` says.
    pub retain: Option<bool>,
}

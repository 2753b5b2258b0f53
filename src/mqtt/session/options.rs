//! What a session is opened with, and what the broker allows it.

use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::base::secret::Secret;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{
    Connect, MAX_REMAINING, Properties, Property, Reason, Subscription, Version,
};
use crate::mqtt::topic::Qos;
use serde::{Deserialize, Deserializer, de};
use std::time::Duration;

/// The settings of a session.
#[derive(Clone, Debug)]
pub struct Options {
    /// The client identifier, unique at the broker. If it is empty, the broker assigns one, which is
    /// kept from then on.
    pub client_id: String,
    /// The protocol version; `None` means 5.0 if the broker supports it, or else 3.1.1, or else 3.1.
    pub version: Option<Version>,
    /// Whether the broker starts a new session.
    pub clean: Clean,
    /// How long the broker keeps the session without a link, in 5.0; not with [`Clean::Always`].
    pub session_expiry: Duration,
    /// Longest silence in either direction before PINGREQ; at most 65,535 s go on the wire. 0: no
    /// PINGREQ, and the broker never gives us up. A broker of 5.0 may overrule it.
    pub keepalive: Duration,
    /// User name.
    pub user: Option<String>,
    /// Password; before 5.0 only with a user name.
    pub password: Option<Secret>,
    /// The will, which the broker publishes when the client is lost; its properties may have a
    /// `WillDelay`.
    pub will: Option<Message>,
    /// Whether a broker that does not take the will as it is gets a smaller one: not retained, of a
    /// lower QoS, or none. Else it does not let us in.
    pub adapt_will: bool,
    /// Whether the broker is to publish the will even if the client leaves on purpose: in 5.0 by the reason of
    /// DISCONNECT, before that by leaving DISCONNECT out.
    pub always_will: bool,
    /// How many QoS 1 and 2 messages may wait for their acknowledgement at once, 1 to 65,000; what
    /// lies outside counts as the nearest of these. The broker may allow less.
    pub inflight: u16,
    /// How many of the broker's messages may be unacknowledged, 1 to 65,535; it is told in 5.0.
    pub receive_maximum: u16,
    /// How long in all reading may pause for a broker that sends more than that; then all that it has
    /// is read, so that acknowledgements behind it arrive, and whoever takes the messages must have
    /// room or refuse them. `None`: until messages are acknowledged.
    pub hold: Option<Duration>,
    /// Where packet identifiers begin. A client that takes up a session of an earlier process takes
    /// a random one, or the broker could take a new QoS 2 message for one that it holds.
    pub first_id: u16,
    /// The maximum packet size in bytes. Larger messages are skipped.
    pub largest: usize,
    /// What becomes of a message that is larger than that.
    pub on_oversize: OnOversize,
    /// How many bytes of a skipped message the event contains.
    pub overflow: usize,
    /// How many topic aliases the broker may use (MQTT 5.0).
    pub topic_aliases: u16,
    /// Whether the client uses topic aliases where the broker allows it (MQTT 5.0).
    pub own_aliases: bool,
    /// Whether messages are acknowledged by [`super::Session::acknowledge`] and not when they are
    /// taken.
    pub manual_ack: bool,
    /// What else CONNECT says in 5.0: user properties, `RequestProblemInfo`, `RequestResponseInfo`.
    pub properties: Properties,
}

/// What becomes of a message that is larger than we take. It is read past and acknowledged, or the
/// broker would send it again and again; other messages follow as ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOversize {
    /// Its beginning is told, as [`super::Event::Oversize`].
    #[default]
    Tell,
    /// Nobody hears of it.
    Drop,
    /// It ends the link, with `PACKET_TOO_LARGE` in 5.0. A message that the broker keeps ends each
    /// link then.
    Disconnect,
}

/// Whether the broker is to begin with nothing, or with what it remembers (3.1.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clean {
    /// With nothing, at each connect; and it forgets us when the link ends.
    Always,
    /// With what it remembers.
    #[default]
    Never,
    /// With nothing at the first connect, with what it remembers from then on.
    First,
}

impl<'de> Deserialize<'de> for Clean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Clean, D::Error> {
        let Token(text) = Token::deserialize(deserializer)?;
        match text.as_str() {
            "true" => Ok(Clean::Always),
            "false" => Ok(Clean::Never),
            "first" => Ok(Clean::First),
            _ => Err(de::Error::custom(
                BuildError::new(format!("{text:?} is not possible here"))
                    .remedy("write true, false or first"),
            )),
        }
    }
}

crate::base::scalar::word_schema!(Clean: {"enum": [true, false, "first"]});

impl Default for Options {
    fn default() -> Options {
        Options {
            client_id: String::new(),
            version: None,
            clean: Clean::default(),
            session_expiry: Duration::from_secs(3600),
            keepalive: Duration::from_secs(60),
            user: None,
            password: None,
            will: None,
            adapt_will: true,
            always_will: false,
            inflight: 20,
            receive_maximum: 64,
            hold: None,
            first_id: 1,
            largest: 256 * 1024,
            on_oversize: OnOversize::Tell,
            overflow: 1024,
            topic_aliases: 16,
            own_aliases: true,
            manual_ack: false,
            properties: Properties::NONE,
        }
    }
}

impl Options {
    /// CONNECT in a version, without a login. `first`: there was no session yet.
    pub(super) fn connect(&self, version: Version, first: bool) -> Connect {
        // Without an identifier there is nothing to find a kept session by (3.1.1, 3.1.3.1).
        let nameless = self.client_id.is_empty() && version < Version::V5;
        let clean = match self.clean {
            Clean::Always => true,
            Clean::Never => nameless,
            Clean::First => first || nameless,
        };
        let mut properties = Properties::NONE;
        if version == Version::V5 {
            properties = self.properties.clone();
            let expiry = match self.clean {
                Clean::Always => 0,
                Clean::Never | Clean::First => seconds(self.session_expiry),
            };
            properties.0.extend((expiry > 0).then_some(Property::SessionExpiry(expiry)));
            properties.0.push(Property::ReceiveMaximum(self.receive_maximum.max(1)));
            // Where nothing is limited, more brokers understand it if nothing is said.
            let largest = u32::try_from(self.largest).unwrap_or(u32::MAX).max(1);
            let is_limit = self.largest < MAX_REMAINING;
            properties.0.extend(is_limit.then_some(Property::MaximumPacketSize(largest)));
            let aliases = self.topic_aliases;
            properties.0.extend((aliases > 0).then_some(Property::TopicAliasMaximum(aliases)));
        }
        Connect {
            version,
            client_id: self.client_id.clone(),
            clean,
            keep_alive: u16::try_from(seconds(self.keepalive)).unwrap_or(u16::MAX),
            will: self.will.clone(),
            user: None,
            password: None,
            properties,
        }
    }

    /// The will, if a smaller one may be tried.
    pub(super) fn adaptable_will(&self) -> Option<&Message> {
        self.will.as_ref().filter(|_| self.adapt_will)
    }
}

/// Rounded up: 0 would tell the broker never to give us up.
fn seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// What the broker said that it can do (MQTT 5.0, 3.2.2.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the largest packet.
    pub(super) largest: usize,
    /// The highest QoS of a message.
    pub(super) qos: Qos,
    /// Whether the broker retains messages.
    pub(super) retain: bool,
    wildcard: bool,
    subscription_id: bool,
    shared: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            largest: MAX_REMAINING,
            qos: Qos::ExactlyOnce,
            retain: true,
            wildcard: true,
            subscription_id: true,
            shared: true,
        }
    }
}

impl Limits {
    /// What CONNACK says; what it does not say is possible.
    pub(super) fn of(properties: &Properties) -> Limits {
        let all = Limits::default();
        Limits {
            largest: properties.maximum_packet_size().map_or(all.largest, |n| *n as usize),
            qos: match properties.maximum_qos() {
                Some(0) => Qos::AtMostOnce,
                Some(1) => Qos::AtLeastOnce,
                _ => Qos::ExactlyOnce,
            },
            retain: properties.retain_available().copied().unwrap_or(true),
            wildcard: properties.wildcard_available().copied().unwrap_or(true),
            subscription_id: properties.subscription_id_available().copied().unwrap_or(true),
            shared: properties.shared_available().copied().unwrap_or(true),
        }
    }

    /// Why a subscription cannot be asked for.
    pub(super) fn refuses(&self, wanted: &Subscription, properties: &Properties) -> Option<Reason> {
        let has_id = properties.subscription_ids().next().is_some();
        if wanted.filter.is_shared() && !self.shared {
            Some(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if wanted.filter.as_str().contains(['+', '#']) && !self.wildcard {
            Some(Reason::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if has_id && !self.subscription_id {
            Some(Reason::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
        } else {
            None
        }
    }
}

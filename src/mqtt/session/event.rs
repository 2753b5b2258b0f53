//! What a session tells its owner, and why its link must end.

use super::connect::CONNECT_DEADLINE;
use super::in_flight::ANSWER_DEADLINE;
use super::inbound::AckToken;
use super::keepalive::PING_DEADLINE;
use super::quarantine::{Suspected, size};
use super::requests::Request;
use crate::mqtt::auth::AuthError;
use crate::mqtt::message::Message;
use crate::mqtt::packet::{ConnAck, Disconnect, PacketError, Properties, Reason};
use crate::mqtt::topic::{Qos, Topic, TopicFilter};
use bytes::Bytes;
use std::time::Duration;

/// What the session tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker accepted the connection.
    Connected(ConnAck),
    /// A message of a subscription. It is acknowledged when this event is taken, or by hand.
    Message(Received),
    /// The broker answered a subscription: the QoS that it grants, or why it grants none.
    Subscribed {
        /// The call that asked for it.
        request: Request,
        /// The filter of the subscription.
        filter: TopicFilter,
        /// The granted QoS, or why there is none.
        granted: Result<Qos, Reason>,
    },
    /// The broker answered UNSUBSCRIBE.
    Unsubscribed {
        /// The call that asked for it.
        request: Request,
        /// The filter.
        filter: TopicFilter,
        /// The broker's reason code.
        reason: Reason,
    },
    /// A message too large for us was passed over (and acknowledged, or it would come for ever).
    Oversize {
        /// Its topic, as far as it can be shown.
        topic: String,
        /// Its QoS.
        qos: Qos,
        /// Bytes behind its head, most of them payload.
        bytes: usize,
        /// The first of them.
        start: Bytes,
    },
    /// A message whose topic has a wildcard was passed over (and acknowledged, or it would come for
    /// ever). Brokers that translate topics make such of a `*`.
    WildcardTopic {
        /// Its topic, where the message itself says it.
        topic: Option<String>,
    },
    /// A message of ours cannot be sent to this broker, or the broker does not take it.
    Refused {
        /// The topic of the message.
        topic: Topic,
        /// Why not.
        reason: Reason,
        /// Bytes of topic and payload.
        bytes: usize,
        /// The number of its sender, see [`RefusedMessage::sender`](crate::mqtt::source::RefusedMessage::sender).
        sender: u16,
        /// How many links the broker ended at such messages; 0: it, or its limits, say so.
        links: u32,
    },
    /// Links end at something of ours. It is set aside and tried alone; what becomes of a message
    /// then is told by [`Event::Refused`] if the broker does not take it, of a subscription by
    /// [`Event::Subscribed`].
    Suspected(Suspected),
    /// The broker does not take a message now. Nothing is sent for a while, then it is again.
    PutOff {
        /// The topic of the message.
        topic: Topic,
        /// Why not now.
        reason: Reason,
        /// How long.
        wait: Duration,
    },
    /// The broker answered a PINGREQ.
    Pong,
    /// An authentication exchange on a link that stands has succeeded.
    Authenticated,
}

impl Event {
    pub(super) fn refused(message: &Message, sender: u16, reason: Reason, links: u32) -> Event {
        let (topic, bytes) = (message.topic.clone(), size(message));
        Event::Refused { topic, reason, bytes, sender, links }
    }
}

/// A message from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The topic.
    pub topic: Topic,
    /// The payload; it shares the memory that was read.
    pub payload: Bytes,
    /// The QoS.
    pub qos: Qos,
    /// The RETAIN flag: whether the broker sent a retained message.
    pub retain: bool,
    /// The DUP flag: whether the broker may have sent the message before.
    pub dup: bool,
    /// The properties (MQTT 5.0).
    pub properties: Properties,
    /// The token that acknowledges the message; QoS 0 has none.
    pub token: Option<AckToken>,
}

/// Why a link must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The broker refused the connection.
    #[error("the broker does not let us in: {}{}{}", remedy(.0.reason), words(&.0.properties), elsewhere(&.0.properties))]
    Refused(ConnAck),
    /// The broker ended the link, and said why.
    #[error("the broker ended the link: {}{}{}", parting(.0.reason), words(&.0.properties), elsewhere(&.0.properties))]
    Disconnected(Disconnect),
    /// No answer to CONNECT.
    #[error("no CONNACK within {} s; is that an MQTT broker?", CONNECT_DEADLINE.as_secs())]
    NoConnAck,
    /// No answer to PINGREQ: the link is half-open, or the broker hangs.
    #[error("no PINGRESP within {} s: the link is dead", PING_DEADLINE.as_secs())]
    NoPingResp,
    /// A message or a subscription stays unanswered, although the broker is there.
    #[error("the broker left a packet unacknowledged for {} s", ANSWER_DEADLINE.as_secs())]
    NoAnswer,
    /// The broker sent something that is not MQTT.
    #[error("the broker broke the protocol: {0}")]
    Packet(#[from] PacketError),
    /// The broker sent a packet that has no place here.
    #[error("the broker broke the protocol: {1}")]
    Protocol(Reason, &'static str),
    /// Something in CONNECT is longer than MQTT can say.
    #[error("the {0} has more than 65535 bytes, which MQTT cannot carry; make it shorter")]
    TooLong(&'static str),
    /// The authentication exchange failed.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl SessionError {
    /// Whether trying again soon is pointless, because somebody must change a setting first.
    pub fn needs_operator(&self) -> bool {
        match self {
            SessionError::Refused(answer) => matches!(
                answer.reason,
                Reason::UNSUPPORTED_PROTOCOL_VERSION
                    | Reason::CLIENT_IDENTIFIER_NOT_VALID
                    | Reason::BAD_USER_NAME_OR_PASSWORD
                    | Reason::NOT_AUTHORIZED
                    | Reason::BANNED
                    | Reason::BAD_AUTHENTICATION_METHOD
            ),
            SessionError::Auth(_) | SessionError::TooLong(_) => true,
            _ => false,
        }
    }

    /// The reason that goes with it in MQTT 5.0.
    pub fn reason(&self) -> Reason {
        match self {
            SessionError::Refused(answer) => answer.reason,
            SessionError::Disconnected(disconnect) => disconnect.reason,
            SessionError::NoConnAck | SessionError::NoAnswer => Reason::UNSPECIFIED_ERROR,
            SessionError::NoPingResp => Reason::KEEP_ALIVE_TIMEOUT,
            SessionError::Packet(error) => error.reason(),
            SessionError::Protocol(reason, _) => *reason,
            SessionError::Auth(_) => Reason::NOT_AUTHORIZED,
            SessionError::TooLong(_) => Reason::PACKET_TOO_LARGE,
        }
    }

    /// Whether the broker is to be told with DISCONNECT. Not what it said itself, and not where it
    /// does not answer.
    pub(super) fn is_told(&self) -> bool {
        matches!(self, SessionError::Packet(_) | SessionError::Protocol(..))
    }
}

/// What it means, and what can be done. A return code of 3.x may stand for more than one thing:
/// brokers use the five that there are for whatever they refuse.
fn remedy(reason: Reason) -> String {
    let remedy = match reason {
        Reason::UNSUPPORTED_PROTOCOL_VERSION => {
            "it does not speak this version of MQTT, or takes CONNECT for malformed; leave out \
             `broker.version`"
        }
        Reason::CLIENT_IDENTIFIER_NOT_VALID => {
            "it does not accept the client identifier, or before MQTT 5 a keepalive above its \
             maximum; set `broker.client_id`, or a shorter `broker.keepalive`"
        }
        Reason::SERVER_UNAVAILABLE => {
            "it is not available right now; that may also be its answer to more clients or connects \
             than it allows, or to a will that it does not take: set `broker.will`"
        }
        Reason::BAD_USER_NAME_OR_PASSWORD => {
            "wrong user or password; see `broker.user` and `broker.password_file`"
        }
        Reason::NOT_AUTHORIZED => {
            "not authorized; does it want `broker.user` and a password, or another \
             `broker.client_id` or `broker.will`?"
        }
        Reason::BANNED => {
            "we are banned; it may have seen too many connects, or too many logins fail"
        }
        Reason::QOS_NOT_SUPPORTED
        | Reason::RETAIN_NOT_SUPPORTED
        | Reason::TOPIC_NAME_INVALID
        | Reason::PAYLOAD_FORMAT_INVALID => {
            return format!("it does not take the will; set `broker.will`: {reason}");
        }
        other => return other.to_string(),
    };
    remedy.into()
}

fn parting(reason: Reason) -> String {
    match reason {
        Reason::SESSION_TAKEN_OVER => {
            "another client uses the same client identifier; set `broker.client_id` to one of our own"
                .into()
        }
        other => other.to_string(),
    }
}

fn words(properties: &Properties) -> String {
    properties.reason_string().map(|words| format!(" ({words:?})")).unwrap_or_default()
}

fn elsewhere(properties: &Properties) -> String {
    let server = properties.server_reference();
    server.map(|server| format!("; it names another broker: {server}")).unwrap_or_default()
}

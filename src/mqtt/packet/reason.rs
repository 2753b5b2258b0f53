//! Reason codes (MQTT 5.0, 2.4), and the return codes of CONNACK in 3.x.

use super::{ack, connack, disconnect, suback};
use std::fmt;

/// How something went. Below 0x80 it went well. A packet of MQTT 3.x has none and gets the one that
/// says the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(u8);

macro_rules! reasons {
    ($($code:literal $constant:ident $name:literal)*) => {
        impl Reason {
            $(#[doc = concat!($name, ".")] pub const $constant: Reason = Reason($code);)*

            /// The name that the standard gives it.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($code => $name,)*
                    _ => "unknown reason",
                }
            }
        }
    };
}

reasons! {
    0x00 SUCCESS "success"
    0x01 GRANTED_QOS_1 "granted QoS 1"
    0x02 GRANTED_QOS_2 "granted QoS 2"
    0x04 DISCONNECT_WITH_WILL "disconnect with will message"
    0x10 NO_MATCHING_SUBSCRIBERS "no matching subscribers"
    0x11 NO_SUBSCRIPTION_EXISTED "no subscription existed"
    0x18 CONTINUE_AUTHENTICATION "continue authentication"
    0x19 RE_AUTHENTICATE "re-authenticate"
    0x80 UNSPECIFIED_ERROR "unspecified error"
    0x81 MALFORMED_PACKET "malformed packet"
    0x82 PROTOCOL_ERROR "protocol error"
    0x83 IMPLEMENTATION_SPECIFIC_ERROR "implementation specific error"
    0x84 UNSUPPORTED_PROTOCOL_VERSION "unsupported protocol version"
    0x85 CLIENT_IDENTIFIER_NOT_VALID "client identifier not valid"
    0x86 BAD_USER_NAME_OR_PASSWORD "bad user name or password"
    0x87 NOT_AUTHORIZED "not authorized"
    0x88 SERVER_UNAVAILABLE "server unavailable"
    0x89 SERVER_BUSY "server busy"
    0x8A BANNED "banned"
    0x8B SERVER_SHUTTING_DOWN "server shutting down"
    0x8C BAD_AUTHENTICATION_METHOD "bad authentication method"
    0x8D KEEP_ALIVE_TIMEOUT "keep alive timeout"
    0x8E SESSION_TAKEN_OVER "session taken over"
    0x8F TOPIC_FILTER_INVALID "topic filter invalid"
    0x90 TOPIC_NAME_INVALID "topic name invalid"
    0x91 PACKET_IDENTIFIER_IN_USE "packet identifier in use"
    0x92 PACKET_IDENTIFIER_NOT_FOUND "packet identifier not found"
    0x93 RECEIVE_MAXIMUM_EXCEEDED "receive maximum exceeded"
    0x94 TOPIC_ALIAS_INVALID "topic alias invalid"
    0x95 PACKET_TOO_LARGE "packet too large"
    0x96 MESSAGE_RATE_TOO_HIGH "message rate too high"
    0x97 QUOTA_EXCEEDED "quota exceeded"
    0x98 ADMINISTRATIVE_ACTION "administrative action"
    0x99 PAYLOAD_FORMAT_INVALID "payload format invalid"
    0x9A RETAIN_NOT_SUPPORTED "retain not supported"
    0x9B QOS_NOT_SUPPORTED "QoS not supported"
    0x9C USE_ANOTHER_SERVER "use another server"
    0x9D SERVER_MOVED "server moved"
    0x9E SHARED_SUBSCRIPTIONS_NOT_SUPPORTED "shared subscriptions not supported"
    0x9F CONNECTION_RATE_EXCEEDED "connection rate exceeded"
    0xA0 MAXIMUM_CONNECT_TIME "maximum connect time"
    0xA1 SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED "subscription identifiers not supported"
    0xA2 WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED "wildcard subscriptions not supported"
}

impl Reason {
    /// The code on the wire of MQTT 5.0.
    pub fn code(self) -> u8 {
        self.0
    }

    /// Whether it is an error.
    pub fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// Whether the same message may be taken a while later: so says a broker that is over a quota,
    /// and one that does not say why.
    pub fn may_pass(self) -> bool {
        let passing = [
            Reason::QUOTA_EXCEEDED,
            Reason::UNSPECIFIED_ERROR,
            Reason::IMPLEMENTATION_SPECIFIC_ERROR,
        ];
        passing.contains(&self)
    }

    /// A reason as it came in a packet of a type; `None` where the standard does not allow it there
    /// (2.4, table 2-6).
    pub(super) fn in_packet(code: u8, kind: u8) -> Option<Reason> {
        let allowed: &[u8] = match kind {
            connack::KIND => &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
                0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
            ack::PUBACK | ack::PUBREC => &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
            ack::PUBREL | ack::PUBCOMP => &[0x00, 0x92],
            suback::SUBACK => {
                &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
            }
            suback::UNSUBACK => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
            disconnect::DISCONNECT => &[
                0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1,
                0xA2,
            ],
            disconnect::AUTH => &[0x00, 0x18, 0x19],
            _ => &[],
        };
        allowed.contains(&code).then_some(Reason(code))
    }

    /// The reason that a CONNACK of 3.x gives (MQTT 3.1.1, 3.2.2.3); `None` for reserved codes.
    pub(super) fn from_return_code(code: u8) -> Option<Reason> {
        Some(match code {
            0 => Reason::SUCCESS,
            1 => Reason::UNSUPPORTED_PROTOCOL_VERSION,
            2 => Reason::CLIENT_IDENTIFIER_NOT_VALID,
            3 => Reason::SERVER_UNAVAILABLE,
            4 => Reason::BAD_USER_NAME_OR_PASSWORD,
            5 => Reason::NOT_AUTHORIZED,
            _ => return None,
        })
    }

    /// The return code that says the same in a CONNACK of 3.x.
    pub fn return_code(self) -> u8 {
        match self {
            Reason::SUCCESS => 0,
            Reason::UNSUPPORTED_PROTOCOL_VERSION => 1,
            Reason::CLIENT_IDENTIFIER_NOT_VALID => 2,
            Reason::BAD_USER_NAME_OR_PASSWORD => 4,
            Reason::NOT_AUTHORIZED | Reason::BANNED => 5,
            _ => 3,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

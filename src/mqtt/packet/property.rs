//! Properties (MQTT 5.0, 2.2.2): what a packet says besides its fixed fields.

use super::wire::{Reader, put_binary, put_varint, varint_len};
use super::{PacketError, Version};
use bytes::{BufMut, Bytes, BytesMut};

/// Where properties stand. Each of them is allowed in some places only (2.2.2.2, table 2-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Connect = 0x001,
    Will = 0x002,
    ConnAck = 0x004,
    Publish = 0x008,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK.
    Ack = 0x010,
    Subscribe = 0x020,
    Unsubscribe = 0x040,
    Disconnect = 0x080,
    Auth = 0x100,
}

/// The type that a property's value has on the wire (1.5).
trait Value: Sized {
    fn read(body: &mut Reader) -> Result<Self, PacketError>;
    fn write(&self, out: &mut BytesMut);
    /// Bytes that it takes.
    fn len(&self) -> usize {
        size_of::<Self>()
    }
}

impl Value for u8 {
    fn read(body: &mut Reader) -> Result<u8, PacketError> {
        body.u8()
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(*self);
    }
}

impl Value for bool {
    fn read(body: &mut Reader) -> Result<bool, PacketError> {
        match body.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(PacketError::Protocol("a property that is 0 or 1 is neither")),
        }
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
}

impl Value for u16 {
    fn read(body: &mut Reader) -> Result<u16, PacketError> {
        body.u16()
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u16(*self);
    }
}

impl Value for u32 {
    fn read(body: &mut Reader) -> Result<u32, PacketError> {
        body.u32()
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u32(*self);
    }
}

impl Value for String {
    fn read(body: &mut Reader) -> Result<String, PacketError> {
        body.text()
    }
    fn write(&self, out: &mut BytesMut) {
        put_binary(out, self.as_bytes());
    }
    fn len(&self) -> usize {
        2 + self.len().min(usize::from(u16::MAX))
    }
}

impl Value for Bytes {
    fn read(body: &mut Reader) -> Result<Bytes, PacketError> {
        body.binary()
    }
    fn write(&self, out: &mut BytesMut) {
        put_binary(out, self);
    }
    fn len(&self) -> usize {
        2 + self.len().min(usize::from(u16::MAX))
    }
}

/// A number of one to four bytes, 7 bits each (1.5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Varint(pub u32);

impl Value for Varint {
    fn read(body: &mut Reader) -> Result<Varint, PacketError> {
        body.varint().map(Varint)
    }
    fn write(&self, out: &mut BytesMut) {
        put_varint(out, self.0);
    }
    fn len(&self) -> usize {
        varint_len(self.0)
    }
}

/// A key and a value, both text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair(pub String, pub String);

impl Value for Pair {
    fn read(body: &mut Reader) -> Result<Pair, PacketError> {
        Ok(Pair(body.text()?, body.text()?))
    }
    fn write(&self, out: &mut BytesMut) {
        put_binary(out, self.0.as_bytes());
        put_binary(out, self.1.as_bytes());
    }
    fn len(&self) -> usize {
        Value::len(&self.0) + Value::len(&self.1)
    }
}

macro_rules! properties {
    ($($id:literal $name:ident $getter:ident($kind:ty) $text:literal, $places:expr, $doc:literal;)*) => {
        /// One property.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Property {
            $(#[doc = $doc] $name($kind),)*
        }

        impl Property {
            /// Its identifier on the wire.
            pub fn id(&self) -> u8 {
                match self {
                    $(Property::$name(_) => $id,)*
                }
            }

            /// The standard's name of it, in lower case: `message-expiry-interval`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Property::$name(_) => $text,)*
                }
            }

            /// One of each kind, with an empty value.
            #[cfg(feature = "shell")]
            pub(crate) fn each() -> [Property; 27] {
                [$(Property::$name(Default::default()),)*]
            }

            fn places(id: u32) -> Option<u16> {
                match id {
                    $($id => Some($places),)*
                    _ => None,
                }
            }

            fn read(id: u32, body: &mut Reader) -> Result<Property, PacketError> {
                match id {
                    $($id => <$kind>::read(body).map(Property::$name),)*
                    _ => Err(PacketError::Property(id)),
                }
            }

            fn write(&self, out: &mut BytesMut) {
                out.put_u8(self.id());
                match self {
                    $(Property::$name(value) => value.write(out),)*
                }
            }

            fn len(&self) -> usize {
                1 + match self {
                    $(Property::$name(value) => Value::len(value),)*
                }
            }
        }

        /// The first property of each kind.
        impl Properties {
            $(#[doc = $doc]
            pub fn $getter(&self) -> Option<&$kind> {
                self.0.iter().find_map(|property| match property {
                    Property::$name(value) => Some(value),
                    _ => None,
                })
            })*
        }
    };
}

const CONNECT: u16 = Place::Connect as u16;
const WILL: u16 = Place::Will as u16;
const CONNACK: u16 = Place::ConnAck as u16;
const PUBLISH: u16 = Place::Publish as u16;
const ACK: u16 = Place::Ack as u16;
const SUBSCRIBE: u16 = Place::Subscribe as u16;
const DISCONNECT: u16 = Place::Disconnect as u16;
const AUTH: u16 = Place::Auth as u16;
const MESSAGE: u16 = PUBLISH | WILL;
const ALL: u16 = 0xFFFF;

properties! {
    0x01 PayloadFormat payload_format(bool) "payload-format-indicator", MESSAGE,
        "Whether the payload is text in UTF-8.";
    0x02 MessageExpiry message_expiry(u32) "message-expiry-interval", MESSAGE,
        "Seconds after which the message means nothing any more.";
    0x03 ContentType content_type(String) "content-type", MESSAGE, "What the payload is, such as a MIME type.";
    0x08 ResponseTopic response_topic(String) "response-topic", MESSAGE, "Where an answer is expected.";
    0x09 CorrelationData correlation_data(Bytes) "correlation-data", MESSAGE, "What the answer repeats.";
    0x0B SubscriptionId subscription_id(Varint) "subscription-identifier", PUBLISH | SUBSCRIBE,
        "The subscription's number, 1 to 268,435,455.";
    0x11 SessionExpiry session_expiry(u32) "session-expiry-interval", CONNECT | CONNACK | DISCONNECT,
        "Seconds for which the broker keeps a session without a link; 0xFFFF_FFFF: for ever.";
    0x12 AssignedClientId assigned_client_id(String) "assigned-client-identifier", CONNACK,
        "The client identifier that the broker made up.";
    0x13 ServerKeepAlive server_keep_alive(u16) "server-keep-alive", CONNACK,
        "The keep alive in seconds that the broker wants.";
    0x15 AuthMethod auth_method(String) "authentication-method", CONNECT | CONNACK | AUTH,
        "The way of the authentication exchange.";
    0x16 AuthData auth_data(Bytes) "authentication-data", CONNECT | CONNACK | AUTH,
        "A step of that exchange.";
    0x17 RequestProblemInfo request_problem_info(bool) "request-problem-information", CONNECT,
        "Whether reasons may be explained in words.";
    0x18 WillDelay will_delay(u32) "will-delay-interval", WILL,
        "Seconds between the loss of a client and its will.";
    0x19 RequestResponseInfo request_response_info(bool) "request-response-information", CONNECT,
        "Whether the broker is to send `ResponseInfo`.";
    0x1A ResponseInfo response_info(String) "response-information", CONNACK,
        "What response topics are to begin with.";
    0x1C ServerReference server_reference(String) "server-reference", CONNACK | DISCONNECT, "Another broker to use.";
    0x1F ReasonString reason_string(String) "reason-string", CONNACK | ACK | DISCONNECT | AUTH,
        "The reason in words.";
    0x21 ReceiveMaximum receive_maximum(u16) "receive-maximum", CONNECT | CONNACK,
        "How many messages of QoS 1 and 2 may be unacknowledged, 1 to 65,535.";
    0x22 TopicAliasMaximum topic_alias_maximum(u16) "topic-alias-maximum", CONNECT | CONNACK,
        "The highest topic alias that is understood.";
    0x23 TopicAlias topic_alias(u16) "topic-alias", PUBLISH,
        "A number that stands for the topic on this link, at least 1.";
    0x24 MaximumQos maximum_qos(u8) "maximum-qos", CONNACK, "The highest QoS that the broker takes, 0 or 1.";
    0x25 RetainAvailable retain_available(bool) "retain-available", CONNACK,
        "Whether the broker keeps retained messages.";
    0x26 UserProperty user_property(Pair) "user-property", ALL,
        "A name and a value that only the application understands.";
    0x27 MaximumPacketSize maximum_packet_size(u32) "maximum-packet-size", CONNECT | CONNACK,
        "The largest packet that is taken, in bytes.";
    0x28 WildcardAvailable wildcard_available(bool) "wildcard-subscription-available", CONNACK,
        "Whether filters may have wildcards.";
    0x29 SubscriptionIdAvailable subscription_id_available(bool) "subscription-identifiers-available", CONNACK,
        "Whether subscriptions may have numbers.";
    0x2A SharedAvailable shared_available(bool) "shared-subscription-available", CONNACK,
        "Whether subscriptions may be shared.";
}

impl Property {
    /// A user property.
    pub fn user(key: impl Into<String>, value: impl Into<String>) -> Property {
        Property::UserProperty(Pair(key.into(), value.into()))
    }

    /// Whether a client may put it there. In these two only a broker does (3.3.2.3.8, 3.14.2.2.5).
    #[cfg(feature = "shell")]
    pub(crate) fn is_for_client(&self, place: Place) -> bool {
        let by_broker = matches!(
            (self, place),
            (Property::SubscriptionId(_), Place::Publish)
                | (Property::ServerReference(_), Place::Disconnect)
        );
        !by_broker && Property::places(self.id().into()).is_some_and(|it| it & place as u16 != 0)
    }

    /// Values that the standard excludes (3.1.2.11, 3.2.2.3, 3.3.2.3).
    fn check(&self) -> Result<(), PacketError> {
        let zero = match self {
            Property::SubscriptionId(Varint(0)) => "a subscription identifier 0",
            Property::ReceiveMaximum(0) => "a receive maximum of 0",
            Property::MaximumPacketSize(0) => "a maximum packet size of 0",
            Property::TopicAlias(0) => return Err(PacketError::ZeroAlias),
            Property::MaximumQos(2..) => "a maximum QoS above 1",
            Property::ResponseTopic(topic) if topic.contains(['+', '#']) => {
                "a response topic with a wildcard"
            }
            Property::ResponseTopic(topic) if topic.is_empty() => "an empty response topic",
            _ => return Ok(()),
        };
        Err(PacketError::Protocol(zero))
    }
}

/// The properties of a packet, in the order in which they came or shall go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(pub Vec<Property>);

impl Properties {
    /// None.
    pub const NONE: Properties = Properties(Vec::new());

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of the subscriptions that a message matched.
    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().filter_map(|property| match property {
            Property::SubscriptionId(Varint(id)) => Some(*id),
            _ => None,
        })
    }

    /// The user properties, in their order.
    pub fn user(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.0.iter().filter_map(|property| match property {
            Property::UserProperty(Pair(key, value)) => Some((key.as_str(), value.as_str())),
            _ => None,
        })
    }

    /// Whether the length of each text and each byte string can be written, in two bytes (1.5.4,
    /// 1.5.6).
    pub(crate) fn are_writable(&self) -> bool {
        let is_short = |bytes: &[u8]| u16::try_from(bytes.len()).is_ok();
        self.0.iter().all(|property| match property {
            Property::UserProperty(Pair(key, value)) => {
                is_short(key.as_bytes()) && is_short(value.as_bytes())
            }
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientId(text)
            | Property::AuthMethod(text)
            | Property::ResponseInfo(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => is_short(text.as_bytes()),
            Property::CorrelationData(data) | Property::AuthData(data) => is_short(data),
            _ => true,
        })
    }

    /// Bytes of memory that they occupy, roughly.
    pub fn cost(&self) -> usize {
        self.body_len() + 64 * self.0.len()
    }

    /// Bytes of the properties themselves.
    fn body_len(&self) -> usize {
        self.0.iter().map(Property::len).sum()
    }

    /// Bytes on the wire with the length in front; none before 5.0.
    pub(crate) fn len(&self, version: Version) -> usize {
        if !version.is_5() {
            return 0;
        }
        let body = self.body_len();
        // At most 268,435,455: a packet of more is not sent.
        varint_len(body as u32) + body
    }

    pub(super) fn write(&self, out: &mut BytesMut, version: Version) {
        if !version.is_5() {
            return;
        }
        if self.0.is_empty() {
            return out.put_slice(&[0]);
        }
        put_varint(out, self.body_len() as u32);
        for property in &self.0 {
            property.write(out);
        }
    }

    /// Takes the properties off a body; none before 5.0.
    pub(super) fn read(
        body: &mut Reader,
        version: Version,
        place: Place,
    ) -> Result<Properties, PacketError> {
        if !version.is_5() {
            return Ok(Properties::NONE);
        }
        let len = body.varint()? as usize;
        let mut body = body.part(len)?;
        let mut properties = Vec::new();
        let mut seen = 0_u64;
        while !body.is_empty() {
            let id = body.varint()?;
            let places = Property::places(id).ok_or(PacketError::Property(id))?;
            if places & place as u16 == 0 {
                return Err(PacketError::Property(id));
            }
            let property = Property::read(id, &mut body)?;
            property.check()?;
            let bit = 1_u64 << id;
            let repeats = matches!(property, Property::UserProperty(_))
                || place == Place::Publish && matches!(property, Property::SubscriptionId(_));
            if seen & bit != 0 && !repeats {
                return Err(PacketError::Protocol("a property that came twice"));
            }
            seen |= bit;
            properties.push(property);
        }
        let properties = Properties(properties);
        // The standard forbids it in these two (3.1.2.11.10, 4.12), and not in CONNACK.
        if matches!(place, Place::Connect | Place::Auth)
            && properties.auth_data().is_some()
            && properties.auth_method().is_none()
        {
            return Err(PacketError::Protocol("authentication data without a method"));
        }
        Ok(properties)
    }
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Properties {
        Properties(properties.into_iter().collect())
    }
}

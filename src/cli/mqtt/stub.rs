//! Until the packets of MQTT 5 are here: their types as the options need them.

use std::fmt;
use std::str::FromStr;

/// Which MQTT a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1
    V31,
    /// 3.1.1
    V311,
    /// 5.0
    V5,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5.0",
        })
    }
}

impl FromStr for Version {
    type Err = ();
    fn from_str(text: &str) -> Result<Version, ()> {
        match text.trim_start_matches("mqttv") {
            "5" | "5.0" => Ok(Version::V5),
            "3.1.1" | "311" | "4" => Ok(Version::V311),
            "3.1" | "31" | "3" => Ok(Version::V31),
            _ => Err(()),
        }
    }
}

/// A number of one to four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varint(pub u32);

/// A key and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair(pub String, pub String);

/// One property.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    PayloadFormat(bool),
    MessageExpiry(u32),
    ContentType(String),
    ResponseTopic(String),
    CorrelationData(bytes::Bytes),
    SubscriptionId(Varint),
    SessionExpiry(u32),
    AuthMethod(String),
    AuthData(bytes::Bytes),
    RequestProblemInfo(bool),
    WillDelay(u32),
    RequestResponseInfo(bool),
    ReasonString(String),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    UserProperty(Pair),
    MaximumPacketSize(u32),
}

/// The properties of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(pub Vec<Property>);

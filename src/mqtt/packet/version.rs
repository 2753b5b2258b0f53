//! Which MQTT a connection speaks.

use crate::base::path::BuildError;
use crate::base::scalar::Token;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::str::FromStr;

/// A version of the protocol. They differ in the packets only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 3.1 (IBM and Eurotech, 2010).
    V31,
    /// 3.1.1 (OASIS, 2014).
    #[default]
    V311,
    /// 5.0 (OASIS, 2019).
    V5,
}

impl Version {
    /// Protocol name and level in CONNECT (3.1.2.1, 3.1.2.2).
    pub(super) fn on_the_wire(self) -> (&'static str, u8) {
        match self {
            Version::V31 => ("MQIsdp", 3),
            Version::V311 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        }
    }

    /// Whether packets have properties and reason codes.
    pub(super) fn is_5(self) -> bool {
        self == Version::V5
    }
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

/// The text is not a version of MQTT.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct NotVersion(BuildError);

impl FromStr for Version {
    type Err = NotVersion;

    fn from_str(text: &str) -> Result<Version, NotVersion> {
        match text.trim_start_matches("mqttv") {
            "5" | "5.0" => Ok(Version::V5),
            "3.1.1" | "311" | "4" => Ok(Version::V311),
            "3.1" | "31" | "3" => Ok(Version::V31),
            _ => Err(NotVersion(
                BuildError::new(format!("{text:?} is not a version of MQTT"))
                    .remedy("write 5, 3.1.1 or 3.1"),
            )),
        }
    }
}

/// A version in the configuration; `auto` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionChoice(pub Option<Version>);

impl<'de> Deserialize<'de> for VersionChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<VersionChoice, D::Error> {
        let Token(text) = Token::deserialize(deserializer)?;
        if text == "auto" {
            return Ok(VersionChoice(None));
        }
        text.parse().map(|version| VersionChoice(Some(version))).map_err(de::Error::custom)
    }
}

crate::base::scalar::word_schema!(VersionChoice: {"enum": ["auto", 5, "3.1.1", 3.1]});

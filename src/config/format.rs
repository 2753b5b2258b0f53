//! The form of what is published, in the configuration.

use crate::base::scalar::Name;
use serde::Deserialize;

/// In which form readings are published and commands taken, instead of on topics of your choice.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(not(feature = "formats"), allow(dead_code, reason = "it is checked only"))]
pub enum Format {
    /// The Homie convention 5, for home automation: the gateway is a root device, and each device its child.
    Homie(Homie),
    /// Sparkplug B 3.0, for SCADA systems: the gateway is an edge node, and each device one of its devices.
    SparkplugB(SparkplugB),
}

impl Format {
    /// Its key.
    pub fn word(&self) -> &'static str {
        match self {
            Format::Homie(_) => "homie",
            Format::SparkplugB(_) => "sparkplug-b",
        }
    }
}

/// The gateway as a root device of Homie: `{}`, or `{domain: home}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(feature = "formats"), allow(dead_code, reason = "it is checked only"))]
pub struct Homie {
    /// The first level of all topics. Controllers look for `homie`. Default: `homie`.
    pub domain: Name,
}

impl Default for Homie {
    fn default() -> Homie {
        // The word is a level of a topic, as the test `the_usual_domain` shows.
        #[allow(clippy::expect_used)]
        let domain = "homie".parse().expect("a name");
        Homie { domain }
    }
}

/// The gateway as an edge node of Sparkplug B: `{group: plant, primary_host: scada}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "formats"), allow(dead_code, reason = "it is checked only"))]
pub struct SparkplugB {
    /// Identifier of the group that the gateway belongs to.
    pub group: Name,
    /// Identifier of the gateway as an edge node, unique in its group. Default: `gateway`.
    pub node: Option<Name>,
    /// Identifier of the host application that has to be there: while its `STATE` does not say that it is online,
    /// nothing is sent, and readings wait. With `fallback` brokers the next one is tried. Default: none.
    pub primary_host: Option<Name>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_domain() {
        assert_eq!(Homie::default().domain.as_str(), "homie");
    }
}

//! What the gateway publishes about itself, in the configuration.

use crate::base::path::BuildError;
use crate::base::scalar::{Name, Span, Token, wrong};
use crate::device::mapping::{Slot, Template};
use crate::mqtt::topic::{Qos, Topic};
use serde::Deserialize;

/// What the gateway publishes about itself: `online` and `offline` on one topic, details as JSON below
/// it, and `online` or `offline` of each device that is asked on `devices/{device}` below it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Status {
    /// How often it is published again when nothing changes, 1s to 24h. This corrects what other
    /// clients may have published to the same topics. Default: 60s.
    pub interval: Span,
    /// Topic of `online` and `offline`; `{gateway}` can be used. Default: `{gateway}/status`.
    pub topic: Template,
    /// Payload while the gateway is connected. Default: `online`.
    pub online: Token,
    /// Payload after the gateway has stopped or was lost. Default: `offline`.
    pub offline: Token,
    /// QoS of these two. The details are sent with QoS 0.
    pub qos: Qos,
    /// Whether the broker retains all of it for later subscribers. Default: true.
    pub retain: bool,
    /// Whether details are published as JSON below the topic: the program, the connection to the
    /// broker, the ports, the devices that are asked, and what became of commands. Default: true.
    pub details: bool,
}

impl Status {
    /// The topic of the status or of the will, without placeholders.
    pub fn topic_of(topic: &Template, gateway: &Name) -> Result<Topic, BuildError> {
        let fixed = topic.fix(&[(Slot::Gateway, gateway.as_str())], &[], Some(&[]))?;
        let topic: Topic = fixed.as_text().unwrap_or_default().parse()?;
        if topic.len() > Status::LONGEST {
            return wrong(format!("longer than {} bytes", Status::LONGEST), "shorten it");
        }
        Ok(topic)
    }

    /// The most bytes of a topic, to which names of ports are added.
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

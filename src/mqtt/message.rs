//! A message to publish: topic, payload, QoS, retain and the properties of MQTT 5.0.

use crate::mqtt::packet::Properties;
use crate::mqtt::topic::{Qos, Topic};
use bytes::Bytes;
use std::sync::Arc;

/// A message on its way to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic that it is published to.
    pub topic: Topic,
    /// The payload.
    pub payload: Bytes,
    /// The requested delivery guarantee.
    pub qos: Qos,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// Properties of MQTT 5.0: expiry, content type, response topic, user properties.
    pub properties: Option<Arc<Properties>>,
}

impl Message {
    /// A message of QoS 1 that is not retained.
    pub fn new(topic: Topic, payload: impl Into<Bytes>) -> Message {
        Message {
            topic,
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: None,
        }
    }

    /// Bytes of memory that the message occupies while it waits: its text and a fixed share for
    /// the records around it. Every bound on memory counts with this.
    pub fn cost(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |properties| properties.cost());
        self.topic.len() + self.payload.len() + properties + COST
    }
}

/// Memory that a waiting message takes besides its text: its place in a queue that may be half
/// empty, and its allocation. Measured on x86-64: 393 bytes each for messages of 12 bytes.
pub(crate) const COST: usize = 384;

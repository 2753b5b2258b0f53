//! What is published: a topic, a payload and how the broker is to treat them.

use crate::mqtt::packet::Properties;
use crate::mqtt::topic::{Qos, Topic};
use bytes::Bytes;
use std::sync::Arc;

/// A message on its way to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: Topic,
    /// What it says.
    pub payload: Bytes,
    /// Delivery guarantee asked for.
    pub qos: Qos,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// Only the newest counts: a waiting older one of the same topic is replaced even when there
    /// is room. Status messages are like that, readings are not.
    pub latest_only: bool,
    /// Number of the port that it came from, from 1 on; 0: the gateway itself. In a full outbox no
    /// port pushes out the others.
    pub port: u16,
    /// What MQTT 5.0 can say besides: expiry, content type, response topic, user properties.
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
            latest_only: false,
            port: 0,
            properties: None,
        }
    }

    /// Bytes of memory that the message occupies while it waits: its text and a fixed share for
    /// the records around it. Every bound on memory counts with this.
    pub fn cost(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |properties| properties.cost());
        self.topic.len() + self.payload.len() + properties + 128
    }
}

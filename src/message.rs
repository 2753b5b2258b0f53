//! What is published: a topic, a payload and how the broker is to treat them.

use crate::mqtt::topic::{Qos, Topic};
use bytes::Bytes;

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
}

impl Message {
    /// Bytes of memory that the message occupies while it waits: its text and a fixed share for
    /// the records around it. Every bound on memory counts with this.
    pub fn cost(&self) -> usize {
        self.topic.len() + self.payload.len() + 128
    }
}

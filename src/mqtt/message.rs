//! What is published: a topic, a payload and how the broker is to treat them.

use crate::base::clock::{Now, Stamp};
use crate::mqtt::packet::Properties;
use crate::mqtt::topic::{Qos, Topic};
use bytes::Bytes;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

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
    /// What a waiting message survives; `None`: what the outbox says.
    pub durability: Option<Durability>,
    /// When its readings were measured, to the millisecond; `None` for what the gateway says about
    /// itself. A stamp of a clock that was not set yet is corrected in the payload once it is.
    pub measured: Option<Now>,
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
            durability: None,
            measured: None,
            properties: None,
        }
    }

    /// Whether the gateway says it about itself.
    pub fn is_about_us(&self) -> bool {
        self.measured.is_none()
    }

    /// What it survives, where `default` is what the outbox says; `None` if it stays in memory.
    /// One of QoS 0 is sent once anyhow, and of a status only the latest counts.
    pub fn outlives(&self, default: Durability) -> Option<Durability> {
        let storable =
            self.qos != Qos::AtMostOnce && !self.latest_only && self.properties.is_none();
        let durability = self.durability.unwrap_or(default);
        (storable && durability != Durability::Memory).then_some(durability)
    }

    /// Bytes of memory that the message occupies while it waits: its text and a fixed share for
    /// the records around it. Every bound on memory counts with this.
    pub fn cost(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |properties| properties.cost());
        self.topic.len() + self.payload.len() + properties + COST
    }

    /// The clock is set now: says in the payload when the readings were measured, if it was not set
    /// then.
    pub fn correct(&mut self, now: Now) {
        let Some(measured) = self.measured else { return };
        if Stamp(measured.wall).is_synchronised() || !Stamp(now.wall).is_synchronised() {
            return;
        }
        let age = now.mono.saturating_duration_since(measured.mono);
        if let Some(wall) = now.wall.checked_sub(age) {
            self.correct_to(wall);
        }
    }

    /// The same, where the time is known.
    pub fn correct_to(&mut self, wall: SystemTime) {
        let Some(measured) = &mut self.measured else { return };
        let wrong = Stamp(measured.wall).to_string().into_bytes();
        measured.wall = wall;
        let right = Stamp(wall).to_string().into_bytes();
        let mut payload = Vec::with_capacity(self.payload.len());
        let mut rest = &self.payload[..];
        while let Some(at) = rest.windows(wrong.len()).position(|window| window == wrong) {
            payload.extend_from_slice(&rest[..at]);
            payload.extend_from_slice(&right);
            rest = &rest[at + wrong.len()..];
        }
        payload.extend_from_slice(rest);
        self.payload = payload.into();
    }
}

/// What a message takes up besides its text: its place in a queue that may be half empty, and its
/// block of memory. Measured on x86-64: 393 bytes each for messages of 12 bytes.
pub(crate) const COST: usize = 384;

/// What a message that waits for the broker survives. A message of QoS 0 waits in memory always.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The broker's absence, as long as the gateway runs. Nothing is written to a disk.
    #[default]
    Memory,
    /// Also long absences: to the journal once the broker has been away for `after`, or memory gets
    /// short. A stop saves what waits; a power failure before that loses it.
    Spill,
    /// Also the gateway's sudden end and, as far as `sync` goes, a power failure: to the journal
    /// before it is offered to the broker.
    Always,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Memory => "memory",
            Durability::Spill => "spill",
            Durability::Always => "always",
        })
    }
}

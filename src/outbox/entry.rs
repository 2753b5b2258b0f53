//! A message in the outbox: with the port that sent it and what it must survive.

use crate::base::clock::{Now, Stamp};
use crate::base::durability::Durability;
use crate::mqtt::message::Message;
use crate::mqtt::topic::Qos;
use std::time::SystemTime;

/// The number of the gateway among those whose messages wait; its ports are numbered from 1.
pub const GATEWAY: u16 = 0;

/// A message that waits for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub message: Message,
    /// Number of the port that it came from, or [`GATEWAY`]. In a full outbox no port pushes out the
    /// messages of the others.
    pub port: u16,
    /// Only the newest matters: a waiting older one of the same topic is replaced even when there
    /// is room. Status messages are like that, readings are not.
    pub latest_only: bool,
    /// What it survives while it waits; `None`: what the outbox says.
    pub durability: Option<Durability>,
    /// When its readings were measured, to the millisecond; `None` for what the gateway says about
    /// itself. A stamp of a clock that was not set yet is corrected in the payload once it is.
    pub measured: Option<Now>,
}

impl From<Message> for Entry {
    /// One of the gateway's own messages.
    fn from(message: Message) -> Entry {
        Entry { message, port: GATEWAY, latest_only: false, durability: None, measured: None }
    }
}

impl Entry {
    /// The same as what a device says, which is published whatever `status` says.
    pub fn of_device(self, now: Now) -> Entry {
        Entry { measured: Some(now), ..self }
    }

    /// Whether the message is about the gateway itself.
    pub fn is_about_us(&self) -> bool {
        self.measured.is_none()
    }

    /// What it survives, where `default` is what the outbox says; `None` if it stays in memory.
    /// One of QoS 0 is sent once anyhow, and of a status only the latest matters.
    pub fn outlives(&self, default: Durability) -> Option<Durability> {
        let storable = self.message.qos != Qos::AtMostOnce
            && !self.latest_only
            && self.message.properties.is_none();
        let durability = self.durability.unwrap_or(default);
        (storable && durability != Durability::Memory).then_some(durability)
    }

    /// Memory that the message takes while it waits, in bytes.
    pub fn cost(&self) -> usize {
        self.message.cost()
    }

    /// The clock is set now: corrects the stamps in the payload if the clock was not set when the
    /// readings were measured.
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

    /// Corrects the stamps in the payload to a known time.
    pub fn correct_to(&mut self, wall: SystemTime) {
        let Some(measured) = &mut self.measured else { return };
        let wrong = Stamp(measured.wall).to_string().into_bytes();
        measured.wall = wall;
        let right = Stamp(wall).to_string().into_bytes();
        let mut payload = Vec::with_capacity(self.message.payload.len());
        let mut rest = &self.message.payload[..];
        while let Some(at) = rest.windows(wrong.len()).position(|window| window == wrong) {
            payload.extend_from_slice(&rest[..at]);
            payload.extend_from_slice(&right);
            rest = &rest[at + wrong.len()..];
        }
        payload.extend_from_slice(rest);
        self.message.payload = payload.into();
    }
}

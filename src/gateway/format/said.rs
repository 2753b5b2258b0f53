//! What the messages of the ports mean to a format: readings, who is there, and what became of commands.

use super::Facts;
use super::reading::{self, Reading};
use crate::mqtt::topic::Topic;
use crate::outbox::entry::Entry;
use crate::port::status::{PortReport, PortState};

/// A message of a port.
pub enum Said {
    /// A device or a node has these values.
    Readings(String, Vec<Reading>),
    /// A device that is asked answers, or not.
    Answers(usize, bool),
    /// A port is open, or not: so are the devices on it that speak by themselves.
    Port { number: u16, status: Topic, is_open: bool },
    /// The state that a command has set, which its device does not report.
    State { device: usize, command: String, value: String },
    /// What became of a command.
    Result { device: usize, command: String, text: String },
    /// Nothing that matters here.
    Other,
}

impl Said {
    /// What a message says. Readings stand behind `prefix` in the topic; devices are numbered by their places in
    /// `facts`.
    pub fn of(entry: &Entry, prefix: &str, facts: &[Facts]) -> Said {
        let topic = &entry.message.topic;
        let payload = &entry.message.payload;
        if let Some(name) = topic.as_str().strip_prefix(prefix) {
            return match reading::read(payload) {
                Some(readings) => Said::Readings(name.to_owned(), readings),
                None => Said::Other,
            };
        }
        if let Some(place) = facts.iter().position(|it| it.availability.as_ref() == Some(topic)) {
            return Said::Answers(place, payload == "online");
        }
        if facts.iter().any(|facts| facts.port_status == *topic) {
            let report: Option<PortReport> = serde_json::from_slice(payload).ok();
            let (number, status) = (entry.port, topic.clone());
            return report.map_or(Said::Other, |report| Said::Port {
                number,
                status,
                is_open: report.state == PortState::Open,
            });
        }
        let text = || String::from_utf8_lossy(payload).into_owned();
        for (device, facts) in facts.iter().enumerate() {
            for it in &facts.outline.commands {
                if it.state.as_ref() == Some(topic) {
                    let command = it.name.clone();
                    return Said::State { device, command, value: text() };
                }
                let set = it.topic.as_str().strip_suffix("/set");
                if topic.as_str().strip_suffix("/result").is_some_and(|it| Some(it) == set) {
                    let command = it.name.clone();
                    return Said::Result { device, command, text: text() };
                }
            }
        }
        Said::Other
    }
}

impl Facts {
    /// Whether a device is there because its port is open: one that speaks by itself, on the port with this status.
    pub(super) fn is_there_with(&self, status: &Topic) -> bool {
        self.availability.is_none() && self.port_status == *status
    }
}

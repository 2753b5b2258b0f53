//! The status of the devices on a port that are asked: the topics and the JSON that is published.

use crate::base::clock::{Now, Stamp};
use crate::base::json;
use crate::device::{MemberStatus, Message, Qos, Topic};
use crate::outbox::entry::Entry;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where the status of a device is published, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTopics {
    /// Exactly `online` or `offline`.
    pub availability: Topic,
    /// The JSON behind it; `None`: it is not published.
    pub details: Option<Topic>,
    /// QoS of the first one.
    pub qos: Qos,
    pub retain: bool,
}

impl DeviceTopics {
    /// Whether the device answers.
    pub(super) fn availability(&self, online: bool, now: Now) -> Entry {
        let word = if online { "online" } else { "offline" };
        self.latest(&self.availability, word.into(), self.qos, now)
    }

    pub(super) fn details(&self, report: &DeviceReport, now: Now) -> Option<Entry> {
        let topic = self.details.as_ref()?;
        Some(self.latest(topic, json::text(report), Qos::AtMostOnce, now))
    }

    fn latest(&self, topic: &Topic, text: String, qos: Qos, now: Now) -> Entry {
        let message = Message { qos, retain: self.retain, ..Message::new(topic.clone(), text) };
        Entry { latest_only: true, ..message.into() }.of_device(now)
    }
}

/// The status of a device as it is published and answered; docs/CONTROL.md says what each field means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    pub online: Option<bool>,
    pub state: String,
    pub answered: Option<String>,
    pub round_trip_ms: Option<u64>,
    pub requests: u64,
    pub answers: u64,
    pub errors: DeviceErrors,
    /// Polls left out because the bus could not keep up.
    pub skipped: u64,
}

/// Requests that failed, by cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceErrors {
    pub no_answer: u64,
    pub exception: u64,
    pub bad_checksum: u64,
    pub refused: u64,
}

impl DeviceReport {
    pub(super) fn of(status: &MemberStatus) -> DeviceReport {
        let state = match &status.last {
            _ if status.away => "away".to_owned(),
            Some(ending) => ending.to_string(),
            None => "not asked yet".to_owned(),
        };
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        DeviceReport {
            online: status.online,
            state,
            answered: status.answered.map(|at| Stamp(at.wall).to_string()),
            round_trip_ms: status.round_trip.map(millis),
            requests: status.requests,
            answers: status.answers,
            errors: DeviceErrors {
                no_answer: status.no_answer,
                exception: status.exceptions,
                bad_checksum: status.bad_checksum,
                refused: status.refused,
            },
            skipped: status.skipped,
        }
    }

    /// The same once nobody asks the device any more.
    pub(super) fn stopped(self) -> DeviceReport {
        DeviceReport { online: Some(false), state: "stopped".into(), ..self }
    }
}

//! The status of a port and the reports of its commands: the JSON that is published.

use super::devices::{DeviceReport, DeviceTopics};
use super::line_counts::LineCounts;
use crate::base::clock::{Now, Stamp};
use crate::base::json;
use crate::device::command::CommandError;
use crate::device::last_values::LastValue;
use crate::device::{BadFrames, Device, ExchangeCounts, Message, Qos, Topic};
use crate::outbox::entry::Entry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// State of a port, as its status prints it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortState {
    /// Bytes can come.
    Open,
    /// It is open, and no byte came for longer than `silent_after`.
    Silent,
    /// It is not there or cannot be opened; the gateway tries again by itself.
    #[default]
    Away,
    Stopped,
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What a port has done.
#[derive(Debug)]
pub(super) struct PortStatus {
    pub last_rx: Option<Now>,
    /// Without what the device knows, see [`PortStatus::report`].
    pub report: PortReport,
}

impl PortStatus {
    pub fn away(now: Now) -> PortStatus {
        let since = Stamp(now.wall).to_string();
        PortStatus { last_rx: None, report: PortReport { since, ..PortReport::default() } }
    }

    pub fn message(&self, topic: &Topic, device: &Device) -> Entry {
        let text = json::text(&self.report(device));
        let message =
            Message { qos: Qos::AtMostOnce, retain: true, ..Message::new(topic.clone(), text) };
        Entry { latest_only: true, ..message.into() }
    }

    /// What the status message and the control socket say.
    pub fn report(&self, device: &Device) -> PortReport {
        let pipeline = device.pipeline();
        let (frames, counts) = (pipeline.frame_counts(), pipeline.counts());
        PortReport {
            heard: self.last_rx.map(|at| Stamp(at.wall).to_string()),
            bytes: frames.bytes,
            frames: frames.frames,
            unchecked: frames.unchecked,
            skipped: frames.skipped,
            bad: frames.bad.clone(),
            readings: counts.readings,
            refused: counts.refused.iter().map(|(cause, n)| (cause.word().into(), *n)).collect(),
            no_value: counts.no_value,
            filtered: counts.filtered,
            passed_over: counts.passed_over,
            unmatched: counts.unmatched,
            unmappable: counts.unmappable,
            exchange: device.exchange_counts(),
            ..self.report.clone()
        }
    }
}

/// The status of a port as it is published and answered; docs/CONTROL.md says what each field means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReport {
    pub state: PortState,
    pub since: String,
    pub heard: Option<String>,
    pub device: Option<String>,
    pub opens: u64,
    pub bytes: u64,
    pub frames: u64,
    pub unchecked: u64,
    pub skipped: u64,
    pub bad: BadFrames,
    /// Errors on the line while the port was open, where the driver counts them.
    pub line: Option<LineCounts>,
    pub readings: u64,
    /// Counted by [`RejectReason::word`](crate::device::RejectReason::word).
    pub refused: BTreeMap<String, u64>,
    pub no_value: u64,
    /// Values that filters held back.
    pub filtered: u64,
    pub passed_over: u64,
    pub unmatched: u64,
    pub unmappable: u64,
    /// Messages lost because the MQTT task took none for too long.
    pub dropped: u64,
    /// Messages dropped because there were more than `rate_limit`.
    pub limited: u64,
    pub exchange: ExchangeCounts,
    pub commands: CommandCounts,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCounts {
    pub sent: u64,
    /// Written, but the device refused it, did not answer, or has another value.
    pub failed: u64,
    pub refused: u64,
}

#[derive(Serialize)]
struct CommandReport<'a> {
    topic: &'a str,
    result: &'a str,
    reason: Option<String>,
    count: u32,
    time: String,
}

/// The topics of a port's status and of its commands' reports.
#[derive(Clone, Debug)]
pub struct PortTopics {
    pub status: Topic,
    pub command: Topic,
    /// Of its devices that are asked, by their names; none if `status` is off.
    pub devices: BTreeMap<String, DeviceTopics>,
}

/// What a port answers when it is asked how it is.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub report: PortReport,
    pub last_rx: Option<Now>,
    /// Its devices that are asked.
    pub devices: Vec<DeviceSnapshot>,
    pub values: Vec<LastValue>,
}

/// How a device on a port is.
#[derive(Clone, Debug)]
pub struct DeviceSnapshot {
    pub name: String,
    pub report: DeviceReport,
    pub answered: Option<Now>,
}

/// The report of what became of `count` commands, the last of which had this topic.
pub fn command_report(
    topic: &Topic,
    command_topic: &str,
    outcome: Result<(), &CommandError>,
    count: u32,
    now: Now,
) -> Entry {
    let report = CommandReport {
        topic: command_topic,
        result: match outcome {
            Ok(()) => "sent",
            Err(why) if why.is_late() => "failed",
            Err(_) => "refused",
        },
        reason: outcome.err().map(CommandError::reason),
        count,
        time: Stamp(now.wall).to_string(),
    };
    Message { qos: Qos::AtMostOnce, ..Message::new(topic.clone(), json::text(&report)) }.into()
}

//! The status of a port and the reports of its commands: the JSON that is published.

use super::devices::{DeviceReport, DeviceTopics};
use super::line_counts::LineCounts;
use crate::base::clock::{Now, Stamp};
use crate::base::json;
use crate::device::command::CommandError;
use crate::device::last_values::LastValue;
use crate::device::{BadFrames, Device, Message, Qos, Topic};
use crate::outbox::entry::Entry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// State of a port, as its status prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortState {
    /// Bytes can come.
    Open,
    /// It is open, and no byte came for longer than `silent_after`.
    Silent,
    /// It is not there or cannot be opened; the gateway tries again by itself.
    Away,
    Stopped,
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What a port has done, besides what its pipeline counts.
#[derive(Debug)]
pub(super) struct PortStatus {
    pub state: PortState,
    pub since: Now,
    pub device: Option<String>,
    pub opens: u64,
    /// Messages lost because the MQTT task took none for too long.
    pub dropped: u64,
    /// Messages dropped because there were more than `rate_limit`.
    pub limited: u64,
    pub commands: CommandCounts,
    pub last_error: Option<String>,
    pub last_rx: Option<Now>,
    /// Errors on the line while the port was open, where the driver counts them.
    pub line: Option<LineCounts>,
}

impl PortStatus {
    pub fn away(now: Now) -> PortStatus {
        PortStatus {
            state: PortState::Away,
            since: now,
            device: None,
            opens: 0,
            dropped: 0,
            limited: 0,
            commands: CommandCounts::default(),
            last_error: None,
            last_rx: None,
            line: None,
        }
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
        let exchange = device.exchange_counts();
        let time = |at: Now| Stamp(at.wall).to_string();
        PortReport {
            state: self.state,
            since: time(self.since),
            heard: self.last_rx.map(time),
            device: self.device.clone(),
            opens: self.opens,
            bytes: frames.bytes,
            frames: frames.frames,
            skipped: frames.skipped,
            bad: frames.bad.clone(),
            line: self.line,
            readings: counts.readings,
            refused: counts.refused.iter().map(|(cause, n)| (cause.word().into(), *n)).collect(),
            no_value: counts.no_value,
            passed_over: counts.passed_over,
            unmatched: counts.unmatched,
            unmappable: counts.unmappable,
            dropped: self.dropped,
            limited: self.limited,
            exchange: ExchangeReport {
                stray: exchange.stray,
                foreign: exchange.foreign,
                echoes: exchange.echoes,
            },
            commands: self.commands.clone(),
            error: self.last_error.clone(),
        }
    }
}

/// The status of a port as it is published and answered; docs/CONTROL.md says what each field means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReport {
    pub state: PortState,
    pub since: String,
    pub heard: Option<String>,
    pub device: Option<String>,
    pub opens: u64,
    pub bytes: u64,
    pub frames: u64,
    pub skipped: u64,
    pub bad: BadFrames,
    pub line: Option<LineCounts>,
    pub readings: u64,
    /// Counted by [`RejectReason::word`](crate::device::RejectReason::word).
    pub refused: BTreeMap<String, u64>,
    pub no_value: u64,
    pub passed_over: u64,
    pub unmatched: u64,
    pub unmappable: u64,
    pub dropped: u64,
    pub limited: u64,
    pub exchange: ExchangeReport,
    pub commands: CommandCounts,
    pub error: Option<String>,
}

/// What came on the line besides what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeReport {
    /// Bytes that nobody waited for.
    pub stray: u64,
    /// Frames of another device, or of another request, than the one that was awaited.
    pub foreign: u64,
    /// Our own bytes that came back.
    pub echoes: u64,
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

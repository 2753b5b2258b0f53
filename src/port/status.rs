//! The status of a port and the reports of its commands: the JSON that is published.

use super::line_counts::LineCounts;
use crate::base::clock::{Now, Stamp};
use crate::device::command::CommandError;
use crate::device::pipeline::Counts;
use crate::device::{FrameCounts, Message, Qos, Topic};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// State of a port, as its status prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PortState {
    /// Bytes can come.
    Open,
    /// Bytes could come, and none did for longer than `silent_after`.
    Silent,
    /// Not there, or not to be opened; tried again by itself.
    Away,
    /// The gateway has ended.
    Stopped,
}

/// What a port has done, besides what its pipeline counts.
#[derive(Clone, Debug)]
pub struct PortStatus {
    /// Its state.
    pub state: PortState,
    /// Since when, for age and for print.
    pub since: Now,
    /// The device that is open, `/dev/ttyUSB1`.
    pub device: Option<String>,
    /// How often it was opened.
    pub opens: u64,
    /// Messages lost because the MQTT side took none for too long.
    pub dropped: u64,
    /// Messages dropped because there were more than `rate_limit`.
    pub limited: u64,
    /// Commands written in full.
    pub commands_sent: u64,
    /// Commands refused.
    pub commands_refused: u64,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
    /// When the last byte came.
    pub last_rx: Option<Now>,
    /// Errors on the line while it was open, where the driver counts them.
    pub line: Option<LineCounts>,
}

impl PortStatus {
    /// A port that was not opened yet.
    pub fn away(now: Now) -> PortStatus {
        PortStatus {
            state: PortState::Away,
            since: now,
            device: None,
            opens: 0,
            dropped: 0,
            limited: 0,
            commands_sent: 0,
            commands_refused: 0,
            last_error: None,
            last_rx: None,
            line: None,
        }
    }

    /// The status message.
    pub fn message(&self, topic: &Topic, frames: &FrameCounts, counts: &Counts) -> Message {
        let text = self.json(frames, counts).to_string();
        Message {
            qos: Qos::AtMostOnce,
            retain: true,
            latest_only: true,
            ..Message::new(topic.clone(), text)
        }
    }

    /// What the status message and the control socket say.
    pub fn json(&self, frames: &FrameCounts, counts: &Counts) -> Value {
        let refused: Map<String, Value> =
            counts.refused.iter().map(|(cause, n)| (cause.word().into(), json!(n))).collect();
        json!({
            "state": self.state,
            "since": Stamp(self.since.wall).to_string(),
            "heard": self.last_rx.map(|heard| Stamp(heard.wall).to_string()),
            "device": self.device,
            "opens": self.opens,
            "bytes": frames.bytes,
            "frames": frames.frames,
            "skipped": frames.skipped,
            "bad": {
                "checksum": frames.bad_checksum,
                "too_long": frames.too_long,
                "cut": frames.cut,
                "malformed": frames.malformed,
                "line_error": frames.line_error,
            },
            "line": self.line,
            "readings": counts.readings,
            "refused": refused,
            "no_value": counts.no_value,
            "passed_over": counts.passed_over,
            "unmatched": counts.unmatched,
            "unmappable": counts.unmappable,
            "dropped": self.dropped,
            "limited": self.limited,
            "commands": { "sent": self.commands_sent, "refused": self.commands_refused },
            "error": self.last_error,
        })
    }
}

/// What became of a command, or of so many: the last of them had this topic.
pub fn command_report(
    topic: &Topic,
    command_topic: &str,
    outcome: Result<(), &CommandError>,
    count: u32,
    now: Now,
) -> Message {
    let (result, reason) = match outcome {
        Ok(()) => ("sent", None),
        Err(refused) => ("refused", Some(refused.to_string())),
    };
    let text = json!({
        "topic": command_topic,
        "result": result,
        "reason": reason,
        "count": count,
        "time": Stamp(now.wall).to_string(),
    });
    Message { qos: Qos::AtMostOnce, ..Message::new(topic.clone(), text.to_string()) }
}

//! Every answer of the control socket.
//!
//! docs/CONTROL.md says what each field means; its examples are tested against these types.

use crate::base::clock::Stamp;
use crate::config::error::ConfigError;
use crate::device::frame_seen::{FrameSeen, RejectedField};
use crate::gateway::Changes;
use crate::gateway::status::ProgramReport;
use crate::gateway::uplink::UplinkReport;
use crate::mqtt::message::Message as Publish;
use crate::port::devices::DeviceReport;
use crate::port::list::Found;
use crate::port::status::{PortReport, PortState};
use crate::port::task::monitor::{PortEvent, TimedEvent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub error: String,
}

impl Failure {
    pub fn new(why: impl ToString) -> Failure {
        Failure { error: why.to_string() }
    }
}

/// A part of the status, or why that part of the gateway did not answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part<T> {
    Silent(Failure),
    Answer(T),
}

/// The whole status. `ports` comes last, because the server writes it port by port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub gateway: String,
    pub program: ProgramReport,
    pub pid: u32,
    pub config: String,
    pub log: String,
    pub time: String,
    pub uptime: u64,
    pub broker: Part<UplinkReport>,
    pub ports: BTreeMap<String, Part<Port>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    #[serde(flatten)]
    pub report: PortReport,
    pub heard_ago: Option<f64>,
    pub command_topics: Vec<String>,
    pub devices: BTreeMap<String, Device>,
    pub values: Vec<Value>,
}

/// A device on a port that is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    #[serde(flatten)]
    pub report: DeviceReport,
    pub answered_ago: Option<f64>,
}

/// The last value of a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub topic: String,
    pub unit: Option<String>,
    pub time: String,
    pub ago: f64,
    /// Size of the whole payload in bytes.
    pub size: usize,
    #[serde(flatten)]
    pub payload: Payload,
}

/// A payload as text, or in hexadecimal digits if it is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    #[serde(rename = "payload")]
    Text(String),
    Hex(String),
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Payload {
        match std::str::from_utf8(bytes) {
            Ok(text) => Payload::Text(text.to_owned()),
            Err(_) => Payload::Hex(hex(bytes)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The request was done; the answer has no other content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub ok: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    pub ok: bool,
    #[serde(flatten)]
    pub changes: Changes,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    pub error: String,
    pub problems: Vec<Problem>,
    pub more: usize,
    /// All of it as `tty2mqtt check` prints it.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub file: String,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub path: String,
    pub what: String,
    pub remedy: Option<String>,
}

impl From<&ConfigError> for Problems {
    fn from(error: &ConfigError) -> Problems {
        let problems = error.problems.iter().map(|problem| Problem {
            file: problem.file.as_ref().unwrap_or(&error.file).clone(),
            line: problem.place.as_ref().map(|place| place.line),
            column: problem.place.as_ref().map(|place| place.column),
            path: problem.path.clone(),
            what: problem.what.clone(),
            remedy: problem.remedy.clone(),
        });
        Problems {
            error: "the configuration is wrong; nothing was changed".into(),
            problems: problems.collect(),
            more: error.more,
            text: error.to_string(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconnected {
    pub ok: bool,
    /// The state of the link before.
    pub was: String,
}

/// A command was written in full, and its device has not said that anything is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub ok: bool,
    pub topic: String,
    pub bytes: usize,
    /// `done` if the device has said so, else `sent`.
    pub result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    pub ok: bool,
    pub filter: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    #[serde(flatten)]
    pub what: Happened,
    pub time: String,
    /// Number of events before this one that were dropped because the client was too slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Happened {
    Read(Bytes),
    Write(Bytes),
    Frame(Frame),
    Command(Command),
    Refused { topic: String, reason: String },
    Failed { topic: String, reason: String },
    State { state: PortState, error: Option<String> },
    End { reason: String },
}

/// Bytes of the line, cut to the first 1024.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    pub direction: Direction,
    /// How many there were.
    pub size: usize,
    pub hex: String,
    /// As escaped ASCII.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    In,
    Out,
}

impl Bytes {
    fn new(direction: Direction, bytes: &[u8], size: usize) -> Bytes {
        Bytes { direction, size, hex: hex(bytes), text: bytes.escape_ascii().to_string() }
    }
}

/// A frame that came, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    #[serde(flatten)]
    pub bytes: Bytes,
    pub matched: bool,
    pub messages: Vec<Message>,
    pub refused: Vec<RefusedField>,
    pub no_value: Vec<NoValue>,
}

/// A message that a frame became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub topic: String,
    pub qos: u8,
    pub retain: bool,
    #[serde(flatten)]
    pub payload: Payload,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedField {
    pub field: String,
    pub cause: String,
    pub what: String,
}

/// A field for which the device had no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoValue {
    pub field: String,
    pub found: String,
}

/// A command that was written in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub topic: String,
    #[serde(flatten)]
    pub bytes: Bytes,
}

impl From<&TimedEvent> for Event {
    fn from(event: &TimedEvent) -> Event {
        let what = match &event.what {
            PortEvent::Read(bytes, size) => Happened::Read(Bytes::new(Direction::In, bytes, *size)),
            PortEvent::Write(bytes, size) => {
                Happened::Write(Bytes::new(Direction::Out, bytes, *size))
            }
            PortEvent::Frame(frame) => Happened::Frame(frame.into()),
            PortEvent::Wrote(topic, bytes, size) => Happened::Command(Command {
                topic: topic.to_string(),
                bytes: Bytes::new(Direction::Out, bytes, *size),
            }),
            PortEvent::Refused(topic, why) if why.is_late() => {
                Happened::Failed { topic: topic.to_string(), reason: why.reason() }
            }
            PortEvent::Refused(topic, why) => {
                Happened::Refused { topic: topic.to_string(), reason: why.to_string() }
            }
            PortEvent::State(state, error) => {
                Happened::State { state: *state, error: error.clone() }
            }
        };
        let missed = Some(event.missed).filter(|missed| *missed > 0);
        Event { what, time: Stamp(event.at.wall).to_string(), missed }
    }
}

impl From<&FrameSeen> for Frame {
    fn from(frame: &FrameSeen) -> Frame {
        let no_value = |(field, found): &(String, String)| NoValue {
            field: field.clone(),
            found: found.clone(),
        };
        Frame {
            bytes: Bytes::new(Direction::In, &frame.frame, frame.size),
            matched: frame.matched,
            messages: frame.messages.iter().map(Message::from).collect(),
            refused: frame.refused.iter().map(RefusedField::from).collect(),
            no_value: frame.no_values.iter().map(no_value).collect(),
        }
    }
}

impl From<&Publish> for Message {
    fn from(message: &Publish) -> Message {
        let shown = &message.payload[..message.payload.len().min(FrameSeen::LONGEST)];
        Message {
            topic: message.topic.to_string(),
            qos: message.qos.bits(),
            retain: message.retain,
            payload: shown.into(),
        }
    }
}

impl From<&RejectedField> for RefusedField {
    fn from(refused: &RejectedField) -> RefusedField {
        RefusedField {
            field: refused.field.clone(),
            cause: refused.reason.word().into(),
            what: refused.what.clone(),
        }
    }
}

/// What rpcd's method `monitor` answers: what happened within two seconds.
#[derive(Serialize)]
pub struct SeenEvents {
    /// Each an [`Event`].
    pub events: Vec<serde_json::Value>,
}

/// What rpcd's method `ports` answers.
#[derive(Serialize)]
pub struct Ports {
    pub ports: Vec<Found>,
}

/// The first block of JSON below a heading of docs/CONTROL.md.
#[cfg(test)]
pub(crate) fn example(manual: &str, heading: &str) -> String {
    let section = manual.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let block = section.split_once("```json\n").unwrap().1;
    block.split_once("```").unwrap().0.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::settings::UsbId;
    use crate::port::usb::Adapter;

    #[test]
    fn a_payload_that_is_no_text_is_hexadecimal() {
        let payload = Payload::from(&b"\xff\x00"[..]);
        assert_eq!(serde_json::to_value(payload).unwrap(), serde_json::json!({ "hex": "ff00" }));
    }

    const MANUAL: &str = include_str!("../../docs/CONTROL.md");

    /// Every answer that a block shows is read as one of ours and is the same when written again: so
    /// neither has a field that the other lacks. Each field is explained in the manual's text.
    fn is_shown<T: Serialize + serde::de::DeserializeOwned>(block: &str) -> usize {
        let explained: Vec<_> = MANUAL.split('`').skip(1).step_by(2).collect();
        let answers = serde_json::Deserializer::from_str(block).into_iter::<serde_json::Value>();
        let mut count = 0;
        for shown in answers.map(Result::unwrap) {
            let ours: T =
                serde_json::from_value(shown.clone()).unwrap_or_else(|e| panic!("{e}: {shown}"));
            assert_eq!(serde_json::to_value(ours).unwrap(), shown);
            all_of(&shown, &mut |key| assert!(explained.contains(&key), "{key} is not explained"));
            count += 1;
        }
        count
    }

    /// Every key of an example. An example that left one out could not show that the field is missing.
    fn all_of(value: &serde_json::Value, key: &mut impl FnMut(&str)) {
        use serde_json::Value;
        match value {
            Value::Null => panic!("null in an example of the manual"),
            Value::Array(list) => {
                assert!(!list.is_empty(), "an empty list in an example of the manual");
                list.iter().for_each(|value| all_of(value, key));
            }
            Value::Object(map) => {
                for (name, value) in map {
                    // Names of ports, devices and causes.
                    if name != "meter" && name != "range" && name != "house" {
                        key(name);
                    }
                    all_of(value, key);
                }
            }
            _ => {}
        }
    }

    #[test]
    #[cfg(feature = "tools")]
    fn the_manual_shows_and_explains_every_field() {
        use crate::control::draft::{Checked, Draft, Preview};
        let block = |heading: &str| example(MANUAL, heading);
        assert_eq!(is_shown::<Status>(&block("status")), 1);
        let reload = block("reload");
        let (done, wrong) = reload.split_at(reload.find("{\"error\"").unwrap());
        assert_eq!((is_shown::<Reloaded>(done), is_shown::<Problems>(wrong)), (1, 1));
        assert_eq!(is_shown::<Reconnected>(&block("reconnect")), 1);
        assert_eq!(is_shown::<Done>(&block("rescan")), 1);
        assert_eq!(is_shown::<Sent>(&block("send")), 1);
        assert_eq!(is_shown::<Log>(&block("log")), 1);
        assert_eq!(is_shown::<Event>(&block("monitor")), 8);
        let luci = MANUAL.split_once("\n## For LuCI").unwrap().1;
        let blocks: Vec<_> = luci.split("```").skip(1).step_by(2).collect();
        let blocks: Vec<_> = blocks.iter().map(|block| block.trim_start_matches("json")).collect();
        let [draft, checked, preview, ports, models, detected] = blocks[..] else {
            panic!("{}", blocks.len())
        };
        assert_eq!((is_shown::<Draft>(draft), is_shown::<Checked>(checked)), (1, 1));
        assert_eq!(is_shown::<Preview>(preview), 1);
        let found = Found {
            path: "/dev/ttyUSB0".into(),
            config: "usb: {vendor: \"10c4\", product: \"ea60\"}".into(),
            adapter: Some(Adapter {
                tty: "ttyUSB0".into(),
                vendor: UsbId(0x10c4),
                product: UsbId(0xea60),
                serial: Some("0001".into()),
                interface: 0,
                name: "CP2102".into(),
            }),
            note: Some(
                "cannot be told from ttyUSB1 by its USB data; use `path`, or another adapter"
                    .into(),
            ),
        };
        let shown: serde_json::Value = serde_json::from_str(ports).unwrap();
        assert_eq!(serde_json::to_value(Ports { ports: vec![found] }).unwrap(), shown);
        assert_eq!(is_shown::<crate::control::library::ListedModels>(models), 1);
        assert_eq!(is_shown::<crate::control::detection::Detection>(detected), 1);
    }
}

//! Golden cases: bytes with times in, messages out, as a YAML file. They are the tests of framing,
//! decoding and mapping, and their documentation.

use crate::base::clock::Now;
use crate::base::scalar::{Name, Span, parse_hex};
use crate::config::tree::Node;
use crate::config::yaml::{Tree, Value};
use crate::config::{Config, Port, load};
use crate::device::pipeline::Pipeline;
use crate::mqtt::message::Message;
use serde::{Deserialize, Deserializer, de};
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// A file of cases that share a port's settings. The gateway is called `gw`, the port `port`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Where the bytes come from: the device, and the document that publishes its format.
    #[allow(dead_code, reason = "for people; it must be there")]
    pub source: String,
    /// The port's settings, as in a configuration file.
    #[serde(deserialize_with = "later")]
    pub port: Tree,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One stream of bytes and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Whether the line was silent before the first byte, or the port was opened in mid-frame.
    #[serde(default)]
    pub open: Open,
    /// The reads.
    pub input: Vec<Burst>,
    /// The messages, in order.
    #[serde(default)]
    pub messages: Vec<Expected>,
    /// Counters of the port's status that must have these values.
    #[serde(default)]
    pub counts: std::collections::BTreeMap<String, u64>,
}

/// How a stream begins.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Open {
    /// The line was silent before the first byte.
    #[default]
    Synchronised,
    /// The port was opened while a frame was under way.
    Middle,
}

/// The bytes of one read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// When they were read, from the first byte on; default: at once behind the one before.
    #[serde(default)]
    pub at: Option<Span>,
    /// As text.
    #[serde(default)]
    pub text: Option<String>,
    /// As hexadecimal digits.
    #[serde(default)]
    pub hex: Option<String>,
}

/// A message that must come out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: String,
}

/// The settings are taken as they are written, and read as a configuration's port later.
fn later<'de, D: Deserializer<'de>>(from: D) -> Result<Tree, D::Error> {
    de::IgnoredAny::deserialize(from).map(|_| Tree::default())
}

impl Golden {
    /// Reads a file of cases.
    pub fn parse(text: &str) -> Result<Golden, String> {
        let tree = Tree::read(text).map_err(|fault| fault.what)?;
        let golden = Golden::deserialize(Node::new(&tree));
        let mut golden = golden.map_err(|wrong| wrong.with_path(&tree))?;
        golden.port = tree.get("port").cloned().unwrap_or_default();
        Ok(golden)
    }

    /// Runs all cases; a text for each that went wrong.
    pub fn failures(&self) -> Vec<String> {
        let port = match self.settings() {
            Ok(port) => port,
            Err(why) => return vec![why],
        };
        self.cases.iter().filter_map(|case| case.run(&port).err()).collect()
    }

    /// The port's settings, by the same road as a configuration file's.
    fn settings(&self) -> Result<Port, String> {
        let mut port = self.port.clone();
        if let Value::Map(keys) = &mut port.value {
            let has = |keys: &[(Tree, Tree)], wanted| {
                keys.iter().any(|(key, _)| key.key_text() == wanted)
            };
            if !has(keys, "path") {
                keys.push((Tree::text("path"), Tree::text("/dev/null")));
                if !has(keys, "line") {
                    keys.push((Tree::text("line"), Tree::text("9600 8N1")));
                }
            }
        }
        let tree = Tree::map(vec![
            ("gateway", Tree::text("gw")),
            ("broker", Tree::map(vec![("url", Tree::text("mqtt://x"))])),
            ("ports", Tree::map(vec![("port", port)])),
        ]);
        let parsed = load::from_tree("golden", tree, std::path::Path::new("/"));
        let (config, _): (Config, _) = parsed.map_err(|e| e.to_string())?;
        config.ports.into_values().next().ok_or_else(|| "no port".into())
    }
}

impl Case {
    fn run(&self, port: &Port) -> Result<(), String> {
        let failed = |why: String| format!("{}: {why}", self.name);
        let names: Result<(Name, Name), _> = "gw".parse().and_then(|gw| Ok((gw, "port".parse()?)));
        let (gateway, name) = names.map_err(|e| failed(e.to_string()))?;
        let pipeline = Pipeline::build(&gateway, &name, port);
        let mut pipeline = pipeline.map_err(|e| failed(format!("{e:?}")))?;
        // Any set clock does: time stamps are compared too.
        let wall = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let opened = Now { wall, ..Now::read() };
        pipeline.open(opened.mono);
        let start = match self.open {
            Open::Synchronised => opened.after(Duration::from_secs(1)),
            Open::Middle => opened,
        };
        let mut messages = Vec::new();
        let mut now = opened;
        for burst in &self.input {
            let at = burst.at.map_or(now.max(start), |at| start.after(at.duration()));
            wait(&mut pipeline, &mut now, at, &mut messages);
            pipeline.push(&burst.bytes().map_err(&failed)?, now, &mut messages);
        }
        let end = now.after(Duration::from_secs(2));
        wait(&mut pipeline, &mut now, end, &mut messages);
        self.compare(&messages, &pipeline).map_err(failed)
    }

    fn compare(&self, messages: &[Message], pipeline: &Pipeline) -> Result<(), String> {
        let expected = self.messages.iter().map(|m| format!("{} {}", m.topic, m.payload));
        let expected: Vec<_> = expected.collect();
        let got =
            messages.iter().map(|m| format!("{} {}", m.topic, String::from_utf8_lossy(&m.payload)));
        let got: Vec<_> = got.collect();
        let mut why = String::new();
        if expected != got {
            // Writing to a String does not fail.
            let _ = write!(why, "\n  expected: {expected:#?}\n  got: {got:#?}");
        }
        let frames = pipeline.frame_counts();
        let counts = pipeline.counts();
        for (name, expected) in &self.counts {
            let got = match name.as_str() {
                "bytes" => frames.bytes,
                "frames" => frames.frames,
                "skipped" => frames.skipped,
                "checksum" => frames.bad_checksum,
                "too_long" => frames.too_long,
                "cut" => frames.cut,
                "malformed" => frames.malformed,
                "line_error" => frames.line_error,
                "readings" => counts.readings,
                "refused" => counts.refused.values().sum(),
                "no_value" => counts.no_value,
                "passed_over" => counts.passed_over,
                "unmatched" => counts.unmatched,
                _ => return Err(format!("no count {name}")),
            };
            if got != *expected {
                let _ = write!(why, "\n  {name}: expected {expected}, got {got}");
            }
        }
        if why.is_empty() { Ok(()) } else { Err(why) }
    }
}

impl Burst {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.text, &self.hex) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(digits)) => parse_hex(digits).map_err(|e| e.to_string()),
            _ => Err("a burst has either `text` or `hex`".into()),
        }
    }
}

/// Lets time pass until `at`, as the port task would: silence may complete frames.
fn wait(pipeline: &mut Pipeline, now: &mut Now, at: Now, messages: &mut Vec<Message>) {
    while let Some(due) = pipeline.deadline().filter(|due| *due <= at.mono) {
        *now = now.after(due.saturating_duration_since(now.mono));
        pipeline.timeout(*now, messages);
    }
    *now = now.max(at);
}

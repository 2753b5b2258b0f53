//! One step of a conversation with a device: what is written, and what is awaited then.

use crate::base::line::Line;
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, Span, Token, deserialize_word_or_map, word_schema};
use crate::codec::checksum::{Checksum, OwnChecksum};
use crate::codec::decode::regex;
use crate::codec::encode::Send;
use crate::codec::frame::{Framer, Framing};
use regex_lite::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One step of a `dialogue` or of `startup`. Its parts come in this order, whatever their order in the
/// file: `pause`, `send`, `line`, `reply`. Each may be left out: `{pause: 1s}`, `{send: "ATZ\r", reply:
/// {end: ">"}}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StepSettings {
    /// Time in which nothing is written, before anything else of the step: `1.5s`.
    pub pause: Option<Span>,
    /// What is written, as `send` of a poll. Named groups of the patterns of earlier steps are placeholders,
    /// too: `"hex:06 30 {speed} 30 0D 0A"`.
    pub send: Option<Send>,
    /// Speed and format of the line from here on, set when the last bit of `send` has left: `9600 7E1`, or
    /// by what the device said, `{from: speed, lookup: {"5": 9600 7E1}}`. At the end of the dialogue the
    /// line gets its own settings back, whether the dialogue succeeded or not.
    pub line: Option<LineChange>,
    /// What is awaited, as `reply` of a poll. Default: nothing.
    pub reply: Option<ReplySettings>,
}

/// A setting of the line that depends on what the device said.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LineByReply {
    /// A named group of an earlier `pattern`: `speed` for `(?<speed>[0-6])`.
    pub from: String,
    /// The setting for each text that the group may have found: `{"4": 4800 7E1, "5": 9600 7E1}`. With
    /// any other text the line stays as it is.
    pub lookup: BTreeMap<Token, Line>,
}

#[derive(Clone, Debug)]
pub enum LineChange {
    To(Line),
    ByReply(LineByReply),
}

deserialize_word_or_map!(
    LineChange: "a line setting such as 9600 7E1, or a map with `from` and `lookup`",
    |text: &str| text.parse().map(LineChange::To).map_err(E::custom),
    LineChange::ByReply
);

word_schema!(LineChange, generator: {
    "anyOf": [{"type": "string"}, generator.subschema_for::<LineByReply>()]
});

/// What is awaited: `frame`, one frame of the device's own framing and checksum; `none`; or a map.
#[derive(Clone, Debug, Default)]
pub enum ReplySettings {
    #[default]
    Frame,
    None,
    Described(Box<Described>),
}

/// How a reply is recognised. A frame that is not the reply is passed over, and the wait goes on.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Described {
    /// Where the reply begins and ends, if not as the device's other frames: `lines`.
    pub framing: Option<Framing>,
    /// The checksum at the end of this reply, or `none`; in a command only beside `framing`. Default: the
    /// device's, and `none` for a reply with a `framing` of its own.
    pub checksum: Option<OwnChecksum>,
    /// A text that ends the reply, in place of `framing`: a prompt such as `">"`.
    pub end: ByteString,
    /// How the reply begins: `ACK`. A frame that begins otherwise, and not as `refused` says, is passed
    /// over. Default: any frame is the reply.
    pub accepted: ByteString,
    /// How a reply begins with which the device refuses: `NAK`. It is counted and never decoded, and a
    /// command that gets it has failed.
    pub refused: ByteString,
    /// A regular expression that the reply matches: `"^/[A-Za-z]{3}(?<speed>[0-6])"`. Its named groups are
    /// placeholders in later steps, `{speed}`.
    pub pattern: Option<String>,
}

deserialize_word_or_map!(
    ReplySettings: "`frame`, `none`, or a map",
    |word: &str| match word {
        "frame" => Ok(ReplySettings::Frame),
        "none" => Ok(ReplySettings::None),
        _ => Err(E::unknown_variant(word, &["frame", "none"])),
    },
    |described| ReplySettings::Described(Box::new(described))
);

word_schema!(ReplySettings, generator: {
    "anyOf": [{"enum": ["frame", "none"]}, generator.subschema_for::<Described>()]
});

/// A running step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) pause: Duration,
    pub(super) send: Option<Send>,
    pub(super) line: Option<LineChange>,
    pub(super) reply: Option<Reply>,
}

/// How a reply is recognised.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// Framing of its own, where it is not the device's.
    own: Option<(Framing, Option<Checksum>)>,
    accepted: Vec<u8>,
    refused: Vec<u8>,
    pattern: Option<Regex>,
}

/// What a frame is to a step that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The reply, with what the named groups of its pattern found.
    Taken(Vec<(String, Vec<u8>)>),
    Refused,
    /// It is not the reply: the wait goes on.
    Foreign,
}

impl Step {
    /// A step that writes and awaits.
    pub(super) fn of(send: &Send, reply: Option<Reply>) -> Step {
        Step { pause: Duration::ZERO, send: Some(send.clone()), line: None, reply }
    }
}

impl StepSettings {
    pub(super) fn build(
        &self,
        framing: Option<&Framing>,
        line: Option<&Line>,
    ) -> Result<Step, BuildError> {
        let reply = match &self.reply {
            None => None,
            Some(reply) => reply.build(framing, line).map_err(|error| error.at("reply"))?,
        };
        if self.pause.is_none() && self.send.is_none() && self.line.is_none() && reply.is_none() {
            let error = BuildError::new("this step does nothing");
            return Err(error.remedy("add `send`, `reply`, `line` or `pause`"));
        }
        let pause = self.pause.map_or(Duration::ZERO, Span::duration);
        Ok(Step { pause, send: self.send.clone(), line: self.line.clone(), reply })
    }

    /// The names of the groups that it makes known to later steps.
    pub(super) fn groups(&self) -> Vec<String> {
        match &self.reply {
            Some(ReplySettings::Described(described)) => {
                let pattern = described.pattern.as_ref().and_then(|text| Regex::new(text).ok());
                let names = pattern.iter().flat_map(Regex::capture_names).flatten();
                names.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl ReplySettings {
    /// The running reply, or `None` if none is awaited. `device` is the framing that it has unless it says
    /// otherwise, where that is known.
    pub(super) fn build(
        &self,
        device: Option<&Framing>,
        line: Option<&Line>,
    ) -> Result<Option<Reply>, BuildError> {
        let described = match self {
            ReplySettings::None => return Ok(None),
            ReplySettings::Frame => return Ok(Some(Reply::default())),
            ReplySettings::Described(described) => described,
        };
        let Described { framing, checksum, end, accepted, refused, pattern } = &**described;
        let by_end = !end.as_bytes().is_empty();
        if by_end && framing.is_some() {
            let error = BuildError::new("`end` and `framing` exclude each other");
            return Err(error.remedy("leave one of them out").at("end"));
        }
        let framing = if by_end { Some(Framing::ending_with(end)) } else { framing.clone() };
        let own = match (framing, checksum) {
            (None, None) => None,
            (Some(framing), checksum) => {
                Some((framing, checksum.as_ref().and_then(|own| own.0.clone())))
            }
            (None, Some(OwnChecksum(own))) if device.is_some() => {
                device.map(|device| (device.clone(), own.clone()))
            }
            (None, Some(_)) => {
                let error = BuildError::new("a checksum of its own needs a framing of its own");
                return Err(error.remedy("add `framing`").at("checksum"));
            }
        };
        if let Some((framing, checksum)) = &own {
            framing.build(checksum.as_ref(), line)?;
        }
        let pattern = match pattern {
            None => None,
            Some(text) => Some(regex(text).map_err(|error| error.at("pattern"))?),
        };
        let (accepted, refused) = (accepted.as_bytes().to_vec(), refused.as_bytes().to_vec());
        Ok(Some(Reply { own, accepted, refused, pattern }))
    }
}

impl Reply {
    /// On a bus each device may have a framing of its own, which its replies have unless they say
    /// otherwise.
    pub(super) fn framed_as(
        &mut self,
        framing: Option<&Framing>,
        checksum: Option<&Checksum>,
        line: Option<&Line>,
    ) -> Result<(), BuildError> {
        if let (None, Some(framing)) = (&self.own, framing) {
            framing.build(checksum, line)?;
            self.own = Some((framing.clone(), checksum.cloned()));
        }
        Ok(())
    }

    /// A framer of its own, where the reply is framed differently from the device's frames.
    pub(super) fn framer(&self, line: Option<&Line>) -> Option<Framer> {
        let (framing, checksum) = self.own.as_ref()?;
        // It was built once when the configuration was loaded.
        let mut framer = framing.build(checksum.as_ref(), line).ok()?;
        framer.start();
        Some(framer)
    }

    pub(super) fn judge(&self, frame: &[u8]) -> Verdict {
        if !self.refused.is_empty() && frame.starts_with(&self.refused) {
            return Verdict::Refused;
        }
        if !frame.starts_with(&self.accepted) {
            return Verdict::Foreign;
        }
        let Some(pattern) = &self.pattern else { return Verdict::Taken(Vec::new()) };
        let frame = String::from_utf8_lossy(frame);
        let Some(found) = pattern.captures(&frame) else { return Verdict::Foreign };
        let groups = pattern.capture_names().flatten();
        let text = |name: &str| found.name(name).map_or("", |group| group.as_str());
        Verdict::Taken(groups.map(|name| (name.to_owned(), text(name).into())).collect())
    }
}

impl LineChange {
    /// The setting, from what earlier replies said.
    pub(super) fn line(&self, found: &[(String, Vec<u8>)]) -> Option<Line> {
        match self {
            LineChange::To(line) => Some(*line),
            LineChange::ByReply(LineByReply { from, lookup }) => {
                let (_, value) = found.iter().rev().find(|(name, _)| name == from)?;
                let value = std::str::from_utf8(value).ok()?;
                lookup.iter().find(|(Token(key), _)| key == value).map(|(_, line)| *line)
            }
        }
    }
}

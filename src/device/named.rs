//! A command with a name: what its payloads mean, what is written for each, and what is awaited then.

use super::command::CommandError;
use super::mapping::Names;
use super::outline::Takes;
use super::step::{Reply, ReplySettings};
use crate::base::line::Line;
use crate::base::path::BuildError;
use crate::base::scalar::{Span, Token, deserialize_word_or_map, word_schema};
use crate::codec::bounds::Bounds;
use crate::codec::checksum::Summer;
use crate::codec::decimal::Decimal;
use crate::codec::encode::Send;
use crate::codec::endian::Endian;
use crate::codec::field::Type;
use crate::mqtt::topic::Qos;
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A command. Its message comes on `{gateway}/{device}/{command}/set`. Its result is published to
/// `{gateway}/{device}/{command}/result`, or to the response topic of the message (MQTT 5.0): `sent`;
/// `done` if a `reply` came; `refused: …` with the reason; `refused by the device`; or `unknown: no answer
/// from …`. An example: `{values: {utility: "00", solar: "01"}, send: "POP{value}{checksum}\r", reply:
/// {accepted: ACK, refused: NAK}, then: status}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedCommand {
    /// What is written: a text, `"POP{value}\r"`, or bytes behind `hex:`. `{value}` stands for the payload,
    /// `{address}` for the device's `address`, `{checksum}` for its `checksum` over everything before it. Or
    /// a map with a text for each payload that is taken: `{"ON": "hex:A0 01 01", "OFF": "hex:A0 01 00"}`.
    /// Behind `hex:` the `{address}` is a byte, and `{value}` is bytes: of the `number`, or given as
    /// hexadecimal digits in `values`.
    pub send: Choice,
    /// The payloads that are taken, with the `{value}` of each: `{utility: "00", solar: "01"}`. Others are
    /// refused. Without `values` and `number`, `{value}` is the payload itself.
    #[serde(default)]
    pub values: BTreeMap<Token, Token>,
    /// The payload is a number within these bounds: `{type: u8, min: 0, max: 100}`. Others are refused.
    #[serde(default)]
    pub number: Option<NumberSettings>,
    /// What is awaited, as `reply` of a poll: `{accepted: ACK, refused: NAK}`. Without an answer the command
    /// is written again, `retries` times. Default: `none`.
    #[serde(default)]
    pub reply: Option<ReplySettings>,
    /// Name of a poll that follows at once when the command is done, to read back what has changed.
    #[serde(default)]
    pub then: Option<String>,
    /// `assumed`: when the command was written, its payload is published to `{gateway}/{device}/{command}`.
    /// For a device that does not report its state. Default: `none`.
    #[serde(default)]
    pub state: StateSettings,
    /// The shortest time between this command and the next one on the port. Default: 50ms.
    #[serde(default)]
    pub pause: Option<Span>,
    /// QoS of the subscription.
    #[serde(default)]
    pub qos: Qos,
    /// `true`: also take the message that the broker has retained.
    #[serde(default)]
    pub retained: bool,
    /// Messages older than this are refused, 1s to 7d. Default: any age.
    #[serde(default)]
    pub max_age: Option<Span>,
}

/// What is known of the state that a command sets.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StateSettings {
    /// Only what the device reports.
    #[default]
    None,
    /// The state is taken to be what was written.
    Assumed,
}

/// What is written: always the same text, or one for each payload.
#[derive(Clone, Debug)]
pub enum Choice {
    One(Send),
    ByPayload(BTreeMap<Token, Send>),
}

deserialize_word_or_map!(
    Choice: "a text, or a map with one for each payload",
    |text: &str| text.parse().map(Choice::One).map_err(E::custom),
    Choice::ByPayload
);

word_schema!(Choice: {"anyOf": [
    {"type": "string"},
    {"type": "object", "additionalProperties": {"type": "string"}},
]});

/// The numbers that a command takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NumberSettings {
    /// The type of `{value}` behind `hex:`: `u8`, `i16` and so on; it is needed there. In other texts the
    /// number is written in digits.
    #[serde(rename = "type")]
    pub kind: Option<Type>,
    /// Order of its bytes. Default: `big`.
    pub endian: Endian,
    /// The lowest number that is taken.
    pub min: Option<Token>,
    /// The highest number that is taken.
    pub max: Option<Token>,
    /// Only multiples of this are taken, counted from `min`, or from 0: `0.5`.
    pub step: Option<Token>,
}

/// A running command with a name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    send: Sends,
    values: BTreeMap<String, Vec<u8>>,
    number: Option<Number>,
    checksum: Option<Summer>,
    pub(super) reply: Option<Reply>,
    /// Name of the poll that follows.
    pub(super) then: Option<String>,
    pub(super) is_assumed: bool,
}

#[derive(Clone, Debug)]
enum Sends {
    One(Send),
    ByPayload(BTreeMap<String, Send>),
}

#[derive(Clone, Debug)]
struct Number {
    bounds: Bounds,
    /// Bytes of an integer, and whether it is signed.
    binary: Option<(usize, bool)>,
    endian: Endian,
}

/// What the device of a command says about it.
#[derive(Debug)]
pub(super) struct Owner<'a> {
    pub(super) names: Names<'a>,
    pub(super) address: Option<u8>,
    pub(super) checksum: Option<Summer>,
    pub(super) line: Option<&'a Line>,
    /// Its polls, by name.
    pub(super) polls: Vec<&'a str>,
}

impl NamedCommand {
    pub(super) fn build(&self, owner: &Owner<'_>) -> Result<Named, BuildError> {
        let fix = |send: &Send| {
            let known = ["value", "address"];
            if let Some(slot) = send.slots().find(|slot| !known.contains(slot)) {
                return Err(BuildError::new(format!("unknown placeholder \"{{{slot}}}\""))
                    .remedy("there are {value} {address} {checksum}"));
            }
            if send.has_checksum() && owner.checksum.is_none() {
                return Err(BuildError::new("{checksum} needs the `checksum` of the device"));
            }
            if send.slots().any(|slot| slot == "address") && owner.address.is_none() {
                return Err(BuildError::new("{address} needs the `address` of the device"));
            }
            Ok(send.with_address(owner.address))
        };
        if !self.values.is_empty() && self.number.is_some() {
            let error = BuildError::new("`values` and `number` exclude each other");
            return Err(error.remedy("leave one of them out").at("number"));
        }
        let (send, is_hex) = match &self.send {
            Choice::One(send) => {
                let send = fix(send).map_err(|error| error.at("send"))?;
                let is_hex = send.is_hex();
                (Sends::One(send), is_hex)
            }
            Choice::ByPayload(map) => {
                let fixed = map.iter().map(|(Token(payload), send)| {
                    let send = fix(send).map_err(|error| error.at(payload).at("send"))?;
                    Ok((payload.clone(), send))
                });
                (Sends::ByPayload(fixed.collect::<Result<_, BuildError>>()?), false)
            }
        };
        let value = |(Token(payload), Token(value)): (&Token, &Token)| {
            let value = match is_hex {
                true => {
                    crate::base::scalar::parse_hex(value).map_err(|e| e.at(payload).at("values"))?
                }
                false => value.clone().into_bytes(),
            };
            Ok((payload.clone(), value))
        };
        if let Some(then) = self.then.as_ref().filter(|then| !owner.polls.contains(&then.as_str()))
        {
            let error = BuildError::new(format!("there is no poll {then:?}"));
            let remedy = match owner.polls[..] {
                [] => "leave it out: this device has no `poll`".to_owned(),
                _ => format!("there are {}", owner.polls.join(", ")),
            };
            return Err(error.remedy(remedy).at("then"));
        }
        let reply = match &self.reply {
            None => None,
            Some(reply) => reply.build(None, owner.line).map_err(|error| error.at("reply"))?,
        };
        let number = self.number.as_ref().map(|number| number.build(is_hex)).transpose();
        Ok(Named {
            send,
            values: self.values.iter().map(value).collect::<Result<_, BuildError>>()?,
            number: number.map_err(|error| error.at("number"))?,
            checksum: owner.checksum.clone(),
            reply,
            then: self.then.clone(),
            is_assumed: self.state == StateSettings::Assumed,
        })
    }
}

impl NumberSettings {
    fn build(&self, is_hex: bool) -> Result<Number, BuildError> {
        let bounds = Bounds::build(&self.min, &self.max, &self.step)?;
        let binary = match (self.kind, is_hex) {
            (None, false) => None,
            (Some(kind), true) => match (kind.size(), kind.is_signed() || kind.is_unsigned()) {
                (Some(size), true) => Some((size, kind.is_signed())),
                _ => {
                    let error = BuildError::new("only whole numbers are written as bytes");
                    return Err(error.remedy("write one of u8 to i64").at("type"));
                }
            },
            (Some(_), false) => {
                let error = BuildError::new("in a text a number is written in digits");
                return Err(error.remedy("leave it out, or begin `send` with hex:").at("type"));
            }
            (None, true) => {
                let error = BuildError::new("it is not said how the number is written as bytes");
                return Err(error.remedy("add `type`: u8, i16 or another").at("type"));
            }
        };
        let held = binary.map(|(size, signed)| {
            let bits = 8 * size as u32;
            let (low, high) = match signed {
                true => (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1),
                false => (0, (1_i128 << bits) - 1),
            };
            (Decimal::from(low), Decimal::from(high))
        });
        let bounds = bounds.narrow("type", held)?;
        Ok(Number { bounds, binary, endian: self.endian })
    }
}

impl Number {
    fn value(&self, payload: &str) -> Result<Vec<u8>, CommandError> {
        let refused =
            |why: crate::codec::bounds::OutOfBounds| CommandError::Payload(why.to_string());
        let number = Decimal::read(payload.trim());
        let number = number.ok_or_else(|| CommandError::Payload("it is not a number".into()))?;
        self.bounds.check(number).map_err(refused)?;
        let Some((size, _)) = self.binary else { return Ok(payload.trim().as_bytes().to_vec()) };
        if number.is_multiple_of(Decimal::from(1)) != Some(true) {
            return Err(CommandError::Payload("it is not a whole number".into()));
        }
        let Some(whole) = number.divided(Decimal::from(1)) else {
            return Err(CommandError::Payload("it is not a number".into()));
        };
        let mut bytes = whole.to_be_bytes().split_at(16 - size.min(16)).1.to_vec();
        if self.endian == Endian::Little {
            bytes.reverse();
        }
        Ok(bytes)
    }
}

impl Named {
    /// Which payloads it takes.
    pub(super) fn takes(&self) -> Takes {
        if let Some(number) = &self.number {
            let is_whole = number.binary.is_some();
            return Takes::Number { bounds: number.bounds, is_whole };
        }
        if !self.values.is_empty() {
            return Takes::Words(self.values.keys().cloned().collect());
        }
        match &self.send {
            Sends::ByPayload(map) => Takes::Words(map.keys().cloned().collect()),
            Sends::One(send) if send.slots().any(|slot| slot == "value") => {
                Takes::Text { longest: None }
            }
            Sends::One(_) => Takes::Anything,
        }
    }

    /// The bytes to write for a payload.
    pub(super) fn bytes(&self, payload: &str) -> Result<Bytes, CommandError> {
        let among = |known: Vec<&String>| {
            let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
            CommandError::Payload(format!("it is none of {}", known.join(", ")))
        };
        let send = match &self.send {
            Sends::One(send) => send,
            Sends::ByPayload(map) => {
                map.get(payload.trim()).ok_or_else(|| among(map.keys().collect()))?
            }
        };
        let value = match &self.number {
            Some(number) => number.value(payload)?,
            None if !self.values.is_empty() => {
                let value = self.values.get(payload.trim());
                value.ok_or_else(|| among(self.values.keys().collect()))?.clone()
            }
            None => payload.as_bytes().to_vec(),
        };
        let is_free = self.number.is_none() && self.values.is_empty();
        if is_free && send.slots().any(|slot| slot == "value") && !send.is_hex() {
            super::command::check_free(payload.as_bytes(), send)?;
        }
        let bytes =
            send.render(self.checksum.as_ref(), |name| (name == "value").then_some(&value[..]));
        bytes.map(Bytes::from).ok_or(CommandError::TooLong)
    }
}

//! `-D PUBLISH user-property name value`: properties of MQTT 5 on the command line.

use super::words::Words;
use super::{UsageError, wrong};
use crate::mqtt::packet::{Pair, Properties, Property, Varint};
use bytes::Bytes;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::str::FromStr;

/// The properties that were given, by the packet they go into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// CONNECT.
    pub connect: Properties,
    /// The will in CONNECT.
    pub will: Properties,
    /// PUBLISH.
    pub publish: Properties,
    /// SUBSCRIBE.
    pub subscribe: Properties,
    /// UNSUBSCRIBE.
    pub unsubscribe: Properties,
    /// DISCONNECT.
    pub disconnect: Properties,
}

impl Given {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Given::default()
    }
}

const CONNECT: u8 = 1;
const WILL: u8 = 2;
const PUBLISH: u8 = 4;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 16;
const DISCONNECT: u8 = 32;
const MESSAGE: u8 = PUBLISH | WILL;

/// Packets by name.
const PACKETS: [(&str, u8); 6] = [
    ("CONNECT", CONNECT),
    ("PUBLISH", PUBLISH),
    ("SUBSCRIBE", SUBSCRIBE),
    ("UNSUBSCRIBE", UNSUBSCRIBE),
    ("DISCONNECT", DISCONNECT),
    ("WILL", WILL),
];

type Build = fn(Vec<u8>) -> Result<Property, String>;

/// Properties by name, the packets they may stand in, and how the text becomes one.
const NAMES: [(&str, u8, Build); 18] = [
    ("payload-format-indicator", MESSAGE, |v| flag(v).map(Property::PayloadFormat)),
    ("message-expiry-interval", MESSAGE, |v| number(v).map(Property::MessageExpiry)),
    ("content-type", MESSAGE, |v| text(v).map(Property::ContentType)),
    ("response-topic", MESSAGE, |v| topic(v).map(Property::ResponseTopic)),
    ("correlation-data", MESSAGE, |v| data(v).map(Property::CorrelationData)),
    ("topic-alias", PUBLISH, |v| positive(v).map(Property::TopicAlias)),
    ("subscription-identifier", SUBSCRIBE, |v| varint(v).map(Property::SubscriptionId)),
    ("session-expiry-interval", CONNECT | DISCONNECT, |v| number(v).map(Property::SessionExpiry)),
    ("authentication-method", CONNECT, |v| text(v).map(Property::AuthMethod)),
    ("authentication-data", CONNECT, |v| data(v).map(Property::AuthData)),
    ("request-problem-information", CONNECT, |v| flag(v).map(Property::RequestProblemInfo)),
    ("request-response-information", CONNECT, |v| flag(v).map(Property::RequestResponseInfo)),
    ("receive-maximum", CONNECT, |v| positive(v).map(Property::ReceiveMaximum)),
    ("topic-alias-maximum", CONNECT, |v| number(v).map(Property::TopicAliasMaximum)),
    ("maximum-packet-size", CONNECT, |v| positive(v).map(Property::MaximumPacketSize)),
    ("will-delay-interval", WILL, |v| number(v).map(Property::WillDelay)),
    ("reason-string", DISCONNECT, |v| text(v).map(Property::ReasonString)),
    (USER, 0xFF, |v| text(v).map(|value| Property::UserProperty(Pair(String::new(), value)))),
];

const USER: &str = "user-property";

impl Given {
    /// Takes `PACKET NAME VALUE`, or `PACKET user-property NAME VALUE`.
    pub(super) fn take(&mut self, option: &str, words: &mut dyn Words) -> Result<(), UsageError> {
        let missing = || {
            UsageError(format!(
                "{option} takes a packet, a property and its value, \
                 as in `-D PUBLISH content-type text/plain` or `-D PUBLISH user-property name value`"
            ))
        };
        let mut word = || words.word().map(|w| w.to_string_lossy().into_owned());
        let packet = word().ok_or_else(missing)?;
        let name = word().ok_or_else(missing)?;
        let Some((packet, place)) = PACKETS.iter().find(|(p, _)| packet.eq_ignore_ascii_case(p))
        else {
            return wrong(format!(
                "{option} {packet}: properties can be given to {}",
                PACKETS.map(|(name, _)| name).join(", ")
            ));
        };
        let Some((name, places, build)) = NAMES.iter().find(|(n, _, _)| *n == name) else {
            return wrong(format!(
                "{option} {packet} {name}: there is no such property; {packet} has {}",
                allowed(*place)
            ));
        };
        if places & place == 0 {
            return wrong(format!(
                "{option} {packet} {name}: {packet} has no such property; it has {}",
                allowed(*place)
            ));
        }
        let key = match *name == USER {
            true => Some(words.word().ok_or_else(missing)?),
            false => None,
        };
        let value = words.value().ok_or_else(missing)?;
        let at = |why| UsageError(format!("{option} {packet} {name}: {why}"));
        let mut property = build(value.into_vec()).map_err(at)?;
        if let (Property::UserProperty(Pair(name, _)), Some(key)) = (&mut property, key) {
            *name = text(OsString::into_vec(key)).map_err(at)?;
        }
        let list = &mut self.of(*place).0;
        let same =
            |other: &Property| std::mem::discriminant(other) == std::mem::discriminant(&property);
        if key_repeats(&property) || !list.iter().any(same) {
            list.push(property);
            return Ok(());
        }
        wrong(format!("{option} {packet} {name}: given twice; a packet can have it once"))
    }

    fn of(&mut self, place: u8) -> &mut Properties {
        match place {
            CONNECT => &mut self.connect,
            WILL => &mut self.will,
            SUBSCRIBE => &mut self.subscribe,
            UNSUBSCRIBE => &mut self.unsubscribe,
            DISCONNECT => &mut self.disconnect,
            _ => &mut self.publish,
        }
    }
}

fn key_repeats(property: &Property) -> bool {
    matches!(property, Property::UserProperty(_))
}

fn allowed(place: u8) -> String {
    let names: Vec<_> =
        NAMES.iter().filter(|(_, p, _)| p & place != 0).map(|(n, _, _)| *n).collect();
    names.join(", ")
}

fn text(value: Vec<u8>) -> Result<String, String> {
    if value.len() > usize::from(u16::MAX) {
        return Err("at most 65535 bytes".into());
    }
    match String::from_utf8(value) {
        Ok(text) if text.contains('\0') => Err("without NUL, please".into()),
        Ok(text) => Ok(text),
        Err(_) => Err("not UTF-8".into()),
    }
}

fn topic(value: Vec<u8>) -> Result<String, String> {
    match text(value)? {
        topic if topic.is_empty() => Err("a topic is not empty".into()),
        topic if topic.contains(['+', '#']) => Err("no wildcards here".into()),
        topic => Ok(topic),
    }
}

fn data(value: Vec<u8>) -> Result<Bytes, String> {
    match value.len() > usize::from(u16::MAX) {
        true => Err("at most 65535 bytes".into()),
        false => Ok(value.into()),
    }
}

fn number<N: FromStr + TryFrom<u64>>(value: Vec<u8>) -> Result<N, String> {
    let bits = size_of::<N>() * 8;
    let max = u64::MAX >> (64 - bits);
    let text = String::from_utf8_lossy(&value).into_owned();
    text.parse().map_err(|_| format!("{text:?} is no number from 0 to {max}"))
}

fn positive<N: FromStr + TryFrom<u64> + Default + PartialEq>(value: Vec<u8>) -> Result<N, String> {
    match number::<N>(value)? {
        zero if zero == N::default() => Err("at least 1".into()),
        number => Ok(number),
    }
}

fn varint(value: Vec<u8>) -> Result<Varint, String> {
    match positive::<u32>(value)? {
        number if number <= 268_435_455 => Ok(Varint(number)),
        _ => Err("at most 268435455".into()),
    }
}

fn flag(value: Vec<u8>) -> Result<bool, String> {
    match value.as_slice() {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err("0 or 1".into()),
    }
}

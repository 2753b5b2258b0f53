//! `-D PUBLISH user-property name value`: MQTT 5 properties on the command line.

use super::arguments::{Argument, USER_PROPERTY};
use super::{UsageError, wrong};
use crate::mqtt::packet::{Pair, Properties, Property, Varint};
use bytes::Bytes;
use std::os::unix::ffi::OsStringExt;
use std::str::FromStr;

/// The properties of the options, by the packet they go into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketProperties {
    pub connect: Properties,
    /// The will in CONNECT.
    pub will: Properties,
    pub publish: Properties,
    pub subscribe: Properties,
    pub unsubscribe: Properties,
    pub disconnect: Properties,
}

impl PacketProperties {
    pub fn is_empty(&self) -> bool {
        *self == PacketProperties::default()
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
    (USER_PROPERTY, 0xFF, |v| {
        text(v).map(|value| Property::UserProperty(Pair(String::new(), value)))
    }),
];

impl PacketProperties {
    /// Whether user and password are proven by SCRAM and not sent.
    pub fn proves_by_scram(&self) -> bool {
        self.connect.auth_method().is_some_and(|method| method == "SCRAM-SHA-256")
            && self.connect.auth_data().is_none_or(|data| data.is_empty())
    }

    /// Takes `PACKET NAME VALUE`, or `PACKET user-property NAME VALUE`.
    pub(super) fn take(&mut self, option: &Argument) -> Result<(), UsageError> {
        let word = |n: usize| option.values.get(n).cloned().unwrap_or_default();
        let (packet, name) = (word(0).to_string_lossy().into_owned(), word(1));
        let name = name.to_string_lossy();
        let Some((packet, place)) = PACKETS.iter().find(|(p, _)| packet.eq_ignore_ascii_case(p))
        else {
            return wrong(format!(
                "{} {packet}: properties can be given to {}",
                option.name,
                PACKETS.map(|(name, _)| name).join(", ")
            ));
        };
        let at = |why: String| UsageError(format!("{} {packet} {name}: {why}", option.name));
        let Some((_, places, build)) = NAMES.iter().find(|(n, _, _)| *n == name) else {
            let allowed = allowed(*place);
            return Err(at(format!("there is no such property; {packet} has {allowed}")));
        };
        if places & place == 0 {
            let allowed = allowed(*place);
            return Err(at(format!("{packet} has no such property; it has {allowed}")));
        }
        let value = option.values.last().cloned().unwrap_or_default();
        let mut property = build(value.into_vec()).map_err(at)?;
        if let Property::UserProperty(Pair(key, _)) = &mut property {
            *key = text(word(2).into_vec()).map_err(at)?;
        }
        let list = &mut self.of(*place).0;
        let same =
            |other: &Property| std::mem::discriminant(other) == std::mem::discriminant(&property);
        if name != USER_PROPERTY && list.iter().any(same) {
            return Err(at("given twice; a packet can have it once".into()));
        }
        list.push(property);
        Ok(())
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
        Ok(text) if text.contains('\0') => Err("NUL is not allowed".into()),
        Ok(text) => Ok(text),
        Err(_) => Err("not UTF-8".into()),
    }
}

fn topic(value: Vec<u8>) -> Result<String, String> {
    match text(value)? {
        topic if topic.is_empty() => Err("the topic is empty".into()),
        topic if topic.contains(['+', '#']) => Err("no wildcards allowed".into()),
        topic => Ok(topic),
    }
}

fn data(value: Vec<u8>) -> Result<Bytes, String> {
    if value.len() > usize::from(u16::MAX) {
        return Err("at most 65535 bytes".into());
    }
    Ok(value.into())
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

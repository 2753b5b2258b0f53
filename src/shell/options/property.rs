//! `-D PUBLISH user-property name value`: MQTT 5 properties on the command line.

use super::arguments::{Argument, USER_PROPERTY};
use super::{UsageError, wrong};
use crate::mqtt::packet::{Pair, Place, Properties, Property, Varint};
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

const PACKETS: [(&str, Place); 6] = [
    ("CONNECT", Place::Connect),
    ("PUBLISH", Place::Publish),
    ("SUBSCRIBE", Place::Subscribe),
    ("UNSUBSCRIBE", Place::Unsubscribe),
    ("DISCONNECT", Place::Disconnect),
    ("WILL", Place::Will),
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
        let all = Property::each();
        let Some(property) = all.iter().find(|it| it.name() == name && it.is_for_client(*place))
        else {
            let allowed = all.iter().filter(|it| it.is_for_client(*place)).map(Property::name);
            let allowed = allowed.collect::<Vec<_>>().join(", ");
            return Err(at(match all.iter().any(|it| it.name() == name) {
                true => format!("{packet} has no such property; it has {allowed}"),
                false => format!("there is no such property; {packet} has {allowed}"),
            }));
        };
        let mut property = property.clone();
        let value = option.values.last().cloned().unwrap_or_default();
        fill(&mut property, value.into_vec()).map_err(at)?;
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

    fn of(&mut self, place: Place) -> &mut Properties {
        match place {
            Place::Connect => &mut self.connect,
            Place::Will => &mut self.will,
            Place::Subscribe => &mut self.subscribe,
            Place::Unsubscribe => &mut self.unsubscribe,
            Place::Disconnect => &mut self.disconnect,
            _ => &mut self.publish,
        }
    }
}

/// Takes a property's value from its text.
fn fill(property: &mut Property, value: Vec<u8>) -> Result<(), String> {
    use Property::*;
    match property {
        PayloadFormat(it) | RequestProblemInfo(it) | RequestResponseInfo(it) => *it = flag(value)?,
        MessageExpiry(it) | SessionExpiry(it) | WillDelay(it) => *it = number(value)?,
        MaximumPacketSize(it) => *it = positive(value)?,
        TopicAliasMaximum(it) => *it = number(value)?,
        TopicAlias(it) | ReceiveMaximum(it) => *it = positive(value)?,
        SubscriptionId(it) => *it = varint(value)?,
        ContentType(it) | AuthMethod(it) | ReasonString(it) => *it = text(value)?,
        UserProperty(Pair(_, it)) => *it = text(value)?,
        ResponseTopic(it) => *it = topic(value)?,
        CorrelationData(it) | AuthData(it) => *it = data(value)?,
        // No client sends the others.
        _ => {}
    }
    Ok(())
}

fn data(value: Vec<u8>) -> Result<Bytes, String> {
    if value.len() > usize::from(u16::MAX) {
        return Err("at most 65535 bytes".into());
    }
    Ok(value.into())
}

fn text(value: Vec<u8>) -> Result<String, String> {
    match String::from_utf8(data(value)?.into()) {
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

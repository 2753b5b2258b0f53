//! The objects of `mqtt-packet` as packets of ours. What ours cannot hold is an error.

use super::vector::Hex;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::Value;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::packet::{
    Ack, Auth, ConnAck, Connect, Decoded, Disconnect, Packet, PacketId, Properties, Property,
    Publish, Reason, RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe, Varint, Version,
};

type Result<T> = std::result::Result<T, String>;

pub fn from_json(json: &Value, version: Version) -> Result<Packet> {
    let properties = || properties(json.get("properties"));
    let ack = || {
        Ok::<Ack, String>(Ack {
            id: id(json)?.ok_or("no identifier")?,
            reason: reason_or(json, Reason::SUCCESS)?,
            properties: properties()?,
        })
    };
    Ok(match text(json, "cmd")?.as_str() {
        "connect" => Packet::Connect(connect(json)?),
        "connack" => Packet::ConnAck(ConnAck {
            session_present: flag(json, "sessionPresent")?,
            reason: match version {
                Version::V5 => reason_or(json, Reason::SUCCESS)?,
                _ => return_code(json)?,
            },
            properties: properties()?,
        }),
        "publish" => {
            let qos = u64::from(number(json, "qos", 0)?);
            Packet::Publish(Publish {
                topic: match bytes(json, "topic")? {
                    topic if topic.is_empty() => None,
                    topic => Some(utf8(&topic)?.parse().map_err(|error| format!("{error}"))?),
                },
                payload: bytes(json, "payload")?,
                qos: qos.try_into().map_err(|error| format!("{error}"))?,
                id: if qos == 0 { None } else { Some(id(json)?.ok_or("no identifier")?) },
                dup: flag(json, "dup")?,
                retain: flag(json, "retain")?,
                properties: properties()?,
            })
        }
        "puback" => Packet::PubAck(ack()?),
        "pubrec" => Packet::PubRec(ack()?),
        "pubrel" => Packet::PubRel(ack()?),
        "pubcomp" => Packet::PubComp(ack()?),
        "subscribe" => Packet::Subscribe(Subscribe {
            id: id(json)?.ok_or("no identifier")?,
            filters: list(json, "subscriptions")?
                .iter()
                .map(subscription)
                .collect::<Result<_>>()?,
            properties: properties()?,
        }),
        "unsubscribe" => {
            let filter = |filter: &Value| {
                let text = filter.as_str().ok_or("a filter that is no text")?;
                text.parse().map_err(|error| format!("{error}"))
            };
            Packet::Unsubscribe(Unsubscribe {
                id: id(json)?.ok_or("no identifier")?,
                filters: list(json, "unsubscriptions")?
                    .iter()
                    .map(filter)
                    .collect::<Result<_>>()?,
                properties: properties()?,
            })
        }
        "suback" => Packet::SubAck(SubAck {
            id: id(json)?.ok_or("no identifier")?,
            reasons: reasons(list(json, "granted")?)?,
            properties: properties()?,
        }),
        "unsuback" => Packet::UnsubAck(SubAck {
            id: id(json)?.ok_or("no identifier")?,
            reasons: match version {
                Version::V5 => reasons(list(json, "granted")?)?,
                _ => Vec::new(),
            },
            properties: properties()?,
        }),
        "pingreq" => Packet::PingReq,
        "pingresp" => Packet::PingResp,
        "disconnect" => Packet::Disconnect(Disconnect {
            reason: reason_or(json, Reason::SUCCESS)?,
            properties: properties()?,
        }),
        "auth" => Packet::Auth(Auth {
            reason: reason_or(json, Reason::SUCCESS)?,
            properties: properties()?,
        }),
        other => return Err(format!("there is no {other}")),
    })
}

fn connect(json: &Value) -> Result<Connect> {
    let name = json.get("protocolId").map_or(Some("MQTT"), Value::as_str);
    let version = match (name, number(json, "protocolVersion", 4)?) {
        (Some("MQIsdp"), 3) => Version::V31,
        (Some("MQTT"), 4) => Version::V311,
        (Some("MQTT"), 5) => Version::V5,
        other => return Err(format!("there is no protocol {other:?}")),
    };
    if flag(json, "bridgeMode")? {
        return Err("there is no bridge".into());
    }
    let will = match json.get("will") {
        None | Some(Value::Null) => None,
        Some(will) => Some(Message {
            topic: text(will, "topic")?.parse().map_err(|error| format!("{error}"))?,
            payload: bytes(will, "payload")?,
            qos: u64::from(number(will, "qos", 0)?)
                .try_into()
                .map_err(|error| format!("{error}"))?,
            retain: flag(will, "retain")?,
            properties: Some(properties(will.get("properties"))?)
                .filter(|properties| !properties.is_empty())
                .map(Into::into),
        }),
    };
    let present = |name| json.get(name).is_some_and(|value| !value.is_null());
    Ok(Connect {
        version,
        client_id: utf8(&bytes(json, "clientId")?)?,
        clean: json.get("clean").is_none_or(|clean| *clean == Value::Bool(true)),
        keep_alive: number(json, "keepalive", 0)?.try_into().map_err(|_| "keepalive")?,
        will,
        user: present("username").then(|| utf8(&bytes(json, "username")?)).transpose()?,
        password: present("password")
            .then(|| Ok::<_, String>(bytes(json, "password")?.to_vec().into()))
            .transpose()?,
        properties: properties(json.get("properties"))?,
    })
}

fn subscription(json: &Value) -> Result<Subscription> {
    Ok(Subscription {
        filter: text(json, "topic")?.parse().map_err(|error| format!("{error}"))?,
        qos: u64::from(number(json, "qos", 0)?).try_into().map_err(|error| format!("{error}"))?,
        no_local: flag(json, "nl")?,
        retain_as_published: flag(json, "rap")?,
        retain_handling: match number(json, "rh", 0)? {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err("retain handling".into()),
        },
    })
}

fn properties(json: Option<&Value>) -> Result<Properties> {
    let mut all = Vec::new();
    let Some(json) = json else { return Ok(Properties(all)) };
    for (name, value) in json.as_object().ok_or("properties that are no object")? {
        let text = || text(json, name);
        let bytes = || bytes(json, name);
        let flag = || flag(json, name);
        let long = || number(json, name, 0);
        let short = || u16::try_from(number(json, name, 0)?).map_err(|_| name.clone());
        all.push(match name.as_str() {
            "payloadFormatIndicator" => Property::PayloadFormat(flag()?),
            "messageExpiryInterval" => Property::MessageExpiry(long()?),
            "contentType" => Property::ContentType(text()?),
            "responseTopic" => Property::ResponseTopic(text()?),
            "correlationData" => Property::CorrelationData(bytes()?),
            "sessionExpiryInterval" => Property::SessionExpiry(long()?),
            "assignedClientIdentifier" => Property::AssignedClientId(text()?),
            "serverKeepAlive" => Property::ServerKeepAlive(short()?),
            "authenticationMethod" => Property::AuthMethod(text()?),
            "authenticationData" => Property::AuthData(bytes()?),
            "requestProblemInformation" => Property::RequestProblemInfo(flag()?),
            "willDelayInterval" => Property::WillDelay(long()?),
            "requestResponseInformation" => Property::RequestResponseInfo(flag()?),
            "responseInformation" => Property::ResponseInfo(text()?),
            "serverReference" => Property::ServerReference(text()?),
            "reasonString" => Property::ReasonString(text()?),
            "receiveMaximum" => Property::ReceiveMaximum(short()?),
            "topicAliasMaximum" => Property::TopicAliasMaximum(short()?),
            "topicAlias" => Property::TopicAlias(short()?),
            "maximumQoS" => Property::MaximumQos(long()?.try_into().map_err(|_| "QoS")?),
            "retainAvailable" => Property::RetainAvailable(flag()?),
            "maximumPacketSize" => Property::MaximumPacketSize(long()?),
            "wildcardSubscriptionAvailable" => Property::WildcardAvailable(flag()?),
            "subscriptionIdentifiersAvailable" => Property::SubscriptionIdAvailable(flag()?),
            "sharedSubscriptionAvailable" => Property::SharedAvailable(flag()?),
            "subscriptionIdentifier" => {
                for id in one_or_more(value) {
                    let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
                    let id = id.filter(|id| *id <= 268_435_455).ok_or("subscription id")?;
                    all.push(Property::SubscriptionId(Varint(id)));
                }
                continue;
            }
            "userProperties" => {
                for (key, value) in value.as_object().ok_or("user properties")? {
                    for value in one_or_more(value) {
                        all.push(Property::user(key, value.as_str().ok_or("no text")?));
                    }
                }
                continue;
            }
            other => return Err(format!("there is no property {other}")),
        });
    }
    Ok(Properties(all))
}

fn one_or_more(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// A reason by its code, from a packet that may carry it.
fn reason(code: u8) -> Option<Reason> {
    let decode = |packet: &[u8]| match Packet::decode(&mut BytesMut::from(packet), 100, Version::V5)
    {
        Ok(Some(Decoded::Packet(packet))) => Some(packet),
        _ => None,
    };
    match decode(&[0x20, 3, 0, code, 0]).or_else(|| decode(&[0x90, 4, 0, 1, 0, code])) {
        Some(Packet::ConnAck(packet)) => return Some(packet.reason),
        Some(Packet::SubAck(packet)) => return Some(packet.reasons[0]),
        _ => {}
    }
    let packet = decode(&[0xE0, 1, code])
        .or_else(|| decode(&[0x40, 3, 0, 1, code]))
        .or_else(|| decode(&[0x62, 3, 0, 1, code]))
        .or_else(|| decode(&[0xB0, 4, 0, 1, 0, code]))
        .or_else(|| decode(&[0xF0, 6, code, 4, 0x15, 0, 1, b'm']))?;
    match packet {
        Packet::Disconnect(packet) => Some(packet.reason),
        Packet::PubAck(packet) | Packet::PubRel(packet) => Some(packet.reason),
        Packet::UnsubAck(packet) => Some(packet.reasons[0]),
        Packet::Auth(packet) => Some(packet.reason),
        _ => None,
    }
}

fn reasons(codes: &[Value]) -> Result<Vec<Reason>> {
    let code = |code: &Value| {
        let code = code.as_u64().and_then(|code| u8::try_from(code).ok());
        code.and_then(reason).ok_or_else(|| "no reason".to_owned())
    };
    codes.iter().map(code).collect()
}

fn reason_or(json: &Value, or: Reason) -> Result<Reason> {
    match json.get("reasonCode") {
        None => Ok(or),
        Some(code) => Ok(reasons(std::slice::from_ref(code))?[0]),
    }
}

/// CONNACK of 3.x has codes of its own (MQTT 3.1.1, 3.2.2.3).
fn return_code(json: &Value) -> Result<Reason> {
    Ok(match json.get("returnCode").and_then(Value::as_u64).ok_or("no return code")? {
        0 => Reason::SUCCESS,
        1 => Reason::UNSUPPORTED_PROTOCOL_VERSION,
        2 => Reason::CLIENT_IDENTIFIER_NOT_VALID,
        3 => Reason::SERVER_UNAVAILABLE,
        4 => Reason::BAD_USER_NAME_OR_PASSWORD,
        5 => Reason::NOT_AUTHORIZED,
        other => return Err(format!("return code {other}")),
    })
}

fn id(json: &Value) -> Result<Option<PacketId>> {
    let id = u16::try_from(number(json, "messageId", 0)?).map_err(|_| "messageId")?;
    Ok(PacketId::new(id))
}

fn list<'a>(json: &'a Value, name: &str) -> Result<&'a [Value]> {
    let list = json.get(name).and_then(Value::as_array);
    Ok(list.ok_or_else(|| format!("{name} is no list"))?.as_slice())
}

fn number(json: &Value, name: &str, default: u32) -> Result<u32> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.ok_or_else(|| format!("{name} is {value}"))
        }
    }
}

fn flag(json: &Value, name: &str) -> Result<bool> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| format!("{name} is {value}")),
    }
}

fn text(json: &Value, name: &str) -> Result<String> {
    json.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(format!("{name} is no text"))
}

fn utf8(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// Text or bytes; empty if there is nothing.
fn bytes(json: &Value, name: &str) -> Result<Bytes> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(Bytes::new()),
        Some(Value::String(text)) => Ok(text.clone().into()),
        Some(value) => {
            let hex = value.get("$bytes").and_then(|hex| Hex::deserialize(hex).ok());
            Ok(hex.ok_or_else(|| format!("{name} is {value}"))?.get().freeze())
        }
    }
}

//! Our packets in the words of the crate `mqtt-protocol-core`.

use mqtt_protocol_core::mqtt::packet as their;
use mqtt_protocol_core::mqtt::result_code::{
    AuthReasonCode, ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, PubackReasonCode,
    PubcompReasonCode, PubrecReasonCode, PubrelReasonCode, SubackReasonCode, SubackReturnCode,
    UnsubackReasonCode,
};
use std::sync::Arc;
use their::{v3_1_1, v5_0};
use tty2mqtt::mqtt::packet::{
    Ack, Connect, Packet, Properties, Property, Publish, RetainHandling, Subscribe, Version,
};
use tty2mqtt::mqtt::topic::Qos;

fn qos(qos: Qos) -> their::Qos {
    match qos {
        Qos::AtMostOnce => their::Qos::AtMostOnce,
        Qos::AtLeastOnce => their::Qos::AtLeastOnce,
        Qos::ExactlyOnce => their::Qos::ExactlyOnce,
    }
}

fn properties(properties: &Properties) -> Vec<their::Property> {
    properties.0.iter().map(property).collect()
}

fn property(property: &Property) -> their::Property {
    macro_rules! same {
        ($($ours:ident($value:ident) => $theirs:ident($as:expr);)*) => {
            match property {
                $(Property::$ours($value) => {
                    their::Property::$theirs(their::$theirs::new($as).unwrap())
                })*
                Property::UserProperty(pair) => their::Property::UserProperty(
                    their::UserProperty::new(pair.0.as_str(), pair.1.as_str()).unwrap(),
                ),
            }
        };
    }
    let format = |text| match text {
        true => their::PayloadFormat::String,
        false => their::PayloadFormat::Binary,
    };
    same! {
        PayloadFormat(value) => PayloadFormatIndicator(format(*value));
        MessageExpiry(value) => MessageExpiryInterval(*value);
        ContentType(value) => ContentType(value.as_str());
        ResponseTopic(value) => ResponseTopic(value.as_str());
        CorrelationData(value) => CorrelationData(value.to_vec());
        SessionExpiry(value) => SessionExpiryInterval(*value);
        AssignedClientId(value) => AssignedClientIdentifier(value.as_str());
        ServerKeepAlive(value) => ServerKeepAlive(*value);
        AuthMethod(value) => AuthenticationMethod(value.as_str());
        AuthData(value) => AuthenticationData(value.to_vec());
        RequestProblemInfo(value) => RequestProblemInformation(u8::from(*value));
        WillDelay(value) => WillDelayInterval(*value);
        RequestResponseInfo(value) => RequestResponseInformation(u8::from(*value));
        ResponseInfo(value) => ResponseInformation(value.as_str());
        ServerReference(value) => ServerReference(value.as_str());
        ReasonString(value) => ReasonString(value.as_str());
        ReceiveMaximum(value) => ReceiveMaximum(*value);
        TopicAliasMaximum(value) => TopicAliasMaximum(*value);
        TopicAlias(value) => TopicAlias(*value);
        MaximumQos(value) => MaximumQos(*value);
        RetainAvailable(value) => RetainAvailable(u8::from(*value));
        MaximumPacketSize(value) => MaximumPacketSize(*value);
        WildcardAvailable(value) => WildcardSubscriptionAvailable(u8::from(*value));
        SubscriptionIdAvailable(value) => SubscriptionIdentifierAvailable(u8::from(*value));
        SharedAvailable(value) => SharedSubscriptionAvailable(u8::from(*value));
        SubscriptionId(value) => SubscriptionIdentifier(value.0);
    }
}

/// The bytes that they make of a packet of ours.
pub fn encode(packet: &Packet, version: Version) -> Vec<u8> {
    match version {
        Version::V5 => encode_5(packet),
        _ => encode_3(packet),
    }
}

macro_rules! connect {
    ($connect:ident, $builder:expr) => {{
        let Connect { client_id, keep_alive, will, user, password, .. } = $connect;
        let mut it = $builder.client_id(client_id.as_str()).unwrap().keep_alive(*keep_alive);
        if let Some(will) = will {
            let (topic, payload) = (will.topic.as_str(), will.payload.to_vec());
            it = it.will_message(topic, payload, qos(will.qos), will.retain).unwrap();
        }
        if let Some(user) = user {
            it = it.user_name(user.as_str()).unwrap();
        }
        if let Some(password) = password {
            it = it.password(password.reveal().to_vec()).unwrap();
        }
        it
    }};
}

macro_rules! publish {
    ($publish:ident, $builder:expr) => {{
        let Publish { topic, payload, qos: level, id, dup, retain, .. } = $publish;
        let mut it = $builder.qos(qos(*level)).retain(*retain).dup(*dup).payload(payload.to_vec());
        if let Some(topic) = topic {
            it = it.topic_name(topic.as_str()).unwrap();
        }
        if let Some(id) = id {
            it = it.packet_id(id.get());
        }
        it
    }};
}

macro_rules! ack {
    ($ack:ident, $theirs:ident, $reason:ident) => {{
        let Ack { id, reason, properties: ours } = $ack;
        let mut it = v5_0::$theirs::builder().packet_id(id.get());
        // As short as may be, like ours (3.4.2.1).
        if reason.code() != 0 || !ours.is_empty() {
            it = it.reason_code($reason::try_from(reason.code()).unwrap());
        }
        if !ours.is_empty() {
            it = it.props(properties(ours));
        }
        it.build().unwrap().to_continuous_buffer()
    }};
}

fn entries(subscribe: &Subscribe) -> Vec<their::SubEntry> {
    let entry = |it: &tty2mqtt::mqtt::packet::Subscription| {
        let handling = match it.retain_handling {
            RetainHandling::Send => their::RetainHandling::SendRetained,
            RetainHandling::SendIfNew => their::RetainHandling::SendRetainedIfNotExists,
            RetainHandling::DoNotSend => their::RetainHandling::DoNotSendRetained,
        };
        let options = their::SubOpts::new()
            .set_qos(qos(it.qos))
            .set_nl(it.no_local)
            .set_rap(it.retain_as_published)
            .set_rh(handling);
        their::SubEntry::new(it.filter.as_str(), options).unwrap()
    };
    subscribe.filters.iter().map(entry).collect()
}

fn encode_5(packet: &Packet) -> Vec<u8> {
    match packet {
        Packet::Connect(connect) => {
            let mut it = connect!(connect, v5_0::Connect::builder()).clean_start(connect.clean);
            it = it.props(properties(&connect.properties));
            if let Some(will) = &connect.will {
                let none = Properties::NONE;
                it = it.will_props(properties(will.properties.as_deref().unwrap_or(&none)));
            }
            it.build().unwrap().to_continuous_buffer()
        }
        Packet::ConnAck(connack) => v5_0::Connack::builder()
            .session_present(connack.session_present)
            .reason_code(ConnectReasonCode::try_from(connack.reason.code()).unwrap())
            .props(properties(&connack.properties))
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::Publish(publish) => publish!(publish, v5_0::Publish::builder())
            .props(properties(&publish.properties))
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::PubAck(ack) => ack!(ack, Puback, PubackReasonCode),
        Packet::PubRec(ack) => ack!(ack, Pubrec, PubrecReasonCode),
        Packet::PubRel(ack) => ack!(ack, Pubrel, PubrelReasonCode),
        Packet::PubComp(ack) => ack!(ack, Pubcomp, PubcompReasonCode),
        Packet::Subscribe(subscribe) => v5_0::Subscribe::builder()
            .packet_id(subscribe.id.get())
            .entries(entries(subscribe))
            .props(properties(&subscribe.properties))
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::SubAck(suback) => {
            let codes = suback.reasons.iter();
            let codes = codes.map(|it| SubackReasonCode::try_from(it.code()).unwrap());
            v5_0::Suback::builder()
                .packet_id(suback.id.get())
                .reason_codes(codes.collect())
                .props(properties(&suback.properties))
                .build()
                .unwrap()
                .to_continuous_buffer()
        }
        Packet::Unsubscribe(unsubscribe) => v5_0::Unsubscribe::builder()
            .packet_id(unsubscribe.id.get())
            .entries(unsubscribe.filters.iter().map(|it| it.as_str()))
            .unwrap()
            .props(properties(&unsubscribe.properties))
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::UnsubAck(unsuback) => {
            let codes = unsuback.reasons.iter();
            let codes = codes.map(|it| UnsubackReasonCode::try_from(it.code()).unwrap());
            v5_0::Unsuback::builder()
                .packet_id(unsuback.id.get())
                .reason_codes(codes.collect())
                .props(properties(&unsuback.properties))
                .build()
                .unwrap()
                .to_continuous_buffer()
        }
        Packet::PingReq => v5_0::Pingreq::new().to_continuous_buffer(),
        Packet::PingResp => v5_0::Pingresp::new().to_continuous_buffer(),
        Packet::Disconnect(disconnect) => {
            let mut it = v5_0::Disconnect::builder();
            if disconnect.reason.code() != 0 || !disconnect.properties.is_empty() {
                let code = disconnect.reason.code();
                it = it.reason_code(DisconnectReasonCode::try_from(code).unwrap());
            }
            if !disconnect.properties.is_empty() {
                it = it.props(properties(&disconnect.properties));
            }
            it.build().unwrap().to_continuous_buffer()
        }
        Packet::Auth(auth) => v5_0::Auth::builder()
            .reason_code(AuthReasonCode::try_from(auth.reason.code()).unwrap())
            .props(properties(&auth.properties))
            .build()
            .unwrap()
            .to_continuous_buffer(),
    }
}

fn encode_3(packet: &Packet) -> Vec<u8> {
    match packet {
        Packet::Connect(connect) => connect!(connect, v3_1_1::Connect::builder())
            .clean_session(connect.clean)
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::ConnAck(connack) => v3_1_1::Connack::builder()
            .session_present(connack.session_present)
            .return_code(ConnectReturnCode::try_from(connack.reason.return_code()).unwrap())
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::Publish(publish) => {
            publish!(publish, v3_1_1::Publish::builder()).build().unwrap().to_continuous_buffer()
        }
        Packet::PubAck(ack) => id_only(v3_1_1::Puback::builder().packet_id(ack.id.get()).build()),
        Packet::PubRec(ack) => id_only(v3_1_1::Pubrec::builder().packet_id(ack.id.get()).build()),
        Packet::PubRel(ack) => id_only(v3_1_1::Pubrel::builder().packet_id(ack.id.get()).build()),
        Packet::PubComp(ack) => id_only(v3_1_1::Pubcomp::builder().packet_id(ack.id.get()).build()),
        Packet::Subscribe(subscribe) => v3_1_1::Subscribe::builder()
            .packet_id(subscribe.id.get())
            .entries(entries(subscribe))
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::SubAck(suback) => {
            let codes = suback.reasons.iter();
            let codes = codes.map(|it| SubackReturnCode::try_from(it.code()).unwrap());
            v3_1_1::Suback::builder()
                .packet_id(suback.id.get())
                .return_codes(codes.collect())
                .build()
                .unwrap()
                .to_continuous_buffer()
        }
        Packet::Unsubscribe(unsubscribe) => v3_1_1::Unsubscribe::builder()
            .packet_id(unsubscribe.id.get())
            .entries(unsubscribe.filters.iter().map(|it| it.as_str()))
            .unwrap()
            .build()
            .unwrap()
            .to_continuous_buffer(),
        Packet::UnsubAck(it) => id_only(v3_1_1::Unsuback::builder().packet_id(it.id.get()).build()),
        Packet::PingReq => v3_1_1::Pingreq::new().to_continuous_buffer(),
        Packet::PingResp => v3_1_1::Pingresp::new().to_continuous_buffer(),
        Packet::Disconnect(_) => v3_1_1::Disconnect::new().to_continuous_buffer(),
        Packet::Auth(_) => panic!("AUTH before 5.0"),
    }
}

fn id_only<T: their::GenericPacketTrait>(
    packet: Result<T, mqtt_protocol_core::mqtt::result_code::MqttError>,
) -> Vec<u8> {
    packet.unwrap().to_continuous_buffer()
}

/// Whether they take one whole packet, and what they would send for it. They leave the fixed
/// header to the caller: its flags count for PUBLISH only.
pub fn decode(bytes: &[u8], version: Version) -> Result<Vec<u8>, String> {
    let header = bytes.get(1..).ok_or("no header")?;
    let (len, taken) = match their::VariableByteInteger::decode_stream(header) {
        their::DecodeResult::Ok(len, taken) => (len.to_u32() as usize, taken),
        their::DecodeResult::Incomplete => return Err("no length".into()),
        their::DecodeResult::Err(error) => return Err(error.into()),
    };
    let (kind, flags, body) = (bytes[0] >> 4, bytes[0] & 0xF, &header[taken..]);
    if body.len() != len {
        return Err("not one packet".into());
    }
    macro_rules! parse {
        ($module:ident, $($kind:literal => $name:ident),*) => {
            match kind {
                3 => $module::Publish::parse(flags, Arc::from(body)).map(end(body)),
                $($kind => $module::$name::parse(body).map(end(body)),)*
                _ => return Err("no such packet".into()),
            }
        };
    }
    let parsed = match version {
        Version::V5 => parse!(
            v5_0, 1 => Connect, 2 => Connack, 4 => Puback, 5 => Pubrec, 6 => Pubrel, 7 => Pubcomp,
            8 => Subscribe, 9 => Suback, 10 => Unsubscribe, 11 => Unsuback, 12 => Pingreq,
            13 => Pingresp, 14 => Disconnect, 15 => Auth
        ),
        _ => parse!(
            v3_1_1, 1 => Connect, 2 => Connack, 4 => Puback, 5 => Pubrec, 6 => Pubrel,
            7 => Pubcomp, 8 => Subscribe, 9 => Suback, 10 => Unsubscribe, 11 => Unsuback,
            12 => Pingreq, 13 => Pingresp, 14 => Disconnect
        ),
    };
    parsed.map_err(|error| format!("{error:?}"))?
}

/// They tell how much of the body they took.
fn end<T: their::GenericPacketTrait>(
    body: &[u8],
) -> impl FnOnce((T, usize)) -> Result<Vec<u8>, String> {
    let len = body.len();
    move |(packet, taken)| match taken == len {
        true => Ok(packet.to_continuous_buffer()),
        false => Err("bytes behind the end".into()),
    }
}

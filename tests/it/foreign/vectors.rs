//! The packet vectors of the npm package `mqtt-packet`, both directions and the malformed ones.

use crate::foreign::packet;
use crate::foreign::vector::{self, Kind, Vector};
use bytes::BytesMut;
use std::collections::BTreeMap;
use tty2mqtt::mqtt::packet::{Decoded, Packet, Version};

/// Vectors with which we disagree, and why.
const DEVIATIONS: &[(&str, &str)] = &[
    ("connect MQTT bridge 131 parse", BRIDGE),
    ("connect MQTT bridge 131 generate", BRIDGE),
    ("connect MQTT bridge 131 mirror", BRIDGE),
    ("connect MQTT bridge 132 parse", BRIDGE),
    ("connect MQTT bridge 132 generate", BRIDGE),
    ("connect MQTT bridge 132 mirror", BRIDGE),
    ("connack MQTT 5 with properties parse", MAXIMUM_QOS),
    ("connack MQTT 5 with properties mirror", MAXIMUM_QOS),
    ("connack MQTT 5 with properties and doubled user properties parse", MAXIMUM_QOS),
    ("connack MQTT 5 with properties and doubled user properties mirror", MAXIMUM_QOS),
    ("puback with reason and no MQTT 5 properties generate", SHORTEST),
    ("Version 5 DISCONNECT test 3 generate", SHORTEST),
    ("disconnect MQTT 5 with no properties generate", SHORTEST),
    (
        "Version 4 CONACK in Version 5 mode",
        "return code 1 is kept by them; to us it is the reason of 5.0 that says the same",
    ),
    (
        "Version 5 CONNACK test 1",
        "a CONNACK of one byte: the reason and the length of the properties are no options (3.2.2)",
    ),
    (
        "Version 5 CONNACK test 2",
        "a CONNACK of two bytes is of 3.1.1; the length of the properties is no option (2.2.2.1)",
    ),
    ("clientId must be supplied before 3.1.1", CANNOT_FAIL),
    ("clientId must be given if cleanSession set to 0", CANNOT_FAIL),
    (
        "Username is required to use password",
        "encoding cannot fail; before 5.0 a password without a user name is left out (3.1.2.9)",
    ),
    (
        "Length var byte integer over max allowed value throws error",
        "encoding cannot fail; `Publish::size` tells, and no broker takes a packet of that size",
    ),
];

const BRIDGE: &str = "bit 7 of the protocol level is a private sign between brokers, \
    the standard has the levels 3, 4 and 5 (3.1.2.2)";
const MAXIMUM_QOS: &str = "a maximum QoS of 2 is a protocol error (3.2.2.3.4)";
const SHORTEST: &str = "reason and properties that say nothing may be left out (3.4.2.1, 3.14.2.1)";
const CANNOT_FAIL: &str = "encoding cannot fail; which client identifiers a session may have is \
    the session's business";

fn decode(buffer: &mut BytesMut, version: Version) -> Result<Option<Packet>, String> {
    match Packet::decode(buffer, usize::MAX, version) {
        Ok(None) => Ok(None),
        Ok(Some(Decoded::Packet(packet))) => Ok(Some(packet)),
        Ok(Some(Decoded::Oversize(_))) => Err("oversize without a limit".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn encode(packet: &Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(&mut out, version);
    out
}

/// The wire's order of properties is not that of their objects.
fn sorted(mut packet: Packet) -> Packet {
    let sort = |properties: &mut tty2mqtt::mqtt::packet::Properties| {
        properties.0.sort_by_key(|property| property.id());
    };
    match &mut packet {
        Packet::Connect(connect) => {
            sort(&mut connect.properties);
            if let Some(will) = &mut connect.will {
                will.properties.iter_mut().for_each(|it| sort(std::sync::Arc::make_mut(it)));
            }
        }
        Packet::ConnAck(it) => sort(&mut it.properties),
        Packet::Publish(it) => sort(&mut it.properties),
        Packet::PubAck(it) | Packet::PubRec(it) | Packet::PubRel(it) | Packet::PubComp(it) => {
            sort(&mut it.properties);
        }
        Packet::Subscribe(it) => sort(&mut it.properties),
        Packet::SubAck(it) => sort(&mut it.properties),
        Packet::Unsubscribe(it) => sort(&mut it.properties),
        Packet::UnsubAck(it) => sort(&mut it.properties),
        Packet::Disconnect(it) => sort(&mut it.properties),
        Packet::Auth(it) => sort(&mut it.properties),
        Packet::PingReq | Packet::PingResp => {}
    }
    packet
}

fn same(ours: Packet, theirs: Packet) -> Result<(), String> {
    let (ours, theirs) = (sorted(ours), sorted(theirs));
    if ours == theirs { Ok(()) } else { Err(format!("{ours:?}\ninstead of {theirs:?}")) }
}

/// Their parser's input, in the reads in which it came.
fn parse(vector: &Vector) -> Result<(), String> {
    let mut version = vector.version()?;
    let mut buffer = BytesMut::new();
    let mut last = None;
    for chunk in &vector.chunks {
        buffer.extend_from_slice(&chunk.bytes.as_ref().unwrap().get());
        let mut packets = 0;
        let error = loop {
            match decode(&mut buffer, version) {
                Ok(None) => break None,
                Err(error) => break Some(error),
                Ok(Some(packet)) => {
                    if let Packet::Connect(connect) = &packet {
                        version = connect.version;
                    }
                    packets += 1;
                    last = Some(packet);
                }
            }
        };
        // A link that broke is over; what comes next is another one.
        match (&error, vector.error.is_some() || chunk.errors.is_some_and(|n| n > 0)) {
            (Some(_), true) => buffer.clear(),
            (Some(error), false) => return Err(error.clone()),
            (None, true) => return Err(format!("was taken: {last:?}")),
            (None, false) => {}
        }
        if chunk.packets.is_some_and(|n| n != packets) {
            return Err(format!("{packets} packets"));
        }
        // They count a header that is read already as taken.
        if chunk.left == Some(0) && !buffer.is_empty() {
            return Err(format!("{} bytes left", buffer.len()));
        }
    }
    match (&vector.packet, last) {
        (None, _) => Ok(()),
        (Some(_), None) => Err("no packet".into()),
        (Some(theirs), Some(ours)) => same(ours, packet::from_json(theirs, version)?),
    }
}

fn generate(vector: &Vector) -> Result<(), String> {
    let version = vector.version();
    let packet = vector.packet.as_ref().ok_or("nothing to generate")?;
    let packet = version.and_then(|version| Ok((packet::from_json(packet, version)?, version)));
    match (packet, &vector.bytes) {
        // What must not be generated cannot even be said.
        (Err(_), None) => Ok(()),
        (Err(error), Some(_)) => Err(error),
        (Ok(_), None) => Err("can be said".into()),
        (Ok((packet, version)), Some(bytes)) => {
            let (ours, theirs) = (encode(&packet, version), bytes.get());
            if ours == theirs { Ok(()) } else { Err(format!("{ours:x}\ninstead of {theirs:x}")) }
        }
    }
}

/// What they generate and parse again.
fn mirror(vector: &Vector) -> Result<(), String> {
    let version = vector.version()?;
    let source = packet::from_json(vector.source.as_ref().unwrap(), version)?;
    let version = if let Packet::Connect(connect) = &source { connect.version } else { version };
    let ours = decode(&mut encode(&source, version), version)?.ok_or("not whole")?;
    same(ours, packet::from_json(vector.packet.as_ref().unwrap(), version)?)
}

#[test]
fn packets_agree_with_the_vectors_of_mqtt_packet() {
    needs!(foreign);
    let mut deviations: BTreeMap<&str, &str> = DEVIATIONS.iter().copied().collect();
    assert_eq!(deviations.len(), DEVIATIONS.len(), "a deviation is listed twice");
    let vectors = vector::all();
    // As many as version 9.0.2 has; fewer would mean that the recorder lost some.
    assert_eq!(vectors.iter().filter(|vector| vector.kind != Kind::None).count(), 290);
    let mut wrong = String::new();
    for vector in &vectors {
        let checked = match vector.kind {
            Kind::Parse => parse(vector),
            Kind::Generate => generate(vector),
            Kind::Mirror => mirror(vector),
            // About the streams they write to, and their caches.
            Kind::None => continue,
        };
        match (checked, deviations.remove(vector.name.as_str())) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(_)) => wrong += &format!("\n{}: no longer deviates\n", vector.name),
            (Err(error), None) => wrong += &format!("\n{}: {error}\n", vector.name),
        }
    }
    for name in deviations.keys() {
        wrong += &format!("\n{name}: there is no such vector\n");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

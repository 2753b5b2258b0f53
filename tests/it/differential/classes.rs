//! Where the two codecs disagree about bytes that are nearly a packet, and who is right.

use super::{decode, theirs};
use tty2mqtt::mqtt::packet::{Packet, Version};

/// What each side says of the same bytes.
#[derive(Debug)]
#[allow(dead_code, reason = "shown where a disagreement is not listed")]
pub enum Verdicts {
    /// Only they take them; why we do not.
    TheyTake { kind: u8, error: String },
    /// Only we take them, as this.
    WeTake(Packet),
    /// Both take them, for different packets.
    Differ(Packet, Result<Packet, String>),
}

pub fn disagreement(bytes: &[u8], version: Version) -> Option<Verdicts> {
    match (decode(bytes, version), theirs::decode(bytes, version)) {
        (Ok(ours), Ok(theirs)) => {
            let theirs = decode(&theirs, version);
            (theirs.as_ref() != Ok(&ours)).then_some(Verdicts::Differ(ours, theirs))
        }
        (Err(error), Ok(_)) => Some(Verdicts::TheyTake { kind: bytes[0] >> 4, error }),
        (Ok(ours), Err(_)) => Some(Verdicts::WeTake(ours)),
        (Err(_), Err(_)) => None,
    }
}

/// A kind of disagreement.
pub struct Class {
    fits: Fits,
    /// Why we keep to it.
    pub why: &'static str,
    /// One of its kind.
    pub example: &'static [u8],
    /// What speaks the example; the class holds for both versions all the same.
    pub version: Version,
}

enum Fits {
    /// Only they take it: our error begins so, in a packet of these types (none: of any).
    They(&'static str, &'static [u8]),
    /// Only we take it.
    We(fn(Version, &Packet) -> bool),
}

impl Class {
    pub fn fits(&self, version: Version, verdicts: &Verdicts) -> bool {
        match (&self.fits, verdicts) {
            (Fits::They(begin, kinds), Verdicts::TheyTake { kind, error }) => {
                error.starts_with(begin) && (kinds.is_empty() || kinds.contains(kind))
            }
            (Fits::We(fits), Verdicts::WeTake(packet)) => fits(version, packet),
            _ => false,
        }
    }
}

const fn they(
    error: &'static str,
    kinds: &'static [u8],
    why: &'static str,
    version: Version,
    example: &'static [u8],
) -> Class {
    Class { fits: Fits::They(error, kinds), why, example, version }
}

const fn we(
    fits: fn(Version, &Packet) -> bool,
    why: &'static str,
    version: Version,
    example: &'static [u8],
) -> Class {
    Class { fits: Fits::We(fits), why, example, version }
}

use Version::{V5, V311};

/// Numbers are sections of MQTT 5.0, those behind 3.1.1 of that.
pub const CLASSES: &[Class] = &[
    they(
        r#"Value("QoS 3")"#,
        &[1],
        "a will of QoS 3 is malformed (3.1.2.6)",
        V5,
        b"\x10\x14\x00\x04MQTT\x05\x1C\x00\x00\x00\x00\x01a\x00\x00\x01t\x00\x00",
    ),
    they(
        "Value(\"the connect flags",
        &[1],
        "the reserved flag is 0, and so are the will's without a will (3.1.2.3, 3.1.2.6)",
        V311,
        b"\x10\x0D\x00\x04MQTT\x04\x03\x00\x00\x00\x01a",
    ),
    they(
        r#"Value("a text is not valid UTF-8")"#,
        &[],
        "U+0000 is malformed (1.5.4)",
        V5,
        b"\x40\x08\x00\x01\x80\x04\x1F\x00\x01\x00",
    ),
    they("Topic(Nul", &[1, 3], "no U+0000 in a topic (4.7.3)", V311, b"\x30\x03\x00\x01\x00"),
    they("WildcardTopic", &[3], "no wildcard in a topic (3.3.2.1)", V311, b"\x30\x03\x00\x01+"),
    they(
        "Topic(Wildcard",
        &[1],
        "no wildcard in the will's topic (3.3.2.1)",
        V311,
        b"\x10\x11\x00\x04MQTT\x04\x06\x00\x00\x00\x00\x00\x01+\x00\x00",
    ),
    they("Topic(Empty", &[1, 3, 8, 10], "no empty topic (4.7.3)", V311, b"\x30\x02\x00\x00"),
    they(
        "Topic(Misplaced",
        &[8, 10],
        "a wildcard is a whole level, # the last one (4.7.1)",
        V311,
        b"\xA2\x06\x00\x01\x00\x02a#",
    ),
    they(
        "Topic(Share",
        &[8, 10],
        "a share has a name and a filter; in 3.1.1 it is what brokers make of it (4.8.2)",
        V311,
        b"\xA2\x0B\x00\x01\x00\x07$share/",
    ),
    they(
        "Value(\"the CONNACK flags",
        &[2],
        "reserved bits are malformed (3.2.2.1)",
        V311,
        b"\x20\x02\x02\x05",
    ),
    they("Flags", &[3], "no DUP with QoS 0 (3.3.1.1)", V311, b"\x38\x03\x00\x01a"),
    they(
        "Protocol(\"a response topic with a wildcard",
        &[1, 3],
        "no wildcard in a response topic (3.3.2.3.5)",
        V5,
        b"\x30\x08\x00\x01a\x04\x08\x00\x01+",
    ),
    they(
        "Protocol(\"an empty response topic",
        &[1, 3],
        "a response topic is a topic name, and that has a character (3.3.2.3.5, 4.7.3)",
        V5,
        b"\x30\x07\x00\x01a\x03\x08\x00\x00",
    ),
    they(
        "Short(3)",
        &[3],
        "the length of the properties is there even if it is 0 (2.2.2.1)",
        V5,
        b"\x30\x03\x00\x01a",
    ),
    they(
        r#"Value("malformed variable byte integer")"#,
        &[],
        "a number has its shortest form (1.5.5)",
        V5,
        b"\x40\x05\x00\x01\x00\x80\x00",
    ),
    they(
        "Long",
        &[4, 5, 6, 7],
        "an acknowledgement of 3.1.1 has two bytes (3.1.1, 3.4 to 3.7)",
        V311,
        b"\x40\x03\x00\x01\x00",
    ),
    they(
        "Value(\"the subscription options",
        &[8],
        "all bits but the QoS are reserved (3.1.1, 3.8.3)",
        V311,
        b"\x82\x06\x00\x01\x00\x01a\x04",
    ),
    they(
        r#"Value("packet identifier 0")"#,
        &[10],
        "no packet identifier is 0 (2.2.1)",
        V5,
        b"\xA2\x06\x00\x00\x00\x00\x01a",
    ),
    they(
        "Protocol(\"a property that came twice",
        &[8],
        "one subscription identifier in a SUBSCRIBE (3.8.2.1.2)",
        V5,
        b"\x82\x0B\x00\x01\x04\x0B\x01\x0B\x02\x00\x01a\x00",
    ),
    they(
        "Protocol(\"authentication data without a method",
        &[1, 15],
        "authentication data is of a method (3.1.2.11.10, 4.12)",
        V5,
        b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01a\x00\x00",
    ),
    we(
        |version, packet| match packet {
            Packet::Connect(it) => version == V5 && it.password.is_some() && it.user.is_none(),
            _ => false,
        },
        "5.0 allows a password without a user name (3.1.2.9)",
        V5,
        b"\x10\x11\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x01a\x00\x01p",
    ),
    we(
        |version, packet| match packet {
            Packet::ConnAck(it) => version == V5 && it.properties.is_empty(),
            _ => false,
        },
        "an old broker refuses 5.0 in its own words, without properties (3.1.1, 3.1.2.2)",
        V5,
        b"\x20\x02\x00\x01",
    ),
];

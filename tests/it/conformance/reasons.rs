//! Reasons and properties: which belongs where (2.2.2, 2.4).

use crate::conformance::packet::{decode, malformed, protocol_error, taken};
use tty2mqtt::mqtt::packet::Version::V5;

/// Every code that is no reason of the packet is refused.
fn reasons(first: u8, before: &[u8], behind: &[u8], allowed: &[u8]) {
    for code in 0..=255_u8 {
        let body = [before, &[code][..], behind].concat();
        match allowed.contains(&code) {
            true => drop(taken(V5, first, &body)),
            false => protocol_or_malformed(first, &body),
        }
    }
}

#[track_caller]
fn protocol_or_malformed(first: u8, body: &[u8]) {
    assert!(decode(V5, first, body).is_none(), "{first:#x} {body:02X?}");
}

const PUBACK: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];

#[test]
fn mqtt_3_4_2_1_reasons_of_puback() {
    reasons(0x40, b"\x00\x01", b"", &PUBACK);
}

#[test]
fn mqtt_3_5_2_1_reasons_of_pubrec() {
    reasons(0x50, b"\x00\x01", b"", &PUBACK);
}

#[test]
fn mqtt_3_6_2_1_reasons_of_pubrel() {
    reasons(0x62, b"\x00\x01", b"", &[0x00, 0x92]);
}

#[test]
fn mqtt_3_7_2_1_reasons_of_pubcomp() {
    reasons(0x70, b"\x00\x01", b"", &[0x00, 0x92]);
}

#[test]
fn mqtt_3_9_3_2_reasons_of_suback_and_unsuback() {
    let suback = [0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    reasons(0x90, b"\x00\x01\x00", b"", &suback);
    reasons(0xB0, b"\x00\x01\x00", b"", &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]);
}

#[test]
fn mqtt_3_14_2_1_reasons_of_disconnect() {
    let mut allowed = vec![0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F];
    allowed.extend([0x90].into_iter().chain(0x93..=0xA2));
    reasons(0xE0, b"", b"", &allowed);
}

#[test]
fn mqtt_3_15_2_1_reasons_of_auth() {
    reasons(0xF0, b"", b"\x04\x15\x00\x01m", &[0x00, 0x18, 0x19]);
}

#[test]
fn mqtt_3_4_2_2_a_property_comes_once_and_where_it_belongs() {
    // A reason in words, twice.
    let twice = b"\x08\x1F\x00\x01a\x1F\x00\x01a";
    for first in [0x40, 0x50] {
        protocol_error(V5, first, &[b"\x00\x01\x80", &twice[..]].concat());
    }
    for first in [0x62, 0x70] {
        protocol_error(V5, first, &[b"\x00\x01\x92", &twice[..]].concat());
    }
    protocol_error(V5, 0xE0, &[b"\x00", &twice[..]].concat());
    protocol_error(V5, 0xF0, b"\x00\x0C\x15\x00\x01m\x1F\x00\x01a\x1F\x00\x01a");
    // A user property, as often as one likes.
    taken(V5, 0x40, b"\x00\x01\x80\x0E\x26\x00\x01a\x00\x01b\x26\x00\x01a\x00\x01b");
    // A topic alias in an acknowledgement, and a property that there is not.
    assert!(decode(V5, 0x40, b"\x00\x01\x80\x03\x23\x00\x01").is_none());
    malformed(V5, 0x40, b"\x00\x01\x80\x02\x7F\x00");
}

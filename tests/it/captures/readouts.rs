//! Telegrams of P1 ports and readouts of IEC 62056-21.

use super::{Capture, captures, frames};
use tty2mqtt::testing::codec::decode::{Decode, Decoded};
use tty2mqtt::testing::config::tree;

/// `name=value unit` of each value that INDEX.tsv has, as `decode: obis` names and publishes it. A value
/// that is empty, or the code of another, is published nowhere.
fn expected(capture: &Capture) -> Vec<String> {
    let mut all = Vec::new();
    for part in capture.parts("; ").filter(|part| !part.starts_with("checksum ")) {
        let (name, values) = part.trim_end_matches(';').split_once('=').unwrap();
        let name = name.strip_suffix("*255").unwrap_or(name);
        let values: Vec<_> = values.split([',', '&']).map(str::trim).collect();
        for (n, value) in values.iter().enumerate() {
            let name = match n + 1 == values.len() {
                true => name.to_owned(),
                false => format!("{name}({})", n + 1),
            };
            let (number, unit) = value.split_once([' ', '*']).unwrap_or((value, ""));
            // The volume of DSMR 2.2 and 3.0, whose unit stands before it.
            let unit = if n == 6 && name.ends_with(":24.3.0") { values[5] } else { unit };
            if number.is_empty() || number.contains(':') && number.contains('-') {
                continue;
            }
            let plain = number.trim_start_matches('+').trim_start_matches('0');
            let number = match unit {
                "" => number.to_owned(),
                _ if plain.is_empty() || plain.starts_with('.') => format!("0{plain}"),
                _ => plain.to_owned(),
            };
            all.push(format!("{name}={number} {unit}").trim_end().to_owned());
        }
    }
    all
}

fn shown(decoded: &Decoded<'_>) -> Vec<String> {
    let show = |reading: &tty2mqtt::testing::codec::value::Reading<'_>| {
        let unit = reading.unit.unwrap_or_default();
        let shown = format!("{}={} {unit}", reading.field, reading.value.as_str());
        shown.trim_end().to_owned()
    };
    decoded.readings.iter().map(show).collect()
}

fn check(capture: &Capture, framing: &str, checksum: Option<&str>) {
    let (frames, counts) = frames(framing, checksum, &capture.bytes());
    assert_eq!(frames.len(), 1, "{}: {counts:?}", capture.file);
    let decoder = tree::parse::<Decode>("obis").unwrap().build().unwrap();
    let decoded = decoder.decode(&frames[0]);
    assert_eq!(shown(&decoded), expected(capture), "{}", capture.file);
    assert!(decoded.rejected.is_empty(), "{}: {:?}", capture.file, decoded.rejected);
}

#[test]
fn telegrams_of_p1_ports() {
    for capture in captures("p1").into_iter().flatten() {
        let has_checksum = !capture.expected.starts_with("checksum absent");
        check(&capture, "p1", None);
        if has_checksum {
            check(&capture, "{p1: {require_checksum: true}}", None);
        }
    }
}

/// Whatever happens to one byte between `/` and the checksum, nothing of the telegram is published.
#[test]
fn a_damaged_byte_under_a_checksum_costs_the_telegram() {
    for capture in captures("p1").into_iter().flatten() {
        if capture.expected.starts_with("checksum absent") {
            continue;
        }
        let bytes = capture.bytes();
        let start = bytes.iter().position(|byte| *byte == b'/').unwrap();
        let end = bytes.iter().position(|byte| *byte == b'!').unwrap();
        for at in start..=end {
            for flip in [0x01, 0x20, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let (frames, _) = frames("{p1: {require_checksum: true}}", None, &damaged);
                assert!(frames.is_empty(), "{} at {at} ^ {flip:02x}", capture.file);
            }
        }
    }
}

#[test]
fn readouts_of_iec_62056_21() {
    for capture in captures("d0").into_iter().flatten() {
        match capture.file.as_str() {
            "d0/emh_ehz_mode_d.hex" => check(&capture, "p1", None),
            "d0/itron_em214.hex" => {
                check(&capture, "{delimited: {start: 'hex:02', end: '!'}}", None);
            }
            _ => check(
                &capture,
                "{delimited: {start: 'hex:02', end: 'hex:03', trailer: 1}}",
                Some("{xor8: {from: 1}}"),
            ),
        }
    }
}

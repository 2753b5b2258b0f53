//! Files of SML meters.

use super::{Capture, captures, frames};
use tty2mqtt::testing::codec::decode::{Decode, Decoder};
use tty2mqtt::testing::config::tree;

fn decoder(yaml: &str) -> Decoder {
    tree::parse::<Decode>(yaml).unwrap().build().unwrap()
}

/// `name=value unit` of a value of INDEX.tsv, as `decode: sml` names and publishes it.
fn expected(part: &str) -> Option<String> {
    let (name, value) = part.split_once('=').unwrap();
    let value = value.replace(" deg", " °");
    let text = |digits: &str| {
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let bytes: Vec<_> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        match bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            true => String::from_utf8(bytes).unwrap(),
            false => digits.to_owned(),
        }
    };
    Some(match (name, value.strip_prefix("hex:")) {
        (_, None) if value == "(empty)" => return None,
        ("server", _) => format!("server_id={}", text(&value)),
        ("secIndex", _) => format!("sec_index={value}"),
        (name, hex) => {
            let value = hex.map_or(value.clone(), text);
            format!("{}={value}", name.strip_suffix("*255").unwrap_or(name))
        }
    })
}

fn good(capture: &Capture) -> usize {
    let good = capture.expected.strip_prefix("good=").unwrap();
    good.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn every_good_file_has_the_values_that_other_readers_find_and_no_bad_one_any() {
    let all = decoder("sml");
    for capture in captures("sml").into_iter().flatten() {
        let (files, counts) = frames("sml", None, &capture.bytes());
        assert_eq!(files.len(), good(&capture), "{}: {counts:?}", capture.file);
        for part in capture.parts("|").filter(|part| part.starts_with('#')) {
            let (number, values) = part.split_once(": ").unwrap();
            let number: usize = number.trim_start_matches('#').parse().unwrap();
            let decoded = all.decode(&files[number - 1]);
            assert!(decoded.rejected.is_empty(), "{}: {:?}", capture.file, decoded.rejected);
            let shown = decoded.readings.iter().map(|reading| {
                let unit = reading.unit.unwrap_or_default();
                format!("{}={} {unit}", reading.field, reading.value.as_str()).trim_end().to_owned()
            });
            // The index leaves out status words, public keys and a code of EasyMeter's.
            let shown = shown.filter(|it| {
                !it.contains("(status)=")
                    && ![":199.130.5=", ":199.240.6="].iter().any(|code| it.contains(code))
            });
            let expected: Vec<_> = values.split("; ").filter_map(expected).collect();
            assert_eq!(shown.collect::<Vec<_>>(), expected, "{} #{number}", capture.file);
        }
    }
}

#[test]
fn the_repair_changes_what_is_wrong_and_nothing_else() {
    let fields = "fields: [{name: power, from: 16.7.0}, {name: reduced, from: reduced}]";
    let (plain, repaired) = (
        decoder(&format!("{{sml: {{{fields}}}}}")),
        decoder(&format!("{{sml: {{repair: dzg, {fields}}}}}")),
    );
    for capture in captures("sml").into_iter().flatten() {
        for file in frames("sml", None, &capture.bytes()).0 {
            let value = |decoder: &Decoder, field: &str| {
                let decoded = decoder.decode(&file);
                let reading = decoded.readings.iter().find(|reading| reading.field == field);
                reading.map(|reading| reading.value.as_str().to_owned())
            };
            match capture.file.as_str() {
                "sml/DZG_DVS-7412.2_jmberg.hex" => {
                    assert_eq!(value(&plain, "power").as_deref(), Some("-299.12"));
                    assert_eq!(value(&repaired, "power").as_deref(), Some("356.24"));
                }
                name => assert_eq!(value(&plain, "power"), value(&repaired, "power"), "{name}"),
            }
            let is_reduced = capture.oddity.starts_with("PIN not entered");
            let expected = if is_reduced { "true" } else { "false" };
            assert_eq!(value(&plain, "reduced").as_deref(), Some(expected), "{}", capture.file);
        }
    }
}

#[test]
fn a_damaged_byte_costs_the_file() {
    for capture in captures("sml").into_iter().flatten() {
        let bytes = capture.bytes();
        let first = frames("sml", None, &bytes).0;
        if good(&capture) != 1 || first.len() != 1 {
            continue;
        }
        let start = [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
        let start = bytes.windows(8).position(|window| window == start).unwrap();
        for at in start..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x11;
            for file in frames("sml", None, &damaged).0 {
                // Only what stands outside of the file may be another.
                assert_eq!(file, first[0], "{} at {at}", capture.file);
            }
        }
    }
}

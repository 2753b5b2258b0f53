//! Frames of M-Bus meters, of libmbus and its users.

use super::captures;
use std::collections::BTreeMap;
use tty2mqtt::testing::codec::decode::{Decode, Decoder};
use tty2mqtt::testing::config::tree;

fn decoder(yaml: &str) -> Decoder {
    tree::parse::<Decode>(yaml).unwrap().build().unwrap()
}

/// The name that a value of INDEX.tsv has here, and the factor by which it is another number: INDEX.tsv has
/// raw numbers where its reader knows no unit.
fn name(label: &str) -> (String, f64) {
    let (label, codes) = label.split_once('/').unwrap_or((label, ""));
    let (base, parts) = match label.strip_prefix("text:") {
        // Texts that devices spell have points in them.
        Some("bat. time") => ("bat_time".to_owned(), ""),
        Some("cust. ID") => ("cust_ID".to_owned(), ""),
        text => {
            let text = text.unwrap_or(label);
            let (base, parts) = text.split_once('.').unwrap_or((text, ""));
            (base.trim_matches('%').to_owned(), parts)
        }
    };
    let base = match &*base {
        "fab_no" => "fabrication_number",
        "op_time" => "operating_time",
        "flow_temp" => "flow_temperature",
        "return_temp" => "return_temperature",
        "temp_diff" => "temperature_difference",
        "ext_temp" => "external_temperature",
        "avg_dur" => "averaging_duration",
        "act_dur" => "actuality_duration",
        "FB00" => "energy",
        "FD0b" => "parameter_set",
        "FD0c" => "model",
        "FD0e" => "firmware_version",
        "FD0f" => "software_version",
        "FD10" => "customer_location",
        "FD17" => "error_flags",
        "FD1b" => "digital_input",
        "FD60" => "reset_counter",
        "FD7c" => "fd7c",
        other => other,
    };
    let mut name = base.to_owned();
    let mut factor = if codes == "fb00" { 100_000.0 } else { 1.0 };
    let own = if codes.starts_with("fd") || codes.starts_with("fb") { 4 } else { 2 };
    if base == "vendor" {
        name.extend(codes.get(2..).map(|codes| format!("_{codes}")));
    } else {
        match codes.get(own..).unwrap_or("") {
            "" => {}
            "3b" => name += "_forward",
            "3c" => name += "_backward",
            "28" => name += "_per_input_pulse_0",
            "50" => name += "_below_first_duration",
            "58" => name += "_above_first_duration",
            "7e" => name += "_future",
            "74" => factor = 0.01,
            vendor => name += &format!("_{vendor}"),
        }
    }
    let mut parts: Vec<_> = parts.split('.').filter(|part| !part.is_empty()).collect();
    parts.sort_by_key(|part| match part.as_bytes() {
        [letter, b'0'..=b'9', ..] => b"stu".iter().position(|it| it == letter).unwrap() + 1,
        _ => 0,
    });
    for part in parts {
        name += &format!("_{}", if part == "err" { "error" } else { part });
    }
    (name, factor)
}

/// What INDEX.tsv says of the values of a capture, by the names that they have here. `None` where the
/// device has no value, or a damaged one.
fn expected(parts: impl Iterator<Item = String>) -> BTreeMap<String, Option<(String, f64)>> {
    let mut all = BTreeMap::new();
    for part in parts {
        let Some((label, value)) = part.split_once('=') else { continue };
        let Some((label, factor)) = (match label.split_once(':') {
            Some((number, label)) if number.parse::<u8>().is_ok() => Some(name(label)),
            _ => match label {
                "man" => Some(("manufacturer".into(), 1.0)),
                "access" => Some(("access_number".into(), 1.0)),
                "id" | "version" | "medium" | "status" | "address" => Some((label.into(), 1.0)),
                // The fixed structure.
                "kWh" => Some(("energy".into(), 1000.0)),
                "l" => Some(("volume".into(), 0.001)),
                "reserved but historic" => Some(("volume_s1".into(), 0.001)),
                _ => None,
            },
        }) else {
            continue;
        };
        let value = value.trim_matches('"').trim();
        let no_time = label.starts_with("date") && (value.contains("-00") || value.contains(' '));
        let is_none = value.is_empty() || value.starts_with("hexdigits") || no_time;
        let value = (!is_none).then(|| (value.to_owned(), factor));
        let numbered = (1..).map(|n| if n == 1 { label.clone() } else { format!("{label}_{n}") });
        let free = numbered.into_iter().find(|name| !all.contains_key(name)).unwrap();
        all.insert(free, value);
    }
    all
}

/// Whether a value is what INDEX.tsv says; floats are rounded there.
fn is_same(value: &str, unit: Option<&str>, (expected, factor): &(String, f64)) -> bool {
    let (number, expected_unit) = expected.split_once(' ').unwrap_or((expected, ""));
    let expected_unit = expected_unit.replace("m3", "m³").replace('C', "°C");
    let unit = unit.unwrap_or("");
    if let Some(hex) = number.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).unwrap().to_string() == value;
    }
    match (number.parse::<f64>(), value.parse::<f64>()) {
        (Ok(number), Ok(value)) => {
            let number = number * factor;
            let is_near = (number - value).abs() <= number.abs() * 2e-6;
            let knows_unit = expected_unit.is_empty() || *factor != 1.0;
            is_near && (knows_unit || unit == expected_unit)
        }
        // There are no seconds in INDEX.tsv.
        _ => value.strip_suffix(":00") == Some(&**expected) || value == expected,
    }
}

#[test]
fn each_frame_says_what_other_readers_found() {
    let decoder = decoder("mbus");
    let mut wrong = Vec::new();
    let mut values = 0;
    for capture in captures("mbus").into_iter().flatten() {
        let bytes = capture.bytes();
        let decoded = decoder.decode(&bytes);
        let mut expected = expected(capture.parts(";").map(str::to_owned));
        for reading in &decoded.readings {
            let value = reading.value.as_str();
            let is_fixed = capture.expected.starts_with("fixed");
            match expected.remove(&*reading.field) {
                Some(Some(it)) if is_same(value, reading.unit, &it) => values += 1,
                None if is_fixed => {}
                // INDEX.tsv has the unit of the flow, and the value is a duration by table 15.
                Some(Some((it, _))) if reading.field.ends_with("_duration") => {
                    assert_eq!(it, format!("{value} m3/h"));
                    assert_eq!(reading.unit, Some("s"));
                }
                other => wrong.push(format!(
                    "{}: {} is {value:?} {:?}, not {other:?}",
                    capture.file, reading.field, reading.unit
                )),
            }
        }
        for rejected in &decoded.rejected {
            match expected.remove(&*rejected.field) {
                Some(None) => {}
                other => wrong.push(format!("{}: {rejected:?}, not {other:?}", capture.file)),
            }
        }
        for none in &decoded.no_values {
            match expected.remove(&*none.field) {
                Some(None) => {}
                other => wrong.push(format!("{}: {none:?}, not {other:?}", capture.file)),
            }
        }
        for (name, it) in expected {
            wrong.push(format!("{}: no {name}, {it:?}", capture.file));
        }
    }
    assert!(wrong.is_empty(), "{values} right\n{}", wrong.join("\n"));
}

//! What meters in Norway and Sweden push on their HAN ports.

use super::captures;
use std::time::Instant;
use tty2mqtt::testing::codec::decode::Decode;
use tty2mqtt::testing::codec::frame::Framing;
use tty2mqtt::testing::config::tree;

/// The codes that a name of INDEX.tsv may have.
fn codes(name: &str) -> &[&str] {
    match name {
        "list_ver_id" => &["1-1:0.2.129", "1-0:0.2.129"],
        "meter_id" => &["0-0:96.1.0", "1-1:0.0.5"],
        "meter_type" => &["0-0:96.1.7", "1-1:96.1.1"],
        "meter_datetime" => &["0-0:1.0.0", "time"],
        "active_power_import" => &["1.7.0"],
        "active_power_export" => &["2.7.0"],
        "reactive_power_import" => &["3.7.0"],
        "reactive_power_export" => &["4.7.0"],
        "current_l1" => &["31.7.0"],
        "current_l2" => &["51.7.0"],
        "current_l3" => &["71.7.0"],
        "voltage_l1" => &["32.7.0"],
        "voltage_l2" => &["52.7.0"],
        "voltage_l3" => &["72.7.0"],
        "active_power_import_total" => &["1.8.0"],
        "active_power_export_total" => &["2.8.0"],
        "reactive_power_import_total" => &["3.8.0"],
        "reactive_power_export_total" => &["4.8.0"],
        other => panic!("{other}"),
    }
}

#[test]
fn each_push_says_what_other_readers_found() {
    let decoder = tree::parse::<Decode>("dlms").unwrap().build().unwrap();
    for capture in captures("han").into_iter().flatten() {
        let mut framer = tree::parse::<Framing>("hdlc").unwrap().build(None, None).unwrap();
        framer.start();
        framer.push(&capture.bytes(), Instant::now());
        let frame = framer.frame().unwrap();
        let decoded = decoder.decode(&frame);
        assert!(decoded.rejected.is_empty(), "{}: {:?}", capture.file, decoded.rejected);
        let expected = capture.expected.split_once("decoded:").unwrap().1;
        let mut count = 0;
        for part in expected.split(';').map(str::trim) {
            let (name, expected) = part.split_once('=').unwrap();
            // No meter says that.
            if name == "meter_manufacturer" {
                continue;
            }
            count += 1;
            let is_code = |field: &str| {
                let behind = field.split_once(':').map_or(field, |(_, behind)| behind);
                codes(name).iter().any(|code| *code == field || *code == behind)
            };
            let found = decoded.readings.iter().rfind(|reading| is_code(&reading.field));
            let found = found.unwrap_or_else(|| panic!("{}: no {name}", capture.file));
            let value = found.value.as_str().replace('T', " ");
            let is_same = match (value.parse::<f64>(), expected.parse::<f64>()) {
                (Ok(value), Ok(expected)) => (value - expected).abs() < 1e-9,
                _ => value == expected || found.value.as_str() == expected,
            };
            assert!(is_same, "{}: {name} is {value}, not {expected}", capture.file);
            let unit = match name {
                "active_power_import" | "active_power_export" => Some("W"),
                "reactive_power_import" | "reactive_power_export" => Some("var"),
                "active_power_import_total" | "active_power_export_total" => Some("Wh"),
                "reactive_power_import_total" | "reactive_power_export_total" => Some("varh"),
                _ if name.starts_with("current") => Some("A"),
                _ if name.starts_with("voltage") => Some("V"),
                _ => None,
            };
            assert_eq!(found.unit, unit, "{}: {name}", capture.file);
        }
        // The list may have a clock besides the time of the notification, and the list's name.
        let readings = decoded.readings.iter().filter(|reading| reading.field != "time").count();
        assert!(readings <= count + 1, "{}: {:?}", capture.file, decoded.readings);
    }
}

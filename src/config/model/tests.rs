use crate::config::load;
use crate::config::{Config, Files};
use std::fs;

/// A folder with a configuration of this port, or of these ports, and device files.
fn with(
    ports: &str,
    files: &[(&str, &str)],
) -> (tempfile::TempDir, Result<(Config, Vec<String>), String>) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("devices")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(format!("devices/{name}.yaml")), text).unwrap();
    }
    let config = folder.path().join("config.yaml");
    fs::write(&config, format!("gateway: gw\nbroker: {{url: \"mqtt://x\"}}\nports:\n{ports}"))
        .unwrap();
    let at = format!("{}/", folder.path().display());
    let loaded = load::load_files(&Files::from(config)).map_err(|e| e.to_string().replace(&at, ""));
    (folder, loaded)
}

const METER: &str = "make: M\nline: 9600 8E1\ninterval: 30s\ntimeout: 1s\nregisters:\n  \
                     power: {input: 0, type: f32, unit: W}\n  energy: {input: 2, type: f32, unit: kWh}\n\
                     cases: []\n";

fn port<'a>(config: &'a Config, name: &str) -> &'a crate::port::settings::Port {
    config.ports.iter().find(|(port, _)| port.as_str() == name).unwrap().1
}

#[test]
fn a_model_completes_the_settings_of_a_port() {
    let own = "  a: {path: /dev/a, address: 1, model: meter, interval: 5s, registers: {power: {unit: kW, \
               input: 8}, more: {holding: 9}}}\n";
    let (_folder, loaded) = with(own, &[("meter", METER)]);
    let (config, warnings) = loaded.unwrap();
    assert_eq!(warnings, [""; 0]);
    let port = port(&config, "a");
    assert_eq!(port.line.unwrap().to_string(), "9600 8E1");
    assert_eq!(port.interval.unwrap().to_string(), "5s");
    assert_eq!(port.timeout.unwrap().to_string(), "1s");
    let names: Vec<_> = port.registers.keys().map(String::as_str).collect();
    assert_eq!(names, ["energy", "more", "power"]);
    let power = &port.registers["power"];
    assert_eq!((power.input, power.unit.as_deref()), (Some(8), Some("kW")));
    assert!(power.kind.is_some());
}

#[test]
fn on_a_bus_the_line_of_the_models_is_that_of_the_port() {
    let own = "  a:\n    path: /dev/a\n    interval: 5s\n    timeout: 2s\n    devices:\n      \
               one: {model: meter, address: 1}\n      two: {model: meter, address: 2}\n";
    let (_folder, loaded) = with(own, &[("meter", METER)]);
    let config = loaded.unwrap().0;
    let port = port(&config, "a");
    assert_eq!(port.line.unwrap().to_string(), "9600 8E1");
    for device in port.devices.values() {
        assert_eq!(device.registers.len(), 2);
        // The interval is a wish, the time-out a fact of the device.
        assert_eq!(device.interval, None);
        assert_eq!(device.timeout.unwrap().to_string(), "1s");
    }
}

#[test]
fn models_that_need_different_lines_are_told() {
    let own = "  a:\n    path: /dev/a\n    devices:\n      one: {model: meter, address: 1}\n      \
               two: {model: other, address: 2}\n";
    let other = METER.replace("9600 8E1", "2400 8N1");
    let (_folder, loaded) = with(own, &[("meter", METER), ("other", &other)]);
    let error = loaded.unwrap_err();
    assert!(
        error.contains("8:20: ports.a.devices.two.model: its `line` is not that of \"one\""),
        "{error}"
    );
}

#[test]
fn a_mistake_in_a_device_file_has_its_line() {
    let own = "  a: {path: /dev/a, address: 1, model: meter}\n";
    let wrong = METER.replace("type: f32, unit: W", "typ: f32");
    let (_folder, loaded) = with(own, &[("meter", &wrong)]);
    let error = loaded.unwrap_err();
    let expected = "devices/meter.yaml:6:21: ports.a.registers.power.typ: unknown key\n    6 |   power: \
                    {input: 0, typ: ***}";
    assert!(error.contains(&expected[..expected.len() - 5]), "{error}");
    // Two devices share the mistake.
    let own = "  a: {path: /dev/a, devices: {b: {address: 1, model: meter}, c: {address: 2, model: meter}}}\n";
    let (_folder, loaded) = with(own, &[("meter", &wrong)]);
    let error = loaded.unwrap_err();
    assert_eq!(error.matches("unknown key").count(), 1, "{error}");
    // What is wrong as YAML.
    let (_folder, loaded) = with(own, &[("meter", "a: [b\nc: d\n")]);
    let error = loaded.unwrap_err();
    assert!(error.starts_with("devices/meter.yaml:"), "{error}");
    let (_folder, loaded) = with(own, &[("meter", "- a\n")]);
    assert!(loaded.unwrap_err().contains("meter.yaml is not a map of keys"));
}

#[test]
fn an_unknown_model_names_the_nearest() {
    let (_folder, loaded) = with(
        "  a: {path: /dev/a, line: 9600, address: 1, model: sdm120}\n",
        &[("meter", METER), ("eastron-sdm120-x", METER)],
    );
    let error = loaded.unwrap_err();
    assert!(
        error.contains("config.yaml:4:52: ports.a.model: there is no device file \"sdm120\""),
        "{error}"
    );
    assert!(error.contains("eastron-sdm120-x`"), "{error}");
    for wrong in ["../meter", "/etc/passwd", ".meter", ""] {
        let port = format!("  a: {{path: /dev/a, line: 9600, address: 1, model: \"{wrong}\"}}\n");
        let (_folder, loaded) = with(&port, &[("meter", METER)]);
        assert!(loaded.unwrap_err().contains("is not the name of a device file"), "{wrong}");
    }
}

#[test]
fn a_device_file_may_build_upon_another_but_not_upon_itself() {
    let own = "  a: {path: /dev/a, address: 1, model: mine}\n";
    let mine = "model: meter\nregisters: {power: {unit: kW}}\n";
    let (_folder, loaded) = with(own, &[("meter", METER), ("mine", mine)]);
    let config = loaded.unwrap().0;
    assert_eq!(port(&config, "a").registers["power"].unit.as_deref(), Some("kW"));
    assert_eq!(port(&config, "a").registers["energy"].unit.as_deref(), Some("kWh"));
    let (_folder, loaded) = with(own, &[("meter", "model: mine\n"), ("mine", mine)]);
    assert!(loaded.unwrap_err().contains("the device file \"mine\" names itself"));
}

#[test]
fn a_reload_sees_a_changed_device_file_in_the_ports_that_use_it() {
    let own = "  a: {path: /dev/a, address: 1, model: mine}\n  b: {path: /dev/b, line: 9600}\n";
    let mine = "model: meter\n";
    let (folder, loaded) = with(own, &[("meter", METER), ("mine", mine)]);
    let before = loaded.unwrap().0;
    let again = || {
        let files = Files::from(folder.path().join("config.yaml"));
        load::load_files(&files).unwrap().0
    };
    assert!(before.is_same(&again(), &["ports", "a"]));
    // What is for people changes nothing.
    let meter = folder.path().join("devices/meter.yaml");
    fs::write(&meter, METER.replace("make: M", "make: N")).unwrap();
    assert!(before.is_same(&again(), &["ports", "a"]));
    fs::write(&meter, METER.replace("unit: W", "unit: kW")).unwrap();
    let after = again();
    assert!(!before.is_same(&after, &["ports", "a"]));
    assert!(before.is_same(&after, &["ports", "b"]) && !before.is_same(&after, &["ports"]));
}

#[test]
fn another_kind_of_framing_or_another_place_replaces_that_of_the_model() {
    let model = "line: 9600\nframing: {delimited: {start: a, end: b}}\ndecode: {fields: {names: [x]}}\n\
                 checksum: {xor8: {from: 1}}\n";
    let own = "  a: {path: /dev/a, model: m, framing: {lines: {terminator: \";\"}}, decode: {fields: \
               {separator: \" \"}}, checksum: sum8}\n";
    let (_folder, loaded) = with(own, &[("m", model)]);
    loaded.unwrap();
    let own = "  a: {path: /dev/a, address: 1, model: meter, registers: {power: {holding: 8}}}\n";
    let (_folder, loaded) = with(own, &[("meter", METER)]);
    let config = loaded.unwrap().0;
    let power = &port(&config, "a").registers["power"];
    assert_eq!((power.input, power.holding), (None, Some(8)));
}

#[test]
fn fields_reach_registers_and_decoders_by_name() {
    let own = "  a: {path: /dev/a, address: 1, model: meter, fields: {power: {unit: kW, scale: 0.001}, \
               energy: {publish: false}}}\n  b:\n    path: /dev/b\n    line: 9600\n    decode: {fields: {names: \
               [x, {name: y, unit: m}]}}\n    fields: {x: {unit: s}, y: {unit: km, scale: 0.001}}\n";
    let (_folder, loaded) = with(own, &[("meter", METER)]);
    let config = loaded.unwrap().0;
    let registers = &port(&config, "a").registers;
    assert_eq!(registers["power"].unit.as_deref(), Some("kW"));
    assert_eq!(registers["power"].scale.as_ref().unwrap().0, "0.001");
    assert_eq!(registers["energy"].publish, Some(false));
    let decoder = port(&config, "b").decode.as_ref().unwrap().build().unwrap();
    let decoded = decoder.decode(b"1,2000");
    let shown: Vec<_> = decoded.readings.iter().map(|it| (it.value.as_str(), it.unit)).collect();
    assert_eq!(shown, [("1", Some("s")), ("2.000", Some("km"))]);
}

#[test]
fn a_mistake_in_fields_has_its_own_place() {
    for (fields, expected) in [
        ("{powr: {unit: kW}}", "4:56: ports.a.fields.powr: the device has no field \"powr\""),
        ("{power: {unti: kW}}", "4:64: ports.a.fields.power.unti: unknown key"),
        ("{power: {scale: x}}", "ports.a.fields.power.scale: "),
        ("{power: {decimals: 40}}", "ports.a.fields.power.decimals: "),
    ] {
        let own = format!("  a: {{path: /dev/a, address: 1, model: meter, fields: {fields}}}\n");
        let (_folder, loaded) = with(&own, &[("meter", METER)]);
        let error = loaded.unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.matches("config.yaml").count(), 1, "{error}");
    }
}

#[test]
fn the_line_of_a_model_is_no_mistake_beside_tcp() {
    let model = "line: 9600\nframing: {lines: {terminator: \"\\r\"}}\n";
    let (_folder, loaded) = with("  a: {tcp: \"h:1\", model: m}\n", &[("m", model)]);
    assert_eq!(loaded.unwrap().1, [""; 0]);
    let (_folder, loaded) = with("  a: {tcp: \"h:1\", line: 2400, model: m}\n", &[("m", model)]);
    assert_eq!(loaded.unwrap().1.len(), 1);
}

#[test]
fn a_field_that_is_not_published_is_read_and_dropped() {
    let own = "  a:\n    path: /dev/a\n    line: 9600\n    decode: {pairs: {fields: [a, b, c]}}\n    \
               fields: {b: {publish: false}}\n";
    let (_folder, loaded) = with(own, &[]);
    let config = loaded.unwrap().0;
    let decoder = port(&config, "a").decode.as_ref().unwrap().build().unwrap();
    let decoded = decoder.decode(b"a=1 b=2 c=3");
    let names: Vec<_> = decoded.readings.iter().map(|reading| &*reading.field).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(decoded.rejected.is_empty());
}

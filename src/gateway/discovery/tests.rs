use super::*;
use crate::config::load;

fn announcement(text: &str) -> Announcement {
    let text = format!("gateway: gw\nbroker: {{url: \"mqtt://x\"}}\n{text}");
    let (config, _) =
        load::parse("c", &text, std::path::Path::new("/")).unwrap_or_else(|e| panic!("{e}"));
    Announcement::of(&config, "1").unwrap()
}

/// The messages of a configuration, as JSON by the level of their topic.
fn messages(text: &str) -> Vec<(String, Value)> {
    let all = announcement(text).messages().into_iter().map(|(topic, payload)| {
        let level = topic.strip_prefix("homeassistant/device/gw/").unwrap();
        let level = level.strip_suffix("/config").unwrap().to_owned();
        (level, serde_json::from_str(&payload).unwrap())
    });
    all.collect()
}

/// The components of the one device on port `p` with these settings, without their identifiers.
fn components(port: &str) -> Value {
    let all = messages(&format!(
        "home_assistant: true\nports:\n  p: {{path: /dev/p, line: 9600, {port}}}\n"
    ));
    let (_, message) = all.into_iter().find(|(level, _)| level == "p").expect("the device");
    let mut components = message["cmps"].clone();
    for (key, component) in components.as_object_mut().unwrap() {
        let keys = component.as_object_mut().unwrap();
        assert_eq!(
            keys.shift_remove("uniq_id"),
            Some(format!("tty2mqtt-gw--p--{}", names::slug(key)).into())
        );
    }
    components
}

#[test]
fn a_bus_is_announced_with_its_gateway() {
    let all = messages(
        "home_assistant: {devices: {pump: off, house: {name: Main meter, area: Cellar, fields: {b: off, a: {name: \
         Sum, icon: \"mdi:flash\", diagnostic: true}}}}}\nports: {bus: {path: /dev/p, line: 9600, devices: {house: \
         {address: 1, registers: {a: {input: 0, unit: W}, b: {input: 1}}}, pump: {address: 2, registers: {a: \
         {input: 0}}}}}}\n",
    );
    let [(own, gateway), (level, house)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((own.as_str(), level.as_str()), ("--gateway", "house"));
    assert_eq!(gateway["dev"]["ids"], json!(["tty2mqtt-gw"]));
    assert_eq!(gateway["cmps"]["connection"]["stat_t"], "gw/status");
    assert_eq!(gateway["cmps"]["port_bus"]["stat_t"], "gw/status/ports/bus");
    assert!(gateway.get("avty").is_none());
    let expected = json!({
        "ids": ["tty2mqtt-gw--house"], "name": "Main meter", "sa": "Cellar", "via_device": "tty2mqtt-gw",
    });
    assert_eq!(house["dev"], expected);
    assert_eq!(house["o"], json!({"name": "tty2mqtt", "sw": "1"}));
    assert_eq!(house["avty"], json!([{"t": "gw/status"}, {"t": "gw/status/devices/house"}]));
    assert_eq!(house["avty_mode"], "all");
    let keys: Vec<_> = house["cmps"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["a", CONNECTION]);
    let expected = json!({
        "p": "sensor", "uniq_id": "tty2mqtt-gw--house--a", "name": "Sum", "stat_t": "gw/house/a", "dev_cla": "power",
        "unit_of_meas": "W", "stat_cla": "measurement", "sug_dsp_prc": 0, "exp_aft": 60,
        "ent_cat": "diagnostic", "ic": "mdi:flash",
    });
    assert_eq!(house["cmps"]["a"], expected);
}

#[test]
fn values_are_shown_as_what_they_are() {
    let got = components(
        "address: 1, interval: 30s, registers: {e: {input: 0, type: u32, unit: kwh, scale: 0.01}, r: {coil: 0}, m: \
         {input: 5, lookup: {0: off, 1: low power, 2: fault}}, t: {input: 9, type: i16, unit: °C, lookup: {-1: open}}, \
         code: {input: 3}, serial: {holding: 0, type: text, length: 4, interval: 1d}}",
    );
    let [e, r, m, t, code, serial] = ["e", "r", "m", "t", "code", "serial"].map(|key| &got[key]);
    assert_eq!(e["dev_cla"], "energy");
    assert_eq!(e["stat_cla"], "total_increasing");
    assert_eq!((&e["sug_dsp_prc"], &e["exp_aft"]), (&json!(2), &json!(90)));
    let expected = json!({
        "p": "binary_sensor", "name": "R", "stat_t": "gw/p/r", "pl_on": "ON", "pl_off": "OFF", "exp_aft": 90,
    });
    assert_eq!(*r, expected);
    assert_eq!(m["ops"], json!(["off", "low power", "fault"]));
    assert_eq!(m["val_tpl"], "{{ value if value in ['off','low power','fault'] else 'None' }}");
    assert_eq!(t["val_tpl"], "{{ 'None' if value in ['open'] else value }}");
    assert!(code.get("dev_cla").is_none() && code.get("stat_cla").is_none());
    assert_eq!((&serial["ent_cat"], &serial["exp_aft"]), (&json!("diagnostic"), &json!(259_200)));
}

#[test]
fn values_in_json_are_found_by_templates() {
    let got = components(
        "decode: {json: {fields: [{name: t, from: /t, unit: °C}, {name: \"it's\", from: /s}, {name: on, from: /o, \
         class: motion}]}}, messages: [{topic: \"{gateway}/{node}\", per: frame}]",
    );
    assert_eq!(got["t"]["val_tpl"], "{{ (value_json['t']) if 't' in value_json else '' }}");
    let expected = "{{ (value_json['it\\'s']) if 'it\\'s' in value_json else this.state }}";
    assert_eq!(got["it's"]["val_tpl"], expected);
    assert_eq!(got["on"]["p"], "binary_sensor");
    let template = got["on"]["val_tpl"].as_str().unwrap();
    assert!(
        template.starts_with("{{ ('ON' if value_json['on'] | string | lower in ["),
        "{template}"
    );
    // What comes by itself lives as long as its port is open.
    let all = messages("home_assistant: true\nports: {p: {path: /dev/p, line: 9600}}\n");
    assert_eq!(all[1].1["avty"][1]["t"], "gw/status/ports/p");
}

#[test]
fn commands_become_what_can_be_commanded() {
    let got = components(
        "address: 1, registers: {relay: {coil: 0, write: true}, target: {holding: 0, type: i16, scale: 0.5, unit: °C, \
         write: {min: 5, max: 30}}, mode: {holding: 1, lookup: {0: none, 1: eco, 2: high}, write: true}}, commands: \
         {reset: {send: \"hex: 01\"}, say: {send: \"{value}\"}, level: {send: \"L{value}\", number: {min: 0, max: \
         1000}, state: assumed}}",
    );
    let expected = json!({
        "p": "switch", "name": "Relay", "cmd_t": "gw/p/relay/set", "qos": 1, "stat_t": "gw/p/relay", "pl_on": "ON",
        "pl_off": "OFF",
    });
    assert_eq!(got["relay"], expected);
    let expected = json!({
        "p": "number", "name": "Target", "cmd_t": "gw/p/target/set", "qos": 1, "stat_t": "gw/p/target", "min": 5,
        "max": 30, "step": 0.5, "mode": "slider", "dev_cla": "temperature", "unit_of_meas": "°C",
    });
    assert_eq!(got["target"].to_string(), expected.to_string());
    assert_eq!(
        (&got["mode"]["p"], &got["mode"]["ops"]),
        (&json!("select"), &json!(["eco", "high"]))
    );
    assert_eq!(
        got["reset"],
        json!({"p": "button", "name": "Reset", "cmd_t": "gw/p/reset/set", "qos": 1})
    );
    assert_eq!((&got["say"]["p"], &got["say"]["max"]), (&json!("text"), &json!(255)));
    assert_eq!((&got["level"]["step"], &got["level"]["mode"]), (&json!(0.001), &json!("box")));
    assert_eq!(got["level"]["stat_t"], "gw/p/level");
}

#[test]
fn a_device_that_is_too_long_for_the_broker_has_several_messages() {
    let registers: String = (0..60).map(|n| format!("r{n}: {{input: {n}, unit: W}}, ")).collect();
    let all = announcement(&format!(
        "home_assistant: true\nports: {{p: {{path: /dev/p, line: 9600, address: 1, registers: {{{registers}}}}}}}\n"
    ));
    let parts = all.parts(Some(4000));
    let levels: Vec<_> =
        parts.iter().map(|part| part.topic.as_str().split('/').nth(3).unwrap()).collect();
    assert!(levels.contains(&"p") && levels.contains(&"p---2") && levels.len() > 4, "{levels:?}");
    assert!(parts.iter().all(|part| part.payload(&[]).len() + part.topic.len() < 4000));
    let of_device = parts.iter().filter(|part| part.topic.as_str().contains("/p"));
    assert_eq!(of_device.map(|part| part.components.len()).sum::<usize>(), 61);
}

#[test]
fn nothing_is_said_without_the_key_and_nothing_but_an_end_when_it_is_off() {
    let of = |key: &str| {
        let text = format!(
            "gateway: gw\nbroker: {{url: \"mqtt://x\"}}\n{key}ports: {{p: {{path: /dev/p, line: 9600}}}}\n"
        );
        let (config, _) = load::parse("c", &text, std::path::Path::new("/")).unwrap();
        Announcement::of(&config, "1").map(|all| all.messages().len())
    };
    assert_eq!(of(""), None);
    assert_eq!(of("home_assistant: false\n"), Some(0));
    assert_eq!(of("home_assistant: true\n"), Some(2));
}

#[test]
fn identifiers_of_different_things_are_different() {
    // Whose names put together are the same.
    let all = messages(
        "home_assistant: true\nports: {a: {path: /dev/a, line: 9600, decode: {text: {field: b_c}}}, a_b: {path: \
         /dev/b, line: 9600, decode: {text: {field: c}}}, port_a: {path: /dev/c, line: 9600}}\n",
    );
    let (mut devices, mut seen) =
        (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for (_, message) in &all {
        assert!(devices.insert(message["dev"]["ids"][0].to_string()));
        for component in message["cmps"].as_object().unwrap().values() {
            assert!(seen.insert(component["uniq_id"].to_string()), "{component}");
        }
    }
    assert!(seen.len() > 8);
}

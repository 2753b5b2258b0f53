//! What is announced to Home Assistant: of each device file, compared with the files under
//! `tests/home_assistant`, and by the real binary to a real broker.
//!
//! `make home-assistant` has these files checked by Home Assistant's own code.

mod live;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tty2mqtt::testing::config::load;
use tty2mqtt::testing::gateway::discovery::Announcement;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/home_assistant")
}

/// The messages of a configuration. Those of the gateway itself, or those of its devices.
fn messages(name: &str, config: &str, of_gateway: bool) -> String {
    let text = format!("gateway: gw\nbroker: {{url: \"mqtt://x\"}}\n{config}");
    let (config, warnings) =
        load::parse(name, &text, Path::new("/")).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(warnings.is_empty(), "{name}: {warnings:#?}");
    let mut text = String::new();
    for (topic, payload) in Announcement::of(&config, "0").unwrap().messages() {
        if topic.contains("/--gateway/") == of_gateway {
            write_message(&mut text, &topic, &payload);
        }
    }
    text
}

/// A message with a line for each of its components, so that a change is seen.
fn write_message(text: &mut String, topic: &str, payload: &str) {
    let mut root: Value = serde_json::from_str(payload).unwrap();
    let components = root.as_object_mut().unwrap().shift_remove("cmps").unwrap();
    let root = root.to_string();
    let root = root.strip_suffix('}').unwrap();
    write!(text, "{{\"topic\":\"{topic}\",\"payload\":\n{root},\n\"cmps\":{{").unwrap();
    let lines = components.as_object().unwrap().iter();
    let lines: Vec<_> =
        lines.map(|(key, it)| format!("\n{}:{it}", Value::from(key.as_str()))).collect();
    writeln!(text, "{}}}}}}}", lines.join(",")).unwrap();
}

/// Compares a text with the file of this name, or writes it there.
fn compare(name: &str, got: &str, differences: &mut String) {
    let file = folder().join(format!("{name}.json"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, got).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if expected == got {
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    writeln!(differences, "== {name}").unwrap();
    for gone in lines(&expected).difference(&lines(got)) {
        writeln!(differences, "- {gone}").unwrap();
    }
    for new in lines(got).difference(&lines(&expected)) {
        writeln!(differences, "+ {new}").unwrap();
    }
}

/// A device and a gateway with all that the library may lack: words of its own for the status, commands of
/// every kind, values in JSON, names with blanks.
const OTHERS: &str = "
home_assistant:
  prefix: ha/discovery
  birth: {topic: ha/status}
  devices:
    boiler: {name: Boiler of the house, area: Cellar, fields: {code: {diagnostic: true, icon: \"mdi:numeric\"}}}
status: {online: here, offline: gone}
ports:
  boiler:
    path: /dev/a
    line: 9600
    address: 1
    registers:
      boiler_power: {input: 0, unit: watt}
      flow rate: {input: 1, scale: 0.1, unit: l/min}
      error: {input: 2, lookup: {0: none, 7: \"it's hot\"}}
      alarm: {discrete: 0, class: problem}
      code: {input: 3}
      pump: {coil: 1, write: true}
      target: {holding: 0, type: i16, scale: 0.5, unit: degC, write: {min: 5, max: 60, step: 0.5}}
      mode: {holding: 1, lookup: {0: 'off', 1: eco, 2: comfort}, write: true}
      label: {holding: 2, type: text, length: 12, write: true}
      limit: {holding: 8, type: f32, write: true}
    commands:
      reset: {send: \"hex: 01 05 00 09 FF 00\", reply: none}
      tone: {send: {low: \"hex: 01\", high: \"hex: 02\"}, reply: none, state: assumed}
  weather:
    path: /dev/b
    line: 9600
    decode:
      json:
        fields:
          - {name: temperature, from: /t, unit: °C}
          - {name: rain, from: /r, unit: mm, class: precipitation}
          - {name: door, from: /d, class: door}
          - {name: time, from: /at, type: time, format: epoch}
          - {name: note, from: /n, type: text}
    messages: [{topic: \"{gateway}/{node}\", per: frame, retain: true}]
";

#[test]
fn golden() {
    let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices");
    let mut names: Vec<String> = std::fs::read_dir(devices)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 19);
    let mut differences = String::new();
    for name in &names {
        // The address stands for that of a meter that has none at the factory.
        let config =
            format!("home_assistant: true\nports:\n  {name}: {{path: /dev/a, model: {name}}}\n");
        compare(name, &messages(name, &config, false), &mut differences);
    }
    compare("others", &messages("others", OTHERS, false), &mut differences);
    compare("gateway", &messages("gateway", OTHERS, true), &mut differences);
    names.extend(["others".into(), "gateway".into()]);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) =
            file.strip_suffix(".json").filter(|name| !names.iter().any(|it| it == name))
        {
            writeln!(differences, "== {name}: there is no such device any more").unwrap();
        }
    }
    assert!(
        differences.is_empty(),
        "{differences}\nUPDATE=1 cargo test --test it home_assistant::golden renews them"
    );
}

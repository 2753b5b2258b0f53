//! Homie 5 at a real mosquitto: a controller that others wrote (`tests/formats/controller.py`) finds the devices, checks
//! their descriptions, sees values, and sets properties.

use crate::support::DEADLINE;
use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

/// The controller.
struct Controller {
    child: Child,
    commands: ChildStdin,
    lines: Lines,
    /// What it said, which was not looked for yet.
    seen: Vec<Value>,
}

impl Controller {
    fn start(broker: &Mosquitto) -> Controller {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join("target/formats/python/bin/python"))
            .arg(root.join("tests/formats/controller.py"))
            .arg(broker.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        lines.wait_for("ready");
        Controller { child, commands, lines, seen: Vec::new() }
    }

    fn set(&mut self, property: &str, value: &str) {
        writeln!(self.commands, "test-line values {property} {value}").unwrap();
    }

    /// Waits until it has said all of this, in whatever order; returns it whole.
    fn learns(&mut self, wanted: &[Value]) -> Vec<Value> {
        let fits = |said: &Value, wanted: &Value| {
            let wanted = wanted.as_object().unwrap();
            wanted.iter().all(|(key, value)| said[key] == *value)
        };
        let deadline = Instant::now() + DEADLINE;
        loop {
            let places: Option<Vec<usize>> =
                wanted.iter().map(|it| self.seen.iter().rposition(|said| fits(said, it))).collect();
            if let Some(places) = places {
                let all = places.iter().map(|place| self.seen[*place].clone()).collect();
                self.seen.clear();
                return all;
            }
            assert!(Instant::now() < deadline, "waiting for {wanted:?}, seen {:#?}", self.seen);
            let line = self.lines.next(&format!("{wanted:?}"));
            self.seen.push(serde_json::from_str(&line).unwrap());
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value(property: &str, value: &str) -> Value {
    json!({"what": "value", "device": "test-line", "node": "values", "property": property, "value": value})
}

fn state(device: &str, state: &str) -> Value {
    json!({"what": "state", "device": device, "state": state})
}

fn config(broker: u16, path: &Path, fields: &str) -> String {
    format!(
        "gateway: test
broker: {{url: \"mqtt://127.0.0.1:{broker}\", keepalive: 5s}}
format: {{homie: {{}}}}
ports:
  line:
    path: {}
    line: 115200 8N1
    decode: {{fields: {{names: [{fields}]}}}}
    commands:
      relay: {{send: {{\"ON\": \"relay on\\n\", \"OFF\": \"relay off\\n\"}}, state: assumed}}
      limit: {{send: \"limit {{value}}\\n\", number: {{min: -5, max: 50, step: 0.5}}}}
",
        path.display()
    )
}

#[test]
fn a_controller_finds_reads_and_sets() {
    needs!(mosquitto, formats);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let mut controller = Controller::start(&broker);
    let fields = "n, {name: Level_1, unit: m}, word";
    let gateway = Gateway::start(&config(broker.port, port.path(), fields));
    let of = |device: &str| json!({"what": "description", "device": device});
    let ready = [state("test", "ready"), state("test-line", "ready"), of("test")];
    let root = &controller.learns(&ready)[2]["about"];
    assert_eq!((&root["homie"], &root["children"]), (&"5.0".into(), &json!(["test-line"])));
    port.write(b"\r\n7,1.25,low\r\n");
    controller.learns(&[value("n", "7"), value("level-1", "1.25"), value("word", "low")]);
    port.write(b"7.5,1.50,\xc3\xa4\r\n");
    let second = [value("n", "7.5"), value("level-1", "1.50"), value("word", "ä"), of("test-line")];
    let line = &controller.learns(&second)[3]["about"];
    assert_eq!((&line["root"], &line["name"]), (&"test".into(), &"line".into()));
    let properties = &line["nodes"]["values"]["properties"];
    assert_eq!(properties["n"], json!({"name": "n", "datatype": "float"}));
    assert_eq!(properties["level-1"], json!({"name": "Level_1", "datatype": "float", "unit": "m"}));
    let relay = json!({"name": "relay", "datatype": "boolean", "settable": true});
    assert_eq!(properties["relay"], relay);
    let limit = &properties["limit"];
    let format = json!("-5:50:0.5");
    assert_eq!((&limit["format"], &limit["retained"]), (&format, &false.into()));

    controller.set("relay", "true");
    assert_eq!(port.read_line(), "relay on\n");
    controller.learns(&[value("relay", "true")]);
    controller.set("limit", "2.5");
    assert_eq!(port.read_line(), "limit 2.5\n");
    let log = Counter::start(&broker, "homie/5/+/$log/+");
    controller.set("limit", "51");
    let line = log.first("$log/warn", |line| line.contains("$log/warn"));
    assert!(line.starts_with("homie/5/test-line/$log/warn limit: refused: "), "{line}");

    port.unplug();
    controller.learns(&[state("test-line", "lost")]);
    gateway.terminate();
    controller.learns(&[state("test-line", "disconnected"), state("test", "disconnected")]);
    let found = controller.lines.clone();
    drop(controller);
    assert!(!found.rest().contains("faults\": [\""));
}

#[test]
fn a_lost_gateway_is_told_by_its_will_and_a_gone_device_is_removed() {
    needs!(mosquitto, formats);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let mut controller = Controller::start(&broker);
    let text = config(broker.port, port.path(), "n");
    let gateway = Gateway::start(&text);
    controller.learns(&[state("test", "ready"), state("test-line", "ready")]);
    port.write(b"\r\n7\r\n");
    controller.learns(&[value("n", "7")]);
    gateway.reload(&text.replace("  line:\n", "  wire:\n"));
    controller.learns(&[
        json!({"what": "removed", "device": "test-line"}),
        state("test-wire", "ready"),
        state("test", "ready"),
    ]);
    gateway.kill();
    controller.learns(&[state("test", "lost")]);
}

//! The announcement by the real binary at a real broker.

use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Counter, Mosquitto, client};
use crate::support::port::Port;
use crate::support::{DEADLINE, lines::Lines};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tty2mqtt::testing::bus::{Played, SimulatedBus, Slave};
use tty2mqtt::testing::codec::modbus::Mode;

/// A gateway with one device that speaks by itself, and more at the top of its configuration.
fn config(broker: &Mosquitto, port: &Path, names: &str, more: &str) -> String {
    format!(
        "gateway: test\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\n{more}ports:\n  line:\n    path: {}\n    line: \
         115200\n    decode: {{fields: {{separator: \",\", names: {names}}}}}\n",
        broker.port,
        port.display()
    )
}

const OWN: &str = "homeassistant/device/test/line/config";

/// The components of the next message of the device, and whether it is the last of its topic for now.
fn components(seen: &Counter) -> Vec<String> {
    let line = seen.first(OWN, |line| line.starts_with(OWN));
    let payload = line.strip_prefix(OWN).unwrap().trim();
    let message: Value = serde_json::from_str(payload).unwrap_or_else(|e| panic!("{e}: {line}"));
    let all = message["cmps"].as_object().unwrap().iter();
    all.map(|(key, it)| if it.get("uniq_id").is_some() { key.clone() } else { format!("-{key}") })
        .collect()
}

#[test]
fn a_device_is_announced_renewed_and_cleared() {
    needs!(mosquitto);
    // With 3.1.1 our own messages come back to us.
    for version in ["5", "3.1.1"] {
        announced_renewed_and_cleared(version);
    }
}

fn announced_renewed_and_cleared(version: &str) {
    let broker = Mosquitto::start();
    let config = |broker: &Mosquitto, port: &Path, names: &str, more: &str| {
        let text = config(broker, port, names, more);
        text.replace("broker: {url", &format!("broker: {{version: \"{version}\", url"))
    };
    let mut port = Port::new();
    let (two, on) = ("[{name: t, unit: °C}, {name: h, unit: \"%\"}]", "home_assistant: true\n");
    let seen = Counter::start(&broker, "#");
    let gateway = Gateway::start(&config(&broker, port.path(), two, on));
    seen.expect_containing("homeassistant/device/test/--gateway/config", "\"Connection\"");
    assert_eq!(components(&seen), ["t", "h"]);
    gateway.log().wait_for("is open");
    port.write(b"21.5,40\n");
    seen.wait_for("test/line/t 21.5");
    // Home Assistant has started: it gets all again, and the states that the broker has not kept.
    broker.publish("homeassistant/status", "online");
    assert_eq!(components(&seen), ["t", "h"]);
    seen.wait_for("test/line/t 21.5");
    // A reload takes a field away and brings another one.
    gateway.reload(&config(&broker, port.path(), "[{name: t, unit: °C}, {name: x, unit: V}]", on));
    assert_eq!(components(&seen), ["t", "x", "-h"]);
    assert_eq!(components(&seen), ["t", "x"]);
    // The user deletes the device: the birth does not bring it back, a reload does.
    broker.publish_retained(OWN, "");
    gateway.log().wait_for("was emptied");
    seen.wait_for(&format!("{OWN} "));
    broker.publish("homeassistant/status", "online");
    gateway.reload(&config(&broker, port.path(), "[{name: t, unit: K}]", on));
    assert_eq!(components(&seen), ["t"]);
    gateway.terminate();
    // Another run, under another name of the port, knows what this one announced.
    let renamed = config(&broker, port.path(), two, on).replace("  line:\n", "  other:\n");
    let gateway = Gateway::start(&renamed);
    seen.wait_for(&format!("{OWN} "));
    seen.expect_containing("homeassistant/device/test/other/config", "\"h\"");
    gateway.terminate();
    // Turned off, nothing is left.
    let gateway = Gateway::start(&config(&broker, port.path(), two, "home_assistant: false\n"));
    seen.wait_for("homeassistant/device/test/other/config ");
    gateway.terminate();
    drop(seen);
    let late = Counter::start(&broker, "homeassistant/#");
    broker.publish("homeassistant/end", "x");
    late.expect("homeassistant/end x");
}

#[test]
fn what_only_frames_name_is_announced_with_its_first_value() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let text = config(&broker, port.path(), "[x]", "home_assistant: true\n");
    let (head, _) = text.split_once("    decode").unwrap();
    let seen = Counter::start(&broker, "#");
    let gateway = Gateway::start(&format!("{head}    decode: sexpr\n"));
    gateway.log().wait_for("is open");
    port.write(b"\n(node hall ? (temperature 22.5 C))\n");
    let hall = "homeassistant/device/test/line--hall/config";
    seen.expect_containing(hall, "\"dev_cla\":\"temperature\"");
    // Once more, now that Home Assistant listens.
    seen.wait_for("test/hall/temperature 22.5");
    gateway.terminate();
    let gateway = Gateway::start(&format!("{head}    decode: sexpr\n"));
    gateway.log().wait_for("is open");
    port.write(b"\n(node hall ? (humidity 40 %))\n");
    let line = seen.first("both", |line| line.starts_with(hall) && line.contains("humidity"));
    assert!(line.contains("\"temperature\":{"), "{line}");
    gateway.terminate();
    // Values in a topic tell devices apart, too.
    let gateway = Gateway::start(&format!(
        "{head}    decode: {{fields: {{names: [{{name: id, publish: false}}, {{name: t, unit: °C}}]}}}}\n    \
         messages: [{{topic: \"{{gateway}}/{{id}}/{{field}}\"}}]\n"
    ));
    gateway.log().wait_for("is open");
    port.write(b"\n17,21.5\n");
    let line = seen.first("17", |line| line.contains("\"stat_t\":\"test/17/t\""));
    assert!(line.contains("\"name\":\"Line 17\""), "{line}");
    gateway.terminate();
}

/// Devices on each of two buses, and fields of each device.
const DEVICES: usize = 16;
const FIELDS: usize = 30;

/// `mosquitto_sub`, which prints when each message came.
struct Stamped(Child, Lines);

impl Stamped {
    fn start(broker: &Mosquitto) -> Stamped {
        let mut child = client("mosquitto_sub", broker.port)
            .args(["-F", "%U %t %l %p", "-q", "1", "-t", "#"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        broker.publish_retained("probe", "x");
        lines.wait_for("probe");
        Stamped(child, lines)
    }

    /// When the next message came in seconds since 1970, its topic, length and payload.
    fn next(&self) -> (f64, String, usize, String) {
        let line = self.1.next("a message");
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        (word().parse().unwrap(), word(), word().parse().unwrap(), word())
    }
}

impl Drop for Stamped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A bus on which each slave counts its answers in its first register; `answered` gets when which was given.
fn bus(first: usize, answered: &Answers) -> Played {
    let slaves = (0..DEVICES).map(|n| {
        let (unit, answered) = (first + n, Arc::clone(answered));
        let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let read = Arc::clone(&count);
        let order = std::sync::atomic::Ordering::Relaxed;
        Slave::new(n as u8 + 1)
            .by(move |_, at| Some(if at == 0 { read.load(order) as u16 } else { at }))
            .observed(move |_, _, values| {
                answered.lock().unwrap().insert((unit, values[0]), wall());
                count.fetch_add(1, order);
            })
    });
    let mut bus = SimulatedBus::new(1, Mode::Rtu, slaves.collect());
    (bus.speed, bus.bits) = (115_200, 10);
    Played::start(bus).unwrap()
}

/// When each answer was given, by slave and count.
type Answers = Arc<Mutex<HashMap<(usize, u16), f64>>>;

/// What was measured.
struct Measured {
    configs: usize,
    bytes: usize,
    /// Seconds from the connect to the last message of the announcement.
    announced: f64,
    /// Seconds from a slave's answer to the reading at a subscriber, rising: in the first 3 s, and afterwards.
    early: Vec<f64>,
    late: Vec<f64>,
}

fn measure(home_assistant: bool) -> Measured {
    let broker = Mosquitto::start();
    let answers = Answers::default();
    let buses = [0, 1].map(|n| bus(n * DEVICES, &answers));
    let mut text = format!(
        "gateway: test\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\nhome_assistant: {home_assistant}\nports:\n",
        broker.port
    );
    for (n, bus) in buses.iter().enumerate() {
        let path = bus.path().display();
        text += &format!(
            "  bus{n}:\n    path: {path}\n    line: 115200\n    interval: 500ms\n    devices:\n"
        );
        for device in 0..DEVICES {
            let registers: String = (0..FIELDS)
                .map(|it| format!("field_{it}: {{input: {it}, unit: W, class: power}}, "))
                .collect();
            let name = n * DEVICES + device;
            text += &format!(
                "      d{name}: {{address: {}, registers: {{{registers}}}}}\n",
                device + 1
            );
        }
    }
    let seen = Stamped::start(&broker);
    let gateway = Gateway::start(&text);
    let (mut connected, mut last) = (None, 0.0);
    let (mut configs, mut bytes) = (0, 0);
    let (mut early, mut late) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + DEADLINE;
    while late.len() < 200 {
        assert!(Instant::now() < deadline, "{configs} devices, {} readings", early.len());
        let (at, topic, length, payload) = seen.next();
        if topic == "test/status" {
            connected.get_or_insert(at);
        } else if topic.ends_with("/config") {
            (configs, last) = (configs + 1, at);
            bytes += length;
        } else if let Some(device) = topic.strip_suffix("/field_0") {
            let device: usize = device.strip_prefix("test/d").unwrap().parse().unwrap();
            let given = answers.lock().unwrap().get(&(device, payload.parse().unwrap())).copied();
            // What came before the broker let us in waited for that; what is said again was said before.
            if let (Some(given), Some(connected)) = (given, connected)
                && given > connected
            {
                answers.lock().unwrap().remove(&(device, payload.parse().unwrap()));
                if at < connected + 3.0 { &mut early } else { &mut late }.push(at - given);
            }
        }
    }
    let log = gateway.terminate();
    assert!(!log.contains("panicked"), "{log}");
    early.sort_by(f64::total_cmp);
    late.sort_by(f64::total_cmp);
    Measured { configs, bytes, announced: last - connected.unwrap(), early, late }
}

#[test]
fn a_large_gateway_is_announced_in_time_and_readings_do_not_wait() {
    needs!(mosquitto);
    let (with, without) = (measure(true), measure(false));
    let shown = |delays: &[f64]| {
        let of = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize] * 1000.0;
        format!("{:.1} ms, 99 of 100 within {:.1} ms, at most {:.1} ms", of(0.5), of(0.99), of(1.0))
    };
    eprintln!(
        "{} messages of {} bytes, all {:.2} s after the connect\nreadings in the first 3 s:       {}\nthe same without \
         announcement: {}\nlater: {}",
        with.configs,
        with.bytes,
        with.announced,
        shown(&with.early),
        shown(&without.early),
        shown(&with.late)
    );
    assert_eq!((with.configs, without.configs), (2 * DEVICES + 1, 0));
    // It is promised within 2 s, and 100 ms more at most. A machine that is busy with other tests takes its time.
    assert!(with.announced < 10.0, "{} s", with.announced);
    let median = |delays: &[f64]| delays[delays.len() / 2];
    assert!(median(&with.early) - median(&without.early) < 0.5);
}

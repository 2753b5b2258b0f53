//! Sparkplug B at a real mosquitto: a host application made of other people's packages (`tests/formats/host.py`) reads
//! it, asks for births and writes outputs; a second package decodes every payload once more.

use crate::support::gateway::Gateway;
use crate::support::lines::Lines;
use crate::support::mosquitto::Mosquitto;
use crate::support::needs::find;
use crate::support::port::Port;
use crate::support::proxy::Proxy;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fetched() -> PathBuf {
    root().join("target/formats")
}

/// The host application.
struct Host {
    child: Child,
    commands: ChildStdin,
    lines: Lines,
    seen: Vec<Value>,
}

impl Host {
    fn start(broker: &Mosquitto) -> Host {
        let mut child = Command::new(fetched().join("python/bin/python"))
            .arg(root().join("tests/formats/host.py"))
            .args([&broker.port.to_string(), "plant"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let host = Host { child, commands, lines, seen: Vec::new() };
        host.lines.wait_for("ready");
        host
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    /// The next message, which is of this kind.
    fn expect(&mut self, kind: &str) -> Value {
        let message = self.next(kind);
        assert_eq!(message["kind"], kind, "{message}");
        message
    }

    fn next(&mut self, waiting_for: &str) -> Value {
        let message: Value = serde_json::from_str(&self.lines.next(waiting_for)).unwrap();
        if message["kind"] == "ready" {
            return self.next(waiting_for);
        }
        assert!(message.get("error").is_none(), "{message}");
        let qos = if message["kind"] == "NDEATH" { 1 } else { 0 };
        assert_eq!(
            (&message["qos"], &message["retain"]),
            (&qos.into(), &false.into()),
            "{message}"
        );
        self.seen.push(message.clone());
        message
    }

    /// Passes over messages until one of this kind.
    fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next(kind);
            if message["kind"] == kind {
                return message;
            }
        }
    }

    /// Sequence numbers follow each other from each birth on.
    fn check_seqs(&self) {
        let mut next = 0;
        for message in self.seen.iter().filter(|message| message["kind"] != "NDEATH") {
            next = if message["kind"] == "NBIRTH" { 0 } else { next };
            assert_eq!(message["seq"], next, "{message}");
            next = (next + 1) % 256;
        }
    }

    /// sparkplug-payload says the same of every payload.
    fn check_by_node(&self) {
        let mut child = Command::new(find("node").unwrap())
            .arg(root().join("tests/formats/payloads.js"))
            .arg(fetched().join("node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: String = self
            .seen
            .iter()
            .map(|message| message["hex"].as_str().unwrap().to_owned() + "\n")
            .collect();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let output = String::from_utf8(output.stdout).unwrap();
        let others: Vec<Value> =
            output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(others.len(), self.seen.len());
        for (ours, other) in self.seen.iter().zip(&others) {
            // pysparkplug does not look for that of NDEATH.
            if ours["kind"] != "NDEATH" {
                assert_eq!(ours["timestamp"], other["timestamp"], "{ours}");
            }
            let metrics = |message: &Value| message["metrics"].as_array().unwrap().clone();
            assert_eq!(metrics(ours).len(), metrics(other).len(), "{ours}\n{other}");
            for (ours, other) in metrics(ours).iter().zip(&metrics(other)) {
                for key in ["name", "historical", "timestamp"] {
                    assert_eq!(ours[key], other[key], "{ours}\n{other}");
                }
                // It takes a metric without a data type for one of an unknown type.
                let is_known = matches!(
                    other["type"].as_str(),
                    Some("Int64" | "Double" | "Boolean" | "String")
                );
                // JavaScript has no 2.0.
                let is_same = match (ours["value"].as_f64(), other["value"].as_f64()) {
                    (Some(ours), Some(other)) => ours == other,
                    _ => ours["value"] == other["value"],
                };
                assert!(is_same || !is_known, "{ours}\n{other}");
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A metric of a message.
fn metric<'a>(message: &'a Value, name: &str) -> &'a Value {
    let mut metrics = message["metrics"].as_array().unwrap().iter();
    metrics.find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("no {name}: {message}"))
}

fn config(broker: u16, path: &Path, more: &str) -> String {
    format!(
        "gateway: test
broker: {{url: \"mqtt://127.0.0.1:{broker}\", keepalive: 5s}}
format: {{sparkplug-b: {{group: plant{more}}}}}
ports:
  line:
    path: {}
    line: 115200 8N1
    decode: {{fields: {{names: [n, {{name: level, unit: m}}, word]}}}}
    commands:
      relay: {{send: {{\"ON\": \"relay on\\n\", \"OFF\": \"relay off\\n\"}}, state: assumed}}
      limit: {{send: \"limit {{value}}\\n\", number: {{min: -5, max: 50}}}}
",
        path.display()
    )
}

#[test]
fn a_host_application_reads_asks_and_writes() {
    needs!(mosquitto, formats);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let mut host = Host::start(&broker);
    let gateway = Gateway::start(&config(broker.port, port.path(), ""));
    let birth = host.expect("NBIRTH");
    assert_eq!(metric(&birth, "bdSeq")["value"], 0);
    assert_eq!(metric(&birth, "bdSeq")["type"], "INT64");
    assert_eq!(metric(&birth, "Node Control/Rebirth")["value"], false);
    // The port is open: what is known of the device is told before it speaks.
    let birth = host.expect("DBIRTH");
    assert_eq!(
        (&birth["device"], &metric(&birth, "level")["null"]),
        (&"line".into(), &true.into())
    );
    assert_eq!(metric(&birth, "level")["type"], "DOUBLE");
    assert_eq!(metric(&birth, "relay")["type"], "BOOLEAN");
    port.write(b"\r\n7,1.25,low\r\n");
    // The types of the others came with their first values.
    let birth = host.expect("DBIRTH");
    assert_eq!(metric(&birth, "n")["type"], "INT64");
    assert_eq!(metric(&birth, "n")["value"], 7);
    assert_eq!(metric(&birth, "word")["value"], "low");
    port.write(b"-8,2,high\r\n");
    let data = host.expect("DDATA");
    assert_eq!(metric(&data, "n")["value"], -8);
    assert_eq!(metric(&data, "level")["value"], 2.0);
    assert_eq!(metric(&data, "n")["historical"], false);

    host.tell("rebirth test");
    assert_eq!(metric(&host.expect("NBIRTH"), "bdSeq")["value"], 0);
    let birth = host.expect("DBIRTH");
    assert_eq!(metric(&birth, "n")["value"], -8);
    assert_eq!(metric(&birth, "word")["value"], "high");

    host.tell("write test line relay BOOLEAN true");
    assert_eq!(port.read_line(), "relay on\n");
    assert_eq!(metric(&host.expect("DDATA"), "relay")["value"], true);
    host.tell("write test line limit INT32 -4");
    assert_eq!(port.read_line(), "limit -4\n");
    host.tell("write test line limit DOUBLE 2.5");
    assert_eq!(port.read_line(), "limit 2.5\n");
    host.tell("write test line limit INT64 51");
    gateway.log().wait_for("refused");
    host.tell("write test line speed INT64 1");
    gateway.log().wait_for("there is no command \"speed\"");

    // More than 256 messages.
    for n in 0..300 {
        port.write(format!("{n},0.5,x\r\n").as_bytes());
        assert_eq!(metric(&host.expect("DDATA"), "n")["value"], n);
    }
    gateway.terminate();
    let death = host.wait_for("NDEATH");
    assert_eq!(metric(&death, "bdSeq")["value"], 0);
    host.check_seqs();
    host.check_by_node();
}

#[test]
fn what_the_broker_missed_comes_as_history() {
    needs!(mosquitto, formats);
    let mut broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port);
    let mut port = Port::new();
    let mut host = Host::start(&broker);
    let gateway = Gateway::start(&config(proxy.port, port.path(), ""));
    host.expect("NBIRTH");
    host.expect("DBIRTH");
    port.write(b"\r\n1,1,a\r\n");
    host.expect("DBIRTH");
    // The link goes half-open; both sides find out.
    proxy.swallow();
    let death = host.expect("NDEATH");
    assert_eq!(metric(&death, "bdSeq")["value"], 0);
    gateway.log().wait_for("PINGRESP");
    proxy.shut();
    for n in 2..6 {
        port.write(format!("{n},{n},a\r\n").as_bytes());
    }
    gateway.log().wait_for("trying again");
    proxy.open();
    let birth = host.expect("NBIRTH");
    let bd_seq = metric(&birth, "bdSeq")["value"].as_i64().unwrap();
    assert!(bd_seq >= 1, "{birth}");
    let birth = host.expect("DBIRTH");
    assert_eq!(metric(&birth, "n")["value"], 5);
    // The last one is what the birth says.
    for n in 2..5 {
        let data = host.expect("DDATA");
        let value = metric(&data, "n");
        assert_eq!((&value["value"], &value["historical"]), (&n.into(), &true.into()));
    }
    port.write(b"6,6,a\r\n");
    assert_eq!(metric(&host.expect("DDATA"), "n")["historical"], false);
    // The unplugged adapter is the death of its device.
    port.replug();
    host.expect("DDEATH");
    host.expect("DBIRTH");
    // A broker that restarts has forgotten everything.
    broker.kill();
    broker.start_again();
    host.lines.wait_for("ready");
    gateway.log().wait_for("subscribed to spBv1.0/plant/NCMD/test");
    host.tell("rebirth test");
    let birth = host.wait_for("NBIRTH");
    let bd_seq_now = metric(&birth, "bdSeq")["value"].as_i64().unwrap();
    assert!(bd_seq_now > bd_seq, "{birth}");
    gateway.kill();
    assert_eq!(metric(&host.wait_for("NDEATH"), "bdSeq")["value"], bd_seq_now);
    host.check_seqs();
    host.check_by_node();
}

#[test]
fn the_primary_host_decides_when_data_flows() {
    needs!(mosquitto, formats);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let mut host = Host::start(&broker);
    let gateway = Gateway::start(&config(broker.port, port.path(), ", primary_host: scada"));
    gateway.log().wait_for("subscribed to spBv1.0/STATE/scada");
    host.tell("state scada online");
    host.expect("NBIRTH");
    host.expect("DBIRTH");
    port.write(b"\r\n1,1,a\r\n");
    host.expect("DBIRTH");
    port.write(b"2,1,a\r\n");
    host.expect("DDATA");
    host.tell("state scada offline");
    assert_eq!(metric(&host.expect("NDEATH"), "bdSeq")["value"], 0);
    gateway.log().wait_for("left for the next broker");
    port.write(b"4,1,a\r\n5,1,a\r\n");
    gateway.log().wait_for("subscribed to spBv1.0/STATE/scada");
    host.tell("state scada online");
    // The broker publishes the will of the link that was left, too, where it was told to.
    let birth = host.wait_for("NBIRTH");
    assert_eq!(metric(&birth, "bdSeq")["value"], 1);
    assert_eq!(metric(&host.expect("DBIRTH"), "n")["value"], 5);
    let data = host.expect("DDATA");
    assert_eq!(metric(&data, "n")["value"], 4);
    assert_eq!(metric(&data, "n")["historical"], true);
    gateway.terminate();
    host.check_seqs();
}

#[test]
fn a_host_at_another_broker_is_followed() {
    needs!(mosquitto, formats);
    let (first, second) = (Mosquitto::start(), Mosquitto::start());
    let port = Port::new();
    let (mut at_first, mut at_second) = (Host::start(&first), Host::start(&second));
    at_first.tell("state scada online");
    at_second.tell("state scada offline");
    let text = config(first.port, port.path(), ", primary_host: scada");
    let fallback = format!("keepalive: 5s, fallback: [\"mqtt://127.0.0.1:{}\"]", second.port);
    let gateway = Gateway::start(&text.replace("keepalive: 5s", &fallback));
    at_first.expect("NBIRTH");
    at_first.expect("DBIRTH");
    at_second.tell("state scada online");
    at_first.tell("state scada offline");
    at_first.expect("NDEATH");
    let birth = at_second.expect("NBIRTH");
    assert!(metric(&birth, "bdSeq")["value"].as_i64() >= Some(1), "{birth}");
    at_second.expect("DBIRTH");
    gateway.terminate();
}

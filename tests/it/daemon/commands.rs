//! Commands from the broker: each is written once, or refused and reported, or comes again.

use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use crate::support::proxy::Proxy;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// A device on the network: each line that it got, over any number of connections.
struct Device {
    address: String,
    lines: Receiver<String>,
}

impl Device {
    fn at(port: u16) -> Device {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), sender) = (stream, sender.clone()) else { return };
                std::thread::spawn(move || {
                    for line in BufReader::new(stream).lines() {
                        let Ok(line) = line else { return };
                        if sender.send(line).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Device { address, lines }
    }

    /// Its place in a configuration.
    fn tcp(&self) -> String {
        format!("tcp: \"{}\"", self.address)
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(crate::support::DEADLINE).expect("the device gets nothing more")
    }
}

/// A gateway with one port, which takes commands at `test/set`.
fn config(broker: &Mosquitto, clean: bool, port: &str, rule: &str) -> String {
    format!(
        "gateway: test\n\
         broker: {{url: \"mqtt://127.0.0.1:{}\", clean: {clean}}}\n\
         status: {{interval: 1s}}\n\
         ports:\n  line:\n    {port}\n    \
         commands: [{{topic: \"{{gateway}}/set\", send: \"{{payload}}\", terminator: \"\\n\", \
         qos: 1, {rule}}}]\n",
        broker.port
    )
}

/// A gateway whose commands reach it.
fn subscribed(yaml: &str) -> Gateway {
    let gateway = Gateway::start(yaml);
    gateway.log().wait_for("subscribed to test/set");
    gateway
}

/// Commands of QoS 1, each a number.
fn publish(broker: &Mosquitto, numbers: std::ops::Range<u64>) {
    broker.publish_all("test/set", numbers.map(|n| n.to_string()));
}

fn results(broker: &Mosquitto) -> Counter {
    Counter::start(broker, "test/status/ports/line/command")
}

/// How many commands results speak of: sent, and refused.
fn count(result: &str) -> (u64, u64) {
    let (_, json) = result.split_once(' ').unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let times = json["count"].as_u64().unwrap_or(1);
    match json["result"].as_str() {
        Some("sent") => (times, 0),
        Some("refused") => (0, times),
        _ => panic!("{result}"),
    }
}

#[test]
fn what_the_broker_queued_reaches_the_device_at_each_of_twenty_starts() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let results = results(&broker);
    let path = format!("path: {}\n    line: 9600 8N1", port.path().display());
    let yaml = config(&broker, false, &path, "");
    let gateway = subscribed(&yaml);
    gateway.terminate();
    for n in 0..20 {
        broker.publish("test/set", &format!("queued {n}"));
        let gateway = Gateway::start(&yaml);
        results.expect_containing("command", "\"result\":\"sent\"");
        assert_eq!(port.read_line(), format!("queued {n}\n"));
        gateway.terminate();
    }
}

#[test]
fn what_the_broker_retains_reaches_the_device_at_each_of_twenty_starts() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    broker.publish_retained("test/set", "retained");
    let results = results(&broker);
    let path = format!("path: {}\n    line: 9600 8N1", port.path().display());
    let yaml = config(&broker, true, &path, "retained: true");
    for _ in 0..20 {
        let gateway = Gateway::start(&yaml);
        results.expect_containing("command", "\"result\":\"sent\"");
        assert_eq!(port.read_line(), "retained\n");
        gateway.terminate();
    }
}

#[test]
fn a_command_waits_for_a_device_that_appears_after_the_start() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let port = free_port();
    let yaml = config(&broker, true, &format!("tcp: 127.0.0.1:{port}"), "");
    let gateway = Gateway::start(&yaml);
    gateway.log().wait_for_any(&["trying again"]);
    gateway.log().wait_for("subscribed to test/set");
    broker.publish("test/set", "on");
    let device = Device::at(port);
    assert_eq!(device.next(), "on");
    gateway.terminate();
}

#[test]
fn a_stop_loses_no_command_that_waits_and_repeats_none() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let device = Device::at(0);
    let yaml = config(&broker, false, &device.tcp(), "between: 500ms");
    let gateway = subscribed(&yaml);
    publish(&broker, 1..7);
    let mut got = vec![device.next(), device.next()];
    gateway.terminate();
    let gateway = Gateway::start(&yaml);
    while got.len() < 6 {
        got.push(device.next());
    }
    assert_eq!(got, ["1", "2", "3", "4", "5", "6"]);
    gateway.terminate();
}

#[test]
fn what_waits_at_a_stop_and_will_not_come_again_is_reported() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let device = Device::at(0);
    let results = results(&broker);
    let gateway = subscribed(&config(&broker, true, &device.tcp(), "between: 60s"));
    publish(&broker, 1..7);
    assert_eq!(device.next(), "1");
    results.expect_containing("command", "\"result\":\"sent\"");
    gateway.terminate();
    let refused = (0..5).map(|_| results.take_one("a refusal")).inspect(|line| {
        assert!(line.contains("the gateway is ending"), "{line}");
    });
    assert_eq!(refused.map(|line| count(&line).1).sum::<u64>(), 5);
}

#[test]
fn reloads_that_touch_the_port_lose_no_command() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let device = Device::at(0);
    let results = results(&broker);
    let tcp = |silent: u32| format!("{}\n    silent_after: {silent}min", device.tcp());
    let yaml = |silent| config(&broker, true, &tcp(silent), "between: 20ms");
    let gateway = subscribed(&yaml(1));
    publish(&broker, 0..100);
    let mut got = vec![device.next()];
    for n in 2..=6 {
        gateway.reload(&yaml(n));
        gateway.log().wait_for("configuration reloaded");
        got.push(device.next());
    }
    while got.len() < 100 {
        got.push(device.next());
    }
    // The devices of two connections are read by two threads.
    got.sort_by_key(|line| line.parse::<u32>().unwrap());
    assert_eq!(got, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    for _ in 0..100 {
        assert_eq!(count(&results.take_one("a result")), (1, 0));
    }
    gateway.terminate();
}

#[test]
fn a_port_that_a_reload_removes_refuses_what_waits() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let device = Device::at(0);
    let results = results(&broker);
    let gateway = subscribed(&config(&broker, true, &device.tcp(), "between: 60s"));
    publish(&broker, 1..7);
    assert_eq!(device.next(), "1");
    results.expect_containing("command", "\"result\":\"sent\"");
    let other = format!(
        "gateway: test\nbroker: {{url: \"mqtt://127.0.0.1:{}\", clean: true}}\n\
         status: {{interval: 1s}}\nports: {{other: {{tcp: \"{}\"}}}}\n",
        broker.port, device.address
    );
    gateway.reload(&other);
    for _ in 0..5 {
        results.expect_containing("command", "no longer in the configuration");
    }
    gateway.terminate();
}

/// A burst of commands of QoS 1 at one port, each 50 ms apart, while another port has a reading
/// after each that arrived. Returns the longest way of a reading, and how many commands were sent
/// and refused.
fn burst(broker: &Mosquitto, commands: u64) -> (Duration, u64, u64) {
    let device = Device::at(0);
    let sensor = TcpListener::bind("127.0.0.1:0").unwrap();
    let results = results(broker);
    let readings = Counter::start(broker, "test/sensor/#");
    let yaml = config(broker, true, &device.tcp(), "between: 50ms");
    // Each reading waits for the acknowledgement of the one before.
    let yaml = yaml.replace("clean: true", "clean: true, inflight: 1");
    let more = format!(
        "  sensor:\n    tcp: \"{}\"\n    messages: [{{topic: test/sensor, payload: \"{{value}}\", qos: 1}}]\n",
        sensor.local_addr().unwrap()
    );
    let gateway = subscribed(&(yaml + &more));
    let (mut stream, _): (TcpStream, _) = sensor.accept().unwrap();
    stream.write_all(b"\nfirst\n").unwrap();
    readings.expect("test/sensor first");
    publish(broker, 0..commands);
    let (mut longest, mut sent, mut refused) = (Duration::ZERO, 0, 0);
    let mut n = 0;
    while sent + refused < commands {
        let start = Instant::now();
        stream.write_all(format!("{n}\n").as_bytes()).unwrap();
        readings.expect(&format!("test/sensor {n}"));
        longest = longest.max(start.elapsed());
        n += 1;
        // At least one command a second has a result.
        let (more_sent, more_refused) = count(&results.take_one("a result"));
        (sent, refused) = (sent + more_sent, refused + more_refused);
    }
    let mut got: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..sent {
        *got.entry(device.next()).or_default() += 1;
    }
    assert!(got.values().all(|times| *times == 1), "written twice: {got:?}");
    let log = gateway.terminate();
    assert_eq!(log.matches("connected to").count(), 1, "{log}");
    println!("{} bytes of log", log.len());
    assert!(log.matches("refused").count() <= 8, "{log}");
    (longest, sent, refused)
}

#[test]
fn a_burst_of_a_hundred_commands_is_written_and_holds_up_no_reading() {
    needs!(mosquitto);
    let (longest, sent, refused) = burst(&Mosquitto::as_it_comes(), 100);
    println!("the longest way of a reading: {longest:?}");
    assert_eq!((sent, refused), (100, 0));
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[test]
fn a_burst_of_a_thousand_commands_is_written_or_reported_and_holds_up_no_reading() {
    needs!(mosquitto);
    let (longest, sent, refused) = burst(&Mosquitto::as_it_comes(), 1000);
    println!("the longest way of a reading: {longest:?}; {sent} sent, {refused} refused");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[test]
fn a_command_that_is_older_than_its_rule_allows_is_refused() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let device = Device::at(0);
    let results = results(&broker);
    let yaml = config(&broker, false, &device.tcp(), "max_age: 1h");
    let gateway = subscribed(&yaml);
    broker.publish("test/set", "live");
    assert_eq!(device.next(), "live");
    gateway.terminate();
    broker.publish("test/set", "kept");
    let gateway = Gateway::start(&yaml);
    results.expect_containing("command", "older than `max_age`");
    // As soon as the broker has nothing left that it kept, what comes is new.
    let is_new = (0..100).any(|_| {
        broker.publish("test/set", "new");
        results.take_one("a result").contains("\"result\":\"sent\"")
    });
    assert!(is_new);
    assert_eq!(device.next(), "new");
    gateway.terminate();
}

#[test]
fn what_the_broker_kept_is_as_old_as_the_end_of_the_link() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.port);
    let device = Device::at(0);
    let yaml = config(&broker, false, &device.tcp(), "max_age: 1h");
    let yaml = yaml.replace(&broker.port.to_string(), &proxy.port.to_string());
    let gateway = subscribed(&yaml.replace("clean: false", "clean: false, keepalive: 5s"));
    proxy.swallow();
    broker.publish("test/set", "kept");
    gateway.log().wait_for("PINGRESP");
    proxy.open();
    assert_eq!(device.next(), "kept");
    gateway.terminate();
}

#[test]
fn a_reload_that_makes_a_new_link_repeats_no_command() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let device = Device::at(0);
    let results = results(&broker);
    let yaml = config(&broker, false, &device.tcp(), "between: 500ms");
    let gateway = subscribed(&yaml);
    publish(&broker, 1..7);
    let mut got = vec![device.next()];
    gateway.reload(&yaml.replace("clean: false", "clean: false, keepalive: 50s"));
    gateway.log().wait_for("configuration reloaded");
    gateway.log().wait_for("subscribed to test/set");
    // Behind all that the broker sent before.
    broker.publish("test/set", "last");
    while got.last().is_none_or(|line| line != "last") {
        got.push(device.next());
    }
    assert_eq!(got, ["1", "2", "3", "4", "5", "6", "last"]);
    for _ in 0..7 {
        assert_eq!(count(&results.take_one("a result")), (1, 0));
    }
    // And all were acknowledged: the next start gets none.
    gateway.terminate();
    let gateway = subscribed(&yaml);
    broker.publish("test/set", "new");
    assert_eq!(device.next(), "new");
    gateway.terminate();
}

#[test]
fn ten_thousand_commands_at_once_are_a_few_lines_in_the_log() {
    needs!(mosquitto);
    // It queues them all, and releases them at once.
    let (longest, sent, refused) = burst(&Mosquitto::start(), 10_000);
    println!("the longest way of a reading: {longest:?}; {sent} sent, {refused} refused");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

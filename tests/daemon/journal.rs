//! Readings that survive more than the broker's absence, through the real binary.

use crate::broker::{Counter, Mosquitto};
use crate::client::Client;
use crate::config;
use crate::gateway::Gateway;
use crate::port::Port;
use crate::proxy::Proxy;
use std::path::Path;

fn with_journal(broker: u16, tty: &Path, folder: &Path, durability: &str) -> String {
    let outbox = format!(
        "outbox:\n  durability: {durability}\n  drain: 100000\n  journal: {{path: {}, sync: each}}\n",
        folder.display()
    );
    config(broker, tty, &outbox)
}

/// The end of a line that began before the port was opened, and readings.
fn feed(port: &mut Port, numbers: impl Iterator<Item = usize>) {
    port.write(b"\r\n");
    for n in numbers {
        port.write(format!("{n},21.50,40\r\n").as_bytes());
    }
}

/// The payloads in the order in which they first came.
fn firsts(counter: &Counter, last: usize) -> Vec<usize> {
    let mut seen = std::collections::HashSet::new();
    let numbers = counter.take_until(&last.to_string());
    let numbers = numbers.iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap());
    numbers.filter(|n| seen.insert(*n)).collect()
}

#[test]
fn readings_that_always_survive_outlive_a_killed_gateway() {
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let proxy = Proxy::start(broker.port);
    proxy.shut();
    let counter = Counter::start(&broker, "test/line");
    let folder = tempfile::tempdir().unwrap();
    let config = with_journal(proxy.port, port.path(), folder.path(), "always");
    for round in 0..3 {
        let gateway = Gateway::start(&config);
        gateway.log().wait_for("is open");
        feed(&mut port, round * 2000..(round + 1) * 2000);
        // What has come in is on the disk when the file says so.
        let last = format!("{}", (round + 1) * 2000 - 1);
        let has_it = || {
            let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
            let mut bytes = files.filter_map(|file| std::fs::read(file).ok());
            bytes.any(|bytes| bytes.windows(last.len()).any(|window| window == last.as_bytes()))
        };
        while !has_it() {
            std::thread::yield_now();
        }
        gateway.kill();
        // What the killed one has not read is not read by the next.
        port.replug();
    }
    proxy.open();
    let gateway = Gateway::start(&config);
    gateway.log().wait_for("6000 messages of an earlier run wait in the journal");
    assert_eq!(firsts(&counter, 5999), (0..6000).collect::<Vec<_>>());
    gateway.terminate();
    // All is done: the next start finds nothing.
    let gateway = Gateway::start(&config);
    gateway.log().wait_for("connected to");
    let log = gateway.terminate();
    assert!(!log.contains("earlier run"), "{log}");
}

#[test]
fn a_stop_without_a_broker_saves_what_is_spilled() {
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let proxy = Proxy::start(broker.port);
    proxy.shut();
    let counter = Counter::start(&broker, "test/line");
    let folder = tempfile::tempdir().unwrap();
    let config = with_journal(proxy.port, port.path(), folder.path(), "spill");
    let gateway = Gateway::start(&config);
    gateway.log().wait_for("is open");
    feed(&mut port, 0..500);
    let status = Client::new(&gateway.socket())
        .status(|status| status["broker"]["outbox"]["messages"].as_u64() >= Some(500));
    assert_eq!(status["broker"]["journal"]["written"], 0, "{status}");
    let log = gateway.terminate();
    assert!(log.contains("500 messages wait in the journal for the next start"), "{log}");
    proxy.open();
    let gateway = Gateway::start(&config);
    assert_eq!(firsts(&counter, 499), (0..500).collect::<Vec<_>>());
    gateway.terminate();
}

#[test]
fn a_journal_that_cannot_be_written_stops_nothing() {
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let counter = Counter::start(&broker, "test/line");
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("disk");
    std::fs::write(&blocked, "no folder").unwrap();
    let config = with_journal(broker.port, port.path(), &blocked, "always");
    let gateway = Gateway::start(&config);
    gateway.log().wait_for("kept in memory until it works");
    gateway.log().wait_for("is open");
    feed(&mut port, 0..100);
    assert_eq!(firsts(&counter, 99), (0..100).collect::<Vec<_>>());
    let status = Client::new(&gateway.socket()).ask(r#"{"request":"status"}"#);
    let error = status["broker"]["journal"]["error"].as_str().unwrap();
    assert!(error.contains("disk"), "{error}");
    // The stick is plugged in.
    std::fs::remove_file(&blocked).unwrap();
    gateway.log().wait_for("journal: works again");
    feed(&mut port, 100..200);
    assert_eq!(firsts(&counter, 199), (100..200).collect::<Vec<_>>());
    gateway.terminate();
    assert!(blocked.join("lock").exists());
}

#[test]
fn a_backlog_that_memory_does_not_hold_goes_out_without_a_pause() {
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let proxy = Proxy::start(broker.port);
    proxy.shut();
    let counter = Counter::start(&broker, "test/line");
    let folder = tempfile::tempdir().unwrap();
    // Nothing but the link itself happens while it goes out.
    let config = with_journal(proxy.port, port.path(), folder.path(), "always")
        .replace("interval: 1s", "interval: 1h")
        .replace("keepalive: 5s", "keepalive: 60s")
        .replace("outbox:", "outbox:\n  bytes: 1MiB");
    let gateway = Gateway::start(&config);
    gateway.log().wait_for("is open");
    for start in (0..8000).step_by(500) {
        feed(&mut port, start..start + 500);
        Client::new(&gateway.socket()).status(|status| {
            status["broker"]["journal"]["messages"].as_u64() >= Some(start as u64 + 500)
        });
    }
    proxy.open();
    assert_eq!(firsts(&counter, 7999), (0..8000).collect::<Vec<_>>());
    gateway.terminate();
}

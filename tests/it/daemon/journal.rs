//! Readings that survive more than the broker's absence, through the real binary.

use crate::daemon::config;
use crate::daemon::hang::Hang;
use crate::support::control::Client;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use crate::support::proxy::Proxy;
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn with_journal(broker: u16, tty: &Path, folder: &Path, durability: &str) -> String {
    let outbox = format!(
        "outbox:\n  durability: {durability}\n  backlog_rate: 100000\n  journal: {{path: {}, sync: each}}\n",
        folder.display()
    );
    config(broker, tty, &outbox)
}

/// A port and a broker that is out of reach until the proxy opens.
struct Stage {
    _broker: Mosquitto,
    port: Port,
    proxy: Proxy,
    counter: Counter,
    folder: TempDir,
}

impl Stage {
    fn new() -> Stage {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.port);
        proxy.shut();
        let counter = Counter::start(&broker, "test/line");
        let folder = tempfile::tempdir().unwrap();
        Stage { _broker: broker, port: Port::new(), proxy, counter, folder }
    }
}

/// A gateway that reads its port.
fn opened(config: &str) -> Gateway {
    let gateway = Gateway::start(config);
    gateway.log().wait_for("is open");
    gateway
}

/// The status, as soon as outbox or journal hold so many messages.
fn holds(gateway: &Gateway, which: &str, messages: u64) -> Value {
    let has_it = |status: &Value| status["broker"][which]["messages"].as_u64() >= Some(messages);
    Client::new(&gateway.socket()).status(has_it)
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
    needs!(mosquitto);
    let Stage { _broker, mut port, proxy, counter, folder } = Stage::new();
    let config = with_journal(proxy.port, port.path(), folder.path(), "always");
    for round in 0..3 {
        let gateway = opened(&config);
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
    needs!(mosquitto);
    let Stage { _broker, mut port, proxy, counter, folder } = Stage::new();
    let config = with_journal(proxy.port, port.path(), folder.path(), "spill");
    let gateway = opened(&config);
    feed(&mut port, 0..500);
    let status = holds(&gateway, "outbox", 500);
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
    needs!(mosquitto);
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
    needs!(mosquitto);
    let Stage { _broker, mut port, proxy, counter, folder } = Stage::new();
    // Nothing but the link itself happens while it goes out.
    let config = with_journal(proxy.port, port.path(), folder.path(), "always")
        .replace("interval: 1s", "interval: 1h")
        .replace("keepalive: 5s", "keepalive: 60s")
        .replace("outbox:", "outbox:\n  bytes: 1MiB");
    let gateway = opened(&config);
    for start in (0..8000).step_by(500) {
        feed(&mut port, start..start + 500);
        holds(&gateway, "journal", start as u64 + 500);
    }
    proxy.open();
    assert_eq!(firsts(&counter, 7999), (0..8000).collect::<Vec<_>>());
    gateway.terminate();
}

#[test]
fn what_comes_while_the_journal_is_opened_is_sent_behind_what_it_has() {
    needs!(c_compiler, mosquitto);
    let Stage { _broker, mut port, proxy, counter, folder } = Stage::new();
    for durability in ["always", "spill"] {
        let config = with_journal(proxy.port, port.path(), folder.path(), durability);
        let gateway = opened(&config);
        feed(&mut port, 0..500);
        holds(&gateway, "outbox", 500);
        gateway.terminate();
        // The port is read before the disk has answered.
        proxy.open();
        let hang = Hang::of(folder.path());
        let gateway = Gateway::start_with(&config, |command| hang.preload(command));
        gateway.log().wait_for_all(&["connected to", "is open"]);
        feed(&mut port, 500..600);
        holds(&gateway, "outbox", 100);
        hang.end();
        assert_eq!(firsts(&counter, 599), (0..600).collect::<Vec<_>>(), "{durability}");
        gateway.terminate();
        proxy.shut();
    }
}

#[test]
fn a_disk_that_hangs_at_the_start_costs_ten_seconds() {
    needs!(c_compiler, mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let counter = Counter::start(&broker, "test/line");
    let folder = tempfile::tempdir().unwrap();
    let hang = Hang::of(folder.path());
    let config = with_journal(broker.port, port.path(), folder.path(), "always");
    let start = Instant::now();
    let gateway = Gateway::start_with(&config, |command| hang.preload(command));
    gateway.log().wait_for("is open");
    feed(&mut port, 0..100);
    gateway.log().wait_for("journal: it was not opened within 10 s");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(firsts(&counter, 99), (0..100).collect::<Vec<_>>());
    let status = Client::new(&gateway.socket()).ask(r#"{"request":"status"}"#);
    let error = status["broker"]["journal"]["error"].as_str().unwrap();
    assert!(error.contains("was not opened"), "{error}");
    // The end does not wait for it.
    let start = Instant::now();
    gateway.terminate();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_second_signal_ends_a_gateway_whose_disk_hangs() {
    needs!(c_compiler);
    let mut port = Port::new();
    let folder = tempfile::tempdir().unwrap();
    let hang = Hang::of(folder.path());
    let away = crate::support::free_port();
    let config = with_journal(away, port.path(), folder.path(), "always") + "grace: 60s\n";
    let mut gateway = Gateway::start_with(&config, |command| hang.preload(command));
    gateway.log().wait_for("is open");
    feed(&mut port, 0..100);
    holds(&gateway, "outbox", 100);
    // There is something to be saved, so that the end waits for the disk.
    gateway.signal(Signal::TERM);
    gateway.log().wait_for("stopping");
    let start = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(!gateway.socket().exists());
}

#[test]
fn pipes_and_devices_in_the_journals_folder_are_not_waited_for() {
    needs!(mosquitto);
    let broker = Mosquitto::start();
    let mut port = Port::new();
    let counter = Counter::start(&broker, "test/line");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, at("0.journal"), 0o600.into()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("lock"), 0o600.into()).unwrap();
    let config = with_journal(broker.port, port.path(), folder.path(), "always");
    let gateway = Gateway::start(&config);
    gateway.log().wait_for("lock: is not a regular file");
    gateway.log().wait_for("is open");
    feed(&mut port, 0..100);
    assert_eq!(firsts(&counter, 99), (0..100).collect::<Vec<_>>());
    std::fs::remove_file(at("lock")).unwrap();
    gateway.log().wait_for("0.journal: is not a regular file; set aside");
    gateway.log().wait_for("journal: works again");
    gateway.terminate();
}

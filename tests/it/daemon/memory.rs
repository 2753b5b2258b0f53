//! `memory` is a bound: whatever comes, and whoever does not read, the gateway takes no more.

use crate::support::control::Client;
use crate::support::free_port;
use crate::support::gateway::{self, Gateway};
use crate::support::mosquitto::Mosquitto;
use crate::support::port::Port;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// KiB that a release build takes while nothing comes: 5.1 to 5.5 MiB with eight ports. A test's build
/// is larger, and touches its many pages of code one by one: what is judged of it is by how much its
/// own memory grows. Where GATEWAY names a release build, all that it takes is judged.
const IDLE: usize = 5632;

struct Load {
    /// MiB.
    memory: usize,
    ports: usize,
    /// More lines for each port.
    port: &'static str,
    /// More keys of the configuration.
    more: String,
    broker: u16,
    /// Clients that look on at ports, in turn, and read nothing. There is room for seven, besides
    /// the one that asks how far it is.
    monitors: usize,
    /// Clients that watch the status, and read nothing.
    watches: usize,
}

/// Kilobytes of a process by the words of its status: `VmHWM` what it took at most, `RssFile` the
/// pages of the program's file.
fn kilobytes(pid: u32, word: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(word)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

impl Load {
    /// Devices send line after line as fast as they are read, each a line of its own, until every
    /// port has so many frames.
    fn stays_within(&self, frames: u64, line: impl Fn(usize) -> String + Send + Clone + 'static) {
        let ports: Vec<_> = (0..self.ports).map(|_| Port::new()).collect();
        let mut yaml = format!(
            "gateway: test\nmemory: {}MiB\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\nstatus: {{interval: 1h}}\n{}ports:\n",
            self.memory, self.broker, self.more
        );
        for (n, port) in ports.iter().enumerate() {
            let path = port.path().display();
            writeln!(yaml, "  p{n}:\n    path: {path}\n    line: 115200 8N1\n{}", self.port)
                .unwrap();
        }
        let gateway = Gateway::start(&yaml);
        (0..self.ports).for_each(|_| drop(gateway.log().wait_for("is open")));
        let mut client = Client::new(&gateway.socket());
        client.ask(r#"{"request":"status"}"#);
        let pid = gateway.pid();
        let (before, file) = (kilobytes(pid, "VmHWM:"), kilobytes(pid, "RssFile:"));
        let monitors = (0..self.monitors)
            .map(|n| format!(r#"{{"request":"monitor","port":"p{}"}}"#, n % self.ports));
        let watch = r#"{"request":"status","watch":true}"#.to_owned();
        let requests = monitors.chain(std::iter::repeat_n(watch, self.watches));
        let idle: Vec<_> = requests
            .map(|request| {
                let mut client = Client::new(&gateway.socket());
                client.say(&request);
                client
            })
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        for mut port in ports {
            let (stop, line) = (stop.clone(), line.clone());
            // It may wait in a write for ever once nobody reads.
            std::thread::spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    port.write(line(n).as_bytes());
                }
            });
        }
        // A flood may keep the ports from answering in time.
        let done = |status: &Value| {
            let has = |port: &Value| port["frames"].as_u64() >= Some(frames);
            status["ports"].as_object().is_some_and(|ports| ports.values().all(has))
        };
        let deadline = Instant::now() + Duration::from_secs(600);
        client.say(r#"{"request":"status","watch":true}"#);
        loop {
            let status = client.answer();
            if done(&status) {
                break;
            }
            assert!(Instant::now() < deadline, "the load does not come through: {status:#}");
            if status.get("error").is_some() {
                client = Client::new(&gateway.socket());
                client.say(r#"{"request":"status","watch":true}"#);
            }
        }
        let peak = kilobytes(pid, "VmHWM:");
        let pages = kilobytes(pid, "RssFile:").saturating_sub(file);
        println!("{} ports: {before} KiB, {peak} at most, {pages} more of code", self.ports);
        stop.store(true, Ordering::Relaxed);
        drop(idle);
        gateway.kill();
        match gateway::named() {
            Some(_) => assert!(peak <= self.memory << 10, "{peak} KiB of {} MiB", self.memory),
            None => {
                let (grown, most) = (peak - before - pages, (self.memory << 10) - IDLE);
                assert!(grown <= most, "grown by {grown} KiB, more than {most}");
            }
        }
    }
}

const TEXT: &str = "    framing: {lines: {limit: 64KiB}}\n    decode: text\n";

const JSON: &str = "    framing: {lines: {limit: 64KiB}}\n    decode: json\n";

fn load() -> Load {
    Load {
        memory: 8,
        ports: 8,
        port: TEXT,
        more: String::new(),
        broker: free_port(),
        monitors: 0,
        watches: 0,
    }
}

fn long(n: usize) -> String {
    format!("{n:0>65000}\n")
}

fn short(n: usize) -> String {
    format!("{n},21.50,40\n")
}

#[test]
fn monitors_that_do_not_read_one_port() {
    Load { ports: 1, monitors: 1, ..load() }.stays_within(600, long);
}

#[test]
fn monitors_that_do_not_read_eight_ports() {
    Load { monitors: 7, ..load() }.stays_within(300, long);
}

#[test]
fn monitors_of_short_lines() {
    let port = "    decode: text\n";
    Load { ports: 1, monitors: 7, port, ..load() }
        .stays_within(20_000, |n| format!("{n:0>1000}\n"));
}

#[test]
fn watched_statuses_that_nobody_reads() {
    let fields = |n: usize| {
        let fields: Vec<_> = (0..64).map(|at| format!("\"f{at}\":\"{n:0>950}\"")).collect();
        format!("{{{}}}\n", fields.join(","))
    };
    Load { port: JSON, watches: 7, ..load() }.stays_within(300, fields);
}

#[test]
fn thousands_of_new_names_a_frame() {
    const RETAINED: &str = "    framing: {lines: {limit: 64KiB}}\n    decode: json\n    messages: \
                            [{topic: \"t/{field}\", payload: \"{value}\", retain: true}]\n";
    // More of them than are looked into, as many, and each retained.
    for (count, port) in [(4500, JSON), (1000, JSON), (1000, RETAINED)] {
        let names = move |n: usize| {
            let fields = (0..count).map(|at| format!("\"{:x}\":1", n * count + at));
            format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","))
        };
        Load { port, ..load() }.stays_within(10, names);
    }
}

#[test]
fn thousands_of_numbers_a_frame() {
    Load { port: JSON, ..load() }.stays_within(20, |n| format!("[{n}{}]\n", ",1".repeat(32_000)));
}

#[test]
fn long_fields() {
    let fields = |n: usize| {
        let fields: Vec<_> = (0..64).map(|at| format!("\"f{at}\":\"{n:0>950}\"")).collect();
        format!("{{{}}}\n", fields.join(","))
    };
    Load { port: JSON, ..load() }.stays_within(100, fields);
}

#[test]
fn short_text_with_a_broker_and_without() {
    needs!(mosquitto);
    let port = "    decode: text\n";
    let broker = Mosquitto::start();
    Load { port, broker: broker.port, ..load() }.stays_within(10_000, short);
    Load { port, ..load() }.stays_within(10_000, short);
}

/// Of eight ports whose messages all go to a journal of so many MiB.
fn journal_stays_within(
    (memory, size): (usize, usize),
    port: &'static str,
    frames: u64,
    line: fn(usize) -> String,
) {
    let folder = tempfile::tempdir().unwrap();
    let more = format!(
        "outbox: {{durability: always, journal: {{path: {}, size: {size}MiB}}}}\n",
        folder.path().join("journal").display()
    );
    Load { memory, port, more, ..load() }.stays_within(frames, line);
}

#[test]
fn a_journal_besides() {
    journal_stays_within((12, 8), "    decode: text\n", 10_000, short);
    journal_stays_within((12, 8), TEXT, 150, long);
    if gateway::named().is_some() {
        // It takes minutes until this one is full.
        journal_stays_within((16, 256), "    decode: text\n", 170_000, |n| format!("{n:0>150}\n"));
    }
}

/// A monitor of bytes is found to have left when the next bytes come, before their frames do.
#[test]
fn frames_are_not_kept_for_a_monitor_that_left() {
    const FRAMES: u64 = 10_000;
    let mut port = Port::new();
    let gateway = Gateway::start(&format!(
        "gateway: test\nmemory: 8MiB\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\nports:\n  p0:\n    path: {}\n    line: 115200 8N1\n",
        free_port(),
        port.path().display()
    ));
    gateway.log().wait_for("is open");
    let mut monitor = Client::new(&gateway.socket());
    monitor.say(r#"{"request":"monitor","port":"p0","raw":true}"#);
    monitor.answer();
    drop(monitor);
    // What the first line began before the port was open may be dropped.
    port.write(b"\n");
    let mut client = Client::new(&gateway.socket());
    let mut frames = || {
        client.ask(r#"{"request":"status"}"#)["ports"]["p0"]["frames"].as_u64().unwrap_or_default()
    };
    let mut feed = |n: u64| {
        let before = frames();
        (0..n).for_each(|n| port.write(format!("reading {n:08}\n").as_bytes()));
        let deadline = Instant::now() + Duration::from_secs(60);
        while frames() < before + n {
            assert!(Instant::now() < deadline, "the frames do not come through");
        }
    };
    // What the broker would get fills its own bound.
    feed(FRAMES);
    let pid = gateway.pid();
    let before = kilobytes(pid, "VmRSS:");
    feed(FRAMES);
    let grown = kilobytes(pid, "VmRSS:").saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB more");
}

//! Whatever holds up the broker's side, eight ports at 115200 are read in time; and a port that takes
//! nothing holds up neither the others nor the broker's side.

use crate::backlog::{Backlog, FULL};
use crate::proxy::{Cut, Mode};
use crate::rig::{Durability, Link, Rig, Setup};
use crate::{DEADLINE, alone};
use rustix::process::{Signal, kill_process};
use std::time::{Duration, Instant};

/// Readings that the ports emit in a second, about.
const A_SECOND: u64 = 5_000;

/// Plays `fault` and checks that no tty was full and no reading is lost.
fn holds_up(what: &str, durability: Durability, link: Link, fault: impl FnOnce(&Rig)) {
    let _alone = alone();
    let mut rig = Rig::start(Setup { durability, link, ..Setup::default() });
    let backlog = Backlog::watch(rig.gateway.pid(), &rig.devices.paths);
    rig.devices.resume();
    rig.emit(A_SECOND);
    fault(&rig);
    rig.emit(A_SECOND);
    let largest = backlog.largest();
    drop(backlog);
    let (emitted, account) = rig.finish();
    println!("{what}: {emitted} readings, {largest} bytes waited at a port at most");
    assert!(largest < FULL, "{what}: {largest} bytes waited, a tty would have lost some");
    assert_eq!(account.delivered, emitted, "{what}: {}", account.losses());
    assert_eq!((account.disorder, account.torn), (0, 0), "{what}");
}

#[test]
fn a_slow_broker_holds_up_no_port() {
    needs!(c_compiler, mosquitto, namespaces);
    // About a third of what the ports say.
    holds_up("a slow broker", Durability::Memory, Link::Tcp, |rig| {
        rig.proxy.set(Mode::Slow(60_000));
        rig.emit(6 * A_SECOND);
        let delivered = rig.counter.ledger(|ledger| ledger.delivered());
        assert!(rig.devices.emitted() > delivered + 2 * A_SECOND, "the broker was not slow");
        rig.proxy.set(Mode::Pass);
    });
}

#[test]
fn a_gateway_that_does_not_read_is_noticed() {
    needs!(c_compiler, mosquitto, namespaces);
    let _alone = alone();
    let rig = Rig::start(Setup { ports: 1, ..Setup::default() });
    let backlog = Backlog::watch(rig.gateway.pid(), &rig.devices.paths);
    rig.devices.resume();
    kill_process(rig.gateway.pid(), Signal::STOP).unwrap();
    // More than a tty holds, less than a PTY does.
    rig.emit(500);
    let deadline = Instant::now() + DEADLINE;
    while backlog.largest() < FULL {
        assert!(Instant::now() < deadline, "{} bytes wait", backlog.largest());
        std::thread::yield_now();
    }
    kill_process(rig.gateway.pid(), Signal::CONT).unwrap();
}

#[test]
fn a_handshake_of_three_seconds_holds_up_no_port() {
    needs!(c_compiler, mosquitto, namespaces);
    holds_up("TLS handshakes of 3 s", Durability::Memory, Link::Tls, |rig| {
        rig.proxy.set(Mode::Greet(Duration::from_secs(3)));
        for _ in 0..2 {
            let before = Instant::now();
            let delivered = rig.counter.ledger(|ledger| ledger.delivered());
            rig.proxy.cut(Cut::Close);
            // All that was in flight comes again first; this is beyond it.
            rig.counter.wait("delivery after the handshake", |ledger| {
                ledger.delivered() > delivered + 3 * A_SECOND
            });
            assert!(before.elapsed() > Duration::from_secs(3), "the handshake was held up");
        }
        rig.proxy.set(Mode::Pass);
    });
}

#[test]
fn an_fsync_of_two_seconds_holds_up_no_port() {
    needs!(c_compiler, mosquitto, namespaces);
    holds_up("fsyncs of 2 s", Durability::Always { journal: 32 }, Link::Tcp, |rig| {
        let before = rig.shim.delayed();
        rig.shim.delay_fsync(2000);
        rig.emit(6 * A_SECOND);
        assert!(rig.shim.delayed() >= before + 2, "no fsync was slow");
        rig.shim.delay_fsync(0);
    });
}

#[test]
fn a_disk_that_hangs_costs_what_was_to_go_there_and_nothing_else() {
    needs!(c_compiler, mosquitto, namespaces);
    let _alone = alone();
    let durability = Durability::Always { journal: 32 };
    let setup = Setup { durability, ports: 2, in_memory: 1, outbox: "1MiB", ..Setup::default() };
    let mut rig = Rig::start(setup);
    rig.devices.resume();
    rig.emit(A_SECOND / 8);
    rig.shim.delay_fsync(3_600_000);
    // Nothing comes through any more, from either port.
    let start = Instant::now();
    let mut delivered = (0, start);
    while delivered.1.elapsed() < Duration::from_secs(2) {
        let now = rig.counter.ledger(|ledger| ledger.delivered());
        if now > delivered.0 {
            delivered = (now, Instant::now());
        }
        assert!(start.elapsed() < DEADLINE, "the disk does not hang");
        std::thread::yield_now();
    }
    // Until it is clear that the disk will not answer.
    let emitted = rig.devices.pause();
    rig.devices.resume();
    rig.counter.wait("readings that need no disk", |ledger| ledger.reached_by(1) > emitted[1]);
    println!("a disk that hangs: the other port is heard again after {:?}", start.elapsed());
    // The end waits for the disk, but not for ever.
    rig.gateway.terminate();
}

#[test]
fn a_port_that_takes_nothing_holds_up_nobody() {
    needs!(c_compiler, mosquitto, namespaces);
    holds_up("a port that takes nothing", Durability::Memory, Link::Tcp, |rig| {
        // Nobody reads at the device's end: a tty is full after a few of these.
        let command = "x".repeat(8192);
        for _ in 0..24 {
            rig.broker.access().publish("do/p0", &command);
        }
        let report = |port: usize, word: &str| {
            let topic = format!("chaos/status/ports/p{port}/command");
            rig.counter.wait(&format!("{word} in {topic}"), |ledger| {
                ledger.other.get(&topic).is_some_and(|report| report.contains(word))
            });
        };
        report(0, "refused");
        let before = Instant::now();
        let delivered = rig.counter.ledger(|ledger| ledger.delivered());
        rig.broker.access().publish("do/p1", "x");
        report(1, "sent");
        rig.counter.wait("more readings", |ledger| ledger.delivered() > delivered + A_SECOND);
        assert!(before.elapsed() < DEADLINE / 6, "{:?}", before.elapsed());
    });
}

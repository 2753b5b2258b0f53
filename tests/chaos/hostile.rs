//! One port is hostile, by a plan that `SEED` decides, and the others must hardly notice: how long
//! their readings take to arrive is measured for each kind of hostility.

use crate::plan::shuffle;
use crate::proxy::{Cut, Mode};
use crate::rig::{Durability, Rig, Setup};
use crate::support::chance::Chance;
use crate::{alone, full};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Topics of what the villain says begin so.
pub const TOPICS: &str = "chaos/p0/";

/// Ports: the villain's, and those that are watched.
const PORTS: usize = 4;

/// Bytes a second of a watched port: some hundred readings.
const CALM_LINE: f64 = 1_400.0;

/// So late a reading of another port may be, at most one of a hundred later.
const LATE: Duration = Duration::from_secs(1);

/// So late it may be while the broker ends links at a message of the villain's.
const LATE_BEHIND_POISON: Duration = Duration::from_secs(60);

/// So long the disk hangs: longer than the gateway waits for one.
const HANG: Duration = Duration::from_secs(13);

/// What the log may say of one kind, however often it happens.
const LOG_BYTES: usize = 8 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Names that a broker may refuse in a topic.
    PoisonNames,
    /// The broker ends the link at a message of the villain's.
    HostileEnding,
    /// More commands than the device can take.
    CommandBurst,
    /// Monitors of a port with long lines, which do not read.
    UnreadMonitors,
    /// Files that are no configuration, one after the other.
    WrongReloads,
    /// Nothing that any decoder understands.
    Garbage,
    /// The disk of the villain's journal answers nothing for a while.
    HangingDisk,
}

const KINDS: [Kind; 7] = [
    Kind::PoisonNames,
    Kind::HostileEnding,
    Kind::CommandBurst,
    Kind::UnreadMonitors,
    Kind::WrongReloads,
    Kind::Garbage,
    Kind::HangingDisk,
];

/// The villain's entry of the configuration.
pub fn port(path: &Path) -> String {
    let path = path.display();
    format!(
        "  p0:\n    path: {path}\n    line: 115200 8N1\n    framing: {{lines: {{limit: 64KiB}}}}\n    \
         decode: pairs\n    messages: [{{topic: \"{{gateway}}/{{port}}/{{field}}\", qos: 1}}]\n    \
         commands: [{{topic: \"do/{{port}}\", send: \"{{payload}}\\n\", pause: 20ms, qos: 1}}]\n"
    )
}

#[test]
fn a_hostile_port_hardly_delays_the_others() {
    needs!(c_compiler, mosquitto, namespaces);
    let _alone = alone();
    let seed = Chance::seed();
    let mut chance = Chance::new(seed);
    let rounds = if full() { 15 } else { 1 };
    // The villain's messages go through a journal, those of the others wait in memory.
    let setup = Setup {
        durability: Durability::Always { journal: 8 },
        in_memory: PORTS - 1,
        ports: PORTS,
        line: CALM_LINE,
        villain: true,
        ..Setup::default()
    };
    let mut rig = Rig::start(setup);
    for port in 1..PORTS {
        rig.devices.resume_one(port);
    }
    rig.emit(300);
    let mut delays = BTreeMap::<Kind, Vec<Duration>>::new();
    let mut said = BTreeMap::<Kind, usize>::new();
    for _ in 0..rounds {
        let mut kinds = KINDS;
        shuffle(&mut kinds, &mut chance);
        for kind in kinds {
            let lines = rig.gateway.log().so_far().len();
            let from: Vec<_> = (0..PORTS).map(|port| rig.devices.times(port).len()).collect();
            strike(&rig, kind, &mut chance);
            rig.emit(300);
            delays.entry(kind).or_default().extend(delays_since(&rig, &from));
            let new: usize = rig.gateway.log().so_far()[lines..].iter().map(String::len).sum();
            *said.entry(kind).or_default() += new;
        }
    }
    let (emitted, account) = rig.finish();
    let mut text =
        format!("one hostile port of {PORTS}, SEED={seed}, delays of the others in ms\n");
    for (kind, delays) in &mut delays {
        delays.sort();
        let at = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize].as_millis();
        let (kind_name, n, said) = (format!("{kind:?}"), delays.len(), said[kind]);
        writeln!(
            text,
            "  {kind_name:<16}{n:>8} readings  p50 {:>5}  p99 {:>5}  most {:>5}  log {said:>6} bytes",
            at(0.5),
            at(0.99),
            at(1.0)
        )
        .unwrap();
    }
    let lost: usize = account.lost.iter().map(|(_, numbers)| numbers.len()).sum();
    println!("{text}  lost {lost}, of {emitted}");
    for (kind, delays) in &delays {
        let late = delays[(delays.len() - 1) * 99 / 100];
        let most = if *kind == Kind::HostileEnding { LATE_BEHIND_POISON } else { LATE };
        assert!(late < most, "SEED={seed}: {kind:?}: {late:?}");
        // Whoever makes the gateway read a wrong file is told of up to fifty mistakes, each time.
        let most = if *kind == Kind::WrongReloads { 2 * LOG_BYTES * rounds } else { LOG_BYTES };
        assert!(said[kind] <= most, "SEED={seed}: {kind:?}: {} bytes", said[kind]);
    }
    assert!(account.lost.is_empty(), "SEED={seed}: lost {}", account.losses());
    assert_eq!((account.disorder, account.torn), (0, 0), "SEED={seed}");
}

/// How late each reading of the watched ports came that was emitted since these numbers. Waits until
/// all have come.
fn delays_since(rig: &Rig, from: &[usize]) -> Vec<Duration> {
    let mut delays = Vec::new();
    for (port, from) in from.iter().enumerate().skip(1) {
        let times = rig.devices.times(port);
        let Some(last) = times.len().checked_sub(1) else { continue };
        rig.counter.wait("the readings of the other ports", |it| it.has(port, last as u64));
        rig.counter.ledger(|ledger| {
            for (number, emitted) in times.iter().enumerate().skip(*from) {
                let arrived = ledger.arrived(port, number as u64);
                delays.extend(arrived.map(|at| at.saturating_duration_since(*emitted)));
            }
        });
    }
    delays
}

fn strike(rig: &Rig, kind: Kind, chance: &mut Chance) {
    match kind {
        Kind::PoisonNames => {
            for _ in 0..20 {
                rig.devices.say(0, poison_name(chance).as_bytes());
                rig.emit(10);
            }
        }
        Kind::HostileEnding => {
            let how = if chance.one_in(2) { Cut::Close } else { Cut::Reset };
            rig.proxy.set(Mode::Refuse(how));
            let links = rig.proxy.links();
            // What it was ended at before is out of the way already: another topic each time.
            let poison = format!("POISON{}=1\n", chance.below(1_000_000));
            rig.devices.say(0, poison.as_bytes());
            rig.wait("a link to end", || rig.proxy.links() > links);
            // Until it is out of the way: then the others' readings flow on one link.
            let delivered = rig.counter.ledger(|ledger| ledger.reached());
            rig.counter.wait("the others' readings", |it| it.reached() > delivered + 3_000);
            rig.proxy.set(Mode::Pass);
        }
        Kind::CommandBurst => {
            let mut publisher = rig
                .broker
                .access()
                .command("mosquitto_pub")
                .args(["-q", "1", "-t", "do/p0", "-l"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let commands = 100 + chance.below(900);
            let mut lines = publisher.stdin.take().unwrap();
            for n in 0..commands {
                writeln!(lines, "{n}").unwrap();
            }
            drop(lines);
            assert!(publisher.wait().unwrap().success());
        }
        Kind::UnreadMonitors => {
            let monitors = rig.monitors(|_| 0);
            let line = format!("long={}\n", "x".repeat(60_000));
            for _ in 0..20 {
                rig.devices.say(0, line.as_bytes());
            }
            drop(monitors);
        }
        Kind::WrongReloads => {
            let pad = " ".repeat(66_000);
            let brackets = "[".repeat(50_000);
            let keys: String = (0..1_000).fold(String::new(), |mut text, n| {
                writeln!(text, "key{n}: 1").unwrap();
                text
            });
            for wrong in [
                format!("status: {{interval: 60s,{pad}bad: 1}}\n"),
                format!("ports: {brackets}\n"),
                keys,
            ] {
                let before = count(rig, "nothing was changed");
                rig.gateway.reload(&wrong);
                rig.wait("the wrong file to be refused", || {
                    count(rig, "nothing was changed") > before
                });
            }
        }
        Kind::Garbage => {
            let mut bytes = vec![0; 60_000];
            bytes.fill_with(|| chance.below(256) as u8);
            rig.devices.say(0, &bytes);
            rig.devices.say(0, b"\r\n");
        }
        Kind::HangingDisk => {
            let before = rig.shim.delayed();
            rig.shim.delay_fsync(HANG.as_millis() as u64);
            let end = Instant::now() + HANG;
            while Instant::now() < end {
                rig.devices.say(0, b"kept=1\n");
                rig.emit(50);
            }
            rig.shim.delay_fsync(0);
            rig.wait("a slow fsync", || rig.shim.delayed() > before);
            rig.wait_for_journal();
        }
    }
}

fn count(rig: &Rig, text: &str) -> usize {
    rig.gateway.log().so_far().iter().filter(|line| line.contains(text)).count()
}

/// A line whose names hold what a topic must not.
fn poison_name(chance: &mut Chance) -> String {
    const BAD: [char; 10] =
        ['\u{80}', '\u{85}', '\u{9f}', '\u{fdd0}', '\u{fffe}', '\u{1ffff}', '\u{7}', '#', '+', '$'];
    let mut name = String::new();
    for _ in 0..1 + chance.below(4) {
        name.push(BAD[chance.below(BAD.len() as u64) as usize]);
    }
    format!("{name}={}\n", chance.below(1_000))
}

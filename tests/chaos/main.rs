//! The breaker: devices emit numbered readings at line rate while everything around the gateway, and
//! the gateway itself, is killed, cut, stalled, filled up and changed, by a plan that `SEED` decides.
//! At the end every reading is accounted for, and a table says how.
//!
//! `cargo test --test chaos` plays a short plan; `make chaos` (`CHAOS=full`) the long one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[macro_use]
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;

mod back_pressure;
mod backlog;
mod broker;
mod cluster;
mod counter;
mod device;
mod disk;
mod gateway;
mod hostile;
mod ledger;
mod log;
mod outage;
mod plan;
mod proxy;
mod rabbitmq;
mod rig;
mod shim;
mod table;

use plan::{Amounts, Fault};
use rig::{Durability, Rig, Setup};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use support::chance::Chance;
use table::Table;

const DEADLINE: Duration = Duration::from_secs(60);

/// Memory that the gateway may take, in KiB: 32 MiB of outbox, as much for what the ports have on
/// their way to it, and the program itself.
const MEMORY: u64 = (32 + 32 + 16) << 10;

/// So many acknowledgements may be on their way to the journal: the four turns under way, with 256
/// each, and what comes in a tenth of a second while the disk is slow.
const UNTOLD: u64 = 2_000;

/// So many times as fast runs the gateway's time. Where link after link breaks it waits for up to a
/// minute before the next; hundreds of faults would take hours.
const RATE: u64 = 30;

/// Devices at line rate and a broker take the whole machine: the tests here go one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // One that failed does not make the next fail.
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Whether there is time for the long plans.
fn full() -> bool {
    std::env::var("CHAOS").is_ok_and(|scale| scale == "full")
}

/// Plays a plan, prints its table, and fails on whatever the policy does not allow.
fn play(title: &str, durability: Durability, ports: usize, readings: u64, amounts: &Amounts) {
    let _alone = alone();
    let seed = Chance::seed();
    let mut chance = Chance::new(seed);
    let plan = plan::faults(amounts, ports, &mut chance);
    // The last tenth is calm.
    let between = readings * 9 / 10 / plan.len() as u64;
    let start = Instant::now();
    let mut rig = Rig::start(Setup { durability, ports, time: RATE, ..Setup::default() });
    rig.devices.resume();
    let mut counts = Counts::default();
    let mut disorder = 0;
    for fault in &plan {
        // A fault may have taken longer than its share.
        rig.devices.wait_for((rig.devices.emitted() + between / 4).max(counts.struck * between));
        rig.wait_for_backlog();
        rig.strike(*fault);
        counts.add(fault);
        let now = rig.counter.ledger(|ledger| ledger.disorder());
        if now > disorder {
            println!("{} more out of order after or during {fault:?}", now - disorder);
            disorder = now;
        }
        if counts.struck % 100 == 0 {
            let (struck, all) = (counts.struck, plan.len());
            println!("{struck} of {all} faults, {} readings", rig.devices.emitted());
        }
    }
    rig.devices.wait_for(readings);
    let (emitted, account) = rig.finish();
    let table = Table {
        title: title.into(),
        seed,
        faults: &counts.rows(),
        emitted,
        account: &account,
        spent: rig.gateway.spent,
        seconds: start.elapsed().as_secs(),
    };
    println!("{table}");
    assert!(account.lost.is_empty(), "SEED={seed}: lost {}", account.losses());
    assert_eq!(account.disorder, 0, "SEED={seed}: out of order");
    let torn = rig.counter.ledger(|ledger| std::mem::take(&mut ledger.torn));
    assert!(torn.is_empty(), "SEED={seed}: {torn:?}");
    assert!(rig.gateway.spent.memory <= MEMORY, "SEED={seed}: more than {MEMORY} KiB");
    // A link that ends takes along the acknowledgements of what was in flight, and of no more. With
    // a gateway goes what its journal was not told yet.
    let most = rig.proxy.links() * 100 + (rig.gateway.spent.starts - 1) * UNTOLD;
    assert!(account.duplicates <= most, "SEED={seed}: more than {most} duplicates");
}

#[derive(Default)]
struct Counts {
    struck: u64,
    rows: std::collections::BTreeMap<&'static str, u64>,
}

impl Counts {
    fn add(&mut self, fault: &Fault) {
        self.struck += 1;
        let what = match fault {
            Fault::KillGateway => "gateway killed",
            Fault::KillQuietGateway => "gateway killed when it had read all",
            Fault::KillGatewayInOutage { .. } => "gateway and broker killed",
            Fault::KillBroker { .. } => "broker killed",
            Fault::CutLink(_) => "link cut or reset",
            Fault::StallLink { .. } | Fault::DelayLink { .. } => "link stalled or slow",
            Fault::HalfOpen => "link half-open",
            Fault::Replug { .. } => "plug pulled and put back",
            Fault::FillDisk { .. } => "disk full",
            Fault::ReadOnlyDisk { .. } => "disk read-only",
            Fault::SlowDisk { .. } => "fsync slow",
            Fault::SlowStart { .. } => "gateway started on a slow disk",
            Fault::Unread { .. } => "monitors that do not read",
            Fault::StepClock { .. } => "wall clock stepped",
            Fault::Reload => "configuration reloaded",
        };
        *self.rows.entry(what).or_default() += 1;
    }

    fn rows(&self) -> Vec<(&'static str, u64)> {
        self.rows.iter().map(|(what, count)| (*what, *count)).collect()
    }
}

#[test]
fn nothing_is_lost_from_memory_while_the_gateway_lives() {
    needs!(c_compiler, mosquitto, namespaces);
    let (ports, readings, amounts) = if full() {
        let amounts = Amounts {
            broker_kills: 100,
            cuts: 250,
            stalls: 40,
            half_open: 10,
            replugs: 40,
            unread: 20,
            clock: 40,
            reloads: 40,
            ..Amounts::default()
        };
        (4, 1_000_000, amounts)
    } else {
        let amounts = Amounts {
            broker_kills: 3,
            cuts: 10,
            stalls: 4,
            half_open: 1,
            replugs: 3,
            unread: 2,
            clock: 4,
            reloads: 2,
            ..Amounts::default()
        };
        (4, 40_000, amounts)
    };
    play("memory", Durability::Memory, ports, readings, &amounts);
}

#[test]
fn nothing_is_lost_from_the_journal_when_the_gateway_is_killed() {
    needs!(c_compiler, mosquitto, namespaces);
    let (ports, readings, amounts) = if full() {
        let amounts = Amounts {
            gateway_kills: 200,
            broker_kills: 200,
            cuts: 500,
            stalls: 40,
            half_open: 10,
            replugs: 40,
            disk: 60,
            slow_starts: 20,
            unread: 20,
            clock: 40,
            reloads: 40,
        };
        (4, 1_000_000, amounts)
    } else {
        let amounts = Amounts {
            gateway_kills: 8,
            broker_kills: 2,
            cuts: 5,
            stalls: 2,
            half_open: 0,
            replugs: 2,
            disk: 3,
            slow_starts: 2,
            unread: 1,
            clock: 2,
            reloads: 1,
        };
        (4, 40_000, amounts)
    };
    play("always", Durability::Always { journal: 32 }, ports, readings, &amounts);
}

#[test]
fn what_is_lost_from_memory_with_the_gateway_is_noticed() {
    needs!(c_compiler, mosquitto, namespaces);
    let _alone = alone();
    let mut rig = Rig::start(Setup { ports: 2, time: RATE, ..Setup::default() });
    rig.devices.resume();
    rig.emit(2_000);
    rig.strike(Fault::KillGatewayInOutage { backlog: 5_000 });
    rig.emit(1_000);
    let account = rig.finish().1;
    let lost: usize = account.lost.iter().map(|(_, numbers)| numbers.len()).sum();
    assert!((1_000..6_000).contains(&lost), "{}", account.losses());
}

//! Everything goes wrong at once, and no wrong value is published.

use super::bench::{Bench, devices, slave};
use crate::support::chance::Chance;
use std::time::Duration;
use tty2mqtt::testing::bus::Fault;
use tty2mqtt::testing::codec::modbus::Exception;

/// How many requests each bus hears.
fn transactions(usual: u64) -> u64 {
    let text = std::env::var("TRANSACTIONS");
    text.map_or(usual, |text| text.parse().expect("TRANSACTIONS is a number"))
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// A bus with all that can be wrong. Groups of equal length, so that one's answer could be taken for
/// another's.
fn hostile(seed: u64, mode: &str, burst: Duration) -> Bench {
    let mut chance = Chance::new(seed);
    let places: &[u16] = &[0, 1, 40, 41, 80, 81];
    let units = 1..=10;
    let settings = devices(units.map(|unit| (unit, places)), "");
    let port = format!(
        "line: 115200 8N1\nmodbus: {mode}\ninterval: 100ms\ntimeout: 50ms\n\
         {settings}"
    );
    let late = MILLISECOND * (60 + chance.below(800) as u32);
    let very_late = MILLISECOND * (1000 + chance.below(4000) as u32);
    let slaves = vec![
        slave(1),
        slave(2).always(Fault::Dead),
        slave(3).one_in(10, Fault::Babble(1 + chance.below(60) as usize)),
        slave(4).one_in(2, Fault::WrongUnit),
        slave(5).one_in(2, Fault::Late(late)),
        slave(6).always(Fault::Echo),
        slave(7).one_in(2, Fault::Noise(1 + chance.below(9) as usize)),
        slave(8).one_in(2, Fault::BadChecksum).one_in(3, Fault::Short(2)),
        slave(9).always(Fault::Late(very_late)),
        slave(10).one_in(5, Fault::Exception(Exception(6))).one_in(9, Fault::Silent(0)),
    ];
    let mut bench = Bench::new(seed, &port, slaves);
    bench.bus.burst = burst;
    bench
}

fn no_wrong_value(mode: &str, burst: Duration, usual: u64) {
    let seed = Chance::seed();
    println!("SEED={seed} {mode} {burst:?}");
    let mut bench = hostile(seed, mode, burst);
    let most = transactions(usual);
    let mut counts = [0_u64; 11];
    while bench.bus.counts.requests < most {
        bench.run_for(Duration::from_secs(10));
        bench.written.clear();
        for (device, times) in bench.checked() {
            let unit: usize = device.trim_start_matches('s').parse().unwrap();
            counts[unit] += times.len() as u64;
        }
    }
    println!("{:?}: {counts:?}, {:?}", bench.time(), bench.bus.counts);
    let [_, good, dead, babbling, _, _, echo, noise, _, _, busy] = counts;
    assert_eq!(dead, 0);
    assert!([good, babbling, echo, noise, busy].iter().all(|count| *count > most / 50));
    // What an adapter holds back cannot be waited for.
    assert!(!burst.is_zero() || bench.bus.counts.violations == 0);
}

#[test]
fn no_wrong_value_in_rtu() {
    no_wrong_value("rtu", Duration::ZERO, 50_000);
}

#[test]
fn no_wrong_value_with_bursts_of_a_usb_adapter() {
    no_wrong_value("rtu", 16 * MILLISECOND, 25_000);
}

#[test]
fn no_wrong_value_in_ascii() {
    no_wrong_value("ascii", MILLISECOND, 25_000);
}

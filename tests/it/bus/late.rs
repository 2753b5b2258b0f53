//! Slaves that answer later than they are waited for: their answers are not taken for those to other
//! requests.

use super::bench::{Bench, devices, slave};
use crate::support::chance::Chance;
use std::time::Duration;
use tty2mqtt::testing::bus::{Fault, Slave};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Three requests of equal function and length.
const ALIKE: &[u16] = &[0, 100, 200];

fn bench(seed: u64, slave: Slave) -> Bench {
    let devices = devices([(1, ALIKE)], "");
    let port = format!("line: 9600 8N1\ninterval: 1s\ntimeout: 500ms\n{devices}");
    Bench::new(seed, &port, vec![slave])
}

#[test]
fn a_slave_that_is_always_late_by_the_same_time_never_gives_a_wrong_value() {
    // Every 20 ms up to 20 s: the time-out, each rest, and all between.
    for late in (1..1000).map(|n| n * 20 * MILLISECOND) {
        let mut bench = bench(1, slave(1).always(Fault::Late(late)));
        bench.run_for(Duration::from_secs(120));
        println!("late by {late:?}");
        bench.checked();
    }
}

#[test]
fn a_slave_that_becomes_late_and_prompt_again_never_gives_a_wrong_value() {
    let seed = Chance::seed();
    println!("SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut good = 0;
    for n in 0..100 {
        let mut bench = bench(seed + n, slave(1));
        for _ in 0..10 {
            let late = MILLISECOND * (chance.below(8000) as u32);
            bench.bus.slave(1).unwrap().fail(&[Fault::Late(late)]);
            bench.run_for(MILLISECOND * (chance.below(20_000) as u32));
            // What is late is said before it is prompt again: it never says several answers at once.
            bench.bus.slave(1).unwrap().fail(&[Fault::Dead]);
            bench.run_for(8 * Duration::from_secs(1));
            bench.bus.slave(1).unwrap().fail(&[]);
            bench.run_for(MILLISECOND * (chance.below(90_000) as u32));
        }
        good += bench.checked().len();
    }
    assert!(good > 50, "{good}");
}

#[test]
fn one_lost_request_costs_the_rest_and_one_more_request() {
    let mut bench = bench(1, slave(1));
    bench.run_for(Duration::from_secs(10));
    bench.bus.slave(1).unwrap().fail(&[Fault::Silent(1)]);
    let before = bench.written.len();
    let begun = bench.time();
    bench.checked();
    bench.run_for(Duration::from_secs(4));
    let first = *bench.checked()["s1"].iter().find(|at| **at > begun + 600 * MILLISECOND).unwrap();
    assert!(first - begun < 3200 * MILLISECOND, "{:?}", first - begun);
    let places = |bench: &Bench| -> Vec<u8> {
        bench.written[before..].iter().map(|(_, bytes)| bytes[3]).collect()
    };
    let asked = places(&bench);
    assert!(asked.len() >= 5, "{asked:?}");
    // A question of equal length is put twice before its answer is believed.
    let twice = asked.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(twice, 1, "{asked:?}");
    assert_eq!(bench.status("s1").no_answer, 1);
    assert_eq!(bench.device.exchange_counts().foreign, 1);
}

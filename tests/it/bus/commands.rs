//! Commands on a bus that is asked: they are written next, answered, read back and told.

use super::bench::{Bench, slave, staleness};
use std::time::Duration;
use tty2mqtt::testing::bus::{Fault, Slave};
use tty2mqtt::testing::codec::modbus::{Exception, Table};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

const DEVICES: &str = "
devices:
  s1: {address: 1, registers: {r0: {holding: 0}, r100: {holding: 100}}}
  s2: {address: 2, registers: {r0: {holding: 0}, set: {holding: 7, interval: 1h, write: true}}}
  s3: {address: 3, registers: {r0: {holding: 0}, set: {holding: 7, interval: 1h, write: true}}}
";

/// A bus that is never free: polls are wanted more often than there is time for.
fn bench(two: Slave, three: Slave) -> Bench {
    let port = format!("line: 9600 8N1\ninterval: 50ms\ntimeout: 500ms\n{DEVICES}");
    Bench::new(1, &port, vec![slave(1), two, three])
}

/// The values besides those of commands.
fn polled(bench: &mut Bench) -> std::collections::BTreeMap<String, Vec<Duration>> {
    bench.values.retain(|it| it.field != "set");
    bench.checked()
}

fn told(bench: &mut Bench, topic: &str, within: Duration) -> (String, Duration) {
    let topic = format!("{topic}/result");
    let begun = bench.time();
    assert!(bench.wait(within, |it| it.told.iter().any(|(to, _)| *to == topic)), "{topic}");
    let at = bench.told.iter().position(|(to, _)| *to == topic).unwrap();
    (bench.told.remove(at).1, bench.time() - begun)
}

#[test]
fn under_load_a_command_waits_for_one_transaction_and_never_disturbs_it() {
    let mut bench = bench(slave(2), slave(3));
    for n in 0..200_u16 {
        bench.run_for(Duration::from_micros(7919) * u32::from(n % 50));
        let before = bench.written.len();
        bench.command("gw/s2/set/set", &n.to_string());
        let (result, took) = told(&mut bench, "gw/s2/set", SECOND);
        assert_eq!(result, "done", "{n}");
        assert_eq!(bench.bus.slave(2).unwrap().get(Table::Holding, 7), Some(n));
        let functions: Vec<_> = bench.written[before..].iter().map(|(_, it)| it[1]).collect();
        // The write, then it is read back: nothing else was asked in between.
        assert_eq!(functions, [6, 3], "{n}");
        // What was under way, the write and its answer, the read and its answer.
        assert!(took < 100 * MILLISECOND, "{n}: {took:?}");
        assert!(bench.values.iter().any(|it| it.field == "set" && it.value == n.to_string()));
        polled(&mut bench);
    }
    assert_eq!((bench.bus.counts.collisions, bench.bus.counts.violations), (0, 0));
}

#[test]
fn the_result_says_what_the_device_said() {
    let mut bench = bench(slave(2), slave(3));
    bench.run_for(SECOND);
    bench.bus.slave(2).unwrap().fail(&[Fault::Exception(Exception(4))]);
    bench.command("gw/s2/set/set", "5");
    assert_eq!(told(&mut bench, "gw/s2/set", SECOND).0, "server device failure");
    bench.bus.slave(2).unwrap().fail(&[Fault::Silent(2)]);
    // The third try is answered. Polls of the device come in between, so it may take one of them.
    bench.command("gw/s2/set/set", "6");
    assert_eq!(told(&mut bench, "gw/s2/set", 5 * SECOND).0, "done");
    bench.bus.slave(2).unwrap().fail(&[Fault::Dead]);
    bench.command("gw/s2/set/set", "7");
    let (result, took) = told(&mut bench, "gw/s2/set", 5 * SECOND);
    assert_eq!(result, "unknown: no answer from s2");
    assert!(took < 3 * SECOND, "{took:?}");
    assert_eq!(bench.concluded.len(), 3);
    polled(&mut bench);
}

#[test]
fn a_register_that_keeps_another_value_is_told() {
    // Both of the same unit: the value that is read comes from the first.
    let stubborn = Slave::new(2).by(|_, at| Some(super::bench::value(2, at)));
    let mut bench = bench(stubborn, slave(3));
    bench.run_for(SECOND);
    bench.command("gw/s2/set/set", "70000");
    let (result, _) = told(&mut bench, "gw/s2/set", SECOND);
    assert!(result.starts_with("refused: "), "{result}");
    polled(&mut bench);
}

#[test]
fn commands_to_a_dead_slave_starve_nobody() {
    let mut bench = bench(slave(2), slave(3).always(Fault::Dead));
    bench.run_for(120 * SECOND);
    polled(&mut bench);
    let from = bench.time();
    // As many as there is time for, and now and then one to a good device.
    let mut results = 0;
    for n in 0..200 {
        if bench.device.wants_command() {
            bench.command("gw/s3/set/set", &n.to_string());
        }
        if n % 20 == 0 {
            bench.command("gw/s2/set/set", &n.to_string());
            assert_eq!(told(&mut bench, "gw/s2/set", 5 * SECOND).0, "done");
        }
        bench.run_for(300 * MILLISECOND);
        results += bench.told.len();
        bench.told.clear();
    }
    assert!(results > 10, "{results}");
    let (until, values) = (bench.time(), polled(&mut bench));
    for device in ["s1", "s2"] {
        let stale = staleness(&values[device], from, until);
        println!("{device}: {stale:?}, {} values in {:?}", values[device].len(), until - from);
        assert!(stale <= 900 * MILLISECOND, "{device}: {stale:?}");
    }
}

#[test]
fn a_late_answer_to_a_command_is_not_taken_for_another_value() {
    for late in (0..300).map(|n| n * 20 * MILLISECOND) {
        let mut bench = bench(slave(2), slave(3));
        bench.run_for(SECOND);
        bench.bus.slave(2).unwrap().fail(&[Fault::Late(late)]);
        for n in 0..4 {
            bench.command("gw/s2/set/set", &(3000 + n).to_string());
            bench.run_for(5 * SECOND);
        }
        println!("late by {late:?}");
        for it in bench.values.iter().filter(|it| it.field == "set") {
            let unit = if it.device == "s2" { 2 } else { 3 };
            let is_written = unit == 2 && it.value.starts_with("300");
            let is_first = it.value == super::bench::value(unit, 7).to_string();
            assert!(is_written || is_first, "{it:?}");
        }
        polled(&mut bench);
    }
}

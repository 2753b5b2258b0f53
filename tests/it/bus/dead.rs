//! Dead slaves: they cost the others little, are asked ever more rarely, and are back soon.

use super::bench::{Bench, devices, slave, staleness};
use std::time::Duration;
use tty2mqtt::testing::bus::Fault;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Four slaves, of which 2 and 3 are dead.
fn two_dead(baud: u32) -> Bench {
    let devices = devices((1..=4).map(|unit| (unit, &[0, 1, 2][..])), "");
    let port = format!("line: {baud} 8N1\ninterval: 250ms\ntimeout: 500ms\n{devices}");
    let dead = |unit| slave(unit).always(Fault::Dead);
    Bench::new(1, &port, vec![slave(1), dead(2), dead(3), slave(4)])
}

#[test]
fn two_dead_slaves_of_four_hold_the_others_up_by_one_time_out() {
    for baud in [19_200, 9600] {
        let mut bench = two_dead(baud);
        let minute = 60 * SECOND;
        bench.run_for(10 * minute);
        let values = bench.checked();
        assert_eq!(values.len(), 2);
        for device in ["s1", "s4"] {
            let times = &values[device];
            let first = staleness(times, Duration::ZERO, 5 * SECOND);
            let later = staleness(times, 5 * SECOND, 10 * minute);
            println!("{baud}: {device} {first:?} {later:?}, {} values", times.len());
            assert!(first <= 1500 * MILLISECOND, "{baud} {device}: {first:?}");
            assert!(later <= 800 * MILLISECOND, "{baud} {device}: {later:?}");
        }
    }
}

#[test]
fn the_dead_are_asked_ever_more_rarely_up_to_a_minute_by_one_request() {
    let mut bench = two_dead(9600);
    bench.run_for(600 * SECOND);
    for unit in [2, 3] {
        let asked: Vec<_> =
            bench.written.iter().filter(|(_, it)| it[0] == unit).map(|(at, _)| *at).collect();
        let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.windows(2).all(|pair| pair[1] + SECOND >= pair[0]), "{gaps:?}");
        assert!(gaps[0] >= 1500 * MILLISECOND, "{gaps:?}");
        let last = *gaps.last().unwrap();
        assert!((59 * SECOND..62 * SECOND).contains(&last), "{gaps:?}");
        assert!(asked.len() < 18, "{asked:?}");
    }
    assert_eq!(bench.status("s2").online, Some(false));
}

#[test]
fn a_slave_that_comes_back_has_its_first_value_at_the_next_probe() {
    let mut bench = two_dead(9600);
    bench.run_for(600 * SECOND);
    bench.bus.slave(3).unwrap().fail(&[]);
    let back = bench.time();
    assert!(bench.wait(62 * SECOND, |it| it.values.iter().any(|it| it.device == "s3")));
    assert_eq!(bench.status("s3").online, Some(true));
    // From then on it is as good as the others.
    let first = bench.time();
    bench.checked();
    bench.run_for(120 * SECOND);
    let values = bench.checked();
    assert!(first - back <= 61 * SECOND);
    assert!(staleness(&values["s3"], first, bench.time()) <= 800 * MILLISECOND);
}

#[test]
fn nothing_starves_in_a_day() {
    // Polls of every interval, one slave that comes and goes, one that is dead, one that refuses.
    let devices = "
devices:
  s1: {address: 1, registers: {r0: {holding: 0}, r100: {holding: 100, interval: 1h}}}
  s2: {address: 2, registers: {r0: {holding: 0}}}
  s3: {address: 3, registers: {r0: {holding: 0, interval: 2s}, r100: {holding: 100, interval: 7min}}}
  s4: {address: 4, interval: 30s, registers: {r0: {holding: 0}, r100: {holding: 100}}}
";
    let port = format!("line: 9600 8N1\ninterval: 10s\ntimeout: 500ms\n{devices}");
    let slaves =
        vec![slave(1), slave(2).always(Fault::Dead), slave(3), slave(4).one_in(3, Fault::Short(9))];
    let mut bench = Bench::new(1, &port, slaves);
    for hour in 0..24 {
        let faults: &[Fault] = if hour % 3 == 1 { &[Fault::Dead] } else { &[] };
        bench.bus.slave(3).unwrap().fail(faults);
        let from = bench.time();
        bench.run_for(3600 * SECOND);
        let count = |field: &str| bench.values.iter().filter(|it| it.field == field).count();
        assert!(count("r100") > 1, "hour {hour}");
        let hourly = bench.values.iter().filter(|it| it.device == "s1" && it.field == "r100");
        assert!(hourly.count() >= 1, "hour {hour}");
        let values = bench.checked();
        assert!(staleness(&values["s1"], from, bench.time()) <= 12 * SECOND, "hour {hour}");
        assert!(staleness(&values["s4"], from, bench.time()) <= 900 * SECOND, "hour {hour}");
        if faults.is_empty() {
            assert!(staleness(&values["s3"], from, bench.time()) <= 65 * SECOND, "hour {hour}");
        }
        bench.written.clear();
    }
    assert_eq!(bench.status("s2").online, Some(false));
}

#[test]
fn polls_that_the_bus_has_no_time_for_take_turns_and_are_counted() {
    // Each turn takes 30 ms; ten of them are wanted every 50 ms, and one every second.
    let devices = devices((1..=10).map(|unit| (unit, &[0][..])), "interval: 50ms");
    let slow = "  s11: {address: 11, interval: 1s, registers: {r0: {holding: 0}}}\n";
    let port = format!("line: 9600 8N1\n{devices}{slow}");
    let mut bench = Bench::new(1, &port, (1..=11).map(slave).collect());
    bench.run_for(60 * SECOND);
    let values = bench.checked();
    let counts: Vec<_> = (1..=10).map(|unit| values[&format!("s{unit}")].len()).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= least / 4, "{counts:?}");
    assert!(*least > 150, "{counts:?}");
    assert!(values["s11"].len() >= 59, "{}", values["s11"].len());
    for unit in 1..=10 {
        let status = bench.status(&format!("s{unit}"));
        let wanted = status.requests + status.skipped;
        assert!((1190..=1201).contains(&wanted), "{status:?}");
    }
    // Nothing has piled up: at a moment when the bus would be free, nobody is asked twice.
    let last = bench.written.len();
    bench.run_for(SECOND);
    let units: Vec<_> = bench.written[last..].iter().map(|(_, it)| it[0]).collect();
    assert!(units.windows(2).all(|pair| pair[0] != pair[1]), "{units:?}");
}

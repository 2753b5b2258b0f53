//! The line: silence between any two frames, pauses after broadcasts, and how much of its time is used.

use super::bench::{Bench, devices, slave};
use crate::support::chance::Chance;
use std::time::Duration;
use tty2mqtt::testing::bus::Fault;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn no_request_comes_sooner_than_3_5_characters_after_anything_else() {
    let seed = Chance::seed();
    println!("SEED={seed}");
    for line in ["1200 8E1", "9600 8N1", "19200 8N2", "38400 8N1", "115200 8N1"] {
        let devices = devices((1..=5).map(|unit| (unit, &[0, 1, 100][..])), "");
        let port = format!("line: {line}\ninterval: 100ms\ntimeout: 300ms\n{devices}");
        let slaves = vec![
            slave(1),
            slave(2).one_in(3, Fault::Babble(20)),
            slave(3).one_in(2, Fault::Noise(5)),
            slave(4).one_in(2, Fault::Late(350 * MILLISECOND)),
            slave(5).always(Fault::Echo),
        ];
        let mut bench = Bench::new(seed, &port, slaves);
        bench.run_for(300 * SECOND);
        let counts = &bench.bus.counts;
        println!("{line}: {counts:?}");
        assert!(counts.requests > 900, "{line}: {counts:?}");
        assert_eq!(counts.violations, 0, "{line}: {counts:?}");
        let least = if bench.bus.speed > 19_200 {
            Duration::from_micros(1750)
        } else {
            bench.bus.character() * 7 / 2
        };
        // And no longer than it must be.
        assert!(counts.least_silence.unwrap() <= least + MILLISECOND / 100, "{line}: {counts:?}");
        bench.checked();
    }
}

#[test]
fn an_adapter_that_hands_over_every_16_ms_costs_no_silence_and_no_value() {
    for burst in [1, 16] {
        let devices = devices((1..=4).map(|unit| (unit, &[0, 1, 100][..])), "");
        let port = format!("line: 9600 8N1\ninterval: 200ms\ntimeout: 100ms\n{devices}");
        let strict = |unit| slave(unit).strict().after(5 * MILLISECOND);
        let mut bench = Bench::new(3, &port, (1..=4).map(strict).collect());
        bench.bus.burst = burst * MILLISECOND;
        bench.run_for(120 * SECOND);
        assert_eq!(bench.bus.counts.violations, 0);
        assert_eq!(bench.bus.counts.collisions, 0);
        for device in ["s1", "s2", "s3", "s4"] {
            let status = bench.status(device);
            assert!(status.requests > 500, "{status:?}");
            assert_eq!(status.answers, status.requests, "{burst} {device}");
        }
        bench.checked();
    }
}

#[test]
fn adjacent_registers_fill_the_line() {
    for line in ["9600 8N1", "19200 8E1"] {
        let places: Vec<u16> = (0..120).collect();
        let devices = devices((1..=3).map(|unit| (unit, &places[..])), "");
        let port = format!("line: {line}\ninterval: 10ms\ntimeout: 500ms\n{devices}");
        let mut bench = Bench::new(1, &port, (1..=3).map(slave).collect());
        bench.run_for(60 * SECOND);
        let reads = (1..=3).map(|unit| bench.status(&format!("s{unit}")).answers).sum::<u64>();
        // A request of 8 characters, an answer of 245.
        let busy = bench.bus.character() * 253 * u32::try_from(reads).unwrap();
        let share = busy.as_secs_f64() / bench.time().as_secs_f64();
        println!("{line}: {reads} reads of 120 registers, {:.1} % of the line", 100.0 * share);
        assert!(share >= 0.96, "{line}: {share}");
        assert_eq!(bench.bus.counts.violations, 0);
        bench.checked();
    }
}

#[test]
fn what_ends_a_wait_ends_it_at_once_and_only_silence_costs_the_time_out() {
    for (fault, at_once) in [
        (None, true),
        (Some(Fault::BadChecksum), true),
        (Some(Fault::Exception(tty2mqtt::testing::codec::modbus::Exception(4))), true),
        (Some(Fault::WrongUnit), false),
        (Some(Fault::Short(2)), false),
        (Some(Fault::Dead), false),
    ] {
        let devices = "devices: {s1: {address: 1, registers: {r0: {holding: 0}}}}";
        let port = format!("line: 9600 8N1\ninterval: 1h\nretries: 0\ntimeout: 5s\n{devices}");
        let slave = fault.into_iter().fold(slave(1), tty2mqtt::testing::bus::Slave::always);
        let mut bench = Bench::new(5, &port, vec![slave]);
        let ended = bench.wait(10 * SECOND, |it| it.status("s1").requests > 0);
        assert!(ended);
        let took = bench.time();
        // Request, silence, answer.
        let most = bench.bus.character() * 20;
        match at_once {
            true => assert!(took <= most, "{fault:?}: {took:?}"),
            false => {
                assert!((5 * SECOND..5 * SECOND + most).contains(&took), "{fault:?}: {took:?}")
            }
        }
    }
}

#[test]
fn nothing_follows_a_broadcast_before_all_have_had_time_for_it() {
    let devices = "
devices:
  all: {address: 0, registers: {setpoint: {holding: 7, write: true}}}
  s1: {address: 1, registers: {r0: {holding: 0}}}
";
    let port = format!("line: 9600 8N1\ninterval: 50ms\nbus: {{turnaround: 200ms}}\n{devices}");
    let mut bench = Bench::new(1, &port, vec![slave(1)]);
    for n in 1..20 {
        bench.run_for(123 * MILLISECOND);
        bench.command("gw/all/setpoint/set", &n.to_string());
        assert!(bench.wait(SECOND, |it| !it.concluded.is_empty()), "{n}");
        assert_eq!(bench.concluded.pop().unwrap().2, Ok(()));
        assert_eq!(bench.told.pop().unwrap().1, "sent");
        let set = bench.bus.slave(1).unwrap();
        assert_eq!(set.get(tty2mqtt::testing::codec::modbus::Table::Holding, 7), Some(n));
    }
    bench.run_for(SECOND);
    let mut broadcasts = 0;
    for pair in bench.written.windows(2) {
        let [(at, bytes), (next, _)] = pair else { continue };
        if bytes[0] == 0 {
            broadcasts += 1;
            let over = *at + bench.bus.character() * 8;
            assert!(*next >= over + 200 * MILLISECOND, "{:?}", *next - over);
        }
    }
    assert_eq!(broadcasts, 19);
    assert_eq!(bench.bus.counts.violations, 0);
    bench.checked();
}

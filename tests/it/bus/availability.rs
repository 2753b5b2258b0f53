//! When a device is online and offline, and what a port does that is opened again.

use super::bench::{Bench, build, devices, slave, wall};
use std::time::Duration;
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::bus::Fault;
use tty2mqtt::testing::codec::modbus::Exception;
use tty2mqtt::testing::device::Transmit;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_device_is_offline_after_exactly_so_many_failures_and_online_after_one_answer() {
    for misses in [1, 2, 5] {
        for fault in [Fault::Dead, Fault::Exception(Exception(4)), Fault::BadChecksum] {
            let devices = devices([(1, &[0][..])], "");
            let port = format!("line: 9600 8N1\ninterval: 1s\nmisses: {misses}\n{devices}");
            let mut bench = Bench::new(1, &port, vec![slave(1).always(fault)]);
            assert_eq!(bench.status("s1").online, None);
            let mut requests = 0;
            while bench.status("s1").online.is_none() {
                requests += 1;
                assert!(bench.wait(90 * SECOND, |it| it.status("s1").requests == requests));
            }
            assert_eq!((requests, bench.status("s1").online), (misses, Some(false)), "{fault:?}");
            let stays = !bench.wait(30 * SECOND, |it| it.status("s1").online != Some(false));
            assert!(stays, "{fault:?}");
            assert!(bench.values.is_empty());
            // One answer brings it back, and as many failures as before take it away.
            bench.bus.slave(1).unwrap().fail(&[]);
            assert!(bench.wait(90 * SECOND, |it| it.status("s1").answers == 1));
            assert_eq!(bench.status("s1").online, Some(true));
            bench.bus.slave(1).unwrap().fail(&[fault]);
            let good = bench.status("s1").requests;
            assert!(bench.wait(90 * SECOND, |it| it.status("s1").online == Some(false)));
            assert_eq!(bench.status("s1").requests - good, misses, "{fault:?}");
            bench.checked();
        }
    }
}

#[test]
fn a_port_that_was_opened_again_asks_at_once_and_takes_nothing_from_before() {
    let devices = devices([(1, &[0, 100][..]), (2, &[0][..])], "");
    let port = format!("line: 9600 8N1\ninterval: 10s\ntimeout: 500ms\n{devices}");
    let late = Fault::Late(Duration::from_millis(400));
    let slaves = vec![slave(1).always(late), slave(2).always(Fault::Dead)];
    let mut bench = Bench::new(1, &port, slaves);
    bench.run_for(300 * SECOND);
    for n in 0..20 {
        // In mid-request, in a rest, between polls.
        bench.run_for(Duration::from_millis(n * 777));
        bench.device.closed("unplugged", bench.now.mono);
        assert!(bench.device.transmit(bench.now, &mut Vec::new()).is_none());
        while bench.bus.next().is_some() {}
        bench.run_for(5 * SECOND);
        bench.device.opened(bench.now.mono);
        let before = bench.written.len();
        bench.run_for(3 * SECOND);
        let units: Vec<_> = bench.written[before..].iter().map(|(_, it)| it[0]).collect();
        // The dead one has another chance at once, too.
        assert_eq!(units[..3], [1, 1, 2], "{units:?}");
        bench.checked();
    }
}

#[test]
fn a_line_that_stays_away_makes_its_devices_offline() {
    let devices = devices([(1, &[0][..])], "");
    let (mut device, _) = build(&format!("line: 9600 8N1\ncommand_wait: 30s\n{devices}"));
    let now = wall();
    device.coming(None, now.mono);
    assert!(device.members().all(|(_, status)| status.online.is_none()));
    device.timeout(now.after(30 * SECOND), &mut Vec::new());
    assert!(device.members().all(|(_, status)| status.online == Some(false)));
}

#[test]
fn aligned_polls_come_once_at_each_whole_interval_though_the_clocks_drift() {
    for slower in [0, 1, 7] {
        let devices = devices([(1, &[0][..])], "align: true");
        let (mut device, _) =
            build(&format!("line: 9600 8N1\ninterval: 1min\nretries: 0\n{devices}"));
        let mut now = wall();
        device.opened(now.mono);
        let mut asked = Vec::new();
        for _ in 0..100_000 {
            if let Some(Transmit::Write(bytes)) = device.transmit(now, &mut Vec::new()) {
                device.wrote(bytes.len(), now, &mut Vec::new());
                asked.push(now.wall);
                continue;
            }
            // An answer, so that nothing rests.
            if device.exchange_counts().stray == 0 {
                let answer = [1, 3, 2, 1, 0, 0xB9, 0xD4];
                device.push(&answer, now, &mut Vec::new());
            }
            let Some(due) = device.deadline() else { break };
            let passed = due.saturating_duration_since(now.mono);
            // The wall clock is slower by some 0.1 ms a minute.
            let wall = now.wall + passed - passed.min(Duration::from_millis(1)) * slower / 10;
            now = Now { mono: now.mono + passed, wall };
            device.timeout(now, &mut Vec::new());
            if asked.len() > 60 {
                break;
            }
        }
        for pair in asked[1..].windows(2) {
            let apart = pair[1].duration_since(pair[0]).unwrap();
            assert!(apart.abs_diff(60 * SECOND) < SECOND, "{slower}: {apart:?}");
        }
        assert!(asked.len() > 60);
    }
}

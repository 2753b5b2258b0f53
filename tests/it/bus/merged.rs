//! Registers that are read together, and devices that do not take it.

use super::bench::{Bench, devices, slave};
use std::collections::BTreeSet;
use std::time::Duration;
use tty2mqtt::testing::bus::{Fault, Slave};
use tty2mqtt::testing::codec::modbus::Exception;

const SECOND: Duration = Duration::from_secs(1);

fn bench(places: &[u16], slave: Slave) -> Bench {
    let devices = devices([(1, places)], "");
    let port = format!("line: 19200 8N1\ninterval: 10s\ntimeout: 500ms\n{devices}");
    Bench::new(1, &port, vec![slave])
}

/// The fields with a value since the last call.
fn fields(bench: &mut Bench) -> BTreeSet<String> {
    let fields = bench.values.iter().map(|it| it.field.clone()).collect();
    bench.checked();
    fields
}

#[test]
fn a_device_that_takes_fewer_registers_ends_with_all_values() {
    for refused in [Exception::ILLEGAL_DATA_ADDRESS, Exception::ILLEGAL_DATA_VALUE] {
        for most in [1, 7, 40, 116] {
            // Thirty values over 120 registers.
            let places: Vec<u16> = (0..30).map(|n| 4 * n).collect();
            let mut bench = bench(&places, slave(1).limited(most, refused));
            bench.run_for(9 * SECOND);
            assert_eq!(fields(&mut bench).len(), 30, "{most}");
            // It is remembered: no further exception, no further word, and it never was offline.
            let exceptions = bench.status("s1").exceptions;
            bench.run_for(60 * SECOND);
            assert_eq!(fields(&mut bench).len(), 30, "{most}");
            let status = bench.status("s1");
            assert_eq!(status.exceptions, exceptions, "{most}");
            assert_eq!(status.online, Some(true));
            assert_eq!(bench.notices.len(), 1, "{most}: {:?}", bench.notices);
            assert!(bench.notices[0].contains("holding 0 to 116"), "{:?}", bench.notices);
        }
    }
}

#[test]
fn a_hole_costs_its_own_value_only() {
    let hole = |table, at| (at != 13).then_some(0x100 | at).filter(|_| table == HOLDING);
    let places: Vec<u16> = (0..30).collect();
    let mut bench = bench(&places, Slave::new(1).by(hole));
    bench.run_for(9 * SECOND);
    let mut values = fields(&mut bench);
    assert_eq!(values.len(), 29);
    assert!(!values.contains("r13"));
    let requests = bench.status("s1").requests;
    bench.run_for(10 * SECOND);
    values = fields(&mut bench);
    assert_eq!(values.len(), 29);
    // By then only what lies around the hole is read apart.
    assert!(bench.status("s1").requests - requests <= 8, "{:?}", bench.status("s1"));
    assert_eq!(bench.status("s1").online, Some(true));
    assert_eq!(bench.notices.len(), 1);
}

const HOLDING: tty2mqtt::testing::codec::modbus::Table =
    tty2mqtt::testing::codec::modbus::Table::Holding;

#[test]
fn a_slave_that_refuses_everything_goes_offline_and_is_asked_no_more_than_wanted() {
    let places: Vec<u16> = (0..30).collect();
    let refuses = Fault::Exception(Exception::ILLEGAL_DATA_ADDRESS);
    let mut bench = bench(&places, slave(1).always(refuses));
    bench.run_for(9 * SECOND);
    assert_eq!(bench.status("s1").online, Some(false));
    assert_eq!(bench.notices.len(), 1);
    let before = bench.status("s1").requests;
    bench.run_for(100 * SECOND);
    assert_eq!(bench.status("s1").requests - before, 300);
    assert!(fields(&mut bench).is_empty());
}

#[test]
fn registers_of_one_place_that_is_refused_are_not_asked_in_a_loop() {
    let devices = "
devices:
  s1:
    address: 1
    registers: {a: {holding: 500}, b: {holding: 500, scale: 2}}
";
    let port = format!("line: 9600 8N1\ninterval: 1s\n{devices}");
    let slave = slave(1).always(Fault::Exception(Exception::ILLEGAL_DATA_ADDRESS));
    let mut bench = Bench::new(1, &port, vec![slave]);
    bench.run_for(10 * SECOND);
    assert!((10..=12).contains(&bench.status("s1").requests), "{:?}", bench.status("s1"));
    assert_eq!(bench.status("s1").online, Some(false));
}

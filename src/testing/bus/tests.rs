//! The simulated bus answers as slaves do, at the pace of a line, and fails as it is told to.

use super::*;
use crate::codec::modbus::{Exception, Expected, Request, Scan, Table};

const READ: Request = Request::Read { table: Table::Input, start: 0, count: 2 };

fn meter(unit: u8) -> Slave {
    Slave::new(unit).with(Table::Input, 0, &[0x1234, 0x5678]).with(Table::Coil, 0, &[0, 1])
}

fn bus(slaves: Vec<Slave>) -> SimulatedBus {
    SimulatedBus::new(1, Mode::Rtu, slaves)
}

/// A request, and all that comes of it: the reply, and when the last byte came after the request began.
fn ask(
    bus: &mut SimulatedBus,
    unit: u8,
    request: &Request,
    at: Instant,
) -> (Scan, Vec<u8>, Duration) {
    bus.write(&request.encode(bus.mode, unit, 7), at);
    let (mut received, mut last) = (Vec::new(), at);
    for (at, bytes) in bus.by_ref() {
        received.extend(bytes);
        last = at;
    }
    let scan = Expected::new(bus.mode, unit, request, 7).scan_last(&received);
    (scan, received, last - at)
}

fn is_silent(bus: &mut SimulatedBus, at: Instant) -> bool {
    ask(bus, 5, &READ, at).1.is_empty()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn slaves_answer_in_every_mode() {
    for mode in [Mode::Rtu, Mode::Ascii, Mode::Tcp] {
        let mut bus = SimulatedBus::new(1, mode, vec![meter(4), meter(5)]);
        let (mut now, write) =
            (Instant::now(), Request::WriteCoils { at: 0, values: vec![true; 2] });
        let bits = Request::Read { table: Table::Coil, start: 0, count: 2 };
        for (request, expected) in [
            (&READ, &[0x12, 0x34, 0x56, 0x78][..]),
            (&bits, &[0b10]),
            (&write, &[]),
            (&bits, &[0b11]),
            (&Request::WriteCoil { at: 0, on: false }, &[]),
            (&bits, &[0b10]),
        ] {
            let (scan, received, _) = ask(&mut bus, 5, request, now);
            let Scan::Answer { payload, foreign: 0, .. } = scan else { panic!("{scan:?}") };
            assert_eq!(payload.of(&received), expected, "{mode:?} {request:?}");
            now += SECOND;
        }
        let gone = Request::WriteRegister { at: 0, value: 1 };
        let (scan, ..) = ask(&mut bus, 5, &gone, now);
        assert!(matches!(scan, Scan::Exception { code: Exception(2), .. }), "{scan:?}");
        assert_eq!(bus.counts.requests, 7);
        assert_eq!(bus.slave(5).unwrap().requests, 7);
        assert_eq!(bus.slave(4).unwrap().requests, 0);
    }
}

#[test]
fn a_broadcast_is_done_by_all_and_answered_by_none() {
    let mut bus = bus(vec![meter(4), meter(5)]);
    let (_, received, _) =
        ask(&mut bus, 0, &Request::WriteCoil { at: 0, on: true }, Instant::now());
    assert!(received.is_empty());
    for unit in [4, 5] {
        assert_eq!(bus.slave(unit).unwrap().get(Table::Coil, 0), Some(1));
    }
}

#[test]
fn the_line_has_its_pace() {
    let mut bus = bus(vec![meter(5)]);
    // 8 characters, 3.5 of silence, 9 characters of 11 bits each.
    let (_, _, took) = ask(&mut bus, 5, &READ, Instant::now());
    assert!(took.abs_diff(bus.character() * 41 / 2) < Duration::from_micros(1), "{took:?}");
    assert_eq!(bus.character(), Duration::from_nanos(1_145_833));
    bus.slave(5).unwrap().delay = Duration::from_millis(50);
    let now = Instant::now() + SECOND;
    let (_, _, took) = ask(&mut bus, 5, &READ, now);
    assert_eq!(took, Duration::from_millis(50) + bus.character() * 17);
    // An adapter hands over all that it has each 16 ms.
    bus.burst = Duration::from_millis(16);
    bus.write(&READ.encode(Mode::Rtu, 5, 0), now + SECOND);
    let bursts: Vec<_> = bus.by_ref().collect();
    assert_eq!(bursts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), 9);
    assert!(bursts.len() <= 2);
    for pair in bursts.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, bus.burst);
    }
}

#[test]
fn a_request_may_be_written_in_pieces() {
    let mut bus = bus(vec![meter(5)]);
    let (request, now) = (READ.encode(Mode::Rtu, 5, 0), Instant::now());
    bus.write(&request[..3], now);
    assert_eq!(bus.due(), None);
    bus.write(&request[3..], now + bus.character());
    assert!(bus.due().is_some());
    // A piece that comes after a silence belongs to no frame.
    bus.by_ref().for_each(drop);
    bus.write(&request[..3], now + SECOND);
    bus.write(&request[3..], now + 2 * SECOND);
    assert_eq!(bus.due(), None);
}

#[test]
fn short_silences_are_counted_and_strict_slaves_hear_nothing_after_them() {
    let mut bus = bus(vec![meter(5).strict()]);
    let now = Instant::now();
    let (_, _, took) = ask(&mut bus, 5, &READ, now);
    let early = now + took + bus.character() * 3;
    assert!(is_silent(&mut bus, early));
    assert_eq!((bus.counts.violations, bus.counts.collisions), (1, 0));
    assert_eq!(bus.counts.least_silence, Some(bus.character() * 3));
    let next = early + bus.character() * 8 + bus.silence();
    assert!(!is_silent(&mut bus, next));
    assert_eq!(bus.counts.violations, 1);
}

#[test]
fn who_talks_over_a_slave_hears_no_answer() {
    let mut bus = bus(vec![meter(5)]);
    let now = Instant::now();
    bus.write(&READ.encode(Mode::Rtu, 5, 0), now);
    // While the slave is answering.
    let answering = now + bus.character() * 14;
    let (scan, received, _) = ask(&mut bus, 5, &READ, answering);
    assert_eq!(received.len(), 9);
    assert!(!matches!(scan, Scan::Answer { .. }), "{scan:?}");
    assert_eq!((bus.counts.violations, bus.counts.collisions), (1, 1));
}

/// What a slave with a fault says.
fn with(fault: Fault) -> (Scan, Vec<u8>) {
    let mut bus = bus(vec![meter(5).always(fault)]);
    let (scan, received, _) = ask(&mut bus, 5, &READ, Instant::now());
    (scan, received)
}

#[test]
fn faults_are_as_they_are_called() {
    assert!(with(Fault::Dead).1.is_empty());
    let (scan, received) = with(Fault::WrongUnit);
    assert_eq!((scan, received[0]), (Scan::More { drop: 9, foreign: 1 }, 6));
    let (scan, received) = with(Fault::BadChecksum);
    assert_eq!(received.len(), 9);
    assert!(!matches!(scan, Scan::Answer { .. }));
    assert_eq!(with(Fault::Short(3)).1.len(), 6);
    let (scan, received) = with(Fault::Echo);
    assert!(matches!(scan, Scan::Answer { len: 17, .. }), "{scan:?}");
    assert_eq!(received[..8], READ.encode(Mode::Rtu, 5, 0));
    let (scan, received) = with(Fault::Noise(3));
    assert_eq!(received.len(), 15);
    assert!(matches!(scan, Scan::Answer { len: 12, .. }), "{scan:?}");
    let (scan, _) = with(Fault::Exception(Exception(6)));
    assert!(matches!(scan, Scan::Exception { code: Exception(6), len: 5, .. }), "{scan:?}");
    let mut late = bus(vec![meter(5).always(Fault::Late(SECOND))]);
    assert!(ask(&mut late, 5, &READ, Instant::now()).2 > SECOND);
    // It also spoils what others say.
    let mut babble = bus(vec![meter(5), meter(6).always(Fault::Babble(30))]);
    assert_eq!(ask(&mut babble, 5, &READ, Instant::now()).1.len(), 39);
}

#[test]
fn faults_come_by_chance_and_go() {
    let mut bus = bus(vec![meter(5).always(Fault::Silent(2)).one_in(4, Fault::BadChecksum)]);
    let mut now = Instant::now();
    let mut bad = 0;
    for n in 0..200 {
        now += SECOND;
        let (scan, received, _) = ask(&mut bus, 5, &READ, now);
        assert_eq!(received.is_empty(), n < 2);
        bad += u32::from(!matches!(scan, Scan::Answer { .. }));
    }
    assert!((30..80).contains(&bad), "{bad}");
    bus.slave(5).unwrap().fail(&[Fault::Dead]);
    assert!(is_silent(&mut bus, now + SECOND));
    bus.slave(5).unwrap().fail(&[]);
    assert!(!is_silent(&mut bus, now + 2 * SECOND));
}

#[test]
fn a_slave_refuses_holes_and_long_reads() {
    let by = |table, at| (table == Table::Holding && at != 50).then_some(at);
    let mut bus = bus(vec![Slave::new(5).by(by).limited(40, Exception::ILLEGAL_DATA_VALUE)]);
    let mut now = Instant::now();
    for (start, count, exception) in [
        (0, 40, 0),
        (0, 41, 3),
        (20, 31, 2),
        (51, 5, 0),
        (0xFFFF, 1, 0),
        (0xFFFF, 2, 2),
        (0, 126, 3),
    ] {
        now += SECOND;
        let request = Request::Read { table: Table::Holding, start, count };
        let (scan, received, _) = ask(&mut bus, 5, &request, now);
        match scan {
            Scan::Answer { payload, .. } => {
                assert_eq!(exception, 0);
                assert_eq!(payload.of(&received)[..2], start.to_be_bytes());
            }
            Scan::Exception { code, .. } => assert_eq!(code, Exception(exception)),
            other => panic!("{other:?}"),
        }
    }
}

/// A master that waits for a reply of a slave for some time; returns the payload of an answer, and when
/// the wait ended.
fn poll(
    bus: &mut SimulatedBus,
    unit: u8,
    request: &Request,
    at: Instant,
) -> (Option<Vec<u8>>, Instant) {
    let bytes = request.encode(bus.mode, unit, 0);
    bus.write(&bytes, at);
    let expected = Expected::new(bus.mode, unit, request, 0);
    let until = at + bus.character() * bytes.len() as u32 + Duration::from_millis(300);
    let mut received = Vec::new();
    while bus.due().is_some_and(|due| due <= until) {
        let Some((at, bytes)) = bus.next() else { break };
        received.extend(bytes);
        match expected.scan(&received) {
            Scan::More { drop, .. } => {
                received.drain(..drop);
            }
            Scan::Answer { payload, .. } => return (Some(payload.of(&received).to_vec()), at),
            Scan::Exception { .. } | Scan::BadChecksum { .. } => return (None, at),
        }
    }
    match expected.scan_last(&received) {
        Scan::Answer { payload, .. } => (Some(payload.of(&received).to_vec()), until),
        _ => (None, until),
    }
}

#[test]
fn no_wrong_value_is_read_on_a_bus_full_of_faults() {
    // What a slave has says whose it is; odd places answer a little more.
    let slave = |unit: u8| {
        let value =
            move |table, at: u16| (table == Table::Holding).then_some(u16::from(unit) << 8 | at);
        Slave::new(unit).by(value)
    };
    for mode in [Mode::Rtu, Mode::Ascii] {
        let mut bus = SimulatedBus::new(
            7,
            mode,
            vec![
                slave(1),
                slave(2).always(Fault::Dead),
                slave(3).one_in(10, Fault::Babble(40)),
                slave(4).one_in(2, Fault::WrongUnit),
                slave(5).always(Fault::Late(Duration::from_millis(400))),
                slave(6).always(Fault::Echo),
                slave(7).one_in(2, Fault::Noise(3)),
                slave(8).one_in(2, Fault::BadChecksum).one_in(3, Fault::Short(2)),
            ],
        );
        bus.speed = 115_200;
        bus.burst = Duration::from_millis(1);
        let (mut now, mut answers) = (Instant::now(), [0; 9]);
        for n in 0..8000_u16 {
            let unit = 1 + (n % 8) as u8;
            let (start, count) = (n % 5, 1 + n % 3);
            let request = Request::Read { table: Table::Holding, start, count };
            let (payload, end) = poll(&mut bus, unit, &request, now);
            if let Some(payload) = payload {
                let right = (start..start + count).flat_map(|at| [unit, at as u8]);
                assert_eq!(payload, right.collect::<Vec<_>>(), "{mode:?} {n}");
                answers[usize::from(unit)] += 1;
            }
            now = end + bus.silence() + bus.burst;
        }
        let [_, good, dead, babbling, wrong, late, echo, noise, bad] = answers;
        assert_eq!((dead, late), (0, 0), "{mode:?}");
        assert!(good > 850 && babbling > 850 && echo > 800, "{mode:?} {answers:?}");
        assert!(wrong > 400 && noise > 800 && bad > 250, "{mode:?} {answers:?}");
    }
}

#[test]
fn a_bus_is_played_on_a_pty_at_its_pace() {
    use std::io::{Read, Write};
    let played = Played::start(bus(vec![meter(5)])).unwrap();
    let mut port = std::fs::File::options().read(true).write(true).open(played.path()).unwrap();
    for _ in 0..2 {
        let begun = Instant::now();
        port.write_all(&READ.encode(Mode::Rtu, 5, 0)).unwrap();
        let mut received = [0; 9];
        port.read_exact(&mut received).unwrap();
        // 20.5 characters of 9600 Bd; a busy machine takes longer.
        let least = played.bus().character() * 41 / 2;
        assert!(begun.elapsed() >= least - Duration::from_micros(1), "{:?}", begun.elapsed());
        assert_eq!(received[..7], [5, 4, 4, 0x12, 0x34, 0x56, 0x78]);
    }
    assert_eq!(played.bus().counts.requests, 2);
}

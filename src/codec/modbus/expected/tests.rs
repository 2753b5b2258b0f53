//! What is a reply and what is not, on a line that others use, too.

use super::super::{Table, crc16, frame, lrc, packed};
use super::*;
use crate::base::scalar::parse_hex;
use proptest::collection::vec;
use proptest::prelude::*;

fn hex(digits: &str) -> Vec<u8> {
    parse_hex(digits).unwrap()
}

fn read(count: u16) -> Request {
    Request::Read { table: Table::Holding, start: 0x6B, count }
}

fn rtu(unit: u8, pdu: &str) -> Vec<u8> {
    frame(Mode::Rtu, unit, 0, &hex(pdu))
}

/// Three registers of unit 17.
fn three() -> Expected {
    Expected::new(Mode::Rtu, 17, &read(3), 0)
}

const ANSWER: &str = "03 06 02 2B 00 00 00 64";

fn answer(at: usize, foreign: u32) -> Scan {
    Scan::Answer { payload: Payload::At(at + 3..at + 9), len: at + 11, foreign }
}

fn scan_of(expected: &Expected, parts: &[Vec<u8>]) -> Scan {
    expected.scan(&parts.concat())
}

#[test]
fn an_exception_and_a_bad_crc_end_the_wait() {
    let refused = rtu(17, "83 02");
    let exception = Scan::Exception { code: Exception(2), len: 5, foreign: 0 };
    assert_eq!(three().scan(&refused), exception);
    for mut damaged in [refused, rtu(17, ANSWER)] {
        let len = damaged.len();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(three().scan(&damaged), Scan::BadChecksum { len, foreign: 0 });
        assert_eq!(three().scan(&damaged[..len - 1]), Scan::More { drop: 0, foreign: 0 });
    }
}

#[test]
fn frames_of_others_end_nothing_and_are_counted() {
    let others = [
        // Another unit, another function, another number of bytes, another function's exception.
        rtu(18, ANSWER),
        rtu(17, "04 06 02 2B 00 00 00 64"),
        rtu(17, "03 04 02 2B 00 00"),
        rtu(17, "84 02"),
        // Requests of another master.
        rtu(18, "03 00 6B 00 03"),
        rtu(18, "10 00 01 00 02 04 00 0A 01 02"),
    ];
    let mut before = Vec::new();
    for (n, other) in (1..).zip(&others) {
        let (scan, len) = (three().scan(other), other.len());
        assert_eq!(scan, Scan::More { drop: len, foreign: 1 });
        before.extend_from_slice(other);
        let both = [before.clone(), rtu(17, ANSWER)].concat();
        assert_eq!(three().scan(&both), answer(before.len(), n));
    }
}

#[test]
fn what_another_slave_says_is_never_taken_for_our_answer() {
    // Seven registers that spell our answer, with its CRC.
    let inside = rtu(17, ANSWER);
    let data: Vec<u8> = [&[3, 14], &inside[..], &[1, 2, 3]].concat();
    let other = frame(Mode::Rtu, 18, 0, &data);
    for cut in 0..other.len() {
        assert_eq!(three().scan(&other[..cut]), Scan::More { drop: 0, foreign: 0 }, "{cut}");
    }
    let all = [other.clone(), inside].concat();
    assert_eq!(three().scan(&all), answer(other.len(), 1));
}

#[test]
fn the_answer_is_found_behind_noise() {
    for glitch in ["00", "FF", "00 00", "F8 03", "00 11", "11 11", "FF 11 03", "00 12 03 08"] {
        let glitch = hex(glitch);
        let both = [glitch.clone(), rtu(17, ANSWER)].concat();
        assert_eq!(three().scan(&both), answer(glitch.len(), 0), "{glitch:02X?}");
        for cut in 0..both.len() {
            assert_eq!(three().scan(&both[..cut]), Scan::More { drop: 0, foreign: 0 });
        }
        // There a bad CRC is only noise.
        let mut damaged = both;
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(three().scan(&damaged), Scan::More { drop: 0, foreign: 0 });
    }
}

#[test]
fn noise_that_looks_like_another_answer_is_waited_for_until_the_end() {
    let both = [hex("12"), rtu(17, ANSWER)].concat();
    // Unit 18, function 17 is none that answers a read: noise. Function 3 could be one.
    assert_eq!(three().scan(&both), answer(1, 0));
    let both = [hex("12 03 40"), rtu(17, ANSWER)].concat();
    assert_eq!(three().scan(&both), Scan::More { drop: 0, foreign: 0 });
    assert_eq!(three().scan_last(&both), answer(3, 0));
}

#[test]
fn the_echo_of_our_request_is_a_frame_of_another_kind() {
    let request = read(3).encode(Mode::Rtu, 17, 0);
    assert_eq!(scan_of(&three(), &[request, rtu(17, ANSWER)]), answer(8, 1));
    // Its first address byte is the number of bytes that the answer has.
    let request = Request::Read { table: Table::Holding, start: 0x0610, count: 3 };
    let echo = request.encode(Mode::Rtu, 17, 0);
    assert_eq!(scan_of(&three(), &[echo, rtu(17, ANSWER)]), answer(8, 1));
}

#[test]
fn a_write_is_answered_by_its_address_and_value() {
    let request = Request::WriteRegister { at: 1, value: 3 };
    let expected = Expected::new(Mode::Rtu, 17, &request, 0);
    let done = Scan::Answer { payload: Payload::At(6..6), len: 8, foreign: 0 };
    assert_eq!(expected.scan(&rtu(17, "06 00 01 00 03")), done);
    let other = Scan::More { drop: 8, foreign: 1 };
    assert_eq!(expected.scan(&rtu(17, "06 00 01 00 04")), other);
    let mut damaged = rtu(17, "06 00 01 00 03");
    damaged[7] ^= 1;
    assert_eq!(expected.scan(&damaged), Scan::BadChecksum { len: 8, foreign: 0 });
}

#[test]
fn ascii_frames_stand_between_a_colon_and_a_line_break() {
    let expected = Expected::new(Mode::Ascii, 17, &read(1), 0);
    let value = Payload::Owned(vec![0, 0xAF]);
    let answer = |len, foreign| Scan::Answer { payload: value.clone(), len, foreign };
    assert_eq!(expected.scan(b":1103020 AF3B\r\n"), Scan::BadChecksum { len: 15, foreign: 0 });
    assert_eq!(expected.scan(b":11030200AF3B\r\n"), answer(15, 0));
    assert_eq!(expected.scan(b":11030200af3b\r\n"), answer(15, 0));
    assert_eq!(expected.scan(b"noise:1103:11030200AF3B\r\n"), answer(25, 0));
    assert_eq!(expected.scan(b":118302 6A\r\n:11030200AF3B\r\n"), answer(27, 0));
    assert_eq!(expected.scan(b":12030200AF3A\r\n:11030200AF3B\r\n"), answer(30, 1));
    assert_eq!(expected.scan(b"x:11030200AF3B\r"), Scan::More { drop: 1, foreign: 0 });
    assert_eq!(expected.scan(b":11030200AF3C\r\n"), Scan::BadChecksum { len: 15, foreign: 0 });
    let exception = Scan::Exception { code: Exception(2), len: 11, foreign: 0 };
    assert_eq!(expected.scan(b":1183026A\r\n"), exception);
    assert_eq!(expected.scan(&[b':'; 600]), Scan::More { drop: 599, foreign: 0 });
    assert_eq!(
        expected.scan(&[&b":"[..], &[b'1'; 600]].concat()),
        Scan::More { drop: 601, foreign: 0 }
    );
}

#[test]
fn tcp_answers_are_known_by_their_transaction() {
    let expected = Expected::new(Mode::Tcp, 17, &read(3), 0x102);
    let ours = frame(Mode::Tcp, 17, 0x102, &hex(ANSWER));
    let late = frame(Mode::Tcp, 17, 0x101, &hex(ANSWER));
    let answer = |at: usize, foreign| Scan::Answer {
        payload: Payload::At(at + 9..at + 15),
        len: at + 15,
        foreign,
    };
    assert_eq!(scan_of(&expected, &[late.clone(), ours.clone()]), answer(15, 1));
    assert_eq!(scan_of(&expected, &[late[..9].to_vec()]), Scan::More { drop: 0, foreign: 0 });
    // Protocols other than 0, and lengths that no frame has, are noise.
    assert_eq!(scan_of(&expected, &[hex("00 01 00 01 00 03"), ours.clone()]), answer(6, 0));
    assert_eq!(scan_of(&expected, &[hex("00 01 00 00 00 FF"), ours]), answer(6, 0));
    let refused = frame(Mode::Tcp, 17, 0x102, &hex("83 0B"));
    let exception = Scan::Exception { code: Exception(11), len: 9, foreign: 0 };
    assert_eq!(expected.scan(&refused), exception);
}

#[test]
fn a_babbling_slave_fills_no_memory() {
    for mode in [Mode::Rtu, Mode::Ascii, Mode::Tcp] {
        let expected = Expected::new(mode, 17, &read(3), 0);
        let mut waiting = Vec::new();
        for n in 0..5000_u32 {
            waiting.push((n.wrapping_mul(0x9E37_79B9) >> 24) as u8);
            match expected.scan(&waiting) {
                Scan::More { drop, .. } => drop_front(&mut waiting, drop),
                Scan::BadChecksum { len, .. } => drop_front(&mut waiting, len),
                other => panic!("{other:?}"),
            }
            assert!(waiting.len() <= 513, "{}", waiting.len());
        }
    }
}

fn drop_front(waiting: &mut Vec<u8>, count: usize) {
    waiting.drain(..count);
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Rtu), Just(Mode::Ascii), Just(Mode::Tcp)]
}

fn any_request() -> impl Strategy<Value = Request> {
    let table = prop_oneof![
        Just(Table::Coil),
        Just(Table::Discrete),
        Just(Table::Input),
        Just(Table::Holding)
    ];
    let read = (table, any::<u16>(), 1..=2000_u16).prop_map(|(table, start, count)| {
        let count = if table.is_bits() { count } else { 1 + count % 125 };
        Request::Read { table, start, count }
    });
    let at = any::<u16>;
    prop_oneof![
        4 => read,
        1 => (at(), any::<bool>()).prop_map(|(at, on)| Request::WriteCoil { at, on }),
        1 => (at(), any::<u16>()).prop_map(|(at, value)| Request::WriteRegister { at, value }),
        1 => (at(), vec(any::<bool>(), 1..=1968))
            .prop_map(|(at, values)| Request::WriteCoils { at, values }),
        1 => (at(), vec(any::<u16>(), 1..=123))
            .prop_map(|(at, values)| Request::WriteRegisters { at, values }),
    ]
}

/// A request with its unit and transaction, and the payload and PDU of its answer.
#[derive(Clone, Debug)]
struct Asked {
    unit: u8,
    transaction: u16,
    request: Request,
    payload: Vec<u8>,
    pdu: Vec<u8>,
}

impl Asked {
    fn frame(&self, mode: Mode) -> Vec<u8> {
        frame(mode, self.unit, self.transaction, &self.pdu)
    }

    fn expected(&self, mode: Mode) -> Expected {
        Expected::new(mode, self.unit, &self.request, self.transaction)
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let all = (1..=247_u8, any::<u16>(), any_request(), vec(any::<u8>(), 250), 0..6_u8);
    all.prop_map(|(unit, transaction, request, bytes, kind)| {
        let function = request.function();
        let (payload, pdu) = match &request {
            _ if kind == 0 => (Vec::new(), vec![function | 0x80, 1 + bytes[0] % 11]),
            Request::Read { table, count, .. } => {
                let bits = if table.is_bits() { 1 } else { 16 };
                let payload = bytes[..(bits * usize::from(*count)).div_ceil(8)].to_vec();
                let pdu = [&[function, payload.len() as u8], &payload[..]].concat();
                (payload, pdu)
            }
            request => (Vec::new(), request.encode(Mode::Tcp, unit, 0)[7..12].to_vec()),
        };
        Asked { unit, transaction, request, payload, pdu }
    })
}

/// Answers that nobody may take for the one that is awaited.
fn foreign_to(asked: &Asked, others: Vec<Asked>, mode: Mode) -> Vec<Vec<u8>> {
    let differs = |other: &Asked| {
        let is_late = mode == Mode::Tcp && other.transaction != asked.transaction;
        let is_refusal = other.pdu[0] == asked.request.function() | 0x80;
        is_late
            || other.unit != asked.unit
            || !is_refusal
                && (other.pdu[0], other.pdu.get(1)) != (asked.pdu[0], asked.pdu.get(1))
                && (other.pdu[0] != asked.request.function()
                    || other.pdu.len() != answer_pdu(asked))
    };
    others.into_iter().filter(differs).map(|other| other.frame(mode)).collect()
}

fn answer_pdu(asked: &Asked) -> usize {
    asked.request.answer_len(Mode::Tcp) - 7
}

proptest! {
    #[test]
    fn each_reply_is_found_whatever_others_say_before_it(
        mode in any_mode(),
        asked in asked(),
        others in vec(asked(), 0..4),
        same_unit in vec(any::<bool>(), 4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut others = others;
        for (other, is_same) in others.iter_mut().zip(&same_unit) {
            other.unit = if *is_same { asked.unit } else { other.unit };
        }
        let foreign = foreign_to(&asked, others, mode);
        let reply = asked.frame(mode);
        let all = [foreign.concat(), reply.clone()].concat();
        let (expected, count) = (asked.expected(mode), foreign.len() as u32);
        match expected.scan(&all) {
            Scan::Answer { payload, len, foreign } => {
                prop_assert_eq!(payload.of(&all), asked.payload);
                prop_assert_eq!((len, foreign), (all.len(), count));
                prop_assert_eq!(reply.len(), asked.request.answer_len(mode));
            }
            Scan::Exception { code, len, foreign } => {
                prop_assert_eq!([asked.request.function() | 0x80, code.0], asked.pdu.as_slice());
                prop_assert_eq!((len, foreign), (all.len(), count));
            }
            other => prop_assert!(false, "{other:?}"),
        }
        // Cut anywhere it is "not yet", and the rest is found after what may be dropped.
        let cut = cut.index(all.len());
        let Scan::More { drop, foreign } = expected.scan(&all[..cut]) else {
            return Err(TestCaseError::fail(format!("cut at {cut}")));
        };
        prop_assert!(drop <= cut && foreign <= count);
        match expected.scan(&all[drop..]) {
            Scan::Answer { len, foreign: more, .. } | Scan::Exception { len, foreign: more, .. } => {
                prop_assert_eq!((len, foreign + more), (all.len() - drop, count));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn noise_hides_no_reply(
        mode in any_mode(),
        asked in asked(),
        noise in vec(any::<u8>(), 0..40),
    ) {
        // What begins like the reply is a damaged one.
        let noise: Vec<u8> = noise.into_iter().filter(|byte| *byte != asked.unit && *byte != b':').collect();
        let all = [noise, asked.frame(mode)].concat();
        match asked.expected(mode).scan_last(&all) {
            Scan::Answer { payload, len, .. } => {
                prop_assert_eq!(payload.of(&all), asked.payload);
                prop_assert_eq!(len, all.len());
            }
            Scan::Exception { len, .. } => prop_assert_eq!(len, all.len()),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn nothing_is_accepted_whose_checksum_is_wrong(
        mode in prop_oneof![Just(Mode::Rtu), Just(Mode::Ascii)],
        asked in asked(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut bytes = asked.frame(mode);
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        for scan in [asked.expected(mode).scan(&bytes), asked.expected(mode).scan_last(&bytes)] {
            let (Scan::Answer { len, .. } | Scan::Exception { len, .. }) = scan else { continue };
            let until = &bytes[..len];
            match mode {
                Mode::Rtu => {
                    let longest = match scan {
                        Scan::Exception { .. } => 5,
                        _ => asked.request.answer_len(mode),
                    };
                    let frame = &until[len - longest..];
                    prop_assert_eq!(crc16(&frame[..longest - 2]).to_le_bytes(), &frame[longest - 2..]);
                }
                _ => {
                    let digits = until.strip_suffix(b"\r\n").unwrap();
                    let colon = digits.iter().rposition(|byte| *byte == b':').unwrap();
                    let frame = hex(std::str::from_utf8(&digits[colon + 1..]).unwrap());
                    prop_assert_eq!(lrc(&frame), 0);
                }
            }
        }
    }

    #[test]
    fn no_bytes_do_harm(
        mode in any_mode(),
        asked in asked(),
        bytes in vec(prop_oneof![any::<u8>(), 0..6_u8, Just(b':'), Just(b'\n')], 0..600),
    ) {
        let expected = asked.expected(mode);
        for scan in [expected.scan(&bytes), expected.scan_last(&bytes)] {
            let within = match scan {
                Scan::More { drop, .. } => drop,
                Scan::Answer { len, .. } | Scan::Exception { len, .. } => len,
                Scan::BadChecksum { len, .. } => len,
            };
            prop_assert!(within <= bytes.len());
        }
    }

    #[test]
    fn bits_are_packed_the_first_one_lowest(bits in vec(any::<bool>(), 0..40)) {
        let bytes = packed(&bits);
        prop_assert_eq!(bytes.len(), bits.len().div_ceil(8));
        for (n, bit) in bits.iter().enumerate() {
            prop_assert_eq!(bytes[n / 8] >> (n % 8) & 1 == 1, *bit);
        }
    }
}

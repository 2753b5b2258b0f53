//! Mutated replies into a device that polls two others: no panic, and no value is published that does not stand
//! in a reply whose address, function, length and checksum are right.

use super::mutants::{amount, mutate};
use crate::bus::bench::{build, wall};
use crate::fuzz::modbus::MODES;
use crate::support::chance::Chance;
use std::time::Duration;
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::codec::modbus::Mode;
use tty2mqtt::testing::device::{Device, Publication, Transmit};

/// Three registers of one table and one of another, so that a slave is asked in two ways.
const REGISTERS: &str = "{h0: {holding: 0}, h1: {holding: 1}, h2: {holding: 2}, i0: {input: 0}}";

/// What was asked last: of whom, by which function, for how many registers from 0 on, and by which transaction.
#[derive(Clone, Copy)]
struct Asked {
    unit: u8,
    function: u8,
    count: usize,
    transaction: [u8; 2],
}

/// CRC-16 of Modbus (SL 2.5.1.2), bit by bit.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xFFFF_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 };
        }
    }
    crc.to_le_bytes()
}

fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// The bytes that hexadecimal digits spell, as many as there are.
fn spelled(digits: &[u8]) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).map(|n| n as u8);
    let pair = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    digits.chunks(2).map_while(pair).collect()
}

impl Asked {
    fn of(mode: Mode, request: &[u8]) -> Asked {
        let (transaction, pdu) = match mode {
            Mode::Rtu => ([0; 2], request.to_vec()),
            Mode::Ascii => ([0; 2], spelled(&request[1..])),
            Mode::Tcp => ([request[0], request[1]], request[6..].to_vec()),
        };
        assert_eq!(pdu[2..5], [0, 0, 0], "all registers stand at the beginning");
        Asked { unit: pdu[0], function: pdu[1], count: pdu[5].into(), transaction }
    }

    /// What comes before the registers of an answer.
    fn head(&self, mode: Mode) -> Vec<u8> {
        let bytes = 2 * self.count as u8;
        let [high, low] = self.transaction;
        let mut head = if mode == Mode::Tcp { vec![high, low, 0, 0, 0, bytes + 3] } else { vec![] };
        head.extend([self.unit, self.function, bytes]);
        head
    }

    fn answer(&self, mode: Mode, chance: &mut Chance) -> Vec<u8> {
        let mut answer = self.head(mode);
        answer.extend((0..2 * self.count).map(|_| chance.below(256) as u8));
        match mode {
            Mode::Rtu => answer.extend(crc(&answer)),
            Mode::Ascii => {
                answer.push(lrc(&answer));
                let digits: String = answer.iter().map(|byte| format!("{byte:02X}")).collect();
                answer = format!(":{digits}\r\n").into_bytes();
            }
            Mode::Tcp => {}
        }
        answer
    }

    /// Whether a register has this value in any right answer among these bytes.
    fn is_said(&self, mode: Mode, heard: &[u8], register: usize, value: u16) -> bool {
        let head = self.head(mode);
        (0..heard.len()).any(|at| {
            let frame = match mode {
                Mode::Ascii if heard[at] == b':' => spelled(&heard[at + 1..]),
                Mode::Ascii => return false,
                Mode::Rtu | Mode::Tcp => heard[at..].to_vec(),
            };
            let end = head.len() + 2 * self.count;
            let (Some(checked), Some(rest)) = (frame.get(..end), frame.get(end..)) else {
                return false;
            };
            let word = &checked[head.len()..][2 * register..][..2];
            if !checked.starts_with(&head) || word != value.to_be_bytes() {
                return false;
            }
            match mode {
                Mode::Rtu => rest.starts_with(&crc(checked)),
                Mode::Ascii => rest.first() == Some(&lrc(checked)),
                Mode::Tcp => true,
            }
        })
    }
}

/// The device on a clock that only the test moves.
struct Polls {
    device: Device,
    mode: Mode,
    now: Now,
    out: Vec<Publication>,
    /// What was asked last, and what came since.
    asked: Asked,
    heard: Vec<u8>,
    values: u64,
}

impl Polls {
    fn new(mode: Mode) -> Polls {
        let modbus = format!("{mode:?}").to_lowercase();
        let one = |unit: u8| format!("s{unit}: {{address: {unit}, registers: {REGISTERS}}}");
        let (mut device, _) = build(&format!(
            "{{path: /dev/x, line: 115200 8N1, modbus: {modbus}, interval: 1ms, timeout: 20ms, retries: 0, \
             devices: {{{}, {}}}}}",
            one(1),
            one(2)
        ));
        let now = wall();
        device.opened(now.mono);
        let asked = Asked { unit: 0, function: 0, count: 0, transaction: [0; 2] };
        let mut polls =
            Polls { device, mode, now, out: Vec::new(), asked, heard: Vec::new(), values: 0 };
        polls.until_asked();
        polls
    }

    /// Lets time pass until it asks again.
    fn until_asked(&mut self) {
        for _ in 0..1000 {
            match self.device.transmit(self.now, &mut self.out) {
                Some(Transmit::Write(bytes)) => {
                    self.check();
                    self.asked = Asked::of(self.mode, &bytes);
                    self.heard.clear();
                    self.device.wrote(bytes.len(), self.now, &mut self.out);
                    return;
                }
                Some(Transmit::Set(_)) => panic!("no other speed is asked for"),
                None => {}
            }
            let due = self.device.deadline().expect("it polls");
            self.now = self.now.after(due.saturating_duration_since(self.now.mono));
            self.device.timeout(self.now, &mut self.out);
        }
        panic!("it asks no more");
    }

    fn push(&mut self, bytes: &[u8], pause: Duration) {
        self.now = self.now.after(pause);
        self.heard.extend_from_slice(bytes);
        self.device.push(bytes, self.now, &mut self.out);
        self.check();
    }

    /// Everything that was published was said, by whom it was asked.
    fn check(&mut self) {
        for it in self.out.drain(..) {
            let topic = it.message.topic.as_str();
            let payload = String::from_utf8_lossy(&it.message.payload);
            let what = || format!("{:?}: {topic} {payload} of {:02X?}", self.mode, self.heard);
            let (device, field) =
                topic.strip_prefix("gw/s").and_then(|it| it.split_once('/')).expect("a value");
            let function = if field.starts_with('h') { 3 } else { 4 };
            let asked = (self.asked.unit, self.asked.function);
            assert_eq!(asked, (device.parse().unwrap(), function), "{}", what());
            let (register, value) = (field[1..].parse().unwrap(), payload.parse().unwrap());
            assert!(self.asked.is_said(self.mode, &self.heard, register, value), "{}", what());
            self.values += 1;
        }
    }
}

#[test]
fn no_mutant_of_a_reply_is_published() {
    let mut chance = Chance::new(Chance::seed());
    for mode in MODES {
        let mut polls = Polls::new(mode);
        let (mut mutant, mut last) = (Vec::new(), Vec::new());
        for _ in 0..amount() {
            let answer = polls.asked.answer(mode, &mut chance);
            // Also the late answer to another request.
            let is_late = chance.one_in(8) && !last.is_empty();
            mutate(if is_late { &last } else { &answer }, &mut mutant, &mut chance);
            last = answer;
            let at = chance.below(mutant.len() as u64 + 1) as usize;
            let pause = Duration::from_millis([0, 0, 1, 5, 30, 1000][chance.below(6) as usize]);
            polls.push(&mutant[..at], pause);
            polls.push(&mutant[at..], pause / 2);
            polls.until_asked();
        }
        println!("{mode:?}: {} values of {} replies", polls.values, amount());
        assert!(polls.values > amount() / 4, "hardly anything is published");
        // Both are asked and believed again.
        polls.values = 0;
        for _ in 0..64 {
            let answer = polls.asked.answer(mode, &mut chance);
            polls.push(&answer, Duration::from_millis(1));
            polls.until_asked();
        }
        assert!(polls.values > 64, "{}", polls.values);
    }
}

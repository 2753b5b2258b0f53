//! Random and mutated frames at every framing rule, every decoder and each mode of Modbus: whatever comes
//! in, nothing panics, nothing grows, the counters add up, and the next good frame is found.
//!
//! `MUTANTS=n` says how many for each; `make chaos` takes ten million. `SEED=n` plays others.

use crate::fuzz::calc;
use crate::fuzz::frame::{LIMIT, Port, RULES};
use crate::fuzz::modbus;
use crate::fuzz::reading::{self, DECODERS};
use crate::support::chance::Chance;
use std::time::Duration;

/// Bytes that mean something to some rule or decoder.
const SPECIAL: &[u8] =
    b"\r\n$*/!~<>\xC0\xDB\xDC\xDD\x7E\x7D\x5E\x10\x02\x03\xFF\x42\x4D\x09\x00,;=\"{}[]()-+.e0: ?";

/// How many mutants of each kind.
pub(super) fn amount() -> u64 {
    let text = std::env::var("MUTANTS");
    text.map_or(100_000, |amount| amount.parse().expect("MUTANTS is a number"))
}

/// Makes something else of a frame, or something of its own.
pub(super) fn mutate(frame: &[u8], out: &mut Vec<u8>, chance: &mut Chance) {
    out.clear();
    if chance.one_in(8) {
        let length = chance.below(2 * LIMIT as u64);
        out.extend((0..length).map(|_| byte(chance)));
        return;
    }
    out.extend_from_slice(frame);
    for _ in 0..chance.below(4) {
        let at = chance.below(out.len() as u64 + 1) as usize;
        match chance.below(7) {
            0 => out.insert(at, byte(chance)),
            1 => out.truncate(at),
            2 => drop(out.drain(..at)),
            3 => out.extend_from_within(at..),
            4 => out.extend_from_slice(frame),
            _ if at == out.len() => out.push(byte(chance)),
            5 => out[at] ^= 1 << chance.below(8),
            _ => out[at] = byte(chance),
        }
    }
}

fn byte(chance: &mut Chance) -> u8 {
    match chance.below(2) {
        0 => SPECIAL[chance.below(SPECIAL.len() as u64) as usize],
        _ => chance.below(256) as u8,
    }
}

#[test]
fn no_mutant_stops_a_framing_rule() {
    let mut chance = Chance::new(Chance::seed());
    for rule in RULES {
        let (_, _, wire, frame) = rule;
        let mut port = Port::new(rule);
        port.is_alive(wire, frame);
        let mut stream = Vec::new();
        let mut mutant = Vec::new();
        for n in 0..amount() {
            mutate(wire, &mut mutant, &mut chance);
            stream.extend_from_slice(&mutant);
            // Reads end anywhere.
            let at = chance.below(stream.len() as u64 + 1) as usize;
            let pause = Duration::from_millis([0, 0, 1, 5, 30, 1000][chance.below(6) as usize]);
            port.push(&stream[..at], pause);
            stream.drain(..at);
            if n % 64 == 0 {
                port.push(&stream, Duration::ZERO);
                stream.clear();
                port.is_alive(wire, frame);
            }
            if chance.one_in(1000) {
                port.framer.open(port.now);
            }
        }
        println!("{}: {:?}", port.name, port.framer.counts());
    }
}

#[test]
fn no_mutant_stops_a_decoder() {
    let mut chance = Chance::new(Chance::seed());
    for (n, (name, good)) in DECODERS.iter().enumerate() {
        let mut mutant = Vec::new();
        let mut readings = 0;
        for _ in 0..amount() {
            mutate(good, &mut mutant, &mut chance);
            readings += reading::check(n, &mutant);
        }
        assert!(reading::check(n, good) > 0, "{name}: no good frame is read any more");
        println!("{name}: {readings} readings");
    }
}

#[test]
fn no_mutant_is_taken_for_a_modbus_reply() {
    let mut chance = Chance::new(Chance::seed());
    let requests = modbus::requests().len();
    for mode in modbus::MODES {
        let mut mutant = Vec::new();
        let mut found = 0;
        for n in 0..amount() {
            let choice = n as usize % requests;
            let good = modbus::answer(mode, choice);
            mutate(&good, &mut mutant, &mut chance);
            found += u64::from(modbus::check(mode, choice, &mutant));
        }
        assert!(found > 0);
        println!("{mode:?}: {found} replies in mutants");
    }
}

#[test]
fn expressions_mean_what_they_say() {
    let mut chance = Chance::new(Chance::seed());
    let (mut bytes, mut compared) = (Vec::new(), 0);
    let texts =
        ["(high * 256 + low - 1000) / 10", "if(a > 0, round(b / a, 2), none)", "`1-0:1.8.0` = 'x'"];
    for _ in 0..amount() {
        let text = texts[chance.below(texts.len() as u64) as usize];
        mutate(text.as_bytes(), &mut bytes, &mut chance);
        calc::text(&String::from_utf8_lossy(&bytes));
        bytes.clear();
        bytes.extend((0..80).map(|_| chance.below(256) as u8));
        compared += u64::from(calc::tree(&bytes));
    }
    assert!(compared > amount() / 4, "only {compared} of {} trees were small enough", amount());
}

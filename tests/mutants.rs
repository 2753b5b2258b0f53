//! Random and mutated frames at every framing rule and every decoder: whatever comes in, nothing
//! panics, nothing grows, the counters add up, and the next good frame is found.
//!
//! `MUTANTS=n` says how many for each; `make chaos` takes ten million. `SEED=n` plays others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "chaos/chance.rs"]
mod chance;

use bytes::Bytes;
use chance::Chance;
use serde::Deserialize;
use std::time::{Duration, Instant};
use tty2mqtt::config::tree::Node;
use tty2mqtt::decode::{Decode, Decoder};
use tty2mqtt::frame::{Checksum, Framer, Framing};
use tty2mqtt::value::{Reading, Value};

const LIMIT: usize = 64;

/// The largest read of a port.
const READ: usize = 4096;

/// Bytes that mean something to some rule or decoder.
const SPECIAL: &[u8] =
    b"\r\n$*/!~<>\xC0\xDB\xDC\xDD\x7E\x7D\x5E\x10\x02\x03\xFF\x42\x4D\x09\x00,;=\"{}[]()-+.e0: ?";

/// A rule, its checksum, a good frame on the wire, and what the decoder gets of it.
type Rule = (&'static str, Option<&'static str>, &'static [u8], &'static [u8]);

const RULES: [Rule; 16] = [
    ("{lines: {limit: 64}}", None, b"21.5,40\n", b"21.5,40"),
    (r#"{lines: {terminator: "\r\n", limit: 64}}"#, None, b"21.5,40\r\n", b"21.5,40"),
    ("{lines: {limit: 64}}", Some("{xor8: {format: hex, separator: '*'}}"), b"ab*03\r\n", b"ab"),
    (r#"{delimited: {start: "<<", end: ">>", limit: 64}}"#, None, b"<<ok>>", b"ok"),
    (r#"{delimited: {start: "~", end: "~", limit: 64}}"#, None, b"~ok~", b"ok"),
    (r#"{delimited: {start: "/", end: "!", trailer: 6, limit: 64}}"#, None, b"/ok!1234\r\n", b"ok"),
    (r#"{delimited: {end: "\r\n", trailer: 2, limit: 64}}"#, None, b"ok\r\nab", b"ok"),
    ("{delimited: {escape: slip, limit: 64}}", None, b"\xC0a\xDB\xDCb\xC0", b"a\xC0b"),
    ("{delimited: {escape: dle, limit: 64}}", None, b"\x10\x02a\x10\x10b\x10\x03", b"a\x10b"),
    (
        "{delimited: {escape: hdlc, limit: 64}}",
        Some("crc16-x25"),
        b"\x7E123456789\x6E\x90\x7E",
        b"123456789",
    ),
    ("{fixed: {size: 5}}", Some("sum8"), b"\x01\x02\x03\x04\x0A", b"\x01\x02\x03\x04"),
    (
        "{length: {start: 'hex:42 4D', offset: 2, limit: 64}}",
        None,
        b"\x42\x4D\x02ab",
        b"\x42\x4D\x02ab",
    ),
    ("{length: {size: 2, limit: 64}}", Some("sum8"), b"\x00\x03\x01\x02\x06", b"\x00\x03\x01\x02"),
    ("{gap: {limit: 64}}", None, b"\x01\x03\x02\x00\xD7", b"\x01\x03\x02\x00\xD7"),
    ("{gap: {limit: 64}}", Some("crc16-modbus"), b"123456789\x37\x4B", b"123456789"),
    ("{raw: {size: 16}}", None, b"abc", b"abc"),
];

/// A decoder and a good frame for it.
const DECODERS: [(&str, &[u8]); 11] = [
    ("text", b"21.5 C"),
    ("bytes", b"\x01\x02\xFF"),
    ("{bytes: {as: base64}}", b"\x01\x02\xFF"),
    ("{fields: {names: [a, {name: b, scale: 0.1}, {name: c, type: number}]}}", b"1,205,-3.50"),
    (
        "{fields: {names: [{name: a, scale: -1e9, offset: 0.001}, {name: b, decimals: 3}]}}",
        b"12345678901234567890,0.00049",
    ),
    ("pairs", b"temp=21.5 hum=40"),
    (
        r#"{pairs: {between: "\n", equals: "(", close: ")", unit: "*"}}"#,
        b"1-0:1.7.0(00.318*kW)\n1-0:2.7.0(00.000*kW)",
    ),
    ("json", br#"{"a": 1.50, "b": {"c": [true, null, "x"]}}"#),
    ("sexpr", b"(node pebble_1 ? (temperature 22.5 C))"),
    (
        "{binary: {fields: [{name: a, at: 1, type: i24}, {name: b, at: 0, type: f64, decimals: 3}, \
         {name: c, at: 2, type: bcd, length: 8}, {name: d, at: 0, type: text, length: 9}]}}",
        b"\x12\x34\x56\x78\x90\x12\x34\x56\x78\x90\x11",
    ),
    (
        "{binary: {fields: [{name: e, at: 0, type: u64, bits: '60-63', scale: -1e9}, \
         {name: f, at: 0, type: f32, scale: 0.1, offset: -40}, {name: g, at: 3, type: i16}]}}",
        b"\x12\x34\x56\x78\x90\x12\x34\x56",
    ),
];

/// How many mutants of each kind.
fn amount() -> u64 {
    let text = std::env::var("MUTANTS");
    text.map_or(30_000, |amount| amount.parse().expect("MUTANTS is a number"))
}

fn read<T: for<'de> Deserialize<'de>>(yaml: &str) -> T {
    let tree = serde_yaml::from_str(yaml).unwrap();
    T::deserialize(Node(&tree)).unwrap()
}

/// Makes something else of a frame, or something of its own.
fn mutate(frame: &[u8], out: &mut Vec<u8>, chance: &mut Chance) {
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

/// A port's framer over a long time.
struct Port {
    name: String,
    framer: Framer,
    now: Instant,
    pushed: u64,
    handed_out: u64,
}

impl Port {
    fn new((framing, checksum, _, _): Rule) -> Port {
        let line = "9600 8N1".parse().unwrap();
        let sum: Option<Checksum> = checksum.map(read);
        let framer = read::<Framing>(framing).build(sum.as_ref(), Some(&line)).unwrap();
        let name = format!("{framing} {}", checksum.unwrap_or_default());
        let mut port = Port { name, framer, now: Instant::now(), pushed: 0, handed_out: 0 };
        port.framer.open(port.now);
        port
    }

    /// One read, some time after the last one. Returns the last frame it completes.
    fn push(&mut self, bytes: &[u8], pause: Duration) -> Option<Bytes> {
        let passed = self.pass(pause);
        self.pushed += bytes.len() as u64;
        self.framer.push(bytes, self.now);
        self.frames().or(passed)
    }

    /// Time passes, and deadlines with it.
    fn pass(&mut self, pause: Duration) -> Option<Bytes> {
        let then = self.now + pause;
        let mut last = None;
        for _ in 0..100 {
            let Some(due) = self.framer.deadline().filter(|due| *due <= then) else {
                self.now = then;
                return last;
            };
            self.now = self.now.max(due);
            self.framer.timeout(self.now);
            last = self.frames().or(last);
        }
        panic!("{}: the silence never ends", self.name);
    }

    fn frames(&mut self) -> Option<Bytes> {
        let mut last = None;
        while let Some(frame) = self.framer.frame() {
            assert!(frame.len() <= LIMIT, "{}: a frame of {} bytes", self.name, frame.len());
            self.handed_out += frame.len() as u64;
            last = Some(frame);
        }
        let waiting = self.framer.waiting();
        assert!(waiting <= 4 * LIMIT, "{}: {waiting} bytes wait", self.name);
        last
    }

    /// The counters add up, and a good frame is found after a silence, the second time at the latest.
    fn is_alive(&mut self, wire: &[u8], frame: &[u8]) {
        let counts = self.framer.counts();
        assert_eq!(counts.bytes, self.pushed, "{}", self.name);
        assert!(self.handed_out + counts.skipped <= counts.bytes, "{}: {counts:?}", self.name);
        let bad = counts.bad_checksum + counts.too_long + counts.cut + counts.malformed;
        assert!(bad <= counts.skipped, "{}: {counts:?}", self.name);
        let silence = Duration::from_secs(1);
        let found = (0..2).any(|_| {
            self.pass(silence);
            let at_once = self.push(wire, Duration::ZERO);
            self.pass(silence).or(at_once).is_some_and(|found| found == frame)
        });
        assert!(found, "{}: no good frame is found any more", self.name);
    }
}

#[test]
fn no_mutant_stops_a_framing_rule() {
    let mut chance = Chance::new(Chance::seed());
    for rule in RULES {
        let (_, _, wire, frame) = rule;
        let mut port = Port::new(rule);
        port.is_alive(wire, frame);
        let mut stream = Vec::with_capacity(READ);
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

/// What is a number goes into JSON as it is.
fn check(name: &str, readings: &[Reading], frame: &[u8]) {
    for reading in readings {
        if let Value::Number(number) = &reading.value {
            let parsed = serde_json::from_str::<serde_json::Value>(number);
            assert!(parsed.is_ok(), "{name}: {number} of {}", frame.escape_ascii());
        }
    }
}

#[test]
fn no_mutant_stops_a_decoder() {
    let mut chance = Chance::new(Chance::seed());
    for (name, good) in DECODERS {
        let decoder: Decoder = read::<Decode>(name).build().unwrap();
        let expected = decoder.decode(good).readings;
        assert!(!expected.is_empty(), "{name}");
        let mut mutant = Vec::new();
        let mut readings = 0;
        for _ in 0..amount() {
            mutate(good, &mut mutant, &mut chance);
            let decoded = decoder.decode(&mutant);
            check(name, &decoded.readings, &mutant);
            // No frame makes more of itself than it has bytes, or fields.
            let most = mutant.len() + 4;
            assert!(decoded.readings.len() + decoded.refusals.len() <= most, "{name}");
            readings += decoded.readings.len();
        }
        assert_eq!(decoder.decode(good).readings, expected, "{name}");
        println!("{name}: {readings} readings");
    }
}

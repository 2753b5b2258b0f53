//! Laws of framing, for any bytes and pauses: the first byte chooses the rule, the rest is reads.

use bytes::Bytes;
use serde::Deserialize;
use std::time::{Duration, Instant};
use tty2mqtt::testing::codec::frame::{Checksum, Framer, Framing};

/// The most that a frame of these rules may have.
pub const LIMIT: usize = 64;

/// A rule, its checksum, a good frame on the wire, and what the decoder gets of it.
pub type Rule = (&'static str, Option<&'static str>, &'static [u8], &'static [u8]);

pub const RULES: [Rule; 22] = [
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
        "{length: {prefix: 'hex:42 4D', offset: 2, limit: 64}}",
        None,
        b"\x42\x4D\x02ab",
        b"\x42\x4D\x02ab",
    ),
    ("{length: {size: 2, limit: 64}}", Some("sum8"), b"\x00\x03\x01\x02\x06", b"\x00\x03\x01\x02"),
    ("{gap: {limit: 64}}", None, b"\x01\x03\x02\x00\xD7", b"\x01\x03\x02\x00\xD7"),
    ("{gap: {limit: 64}}", Some("crc16-modbus"), b"123456789\x37\x4B", b"123456789"),
    ("{raw: {size: 16}}", None, b"abc", b"abc"),
    (
        "{delimited: {end: 'hex:AA', limit: 64, escape: {by: 'hex:A9', table: {'hex:00': 'hex:A9', 'hex:01': 'hex:AA'}}}}",
        Some("{crc8-ebus: {over: escaped}}"),
        b"\xAA\x10\xFE\xB5\x16\x03\x01\xA9\x01\x09\x5F\xAA",
        b"\x10\xFE\xB5\x16\x03\x01\xAA\x09",
    ),
    (
        "{length: {prefix: U, offset: 1, size: 2, mask: 0x7FF0, plus: [{offset: 3, mask: 3}], unit: 2, limit: 64}}",
        Some("{fletcher16: {from: 1}}"),
        b"U\x00\x10\x02abcd\x42\x9D",
        b"U\x00\x10\x02abcd",
    ),
    (
        "{sml: {limit: 64}}",
        None,
        b"\x1B\x1B\x1B\x1B\x01\x01\x01\x01\x61\x62\x1B\x1B\x1B\x1B\x1B\x1B\x1B\x1B\x1B\x1B\x63\x00\x00\x00\x1B\x1B\x1B\x1B\x1A\x03\x2D\xD6",
        b"ab\x1B\x1B\x1B\x1B\x1B\x1Bc",
    ),
    ("{p1: {limit: 64}}", None, b"/ISK5\\2M\r\n1.7.0(1)\r\n!144C\r\n", b"ISK5\\2M\r\n1.7.0(1)\r\n"),
    (
        "{ve-direct: {limit: 64}}",
        None,
        b"\r\nPID\t0x203\r\nV\t12\r\nChecksum\t\x9A",
        b"PID\t0x203\r\nV\t12",
    ),
    (
        "{hdlc: {limit: 64}}",
        None,
        b"\x7E\xA8\x0F\x41\x08\x83\x13\x99\x74\xE6\xE7\x00\x0F\x01\xE4\xED\x7E\xA0\x0B\x41\x08\x83\x13\xD1\x78\x04\xE8\x80\x7E",
        b"\xE6\xE7\x00\x0F\x01\x04",
    ),
];

/// Silences between reads, in milliseconds.
const PAUSES: [u64; 4] = [0, 1, 30, 1000];

/// Checks the laws for one input; panics where one does not hold.
pub fn fuzz_one(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else { return };
    let rule = RULES[usize::from(*choice) % RULES.len()];
    let mut port = Port::new(rule);
    // Each read has a byte in front: two bits for the silence before it, six for its length.
    while let Some((head, stream)) = rest.split_first() {
        let (read, more) = stream.split_at(stream.len().min(usize::from(head & 0x3F)));
        port.push(read, Duration::from_millis(PAUSES[usize::from(head >> 6)]));
        rest = more;
    }
    port.is_alive(rule.2, rule.3);
}

fn read<T: for<'de> Deserialize<'de>>(yaml: &str) -> T {
    tty2mqtt::testing::config::tree::parse(yaml).unwrap()
}

/// A port's framer over a long time.
pub struct Port {
    pub name: String,
    pub framer: Framer,
    pub now: Instant,
    pushed: u64,
    handed_out: u64,
}

impl Port {
    pub fn new((framing, checksum, _, _): Rule) -> Port {
        let line = "9600 8N1".parse().unwrap();
        let sum: Option<Checksum> = checksum.map(read);
        let framer = read::<Framing>(framing).build(sum.as_ref(), Some(&line)).unwrap();
        let name = format!("{framing} {}", checksum.unwrap_or_default());
        let mut port = Port { name, framer, now: Instant::now(), pushed: 0, handed_out: 0 };
        port.framer.open(port.now);
        port
    }

    /// One read, some time after the last one. Returns the last frame it completes.
    pub fn push(&mut self, bytes: &[u8], pause: Duration) -> Option<Bytes> {
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
    pub fn is_alive(&mut self, wire: &[u8], frame: &[u8]) {
        let counts = self.framer.counts();
        assert_eq!(counts.bytes, self.pushed, "{}", self.name);
        assert!(self.handed_out + counts.skipped <= counts.bytes, "{}: {counts:?}", self.name);
        let bad = counts.bad.total();
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

//! A simulated bus without I/O: Modbus slaves with faults behind a line that has a speed, time as an
//! argument.

mod played;
mod request;
mod slave;

pub use played::Played;
pub use slave::{Fault, Slave};

use crate::codec::modbus::Mode;
use crate::codec::modbus::adu::Adu;
use request::heard;
use slave::Answer;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Slaves on one line. Its owner [writes](SimulatedBus::write) what the master says, and takes what comes
/// back by [`SimulatedBus::next`] once it is [due](SimulatedBus::due), not before: what a slave has not
/// said yet, the master can still talk over.
#[derive(Debug)]
pub struct SimulatedBus {
    pub mode: Mode,
    /// Bits per second.
    pub speed: u32,
    /// Bits of a character on the line, start and stop bits included.
    pub bits: u32,
    /// How often a USB adapter hands over what it has received; zero: each character by itself.
    pub burst: Duration,
    /// The adapter hears what the master writes.
    pub echo: bool,
    pub slaves: Vec<Slave>,
    /// What went over the line so far.
    pub counts: BusCounts,
    chance: Chance,
    /// Since when the bursts are counted.
    origin: Option<Instant>,
    /// What the master wrote of a frame that is not complete.
    heard: Vec<u8>,
    /// When the last character was complete of those that are not to come any more.
    silent_from: Option<Instant>,
    /// When the master is done with what it wrote.
    written: Option<Instant>,
    /// What is to come, by the time at which each character is complete.
    line: VecDeque<(Instant, u8)>,
}

/// What went over the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusCounts {
    /// Complete requests.
    pub requests: u64,
    /// Requests that began less than 3.5 characters after anything else on the line.
    pub violations: u64,
    /// Requests that began while a slave was talking.
    pub collisions: u64,
    /// The shortest silence before a request.
    pub least_silence: Option<Duration>,
}

impl SimulatedBus {
    /// A bus of 9600 Bd with 11 bits a character, and without an adapter that holds anything back.
    pub fn new(seed: u64, mode: Mode, slaves: Vec<Slave>) -> SimulatedBus {
        SimulatedBus {
            mode,
            speed: 9600,
            bits: 11,
            burst: Duration::ZERO,
            echo: false,
            slaves,
            counts: BusCounts::default(),
            chance: Chance::new(seed),
            origin: None,
            heard: Vec::new(),
            silent_from: None,
            written: None,
            line: VecDeque::new(),
        }
    }

    /// The first slave with this unit address.
    pub fn slave(&mut self, unit: u8) -> Option<&mut Slave> {
        self.slaves.iter_mut().find(|slave| slave.unit == unit)
    }

    /// How long a character takes.
    pub fn character(&self) -> Duration {
        Duration::from_nanos(u64::from(self.bits) * 1_000_000_000 / u64::from(self.speed.max(1)))
    }

    /// The silence that ends an RTU frame: 3.5 characters, above 19200 Bd 1.75 ms (SL 2.5.1.1). The
    /// other modes need none.
    pub fn silence(&self) -> Duration {
        match self.mode {
            Mode::Rtu if self.speed > 19_200 => Duration::from_micros(1750),
            Mode::Rtu => self.character() * 7 / 2,
            Mode::Ascii | Mode::Tcp => Duration::ZERO,
        }
    }

    /// The master writes bytes, which go out one after the other from `at` on.
    pub fn write(&mut self, bytes: &[u8], at: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.origin
            .get_or_insert(at - self.burst.mul_f64(f64::from(self.chance.below(100)) / 100.0));
        // What was written a moment ago may still be going out.
        let goes_on = self.written.is_some_and(|written| at <= written + self.silence());
        let start = self.written.filter(|_| goes_on).map_or(at, |written| written.max(at));
        let character = self.character();
        let end = start + character * bytes.len() as u32;
        if !goes_on || self.heard.is_empty() {
            self.heard.clear();
            self.begin(start);
        }
        let is_heard = !self.talked_over(start, end);
        self.counts.collisions += u64::from(!is_heard);
        if self.echo {
            self.transmit(bytes, start);
        }
        self.written = Some(end);
        self.silent_from = self.silent_from.max(Some(end));
        self.heard.extend_from_slice(bytes);
        while let Some(heard) = heard(self.mode, &self.heard) {
            let rest = self.heard.split_off(heard.len);
            let request = std::mem::replace(&mut self.heard, rest);
            self.counts.requests += 1;
            if is_heard {
                self.answer(&heard, &request, end);
            }
        }
    }

    /// A request begins, and the silence before it is measured. Who is talking at that moment is talked
    /// over, which is another thing.
    fn begin(&mut self, start: Instant) {
        let passed = self.line.iter().map(|(at, _)| *at).take_while(|at| *at <= start).last();
        self.silent_from = self.silent_from.max(passed);
        let Some(silent_from) = self.silent_from else { return };
        let silence = start.saturating_duration_since(silent_from);
        let is_short = silence < self.silence();
        let least = self.counts.least_silence.get_or_insert(silence);
        *least = silence.min(*least);
        self.counts.violations += u64::from(is_short);
        for slave in &mut self.slaves {
            slave.is_deaf = slave.is_strict && is_short;
        }
    }

    /// Damages what slaves say between two moments; whether there was anything.
    fn talked_over(&mut self, start: Instant, end: Instant) -> bool {
        let character = self.character();
        let mut any = false;
        for (at, byte) in &mut self.line {
            if *at > start && *at - character < end {
                *byte ^= self.chance.byte() | 1;
                any = true;
            }
        }
        any
    }

    /// All slaves hear a request, which ended at `end`.
    fn answer(&mut self, heard: &Adu, request: &[u8], end: Instant) {
        let (mut answers, silence, character) = (Vec::new(), self.silence(), self.character());
        for slave in &mut self.slaves {
            let mut own = Vec::new();
            slave.hear(heard, request, self.mode, &mut self.chance, &mut own);
            for Answer { after, bytes } in own {
                // It does one thing after the other.
                let at = slave.busy_until.max(Some(end + after.max(silence)));
                slave.busy_until = at.map(|at| at + character * bytes.len() as u32);
                answers.extend(at.map(|at| (at, bytes)));
            }
        }
        for (at, bytes) in answers {
            // Slaves that talk at once damage each other.
            let until = at + self.character() * bytes.len() as u32;
            let is_alone = !self.talked_over(at, until);
            let damage = |byte: &u8| byte ^ (self.chance.byte() | 1);
            let damaged: Vec<_> = bytes.iter().map(damage).collect();
            self.transmit(if is_alone { &bytes } else { &damaged }, at);
        }
    }

    /// Puts bytes on the line from a moment on.
    fn transmit(&mut self, bytes: &[u8], start: Instant) {
        let character = self.character();
        for (n, byte) in (1..).zip(bytes) {
            let at = start + character * n;
            let place = self.line.partition_point(|(other, _)| *other <= at);
            self.line.insert(place, (at, *byte));
        }
    }

    /// When the master's end receives a character that is complete on the line at `at`.
    fn received(&self, at: Instant) -> Instant {
        let (Some(origin), false) = (self.origin, self.burst.is_zero()) else { return at };
        let bursts =
            at.saturating_duration_since(origin).as_nanos().div_ceil(self.burst.as_nanos());
        origin + self.burst * u32::try_from(bursts).unwrap_or(u32::MAX)
    }

    /// When [`SimulatedBus::next`] has something.
    pub fn due(&self) -> Option<Instant> {
        self.line.front().map(|(at, _)| self.received(*at))
    }
}

/// What comes next on the line, and when: all characters that the adapter hands over at once.
impl Iterator for SimulatedBus {
    type Item = (Instant, Vec<u8>);

    fn next(&mut self) -> Option<(Instant, Vec<u8>)> {
        let due = self.due()?;
        let mut bytes = Vec::new();
        while let Some((at, byte)) = self.line.front() {
            if self.received(*at) > due {
                break;
            }
            bytes.push(*byte);
            self.silent_from = self.silent_from.max(Some(*at));
            self.line.pop_front();
        }
        Some((due, bytes))
    }
}

/// Numbers that only look random (xorshift64*): a seed gives the same ones each time.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// At least 0, less than `n`; 0 if that is 0.
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        u32::try_from(number % u64::from(n.max(1))).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

#[cfg(test)]
mod tests;

//! A device, or several on a bus, as their device files describe them: what is heard becomes what is said.
//! Without I/O, time as an argument.

mod registers;
mod talker;

use crate::base::line::{Line, Parity};
use crate::base::scalar::Name;
use crate::codec::modbus::Mode;
use crate::config::Config;
use crate::config::cases::Golden;
use crate::port::settings::Port;
use crate::testing::bus::{Fault, SimulatedBus, Slave};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use talker::{INTERVAL, Talker};

/// A device that is to be simulated.
#[derive(Debug)]
pub struct Subject {
    /// How the configuration calls it.
    pub name: String,
    /// As it was named on the command line.
    pub model: String,
    golden: Golden,
    config: Config,
    /// In place of the address of its device file.
    address: Option<u8>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CannotSimulate {
    #[error(
        "{0} has nothing to simulate: no registers, and no case in which all is well; add one to its `cases`"
    )]
    NoBytes(String),
    #[error("{0} is no Modbus device, and only these share a line; simulate it alone")]
    NotOnBus(String),
    #[error("{0} says the bytes of its cases, which have an address already; leave @ out")]
    AddressIsFixed(String),
    #[error("address {1} of {0} is taken; write {0}@{2}")]
    SameAddress(String, u8, u8),
    #[error("{0} speaks another kind of Modbus than the first device; simulate it alone")]
    OtherMode(String),
}

/// What happens on the line now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Answers are damaged or missing now and then.
    pub errs: bool,
    /// Bytes take no time, and any speed of the other end is right.
    pub is_fast: bool,
}

#[derive(Debug)]
pub struct Simulation {
    /// Speed and format of the devices.
    pub line: Line,
    manner: Manner,
    bus: Option<SimulatedBus>,
    talker: Talker,
    /// What is to be said, by the time at which each byte is complete, and the speed at which it is sent.
    saying: VecDeque<(Instant, u32, u8)>,
    /// The speed of the other end, where it is not that of what was heard or said last.
    pub wrong_speed: Option<u32>,
}

/// One answer in so many is wrong, with errors; of each kind.
const ONE_IN: u32 = 20;

impl Subject {
    pub fn new(
        model: &str,
        golden: Golden,
        address: Option<u8>,
    ) -> Result<Subject, crate::config::ConfigError> {
        let config = golden.whole()?;
        let stem = model.rsplit('/').next().unwrap_or(model).trim_end_matches(".yaml");
        let name = stem.parse::<Name>().map_or("device".into(), |name| name.as_str().to_owned());
        Ok(Subject { name, model: model.to_owned(), golden, config, address })
    }

    fn port(&self) -> Option<&Port> {
        self.config.ports.values().next()
    }

    pub fn is_modbus(&self) -> bool {
        self.port().is_some_and(|port| !port.registers.is_empty())
    }

    /// Its address, where its device file or the command line says one.
    pub fn address(&self) -> Option<u8> {
        self.address.or(self.port()?.address)
    }

    /// Its speed and format, where its device file says them.
    pub fn line(&self) -> Option<Line> {
        self.golden.port.get("line")?;
        self.port()?.line
    }
}

impl Simulation {
    /// `line` is in place of what the device files say.
    pub fn new(
        subjects: &mut [Subject],
        line: Option<Line>,
        manner: Manner,
        now: Instant,
    ) -> Result<Simulation, CannotSimulate> {
        let is_bus = subjects.len() > 1;
        let line = line.or(subjects.iter().find_map(Subject::line)).unwrap_or(Line::DEFAULT);
        let mut talker = Talker::new(line);
        let mut slaves: Vec<Slave> = Vec::new();
        let mut mode = None;
        for subject in &*subjects {
            let model = subject.model.clone();
            let Some(port) = subject.port() else {
                return Err(CannotSimulate::NoBytes(model));
            };
            if is_bus && !subject.is_modbus() {
                return Err(CannotSimulate::NotOnBus(model));
            }
            if subject.address.is_some() && !subject.is_modbus() {
                return Err(CannotSimulate::AddressIsFixed(model));
            }
            let told = subject.golden.told();
            if subject.is_modbus() {
                let unit = subject.address().unwrap_or(1);
                if slaves.iter().any(|slave| slave.unit == unit) {
                    let is_free = |unit: &u8| slaves.iter().all(|slave| slave.unit != *unit);
                    let free = (1..=247).find(is_free).unwrap_or(unit);
                    return Err(CannotSimulate::SameAddress(model, unit, free));
                }
                if *mode.get_or_insert(port.modbus) != port.modbus {
                    return Err(CannotSimulate::OtherMode(model));
                }
                let mut slave = registers::slave(unit, port, now).after(Duration::from_millis(15));
                if manner.errs {
                    for fault in [Fault::BadChecksum, Fault::Short(2), Fault::Dead] {
                        slave = slave.one_in(ONE_IN, fault);
                    }
                }
                slaves.push(slave);
                talker.learn_commands(told);
            } else {
                let first = if manner.is_fast { now } else { now + INTERVAL };
                talker.learn(told, port.is_asked(), first);
            }
        }
        if let (true, [subject]) = (slaves.is_empty() && talker.is_empty(), &*subjects) {
            return Err(CannotSimulate::NoBytes(subject.model.clone()));
        }
        let bus = mode.map(|mode| {
            let mut bus = SimulatedBus::new(1, mode, slaves);
            (bus.speed, bus.bits) = (line.baud, bits(line));
            if manner.is_fast || mode == Mode::Tcp {
                bus.speed = 10_000_000;
                bus.slaves.iter_mut().for_each(|slave| slave.delay = Duration::ZERO);
            }
            bus
        });
        Ok(Simulation { line, manner, bus, talker, saying: VecDeque::new(), wrong_speed: None })
    }

    /// The other end, which has set this speed, has written bytes.
    pub fn hear(&mut self, bytes: &[u8], speed: u32, now: Instant) {
        let own = self.talker.line.baud;
        // A device that was asked to change its speed hears the former one again.
        let is_right = self.manner.is_fast || speed == own || speed == self.line.baud;
        self.wrong_speed = (!is_right).then_some(speed);
        if !is_right {
            return;
        }
        if !self.talker.hear(bytes, speed, now)
            && let Some(bus) = &mut self.bus
        {
            bus.write(bytes, now);
        }
    }

    /// What is said by now, to an end that has set this speed. Ask until it is empty.
    pub fn say(&mut self, speed: u32, now: Instant) -> Vec<u8> {
        while let Some(said) = self.talker.say(now) {
            let (line, mut bytes) = (said.line, said.bytes);
            if self.manner.errs {
                self.talker.damage(&mut bytes, ONE_IN);
            }
            let start = self.saying.back().map_or(now, |(at, ..)| now.max(*at));
            let time = |n: usize| match self.manner.is_fast {
                true => Duration::ZERO,
                false => line.time_of(1.0) * u32::try_from(n).unwrap_or(u32::MAX),
            };
            let timed = (1..).zip(bytes).map(|(n, byte)| (start + time(n), line.baud, byte));
            self.saying.extend(timed);
        }
        let mut all = Vec::new();
        let (is_fast, wrong_speed) = (self.manner.is_fast, &mut self.wrong_speed);
        let mut put = |byte: u8, own: u32| {
            let is_right = is_fast || own == speed;
            *wrong_speed = (!is_right).then_some(speed);
            // Sampled at other moments, a byte is another one.
            all.push(if is_right { byte } else { byte.rotate_left(3) ^ 0x5A | 0x80 });
        };
        while let Some((_, own, byte)) = self.saying.front().copied().filter(|(at, ..)| *at <= now)
        {
            put(byte, own);
            self.saying.pop_front();
        }
        if let Some(bus) = &mut self.bus {
            let own = self.line.baud;
            while bus.due().is_some_and(|due| due <= now)
                && let Some((_, bytes)) = bus.next()
            {
                bytes.into_iter().for_each(|byte| put(byte, own));
            }
        }
        all
    }
}

/// Bits of a character.
fn bits(line: Line) -> u32 {
    u32::from(1 + line.data_bits + u8::from(line.parity != Parity::None) + line.stop_bits)
}

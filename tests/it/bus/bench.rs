//! A device with a simulated bus on a clock that only the test moves.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::base::line::Parity;
use tty2mqtt::testing::bus::{SimulatedBus, Slave};
use tty2mqtt::testing::codec::modbus::Table;
use tty2mqtt::testing::config::tree;
use tty2mqtt::testing::device::inbound::{Inbound, Receipt};
use tty2mqtt::testing::device::{Device, MemberStatus, Publication, Transmit};
use tty2mqtt::testing::port::settings::Port;

/// A device on a bus, the clock of both, and what came of it.
pub struct Bench {
    pub device: Device,
    pub bus: SimulatedBus,
    pub now: Now,
    start: Instant,
    /// Published values that were not yet looked at: when, device, field, value.
    pub values: Vec<Value>,
    /// Concluded commands that were not yet looked at: topic, then the text of the refusal if any.
    pub concluded: Vec<(Duration, String, Result<(), String>)>,
    /// What was published of results and states of commands.
    pub told: Vec<(String, String)>,
    /// When each request was written, and its first bytes.
    pub written: Vec<(Duration, Vec<u8>)>,
    pub notices: Vec<String>,
    out: Vec<Publication>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub at: Duration,
    pub device: String,
    pub field: String,
    pub value: String,
}

/// A slave whose holding and input registers all say whose they are: the unit, and the place's low byte.
pub fn slave(unit: u8) -> Slave {
    Slave::new(unit).by(move |table, at| match table {
        Table::Holding | Table::Input => Some(value(unit, at)),
        Table::Coil | Table::Discrete => Some(at % 2),
    })
}

/// What such a slave says at a place.
pub fn value(unit: u8, at: u16) -> u16 {
    u16::from(unit) << 8 | (at & 0xFF)
}

/// Any set clock does.
pub fn wall() -> Now {
    Now { wall: UNIX_EPOCH + Duration::from_secs(1_800_000_000), ..Now::read() }
}

pub fn build(port: &str) -> (Device, Port) {
    let port: Port = tree::parse(port).unwrap_or_else(|e| panic!("{e}\n{port}"));
    let (gateway, name) = ("gw".parse().unwrap(), "p".parse().unwrap());
    let device = Device::build(&port.device(&gateway, &name));
    (device.unwrap_or_else(|e| panic!("{e:?}")), port)
}

impl Bench {
    /// The port's settings, with `line`, and the slaves on its bus.
    pub fn new(seed: u64, port: &str, slaves: Vec<Slave>) -> Bench {
        let (mut device, port) = build(port);
        let mut bus = SimulatedBus::new(seed, port.modbus, slaves);
        if let Some(line) = port.line {
            bus.speed = line.baud;
            let parity = u8::from(line.parity != Parity::None);
            bus.bits = (1 + line.data_bits + parity + line.stop_bits).into();
        }
        let now = wall();
        device.opened(now.mono);
        let start = now.mono;
        Bench {
            device,
            bus,
            now,
            start,
            values: Vec::new(),
            concluded: Vec::new(),
            told: Vec::new(),
            written: Vec::new(),
            notices: Vec::new(),
            out: Vec::new(),
        }
    }

    /// How much time has passed since the start.
    pub fn time(&self) -> Duration {
        self.now.mono - self.start
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now.mono + time;
        self.run(until, |_| false);
    }

    /// Lets time pass until something is so, at most so long; returns whether it came to be.
    pub fn wait(&mut self, time: Duration, is_so: impl Fn(&Bench) -> bool) -> bool {
        let until = self.now.mono + time;
        self.run(until, is_so)
    }

    fn run(&mut self, until: Instant, is_so: impl Fn(&Bench) -> bool) -> bool {
        let mut idle = 0;
        loop {
            match self.device.transmit(self.now, &mut self.out) {
                Some(Transmit::Write(bytes)) => {
                    self.bus.write(&bytes, self.now.mono);
                    self.device.wrote(bytes.len(), self.now, &mut self.out);
                    self.written.push((self.time(), bytes[..bytes.len().min(6)].to_vec()));
                    continue;
                }
                Some(Transmit::Set(line)) => {
                    self.device.set(line, self.now, &mut self.out);
                    continue;
                }
                None => {}
            }
            self.collect();
            if is_so(self) {
                return true;
            }
            let due = self.device.deadline();
            let heard = self.bus.due();
            let next = due.into_iter().chain(heard).min().filter(|next| *next <= until);
            let Some(next) = next else {
                self.now = self.now.after(until.saturating_duration_since(self.now.mono));
                return false;
            };
            idle = if next > self.now.mono { 0 } else { idle + 1 };
            assert!(idle < 1000, "at {:?} it does nothing and waits for nothing", self.time());
            self.now = self.now.after(next.saturating_duration_since(self.now.mono));
            if heard == Some(next) {
                let bytes = self.bus.next().map(|(_, bytes)| bytes).unwrap_or_default();
                self.device.push(&bytes, self.now, &mut self.out);
            } else {
                self.device.timeout(self.now, &mut self.out);
            }
        }
    }

    fn collect(&mut self) {
        let at = self.time();
        for it in self.out.drain(..) {
            let topic = it.message.topic.as_str().to_owned();
            let mut words = topic.split('/').skip(1);
            let device = words.next().unwrap_or_default().to_owned();
            let field = words.next().unwrap_or_default().to_owned();
            let value = String::from_utf8_lossy(&it.message.payload).into_owned();
            self.values.push(Value { at, device, field, value });
        }
        for it in self.device.concluded() {
            let text = |payload: &Bytes| String::from_utf8_lossy(payload).into_owned();
            let told = it.messages.iter().map(|m| (m.topic.as_str().to_owned(), text(&m.payload)));
            self.told.extend(told);
            let result = it.result.map(drop).map_err(|why| why.to_string());
            self.concluded.push((at, it.topic.as_str().to_owned(), result));
            it.receipt.acknowledge();
        }
        self.notices.extend(self.device.notices().iter().map(ToString::to_string));
    }

    pub fn command(&mut self, topic: &str, payload: &str) {
        let inbound = Inbound {
            topic: topic.parse().unwrap(),
            payload: payload.to_owned().into(),
            retain: false,
            since: Some(self.now.mono),
            expires: None,
            respond: None,
            receipt: Receipt::default(),
        };
        self.device.command(inbound, self.now.mono);
    }

    pub fn status(&self, device: &str) -> MemberStatus {
        let found = self.device.members().find(|(name, _)| *name == device);
        found.map(|(_, status)| status.clone()).unwrap_or_else(|| panic!("no {device}"))
    }

    /// The values that came since the last call; each must be that of its slave `sUNIT` and place
    /// `rPLACE`.
    pub fn checked(&mut self) -> BTreeMap<String, Vec<Duration>> {
        let mut by_device: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for it in std::mem::take(&mut self.values) {
            let unit: u8 = it.device.trim_start_matches('s').parse().unwrap();
            let place: u16 = it.field.trim_start_matches('r').parse().unwrap();
            assert_eq!(it.value, value(unit, place).to_string(), "{it:?}");
            by_device.entry(it.device).or_default().push(it.at);
        }
        by_device
    }
}

/// The longest time without a value, from `from` to `until`.
pub fn staleness(times: &[Duration], from: Duration, until: Duration) -> Duration {
    let inside = times.iter().copied().filter(|at| (from..=until).contains(at));
    let ends: Vec<_> = [from].into_iter().chain(inside).chain([until]).collect();
    ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// The settings of devices `sUNIT` whose registers `rPLACE` are at these places, with more keys.
pub fn devices<'a>(list: impl IntoIterator<Item = (u8, &'a [u16])>, more: &str) -> String {
    let mut text = "devices:\n".to_owned();
    for (unit, places) in list {
        text += &format!("  s{unit}:\n    address: {unit}\n    registers:\n");
        for place in places {
            text += &format!("      r{place}: {{holding: {place}}}\n");
        }
        for line in more.lines() {
            text += &format!("    {line}\n");
        }
    }
    text
}

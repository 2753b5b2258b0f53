//! The example of devices that are asked, config/polling.yaml, is right, and each of its ports does what it
//! is there for; and so does each of a whole configuration, tests/whole.yaml.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tty2mqtt::mqtt::topic::Topic;
use tty2mqtt::testing::base::clock::Now;
use tty2mqtt::testing::bus::{SimulatedBus, Slave};
use tty2mqtt::testing::codec::modbus::{Mode, Table};
use tty2mqtt::testing::config::cases::Golden;
use tty2mqtt::testing::config::{Config, load, tree};
use tty2mqtt::testing::device::cases::Case;
use tty2mqtt::testing::device::inbound::{Inbound, Receipt};
use tty2mqtt::testing::device::{Device, Publication, Transmit};

fn example() -> Config {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/polling.yaml");
    let (config, warnings) = load::load(&file).unwrap_or_else(|e| panic!("{e}"));
    let slips = warnings.iter().filter(|warning| warning.contains(": ports."));
    assert_eq!(slips.count(), 0, "{warnings:?}");
    config
}

#[test]
fn each_port_of_the_example_has_cases_that_it_passes() {
    let config = example();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/polling.yaml");
    let cases: BTreeMap<String, Vec<Case>> =
        tree::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
    for (name, port) in config.ports.iter().filter(|(name, _)| name.as_str() != "rail") {
        let device = port.device(&config.gateway, name);
        assert!(!cases[name.as_str()].is_empty(), "{name} has no case");
        for case in &cases[name.as_str()] {
            case.run(&device).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
    }
}

/// A device on a simulated bus, on a clock of its own.
struct Stage {
    device: Device,
    bus: SimulatedBus,
    now: Now,
    published: Vec<(String, String)>,
}

impl Stage {
    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now.mono < end.mono {
            let mut out = Vec::new();
            match self.device.transmit(self.now, &mut out) {
                Some(Transmit::Write(bytes)) => {
                    self.bus.write(&bytes, self.now.mono);
                    self.device.wrote(bytes.len(), self.now, &mut out);
                }
                Some(Transmit::Set(line)) => self.device.set(line, self.now, &mut out),
                None => self.wait(end.mono, &mut out),
            }
            self.published.extend(out.into_iter().map(|it| said(&it.message)));
            for concluded in self.device.concluded() {
                self.published.extend(concluded.messages.iter().map(said));
            }
        }
    }

    /// Until the next byte, the next deadline or the end.
    fn wait(&mut self, end: Instant, out: &mut Vec<Publication>) {
        let due = self.bus.due();
        let next = due.into_iter().chain(self.device.deadline()).chain([end]).min().unwrap();
        self.now = self.now.after(next.saturating_duration_since(self.now.mono));
        if due == Some(next) {
            let (_, bytes) = self.bus.next().unwrap();
            self.device.push(&bytes, self.now, out);
        } else {
            self.device.timeout(self.now, out);
        }
    }

    /// The last value under a topic.
    fn last(&self, topic: &str) -> Option<&str> {
        let found = self.published.iter().rev().find(|(it, _)| it == topic);
        found.map(|(_, payload)| payload.as_str())
    }
}

fn said(message: &tty2mqtt::mqtt::message::Message) -> (String, String) {
    (message.topic.to_string(), String::from_utf8_lossy(&message.payload).into_owned())
}

#[test]
fn the_bus_of_the_example_reads_its_models_and_the_device_that_is_described_there() {
    let config = example();
    let (name, port) = config.ports.iter().find(|(name, _)| name.as_str() == "rail").unwrap();
    let device = Device::build(&port.device(&config.gateway, name)).unwrap();
    let counting = |unit| Slave::new(unit).by(|_, at| Some(at % 7));
    let text: Vec<u16> =
        b"ABC123456789".chunks(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
    let cistern = Slave::new(7)
        .with(Table::Input, 0, &[123, 0, 0x8000, 0x44BB])
        .with(Table::Holding, 0x10, &text)
        .with(Table::Holding, 0x20, &[215])
        .with(Table::Discrete, 3, &[1]);
    let slaves = vec![counting(1), counting(2), counting(3), cistern];
    let mut bus = SimulatedBus::new(1, Mode::Rtu, slaves);
    bus.bits = 10;
    let mut stage = Stage { device, bus, now: Now::read(), published: Vec::new() };
    stage.device.opened(stage.now.mono);
    stage.pass(Duration::from_secs(9));
    for (topic, payload) in [
        ("cistern/level", "12.3"),
        // 1500 L, by `fields` in cubic metres.
        ("cistern/content", "1.500"),
        ("cistern/number", "ABC123456789"),
        ("cistern/overflow", "ON"),
        ("cistern/frost", "21.5"),
    ] {
        assert_eq!(stage.last(&format!("cellar/{topic}")), Some(payload), "{topic}");
    }
    for (device, settings) in &port.devices {
        for field in settings.registers.keys() {
            let topic = format!("cellar/{device}/{field}");
            let times = stage.published.iter().filter(|(it, _)| *it == topic).count();
            // Asked at 0, 2, 4, 6 and 8 s; the others at 0 s.
            let expected = if device.as_str() == "pump" { 5 } else { 1 };
            assert_eq!(times, expected, "{topic}");
        }
    }
    let topic: Topic = "cellar/cistern/frost/set".parse().unwrap();
    let inbound = Inbound {
        topic,
        payload: "22.5".into(),
        retain: false,
        since: Some(stage.now.mono),
        expires: None,
        respond: None,
        receipt: Receipt::default(),
    };
    stage.device.command(inbound, stage.now.mono);
    stage.pass(Duration::from_millis(900));
    assert_eq!(stage.last("cellar/cistern/frost/result"), Some("done"));
    assert_eq!(stage.last("cellar/cistern/frost"), Some("22.5"));
    assert_eq!(stage.bus.slave(7).unwrap().get(Table::Holding, 0x20), Some(225));
    assert_eq!((stage.bus.counts.violations, stage.bus.counts.collisions), (0, 0));
    assert!(stage.device.members().all(|(_, status)| status.online == Some(true)));
}

fn of_tests(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file)
}

#[test]
fn a_whole_configuration_works_as_it_stands() {
    let (config, _) = load::load(&of_tests("whole.yaml")).unwrap_or_else(|e| panic!("{e}"));
    let cases: BTreeMap<String, Vec<Case>> =
        tree::parse(&std::fs::read_to_string(of_tests("whole_cases.yaml")).unwrap()).unwrap();
    let settings = |wanted: &str| {
        let found = config.ports.iter().find(|(name, _)| name.as_str() == wanted);
        let (name, port) = found.unwrap_or_else(|| panic!("no port {wanted}"));
        port.device(&config.gateway, name)
    };
    for (name, cases) in &cases {
        for case in cases {
            case.run(&settings(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
    }
    // The tank has a calculated field and filters.
    let counting = |unit| Slave::new(unit).by(|_, at| Some(at % 7));
    let tank = Slave::new(7)
        .with(Table::Input, 0, &[123, 0, 0x8000, 0x44BB])
        .with(Table::Holding, 0x10, &[0x4142; 6])
        .with(Table::Holding, 0x20, &[215])
        .with(Table::Discrete, 3, &[1]);
    let slaves = vec![counting(1), counting(2), counting(3), tank];
    let mut bus = SimulatedBus::new(1, Mode::Rtu, slaves);
    bus.bits = 10;
    let device = Device::build(&settings("bus")).unwrap();
    let mut stage = Stage { device, bus, now: Now::read(), published: Vec::new() };
    stage.device.opened(stage.now.mono);
    stage.pass(Duration::from_secs(605));
    for (field, payload, least, most) in [
        ("level", "12.3", 2, 2),
        ("volume", "1500.0", 55, 61),
        ("fill", "150", 55, 61),
        ("serial", "ABABABABABAB", 1, 1),
        ("full", "ON", 55, 61),
        ("setpoint", "21.5", 55, 61),
    ] {
        let topic = format!("gw/tank/{field}");
        let times = stage.published.iter().filter(|(it, _)| *it == topic).count();
        assert_eq!(stage.last(&topic), Some(payload));
        assert!((least..=most).contains(&times), "{topic}: {times} times");
    }
    assert!(stage.device.pipeline().counts().filtered >= 50);
    // The meter sends each second; its power is published each 10 s.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices/dsmr-5.yaml");
    let meter = Golden::read("meter.yaml", std::fs::read_to_string(file).unwrap()).unwrap();
    let telegram = meter.cases[0].input[0].text.as_ref().unwrap();
    let mut device = Device::build(&settings("meter")).unwrap();
    let (start, mut out) = (Now::read(), Vec::new());
    device.opened(start.mono);
    for second in 1..=21 {
        device.push(telegram.as_bytes(), start.after(Duration::from_secs(second)), &mut out);
    }
    let times = |topic: &str| out.iter().filter(|it| it.message.topic.as_str() == topic).count();
    assert_eq!((times("gw/meter/power_import"), times("gw/meter/power_export")), (3, 21));
}

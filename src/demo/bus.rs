//! The simulated RS-485 bus of the demo: three Modbus slaves, and what must come of what they answer.

use super::sensors::{Expected, message, wave};
use crate::codec::modbus::{Mode, Table};
use crate::testing::bus::{BusCounts, Fault, Played, SimulatedBus, Slave};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// The port in `config/demo.yaml`, and the name of the device that falls silent.
pub(super) const PORT: &str = "bus";
pub(super) const DYING: &str = "pump";

/// Addresses in `config/demo.yaml`.
const HOUSE: u8 = 1;
const HEATING: u8 = 2;
const PUMP: u8 = 3;

/// The input registers at a slave's `n`th answer, and the messages that they must become.
type Registers = fn(n: u32) -> (Vec<u16>, Vec<Expected>);

pub(super) struct Bus {
    played: Played,
}

impl Bus {
    /// Plays the bus on a virtual serial port with this name.
    pub(super) fn start(link: &Path, done: &mpsc::Sender<Expected>) -> io::Result<Bus> {
        let heating = slave(HEATING, heating, done).with(Table::Holding, 0, &[205]);
        let slaves = vec![slave(HOUSE, house, done), heating, slave(PUMP, pump, done)];
        let mut bus = SimulatedBus::new(1, Mode::Rtu, slaves);
        // 9600 8N1.
        bus.bits = 10;
        let played = Played::start(bus)?;
        played.link(link)?;
        Ok(Bus { played })
    }

    /// The device that falls silent does so, or answers again.
    pub(super) fn let_answer(&self, answers: bool) {
        if let Some(pump) = self.played.bus().slave(PUMP) {
            pump.fail(if answers { &[] } else { &[Fault::Dead] });
        }
    }

    /// No device answers any more.
    pub(super) fn fall_silent(&self) {
        for slave in &mut self.played.bus().slaves {
            slave.fail(&[Fault::Dead]);
        }
    }

    pub(super) fn counts(&self) -> BusCounts {
        self.played.bus().counts.clone()
    }
}

fn slave(unit: u8, registers: Registers, done: &mpsc::Sender<Expected>) -> Slave {
    let (n, done) = (Arc::new(AtomicU32::new(0)), done.clone());
    let answers = Arc::clone(&n);
    let input = move |at: u16| registers(n.load(Ordering::Relaxed)).0.get(usize::from(at)).copied();
    let answered = move |table, values: &[u16]| match (table, values) {
        (Table::Input, _) => registers(answers.fetch_add(1, Ordering::Relaxed)).1,
        (_, [tenths, ..]) => vec![message("heating/setpoint", decimal((*tenths).into(), 10))],
        _ => Vec::new(),
    };
    Slave::new(unit)
        .after(Duration::from_millis(15))
        .by(move |table, at| if table == Table::Input { input(at) } else { None })
        .observed(move |table, _, values| {
            for message in answered(table, values) {
                // The channel holds more than comes before it is looked into.
                let _ = done.try_send(message);
            }
        })
}

/// A number with the decimals of its unit: of hundredths with 100.
fn decimal(number: u32, unit: u32) -> String {
    let decimals = unit.ilog10() as usize;
    format!("{}.{:0decimals$}", number / unit, number % unit)
}

/// An energy meter.
fn house(n: u32) -> (Vec<u16>, Vec<Expected>) {
    let (power, energy) = (300 + wave(n, 20, 2400), 7_654_321 + n * 7);
    let registers = vec![power as u16, (energy >> 16) as u16, energy as u16];
    let messages = vec![
        message("house/power", power.to_string()),
        message("house/energy", decimal(energy, 100)),
    ];
    (registers, messages)
}

/// A thermostat.
fn heating(n: u32) -> (Vec<u16>, Vec<Expected>) {
    let temperature = 195 + wave(n, 30, 20);
    (vec![temperature as u16], vec![message("heating/temperature", decimal(temperature, 10))])
}

/// A pump.
fn pump(n: u32) -> (Vec<u16>, Vec<Expected>) {
    let speed = 1_400 + n;
    (vec![speed as u16], vec![message("pump/speed", speed.to_string())])
}

//! The registers of a Modbus device: values that are plausible for what they measure, and move.

use crate::base::scalar::Token;
use crate::codec::decode::Decoded;
use crate::codec::field::{StateClass, Type};
use crate::codec::modbus::{
    ByteOrder, Place, Register, RegisterSettings, Table, Write, WriteSettings, register,
};
use crate::port::settings::Port;
use crate::testing::bus::Slave;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// A slave with the registers of a device. Places that none of them takes do not exist.
pub(super) fn slave(unit: u8, port: &Port, start: Instant) -> Slave {
    let powers: Vec<&String> =
        port.registers.values().filter_map(|register| register.scale_from.as_ref()).collect();
    let cells: Vec<Cell> = port
        .registers
        .iter()
        .enumerate()
        .filter_map(|(n, (name, settings))| {
            let is_power = powers.contains(&name);
            Cell::new(n, name, settings, is_power, port.byte_order)
        })
        .collect();
    let mut at: BTreeMap<(Table, u16), Vec<(usize, usize)>> = BTreeMap::new();
    let mut slave = Slave::new(unit);
    // A value and its power of ten are read at once, with what lies between them.
    if !powers.is_empty() {
        let settings = port.registers.iter().map(|(name, it)| (name.as_str(), it));
        for Register { place, .. } in
            register::build_all(settings, port.byte_order).unwrap_or_default()
        {
            for n in 0..place.count {
                at.entry((place.table, place.start.wrapping_add(n))).or_default();
            }
        }
    }
    for (n, cell) in cells.iter().enumerate() {
        let (table, words) = (cell.place.table, cell.words(0));
        for (offset, word) in words.iter().enumerate() {
            let place = cell.place.start.wrapping_add(offset as u16);
            if cell.is_writable {
                slave.set(table, place, *word);
            } else {
                at.entry((table, place)).or_default().push((n, offset));
            }
        }
    }
    // What one request reads is of one moment.
    let seconds = Arc::new(AtomicU32::new(0));
    let moment = Arc::clone(&seconds);
    let value = move |table: Table, place: u16| {
        let n = moment.load(Ordering::Relaxed);
        let parts = at.get(&(table, place))?;
        // Several registers may be bits of one word.
        let word = |(cell, offset): &(usize, usize)| {
            cells
                .get(*cell)
                .and_then(|cell| cell.words(n).get(*offset).copied())
                .unwrap_or_default()
        };
        Some(parts.iter().map(word).fold(0, |all, word| all | word))
    };
    slave.by(value).observed(move |_, _, _| {
        let passed = u32::try_from(start.elapsed().as_secs()).unwrap_or(u32::MAX);
        seconds.store(passed, Ordering::Relaxed);
    })
}

/// A register that is simulated.
struct Cell {
    place: Place,
    is_writable: bool,
    /// It measures something, and is no state.
    measures: bool,
    motion: Motion,
    /// What reads it.
    register: Register,
    /// The same as one that can be written; none where a value does not become bytes so easily.
    writer: Option<Register>,
    /// Words or bounds that are tried where the number is none of its values.
    others: Vec<String>,
    /// The lowest of its bits, where it has only some.
    shift: Option<u8>,
}

impl Cell {
    fn new(
        n: usize,
        name: &str,
        settings: &RegisterSettings,
        is_power: bool,
        order: ByteOrder,
    ) -> Option<Cell> {
        let power = RegisterSettings { kind: Some(Type::I16), ..settings.clone() };
        let read = RegisterSettings { scale_from: None, ..settings.clone() };
        let register = build(&read, order)?;
        let place = register.place;
        let mut written = if is_power { power } else { read };
        let shift = written.bits.take().map(|bits| bits.lowest);
        written.kind = match written.kind {
            Some(Type::U8) => Some(Type::U16),
            Some(Type::I8) => Some(Type::I16),
            kind => kind,
        };
        if settings.scale_from.is_some() && written.scale.is_none() {
            written.scale = Some(Token(POWER.1.into()));
        }
        let at = place.start;
        match place.table {
            Table::Input => (written.input, written.holding) = (None, Some(at)),
            Table::Discrete => (written.discrete, written.coil) = (None, Some(at)),
            Table::Holding | Table::Coil => {}
        }
        let token = |Token(text): &Token| text.clone();
        let mut others: Vec<String> = settings.lookup.values().map(token).collect();
        match &settings.write {
            Write::Yes(write) => {
                others.extend(write.values.keys().map(token));
                others.extend(write.min.iter().chain(&write.max).map(token));
            }
            Write::No => written.write = Write::Yes(WriteSettings::default()),
        }
        if place.table.is_bits() && others.is_empty() {
            others = vec!["OFF".into(), "ON".into()];
        }
        let length = usize::from(settings.length.unwrap_or_default());
        match settings.kind {
            Some(Type::Text) => {
                let mut text = String::from("SIM");
                while text.len() < length {
                    text.push(char::from(b'0' + (text.len() % 10) as u8));
                }
                text.truncate(length);
                others.insert(0, text);
            }
            Some(Type::Bytes) => others.push("00".repeat(length)),
            _ => {}
        }
        others.extend(["1".into(), "0".into()]);
        let motion = match is_power {
            true => Motion { base: POWER.0, swing: 0.0, rate: 0.0, period: 1 },
            false => Motion::of(n, name, settings),
        };
        let is_writable = settings.write.is_wanted();
        let writer = build(&written, order);
        let measures = settings.unit.is_some() || settings.class.is_some();
        Some(Cell { place, is_writable, measures, motion, register, writer, others, shift })
    }

    /// Its registers or its bit after so many seconds.
    fn words(&self, seconds: u32) -> Vec<u16> {
        let number = self.motion.at(if self.is_writable { 0 } else { seconds });
        if let Some(lowest) = self.shift {
            let mut words = vec![0; usize::from(self.place.count)];
            // The last word is the lowest one.
            if let Some(word) = words.last_mut().filter(|_| lowest < 16) {
                *word = u16::from((seconds / 10).is_multiple_of(2)) << lowest;
            }
            return words;
        }
        let numbers = [1.0, 10.0, 100.0, 1000.0].map(|less| format!("{:.3}", number / less));
        let words = self.others.iter().map(String::as_str);
        let (first, then): (Vec<&str>, Vec<&str>) = match self.measures {
            true => (numbers.iter().map(String::as_str).collect(), words.collect()),
            false => (words.collect(), numbers.iter().map(String::as_str).collect()),
        };
        let found = first.into_iter().chain(then).find_map(|text| self.encoded(text));
        found.unwrap_or_else(|| vec![0; usize::from(self.place.count)])
    }

    /// A value as it stands in the registers, if it is one that is read again.
    fn encoded(&self, text: &str) -> Option<Vec<u16>> {
        let bytes = self.writer.as_ref()?.encode(text).ok()?.written();
        let mut out = Decoded::default();
        self.register.decode(&bytes, &mut out);
        if out.readings.is_empty() {
            return None;
        }
        if self.place.table.is_bits() {
            return Some(bytes.iter().map(|bit| u16::from(*bit)).collect());
        }
        let word = |pair: &[u8]| pair.iter().fold(0, |word, byte| word << 8 | u16::from(*byte));
        Some(bytes.chunks(2).map(word).collect())
    }
}

fn build(settings: &RegisterSettings, order: ByteOrder) -> Option<Register> {
    register::build_all([("value", settings)], order).ok()?.pop()
}

/// A power of ten that a device says, and what it makes of a number.
const POWER: (f64, &str) = (-1.0, "0.1");

/// How a value moves.
#[derive(Clone, Copy, Debug)]
struct Motion {
    base: f64,
    /// Up and down by so much in a period of so many seconds.
    swing: f64,
    period: u32,
    /// A counter grows by so much each second.
    rate: f64,
}

/// What is usual of a class in a unit: about this, and up and down by so much.
const USUAL: &[(&str, &str, f64, f64)] = &[
    ("voltage", "mV", 3300.0, 20.0),
    ("voltage", "", 230.0, 3.0),
    ("current", "mA", 350.0, 40.0),
    ("current", "", 4.2, 1.8),
    ("power", "kW", 0.95, 0.4),
    ("power", "", 950.0, 420.0),
    ("apparent_power", "kVA", 1.0, 0.4),
    ("apparent_power", "", 1010.0, 400.0),
    ("reactive_power", "kvar", 0.12, 0.05),
    ("reactive_power", "", 120.0, 50.0),
    ("power_factor", "%", 95.0, 3.0),
    ("power_factor", "", 0.95, 0.03),
    ("frequency", "", 50.0, 0.04),
    ("temperature", "°F", 71.0, 3.0),
    ("temperature", "", 21.5, 1.5),
    ("humidity", "", 46.0, 6.0),
    ("moisture", "", 31.0, 4.0),
    ("battery", "", 82.0, 5.0),
    ("carbon_dioxide", "", 640.0, 120.0),
    ("atmospheric_pressure", "kPa", 101.3, 0.4),
    ("atmospheric_pressure", "", 1013.0, 4.0),
    ("pressure", "", 2.1, 0.3),
    ("illuminance", "", 420.0, 200.0),
    ("wind_speed", "", 3.4, 2.0),
    ("ph", "", 7.1, 0.2),
    ("conductivity", "", 560.0, 40.0),
    ("distance", "", 120.0, 20.0),
    ("", "%", 55.0, 10.0),
    ("", "°", 180.0, 90.0),
];

impl Motion {
    fn of(n: usize, name: &str, settings: &RegisterSettings) -> Motion {
        let class = settings.class.as_deref().unwrap_or_default();
        let unit = settings.unit.as_deref().unwrap_or_default();
        // No two registers say the same.
        let spread = 1.0 + 0.01 * (n % 7) as f64;
        let period = 40 + 7 * (n as u32 % 9);
        let is_total =
            matches!(settings.state_class, Some(StateClass::Total | StateClass::TotalIncreasing))
                || matches!(class, "energy" | "gas" | "water");
        if is_total {
            let base = if matches!(unit, "Wh" | "varh" | "VAh") { 1_234_500.0 } else { 1234.5 };
            return Motion { base: base * spread, swing: 0.0, period, rate: base / 4_500_000.0 };
        }
        if name.contains("battery") && class == "voltage" && unit == "V" {
            return Motion { base: 52.4, swing: 0.6, period, rate: 0.0 };
        }
        let usual = USUAL.iter().find(|(of_class, of_unit, ..)| {
            *of_class == class && (of_unit.is_empty() || *of_unit == unit)
        });
        let (base, swing) = usual.map_or((42.0, 6.0), |(.., base, swing)| (*base, *swing));
        // Some classes have narrow bounds.
        let spread = if matches!(class, "frequency" | "power_factor") { 1.0 } else { spread };
        let mut motion = Motion { base: base * spread, swing, period, rate: 0.0 };
        if let Some(valid) = &settings.valid {
            let bound = |token: &Option<Token>| token.as_ref()?.0.parse().ok();
            motion.keep_within((bound(&valid.min), bound(&valid.max)));
        }
        motion
    }

    fn keep_within(&mut self, (min, max): (Option<f64>, Option<f64>)) {
        let (low, high) = (self.base - self.swing, self.base + self.swing);
        let is_below = min.is_some_and(|min| low < min);
        let is_above = max.is_some_and(|max| high > max);
        if is_below || is_above {
            self.base = match (min, max) {
                (Some(min), Some(max)) => f64::midpoint(min, max),
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => self.base,
            };
            self.swing = 0.0;
        }
    }

    fn at(&self, seconds: u32) -> f64 {
        let turn = std::f64::consts::TAU * f64::from(seconds) / f64::from(self.period);
        self.base + self.swing * turn.sin() + self.rate * f64::from(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::library::Library;
    use std::path::Path;

    /// What a register says of the words of a slave.
    fn value(register: &Register, slave: &Slave) -> Option<String> {
        let Place { table, start, count } = register.place;
        let words = (0..count).map(|n| slave.get(table, start + n));
        let words: Option<Vec<u16>> = words.collect();
        let bytes: Vec<u8> = match table.is_bits() {
            true => words?.iter().map(|bit| *bit as u8).collect(),
            false => words?.into_iter().flat_map(u16::to_be_bytes).collect(),
        };
        let mut out = Decoded::default();
        register.decode(&bytes, &mut out);
        Some(out.readings.pop()?.value.as_str().to_owned())
    }

    #[test]
    fn each_register_of_the_library_says_something() {
        let library = Library::beside(Path::new("/nowhere"));
        let mut silent = Vec::new();
        let mut registers = 0;
        for name in library.names() {
            let config = library.device(&name).unwrap().whole().unwrap();
            let port = config.ports.values().next().unwrap();
            let slave = slave(1, port, Instant::now());
            let settings = port.registers.iter().map(|(name, it)| (name.as_str(), it));
            for register in register::build_all(settings, port.byte_order).unwrap() {
                registers += 1;
                if value(&register, &slave).is_none() {
                    silent.push(format!("{name}: {}", register.name));
                }
            }
        }
        assert!(registers > 300, "{registers}");
        assert!(silent.is_empty(), "{silent:#?}");
    }

    #[test]
    fn values_are_near_what_is_usual_and_move() {
        let settings = RegisterSettings {
            input: Some(0),
            kind: Some(Type::F32),
            unit: Some("V".into()),
            class: Some("voltage".into()),
            ..RegisterSettings::default()
        };
        let cell = Cell::new(0, "voltage", &settings, false, ByteOrder::Abcd).unwrap();
        let value = |seconds| {
            let words = cell.words(seconds);
            f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]))
        };
        assert_eq!(value(0), 230.0);
        assert!((1..100).all(|seconds| (226.0..234.0).contains(&value(seconds))));
        assert_ne!(value(0), value(5));
        let energy = RegisterSettings {
            unit: Some("kWh".into()),
            class: Some("energy".into()),
            kind: Some(Type::U32),
            scale: Some(Token("0.001".into())),
            ..settings
        };
        let cell = Cell::new(0, "energy", &energy, false, ByteOrder::Cdab).unwrap();
        let count = |seconds| {
            let words = cell.words(seconds);
            u32::from(words[1]) << 16 | u32::from(words[0])
        };
        assert_eq!(count(0), 1_234_500);
        assert!(count(60) > count(0));
    }
}

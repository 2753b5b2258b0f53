//! Settings of a named value in the tables of a Modbus device.

mod encode;
mod running;
mod write;

pub use encode::EncodeError;
pub use running::{Register, Writes};
pub use write::{Write, WriteSettings};

use super::{ByteOrder, MOST_REGISTERS, Place, Table};
use crate::base::path::BuildError;
use crate::base::scalar::{Span, Token};
use crate::codec::decode::build_cell;
use crate::codec::endian::Endian;
use crate::codec::field::{
    Bits, Deadband, FieldSettings, Placed, RateUnit, StateClass, Type, Valid, Window,
};
use encode::Writable;
use running::Power;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A value of a Modbus device: `{input: 0x0002, type: f32, unit: L}`, or one that can be written,
/// `{holding: 32, type: i16, scale: 0.1, unit: °C, write: {min: 5, max: 30, step: 0.5}}`. Exactly one of
/// `input`, `holding`, `coil` and `discrete` says where it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RegisterSettings {
    /// Address of the first input register, as on the wire, from 0: number 30001 of old manuals is 0.
    pub input: Option<u16>,
    /// Address of the first holding register, as on the wire, from 0: number 40001 is 0.
    pub holding: Option<u16>,
    /// Address of a coil, a bit that can be written, from 0: number 00001 is 0. Its value is `ON` or `OFF`,
    /// unless `lookup` has other words.
    pub coil: Option<u16>,
    /// Address of a discrete input, a bit that can only be read, from 0: number 10001 is 0. Its value is
    /// `ON` or `OFF`, unless `lookup` has other words.
    pub discrete: Option<u16>,
    /// What the registers hold. Default: `u16`. `u8` and `i8` are the lower byte of a register; `auto`,
    /// `number`, `quantity`, `degrees`, `time`, `hex`, `u24` and `i24` are not possible. Coils and discrete inputs have no type.
    #[serde(rename = "type")]
    pub kind: Option<Type>,
    /// Length of the value in bytes, two for each register: `12` for a serial number in six registers. Only
    /// for `bcd`, `text` and `bytes`.
    pub length: Option<u16>,
    /// Order of the value's bytes in its registers: `ABCD`, `CDAB`, `BADC` or `DCBA`, A the most
    /// significant. Default: `byte_order` of the device.
    pub byte_order: Option<ByteOrder>,
    /// Use only these bits of an unsigned number: `3`, or `4-7`; 0 is the lowest.
    pub bits: Option<Bits>,
    /// Unit of measurement, for `{unit}`.
    pub unit: Option<String>,
    /// What is measured, in Home Assistant's words (`device_class`): `temperature`, `energy`.
    pub class: Option<String>,
    /// What becomes of the value in time, in Home Assistant's words.
    pub state_class: Option<StateClass>,
    /// Factor by which each number is multiplied: `0.1`. A written number is divided by it.
    pub scale: Option<Token>,
    /// Name of another register of the device, of type `i16`, that holds a power of ten by which each
    /// number is multiplied, as SunSpec devices have it. Both are read by one request. Not with `write`.
    pub scale_from: Option<String>,
    /// Number that is added to each number, after `scale`.
    pub offset: Option<Token>,
    /// Number of decimals to round to, half away from zero; at most 18.
    pub decimals: Option<u8>,
    /// Words for single values: `{0: stopped, 1: running}`. Other values are published as they are. With
    /// `write` these words are the payloads that are taken.
    pub lookup: BTreeMap<Token, Token>,
    /// Values with which the device says that it has no value: `[0x8000]`. They are compared before
    /// `scale` and not published.
    pub unavailable: Vec<Token>,
    /// How often it is read: `1d` for a serial number. Registers with the same interval are read together.
    /// Default: `interval` of the device.
    pub interval: Option<Span>,
    /// Whether its value is published. Default: `true`.
    pub publish: Option<bool>,
    /// `true`, or a map of what may be written: the register takes commands on
    /// `{gateway}/{device}/{name}/set`, is written and read back, and the result is published to
    /// `{gateway}/{device}/{name}/result`. Only for `holding` and `coil`.
    pub write: Write,
    /// How the value is calculated from fields of the device; its own name is the value that was read:
    /// see `calc` of a field.
    pub calc: Option<Token>,
    /// How old a value may be that `calc` takes.
    pub max_age: Option<Span>,
    /// Which values are plausible: `{min: 0, max: 100, step: 5}`.
    pub valid: Option<Valid>,
    /// The value is a counter that begins again at 0 after so many counts, before `scale`; it is published
    /// as one that goes on.
    pub wraps: Option<Token>,
    /// The value is a counter, of which the increase per `s`, `min`, `h` or `d` is published.
    pub rate: Option<RateUnit>,
    /// What is made of all values that came within a time: `{average: 1min}`.
    pub window: Option<Window>,
    /// `true`: a value is published only if it is not the one that was published last.
    pub on_change: Option<bool>,
    /// A value is published only if it is so far from the one that was published last: `0.5`, or `2%` of
    /// that.
    pub deadband: Option<Deadband>,
    /// The shortest time between two values that are published; others are dropped.
    pub min_interval: Option<Span>,
    /// When this time has passed since a value was published, the next one that comes is published even
    /// without a change.
    pub max_interval: Option<Span>,
}

impl RegisterSettings {
    /// The table with the address and the key that says both.
    fn address(&self) -> Result<(Table, u16), BuildError> {
        let places = [
            (Table::Input, self.input),
            (Table::Holding, self.holding),
            (Table::Coil, self.coil),
            (Table::Discrete, self.discrete),
        ];
        let mut given = places.iter().filter_map(|(table, at)| Some((*table, (*at)?)));
        let remedy = "write exactly one of input, holding, coil and discrete";
        let first = given.next();
        if let Some((second, _)) = given.next() {
            let error = BuildError::new("a register has one place");
            return Err(error.remedy(remedy).at(second.word()));
        }
        first.ok_or_else(|| BuildError::new("a register needs a place").remedy(remedy))
    }

    /// What is probably meant otherwise, though it can be right: an address that is numbered from 10001,
    /// 30001 or 40001, as in old manuals.
    pub fn warning(&self) -> Option<BuildError> {
        let (table, address) = self.address().ok()?;
        let first = match table {
            Table::Coil => return None,
            Table::Discrete => 10_001,
            Table::Input => 30_001,
            Table::Holding => 40_001,
        };
        let at = address.checked_sub(first).filter(|at| *at < 9_999)?;
        let word = table.word();
        let what = format!("{address} looks like a number that counts from {first}");
        let remedy = format!("if it does, write {word}: {at}; addresses on the wire begin at 0");
        Some(BuildError::new(what).remedy(remedy).at(word))
    }

    fn field(&self, name: &str) -> FieldSettings {
        FieldSettings {
            name: name.to_owned(),
            length: self.length,
            bits: self.bits,
            unit: self.unit.clone(),
            class: self.class.clone(),
            state_class: self.state_class,
            scale: self.scale.clone(),
            offset: self.offset.clone(),
            decimals: self.decimals,
            lookup: self.lookup.clone(),
            unavailable: self.unavailable.clone(),
            calc: self.calc.clone(),
            max_age: self.max_age,
            valid: self.valid.clone(),
            wraps: self.wraps.clone(),
            rate: self.rate,
            window: self.window,
            on_change: self.on_change,
            deadband: self.deadband,
            min_interval: self.min_interval,
            max_interval: self.max_interval,
            ..FieldSettings::default()
        }
    }

    /// The running register; `named` finds the others of the device.
    fn build<'a>(
        &self,
        name: &str,
        order: ByteOrder,
        named: impl Fn(&str) -> Option<&'a RegisterSettings>,
    ) -> Result<Register, BuildError> {
        let (table, start) = self.address()?;
        if self.write.is_wanted() && matches!(table, Table::Input | Table::Discrete) {
            let error = BuildError::new(format!("{} can only be read", table.word()));
            return Err(error.remedy("write holding or coil, or leave it out").at("write"));
        }
        let mut field = self.field(name);
        // What filters remember is of this place.
        field.from = Some(Token(format!("{} {start}", table.word())));
        let kind = match table.is_bits() {
            true => self.build_bit(&mut field)?,
            false => self.kind.unwrap_or(Type::U16),
        };
        if matches!(kind, Type::U24 | Type::I24) {
            let error = BuildError::new("registers hold whole words");
            return Err(error.remedy("take u32 or i32, or bits of them").at("type"));
        }
        if matches!(kind, Type::Quantity | Type::Degrees | Type::Time | Type::Hex) {
            let error = BuildError::new("registers have no such type");
            return Err(error.remedy("take text, or one of u16 to bytes").at("type"));
        }
        let writable = Writable::build(self, &mut field, kind, table)?;
        // The lower byte of a word is its second one.
        let at = u16::from(kind.size() == Some(1) && !table.is_bits());
        let (field, cell) = build_cell(&Placed { field, at, kind }, Endian::Big)?;
        let count = u16::try_from(cell.at.end.div_ceil(2)).unwrap_or(u16::MAX);
        let place = Place { table, start, count };
        if count > MOST_REGISTERS {
            return Err(BuildError::new("one request reads at most 250 bytes").at("length"));
        }
        if place.end() > 0x1_0000 {
            let error = BuildError::new("the value ends behind the last address, 65535");
            return Err(error.at(table.word()));
        }
        let power = match &self.scale_from {
            Some(of) => Some(self.build_power(of, place, order, named)?),
            None => None,
        };
        let all = power.as_ref().map_or(place, |(_, all)| *all);
        Ok(Register {
            name: name.to_owned(),
            place: all,
            interval: self.interval,
            publish: self.publish.unwrap_or(true),
            bytes: place.bytes_in(all),
            field,
            cell,
            order: self.byte_order.unwrap_or(order),
            power: power.map(|(power, _)| power),
            writable: writable.map(Box::new),
        })
    }

    /// A coil or a discrete input, which is decoded as a byte of 0 or 1.
    fn build_bit(&self, field: &mut FieldSettings) -> Result<Type, BuildError> {
        let of_registers = [
            ("type", self.kind.is_some()),
            ("length", self.length.is_some()),
            ("byte_order", self.byte_order.is_some()),
            ("bits", self.bits.is_some()),
            ("unit", self.unit.is_some()),
            ("scale", self.scale.is_some()),
            ("scale_from", self.scale_from.is_some()),
            ("offset", self.offset.is_some()),
            ("decimals", self.decimals.is_some()),
            ("unavailable", !self.unavailable.is_empty()),
        ];
        if let Some((key, _)) = of_registers.iter().find(|(_, is_set)| *is_set) {
            let error = BuildError::new("only registers have this key, and this is one bit");
            return Err(error.remedy("leave it out").at(key));
        }
        let token = |text: &str| Token(text.to_owned());
        if field.lookup.is_empty() {
            let words = [(token("0"), token("OFF")), (token("1"), token("ON"))];
            field.lookup.extend(words);
        }
        Ok(Type::U8)
    }

    /// Where the power of ten is, and what has to be read for both.
    fn build_power<'a>(
        &self,
        of: &str,
        place: Place,
        order: ByteOrder,
        named: impl Fn(&str) -> Option<&'a RegisterSettings>,
    ) -> Result<(Power, Place), BuildError> {
        let wrong =
            |what: String, remedy: &str| Err(BuildError::new(what).remedy(remedy).at("scale_from"));
        let kind = self.kind.unwrap_or(Type::U16);
        if matches!(kind, Type::F32 | Type::F64 | Type::Bcd | Type::Text | Type::Bytes)
            || self.bits.is_some()
        {
            return wrong("only whole numbers have this key".into(), "leave it out");
        }
        if self.write.is_wanted() {
            return wrong("it cannot be written with this key".into(), "write the factor as scale");
        }
        let Some(power) = named(of) else {
            return wrong(format!("there is no register {of:?}"), "name one of this device");
        };
        let (table, start) = power.address().map_err(|error| error.at("scale_from"))?;
        if power.kind != Some(Type::I16) || power.bits.is_some() || table != place.table {
            let what = format!("{of:?} is not of type i16 in the same table");
            return wrong(what, "a power of ten is a signed register");
        }
        let at = Place { table, start, count: 1 };
        let first = start.min(place.start);
        let count = at.end().max(place.end()) - u32::from(first);
        let Some(count) = u16::try_from(count).ok().filter(|count| *count <= MOST_REGISTERS) else {
            let what = format!("{of:?} is too far away for one request");
            return wrong(what, "at most 125 registers from the one to the other");
        };
        let all = Place { table, start: first, count };
        let order = power.byte_order.unwrap_or(order);
        Ok((Power { bytes: at.bytes_in(all), order }, all))
    }
}

impl Place {
    /// Where it is in the bytes of a place that contains it.
    fn bytes_in(self, all: Place) -> std::ops::Range<usize> {
        let from = 2 * usize::from(self.start.saturating_sub(all.start));
        from..from + 2 * usize::from(self.count)
    }
}

/// All registers of a device, in the order of their settings. `order` is the byte order of those that do
/// not say it. Mistakes have the register's name as the first step of their path.
pub fn build_all<'a>(
    registers: impl IntoIterator<Item = (&'a str, &'a RegisterSettings)>,
    order: ByteOrder,
) -> Result<Vec<Register>, Vec<BuildError>> {
    let settings: Vec<_> = registers.into_iter().collect();
    let named = |name: &str| settings.iter().find(|(it, _)| *it == name).map(|(_, it)| *it);
    let mut built = Vec::with_capacity(settings.len());
    let mut errors = Vec::new();
    for (name, register) in &settings {
        match register.build(name, order, named) {
            Ok(register) => built.push(register),
            Err(error) => errors.push(error.at(name)),
        }
    }
    if errors.is_empty() { Ok(built) } else { Err(errors) }
}

#[cfg(test)]
mod tests;

//! What may be written into a register, and a payload as the request that writes it.

use super::RegisterSettings;
use crate::base::path::BuildError;
use crate::base::scalar::{Token, parse_hex};
use crate::codec::decimal::Decimal;
use crate::codec::field::{FieldSettings, Type};
use crate::codec::modbus::{ByteOrder, Request, Table};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// Whether a register takes commands: `true`, or a map of what it takes.
#[derive(Clone, Debug, Default)]
pub enum Write {
    #[default]
    No,
    Yes(WriteSettings),
}

/// What may be written: `{min: 5, max: 30, step: 0.5}`. Without bounds everything that the register holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct WriteSettings {
    /// Lowest number, in the unit that is published.
    pub min: Option<Token>,
    /// Highest number.
    pub max: Option<Token>,
    /// Only multiples of this are taken, counted from `min`, or from 0: `0.5`. Without it a number is
    /// rounded to what the register can hold.
    pub step: Option<Token>,
    /// Words that may be written, with the number of each in the register: `{eco: 0, comfort: 1}`. Without
    /// `lookup` the register is also read as these words.
    pub values: BTreeMap<Token, Token>,
    /// Write even a single register by function 16 and a single coil by function 15, for devices that do not
    /// support functions 6 and 5.
    pub multiple: bool,
}

impl Write {
    pub fn is_wanted(&self) -> bool {
        matches!(self, Write::Yes(_))
    }
}

impl<'de> Deserialize<'de> for Write {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Write, D::Error> {
        struct BoolOrMap;
        impl<'de> de::Visitor<'de> for BoolOrMap {
            type Value = Write;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a map of what may be written")
            }
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Write, E> {
                Ok(if yes { Write::Yes(WriteSettings::default()) } else { Write::No })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Write, A::Error> {
                WriteSettings::deserialize(MapAccessDeserializer::new(map)).map(Write::Yes)
            }
        }
        from.deserialize_any(BoolOrMap)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Write {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Write".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<WriteSettings>();
        schemars::json_schema!({"anyOf": [{"type": "boolean"}, settings]})
    }
}

/// Why a payload cannot be written into a register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("it can only be read")]
    ReadOnly,
    #[error("not a number")]
    NotANumber,
    #[error("outside {min} to {max}")]
    OutOfRange { min: String, max: String },
    /// A floating-point register with one bound.
    #[error("below {0}")]
    Below(String),
    #[error("above {0}")]
    Above(String),
    #[error("off step {step} from {from}")]
    OffStep { step: String, from: String },
    #[error("none of {0}")]
    NotAmong(String),
    #[error("longer than {0} bytes")]
    TooLong(usize),
    #[error("not {0} bytes in hexadecimal")]
    NotBytes(usize),
}

/// A register that may be written.
#[derive(Debug)]
pub(super) struct Writable {
    kind: Type,
    is_coil: bool,
    /// Of the value in bytes.
    length: usize,
    scale: Option<Decimal>,
    offset: Option<Decimal>,
    min: Option<Decimal>,
    max: Option<Decimal>,
    step: Option<Decimal>,
    /// What words stand for.
    words: BTreeMap<String, i128>,
    /// Nothing but these words.
    is_select: bool,
    is_multiple: bool,
}

/// Decimals beyond these are what a binary floating-point number leaves behind: 21.299999999999997.
const MOST_DECIMALS: u8 = 9;
/// Most registers that one request writes (AP 6.12).
const MOST_REGISTERS: usize = 123;

impl Writable {
    /// `None` if nothing is to be written. What is written as a word is read as this word, too.
    pub(super) fn build(
        settings: &RegisterSettings,
        field: &mut FieldSettings,
        kind: Type,
        table: Table,
    ) -> Result<Option<Writable>, BuildError> {
        let Write::Yes(write) = &settings.write else { return Ok(None) };
        let is_coil = table.is_bits();
        let refused =
            |what: &str, remedy: &str| Err(BuildError::new(what).remedy(remedy).at("write"));
        if field.bits.is_some() {
            return refused("single bits of a register cannot be written", "leave bits out");
        }
        if matches!(kind, Type::U8 | Type::I8) && !is_coil {
            return refused("half a register cannot be written", "take u16 or i16");
        }
        let length = kind.size().or(field.length.map(usize::from)).unwrap_or_default();
        if length.div_ceil(2) > MOST_REGISTERS {
            return refused("one request writes at most 246 bytes", "leave it out");
        }
        let has_bounds = write.min.is_some() || write.max.is_some() || write.step.is_some();
        if has_bounds && (is_coil || matches!(kind, Type::Text | Type::Bytes)) {
            return refused("only numbers have bounds", "write true");
        }
        let decimal = |key: &str, token: &Option<Token>| {
            let parse = |Token(text): &Token| {
                let error = || BuildError::new(format!("{text:?} is not a decimal number"));
                Decimal::read(text).ok_or_else(|| error().remedy("write 0.5 or -40").at(key))
            };
            token.as_ref().map(parse).transpose()
        };
        let bound = |key: &str, token| decimal(key, token).map_err(|error| error.at("write"));
        let mut writable = Writable {
            kind,
            is_coil,
            length,
            scale: decimal("scale", &settings.scale)?,
            offset: decimal("offset", &settings.offset)?,
            min: bound("min", &write.min)?,
            max: bound("max", &write.max)?,
            step: bound("step", &write.step)?,
            words: BTreeMap::new(),
            is_select: false,
            is_multiple: write.multiple,
        };
        let names: Vec<_> = match write.values.is_empty() {
            true => field.lookup.iter().map(|(number, word)| (word, number, "lookup")).collect(),
            false => write.values.iter().map(|(word, number)| (word, number, "values")).collect(),
        };
        for (Token(word), Token(number), key) in names {
            match writable.raw(number) {
                Some(raw) => {
                    writable.words.entry(word.clone()).or_insert(raw);
                }
                // A text with a lookup reads words of its own.
                None if key == "lookup" => {}
                None => {
                    let what = format!("{number:?} is no number that this register can hold");
                    return Err(BuildError::new(what).at(word).at(key).at("write"));
                }
            }
        }
        if settings.lookup.is_empty() && !write.values.is_empty() {
            field.lookup.clear();
            for (word, number) in &write.values {
                field.lookup.entry(number.clone()).or_insert_with(|| word.clone());
            }
        }
        writable.is_select = is_coil || !writable.words.is_empty() && !has_bounds;
        writable.check_step()?;
        writable.bound()?;
        Ok(Some(writable))
    }

    /// The whole numbers that the type can hold.
    fn limits(&self) -> Option<(i128, i128)> {
        let bits = 8 * u32::try_from(self.length).ok()?;
        match self.kind {
            _ if self.is_coil => Some((0, 1)),
            Type::U16 | Type::U32 | Type::U64 => Some((0, (1 << bits) - 1)),
            Type::I16 | Type::I32 | Type::I64 => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
            Type::Sm16 | Type::Sm32 => Some((1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1)),
            Type::Bcd => Some((0, 10_i128.checked_pow(bits / 4)? - 1)),
            _ => None,
        }
    }

    /// The number in the register that a word stands for.
    fn raw(&self, number: &str) -> Option<i128> {
        let number = Decimal::read(number)?;
        let (low, high) = self.limits()?;
        let is_whole = number.is_multiple_of(Decimal::from(1)) == Some(true);
        number.divided(Decimal::from(1)).filter(|raw| is_whole && (low..=high).contains(raw))
    }

    /// A step is one that the register can hold.
    fn check_step(&self) -> Result<(), BuildError> {
        let Some(step) = self.step else { return Ok(()) };
        let error = |what: String| Err(BuildError::new(what).at("step").at("write"));
        if step.is_negative() || step.is_zero() {
            return error("a step is more than 0".into());
        }
        let scale = self.scale.unwrap_or(Decimal::from(1));
        if self.limits().is_some() && step.is_multiple_of(scale) != Some(true) {
            return error(format!("the register holds steps of {}", scale.spelled()));
        }
        Ok(())
    }

    /// Narrows the bounds to what the type can hold.
    fn bound(&mut self) -> Result<(), BuildError> {
        let error = |key: &str, what: String| Err(BuildError::new(what).at(key).at("write"));
        if let Some((low, high)) = self.limits() {
            let (low, high) = (self.published(low), self.published(high));
            let (low, high) = match (low, high) {
                (Some(low), Some(high)) if is_less(high, low) => (high, low),
                (Some(low), Some(high)) => (low, high),
                _ => return error("max", "these numbers are too large".into()),
            };
            for (key, bound) in [("min", self.min), ("max", self.max)] {
                if bound.is_some_and(|it| is_less(it, low) || is_less(high, it)) {
                    let (low, high) = (low.spelled(), high.spelled());
                    return error(key, format!("the register holds {low} to {high}"));
                }
            }
            self.min.get_or_insert(low);
            self.max.get_or_insert(high);
        }
        match (self.min, self.max) {
            (Some(min), Some(max)) if is_less(max, min) => {
                error("max", format!("less than min, {}", min.spelled()))
            }
            _ => Ok(()),
        }
    }

    /// What is published of a number in the register.
    fn published(&self, raw: i128) -> Option<Decimal> {
        let scaled = match self.scale {
            Some(scale) => Decimal::from(raw).times(scale)?,
            None => Decimal::from(raw),
        };
        self.offset.map_or(Some(scaled), |offset| scaled.plus(offset))
    }

    /// The request that writes a payload to a place.
    pub(super) fn encode(
        &self,
        payload: &str,
        at: u16,
        order: ByteOrder,
    ) -> Result<Request, EncodeError> {
        if self.is_coil {
            let on = self.word(payload)? != 0;
            return Ok(match self.is_multiple {
                true => Request::WriteCoils { at, values: vec![on] },
                false => Request::WriteCoil { at, on },
            });
        }
        let mut bytes = self.bytes(payload)?;
        match self.kind {
            Type::Text | Type::Bytes => order.arrange_text(&mut bytes),
            _ => order.arrange(&mut bytes),
        }
        let word = |pair: &[u8]| match pair {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        Ok(match bytes.chunks(2).map(word).collect::<Vec<_>>() {
            values if values.len() != 1 || self.is_multiple => {
                Request::WriteRegisters { at, values }
            }
            values => {
                let value = values.first().copied().unwrap_or_default();
                Request::WriteRegister { at, value }
            }
        })
    }

    /// The number of a word that may be written.
    fn word(&self, payload: &str) -> Result<i128, EncodeError> {
        let number = self.words.get(payload.trim()).copied();
        number.ok_or_else(|| {
            let words: Vec<_> = self.words.keys().map(String::as_str).collect();
            EncodeError::NotAmong(words.join(", "))
        })
    }

    /// The value in whole words, the most significant byte first.
    fn bytes(&self, payload: &str) -> Result<Vec<u8>, EncodeError> {
        let words = 2 * self.length.div_ceil(2);
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(words, 0);
            bytes
        };
        if self.is_select {
            return self.word(payload).map(|raw| self.integer(raw));
        }
        match self.kind {
            Type::Text if payload.len() > self.length => Err(EncodeError::TooLong(self.length)),
            Type::Text => Ok(padded(payload.as_bytes().to_vec())),
            Type::Bytes => match parse_hex(payload) {
                Ok(bytes) if bytes.len() == self.length => Ok(padded(bytes)),
                _ => Err(EncodeError::NotBytes(self.length)),
            },
            _ => match self.words.get(payload.trim()) {
                Some(raw) => Ok(self.integer(*raw)),
                None => self.number(payload.trim()),
            },
        }
    }

    fn number(&self, payload: &str) -> Result<Vec<u8>, EncodeError> {
        let exact = Decimal::read(payload).ok_or(EncodeError::NotANumber)?;
        let short = match exact.decimals() {
            ..=MOST_DECIMALS => exact,
            _ => exact.rounded(MOST_DECIMALS).ok_or(EncodeError::NotANumber)?,
        };
        self.check(short)?;
        let is_float = matches!(self.kind, Type::F32 | Type::F64);
        let number = if is_float { exact } else { short };
        let moved = self.offset.map_or(Some(number), |offset| number.minus(offset));
        let moved = moved.ok_or(EncodeError::NotANumber)?;
        if is_float {
            // As it is written it has more decimals than are calculated with.
            let moved = if self.offset.is_none() { payload.into() } else { moved.spelled() };
            return self.float(&moved).ok_or(EncodeError::NotANumber);
        }
        let raw = moved.divided(self.scale.unwrap_or(Decimal::from(1)));
        Ok(self.integer(raw.ok_or(EncodeError::NotANumber)?))
    }

    fn check(&self, number: Decimal) -> Result<(), EncodeError> {
        let is_low = self.min.is_some_and(|min| is_less(number, min));
        let is_high = self.max.is_some_and(|max| is_less(max, number));
        match (self.min, self.max) {
            (Some(min), Some(max)) if is_low || is_high => {
                return Err(EncodeError::OutOfRange { min: min.spelled(), max: max.spelled() });
            }
            (Some(min), None) if is_low => return Err(EncodeError::Below(min.spelled())),
            (None, Some(max)) if is_high => return Err(EncodeError::Above(max.spelled())),
            _ => {}
        }
        let Some(step) = self.step else { return Ok(()) };
        let from = self.min.unwrap_or(Decimal::from(0));
        match number.minus(from).and_then(|steps| steps.is_multiple_of(step)) {
            Some(true) => Ok(()),
            _ => Err(EncodeError::OffStep { step: step.spelled(), from: from.spelled() }),
        }
    }

    /// A floating-point number, rounded once where it is not scaled.
    fn float(&self, number: &str) -> Option<Vec<u8>> {
        let scaled = match self.scale {
            Some(scale) => {
                let quotient = number.parse::<f64>().ok()? / scale.spelled().parse::<f64>().ok()?;
                quotient.to_string()
            }
            None => number.to_owned(),
        };
        match self.kind {
            Type::F32 => {
                let number = scaled.parse::<f32>().ok().filter(|number| number.is_finite())?;
                Some(number.to_be_bytes().to_vec())
            }
            _ => {
                let number = scaled.parse::<f64>().ok().filter(|number| number.is_finite())?;
                Some(number.to_be_bytes().to_vec())
            }
        }
    }

    /// A whole number that the type can hold.
    fn integer(&self, raw: i128) -> Vec<u8> {
        let mut bits = raw;
        if self.kind == Type::Bcd {
            let mut rest = raw;
            bits = 0;
            for digit in 0..2 * self.length {
                bits |= (rest % 10) << (4 * digit);
                rest /= 10;
            }
        } else if matches!(self.kind, Type::Sm16 | Type::Sm32) && raw < 0 {
            bits = -raw | 1 << (8 * self.length - 1);
        }
        let all = bits.to_be_bytes();
        // An odd bcd begins in the first byte of its registers.
        let mut bytes = all.get(all.len().saturating_sub(self.length)..).unwrap_or(&all).to_vec();
        bytes.resize(2 * self.length.div_ceil(2), 0);
        bytes
    }
}

/// Numbers whose difference 128 bits cannot hold are of no device.
fn is_less(number: Decimal, other: Decimal) -> bool {
    number.minus(other).is_none_or(Decimal::is_negative)
}

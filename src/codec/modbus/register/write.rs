//! Which commands a register takes: settings and their checks.

use super::RegisterSettings;
use super::encode::Writable;
use crate::base::path::BuildError;
use crate::base::scalar::{Token, word_schema};
use crate::codec::bounds::Bounds;
use crate::codec::decimal::Decimal;
use crate::codec::field::{FieldSettings, Type};
use crate::codec::modbus::Table;
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

word_schema!(Write, generator: {
    "anyOf": [{"type": "boolean"}, generator.subschema_for::<WriteSettings>()]
});

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
        let bounds = Bounds::build(&write.min, &write.max, &write.step);
        let mut writable = Writable {
            kind,
            is_coil,
            length,
            scale: decimal("scale", &settings.scale)?,
            offset: decimal("offset", &settings.offset)?,
            bounds: bounds.map_err(|error| error.at("write"))?,
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
        let Some(step) = self.bounds.step() else { return Ok(()) };
        let scale = self.scale.unwrap_or(Decimal::from(1));
        if self.limits().is_some() && step.is_multiple_of(scale) != Some(true) {
            let what = format!("the register holds steps of {}", scale.spelled());
            return Err(BuildError::new(what).at("step").at("write"));
        }
        Ok(())
    }

    /// Narrows the bounds to what the type can hold.
    fn bound(&mut self) -> Result<(), BuildError> {
        let held = match self
            .limits()
            .map(|(low, high)| (self.published(low), self.published(high)))
        {
            None => None,
            Some((Some(low), Some(high))) => Some((low, high)),
            Some(_) => {
                return Err(BuildError::new("these numbers are too large").at("max").at("write"));
            }
        };
        self.bounds = self.bounds.narrow("register", held).map_err(|error| error.at("write"))?;
        Ok(())
    }

    /// What is published of a number in the register.
    fn published(&self, raw: i128) -> Option<Decimal> {
        let scaled = match self.scale {
            Some(scale) => Decimal::from(raw).times(scale)?,
            None => Decimal::from(raw),
        };
        self.offset.map_or(Some(scaled), |offset| scaled.plus(offset))
    }
}

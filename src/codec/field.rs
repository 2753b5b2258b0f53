//! One field of a frame: its settings, which are the same for every decoder, and the running field.

mod convert;
mod degrees;
mod filter;
mod stored;
mod values;

pub use convert::{Convert, DecimalSign, PLAIN, ValueKind, Wire};
pub use filter::{Deadband, RateUnit, Valid, Window};
pub use stored::Stored;
pub use values::{Kind, Values};

use super::decode::{Decode, Nested, Spelling};
use super::endian::Endian;
use super::time::{TimeFormat, Zone};
use crate::base::path::BuildError;
use crate::base::scalar::{Span, Token, deserialize_from_str, wrong};
use crate::codec::calc::Expression;
use serde::de::IntoDeserializer;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

/// A field with settings: `{name: temperature, unit: °C, scale: 0.1}`; in `binary`
/// `{name: pm2_5, at: 12, type: u16, unit: µg/m³}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FieldSettings {
    /// Name of the field, for `{field}`. In `fields`, `_` skips a column.
    pub name: String,
    /// Where the value comes from: in `pairs` the name that the device uses, in `json` a JSON pointer
    /// such as `/main/temp`, in `tlv` the tag. Default: `name`. `fields` takes its columns in order.
    pub from: Option<Token>,
    /// First byte of the value, counted from 0. Required in `binary`, and only possible there.
    pub at: Option<u16>,
    /// What the value is. Default: `auto`. In `binary` it is required, and neither `auto` nor `number`. In
    /// all other decoders `u8` to `bcd` are hexadecimal digits of such a number: `800d` is -13 as `sm16`.
    #[serde(rename = "type")]
    pub kind: Option<Type>,
    /// Length of the value in bytes. Only in `binary` and `tlv`, for types that do not say it: `bcd`, `text`,
    /// `bytes`, `hex`, `time` and so on.
    pub length: Option<u16>,
    /// Byte order of a number in bytes or hexadecimal digits. Default: `endian` of the decoder, else `big`.
    pub endian: Option<Endian>,
    /// Use only these bits of an unsigned number in bytes or hexadecimal digits: `3`, or `4-7`; 0 is the
    /// lowest.
    pub bits: Option<Bits>,
    /// How a `time` is written: `YYMMDDhhmmssX`, `DDMMYY`, `hhmmss`, `DD.MM.YYYY hh:mm`, in which `X` is a
    /// letter for summer (`S`, `E`) or winter (`W`, `H`); or `epoch` or `epoch_ms`, a number since 1970.
    /// Other signs stand for themselves. A second may have decimals. Only for `time`, and needed there.
    pub format: Option<TimeFormat>,
    /// How far a `time` is ahead of UTC: `"+01:00"`, `Z`; with an `X` in its `format`, in winter. Default:
    /// `"+01:00"` with an `X`, else unknown: the text ends with the time of day.
    pub zone: Option<Zone>,
    /// `","` or `"."`: the sign before the decimals of a number. Default: either. Without it a comma is
    /// refused where it may group thousands, as in `1,234`.
    pub decimal_sign: Option<DecimalSign>,
    /// The text stands for bytes, which this decoder reads: `{binary: {fields: […]}}`, `mbus`. Its fields are
    /// published in place of this one. Not in `binary`; in `tlv` it reads the value's bytes.
    pub decode: Option<Box<Decode>>,
    /// How the text stands for the bytes that `decode` reads. Default: `hex`.
    #[serde(rename = "as")]
    pub spelling: Option<Spelling>,
    /// Unit of measurement, for `{unit}`. A field with a unit is a number.
    pub unit: Option<String>,
    /// What is measured, in Home Assistant's words (`device_class`): `temperature`, `energy`. With
    /// `home_assistant` the field is announced with it. Default: what its `unit` stands for, if that is clear,
    /// as `W` for `power`.
    pub class: Option<String>,
    /// What becomes of the value in time, in Home Assistant's words, which keeps statistics by it. Default:
    /// what the class stands for, as `total_increasing` for `energy`.
    pub state_class: Option<StateClass>,
    /// Factor by which each number is multiplied: `0.1`. The result has as many decimals as both
    /// together.
    pub scale: Option<Token>,
    /// Number that is added to each number, after `scale`.
    pub offset: Option<Token>,
    /// Number of decimals to round to, half away from zero; at most 18.
    pub decimals: Option<u8>,
    /// Meaning of single values: `{0: off, 1: on}`. Others are published as they are.
    #[serde(default)]
    pub lookup: BTreeMap<Token, Token>,
    /// Values with which the device says that it has no value: `[-127, none]`; `-127.00` is the same
    /// number. In `binary` also as the bytes' pattern: `[0xFFFF]`. They are compared before `scale`
    /// and not published. An empty text is no value anyway.
    #[serde(default)]
    pub unavailable: Vec<Token>,
    /// Whether the value is published. Default: `true`. `calc` of other fields sees it all the same.
    pub publish: Option<bool>,
    /// How the value is calculated from fields of the device: `volume / 1000 * 100`. In it `+ - * /`,
    /// brackets, `= != < <= > >=` and the functions `if(condition, then, else)`, `min(a, b, …)`, `max(a, b,
    /// …)`, `abs(a)` and `round(a, decimals)` have their usual meaning; `none` is no value, as in
    /// `if(flow > 0, heat / flow, none)`. A text stands in single quotes, a name with other characters
    /// than letters, digits and `_` in backticks. Numbers are exact decimals; products and
    /// quotients are rounded to 12 decimals, half away from zero, and the result to `decimals`. Without a
    /// value of a field that is named, or with a division by 0, there is no value (`no_value`).
    ///
    /// Under a name that nothing else describes it makes a new field in `fields` of a port or device.
    /// Elsewhere it changes a field, whose own name is then the value that was read. Other fields are seen as
    /// `valid`, `wraps`, `rate`, `window` and their own `calc` leave them; fields are taken from one device,
    /// and from one node of it.
    pub calc: Option<Token>,
    /// A `calc` over fields that do not come together is made when each of them has come anew; fields with
    /// a longer `interval` than others are taken as they were last. None may be older than this, 1s to 31d.
    /// Default: twice its `interval`; 1min where the device speaks by itself.
    pub max_age: Option<Span>,
    /// Which values are plausible: `{min: 0, max: 100, step: 5}`.
    pub valid: Option<Valid>,
    /// The value is a counter that begins again at 0 after so many counts: `65536` for 16 bits; before
    /// `scale`. It is published as one that goes on. A fall by less than half of that is no overflow but a
    /// restart of the device, and the counter starts again at what the device says, as it does when the
    /// gateway starts.
    pub wraps: Option<Token>,
    /// The value is a counter, of which the increase per second, minute, hour or day is published: `s`,
    /// `min`, `h` or `d`. It has `decimals`, else 3. After a fall it begins anew.
    pub rate: Option<RateUnit>,
    /// What is made of all values that came within a time: `{average: 1min}`; `average`, `min`, `max`,
    /// `last` or `median`.
    pub window: Option<Window>,
    /// `true`: a value is published only if it is not the one that was published last.
    pub on_change: Option<bool>,
    /// A value is published only if it is so far from the one that was published last: `0.5`, or `2%` of
    /// that.
    pub deadband: Option<Deadband>,
    /// The shortest time between two values that are published; others are dropped. A value that comes a
    /// twentieth of the time too early, but not more than 1s, is in time.
    pub min_interval: Option<Span>,
    /// When this time has passed since a value was published, the next one that comes is published even
    /// without a change.
    pub max_interval: Option<Span>,
}

/// Settings of a field by its name, which count for more than those that stand where the field is
/// described: in `registers`, or in the list of a decoder. With `calc`, a name that nothing describes is a
/// new field.
#[derive(Clone, Debug)]
pub struct FieldOverride(pub FieldSettings);

impl FieldOverride {
    const KEYS: &[&str] = &[
        "unit",
        "class",
        "state_class",
        "scale",
        "offset",
        "decimals",
        "lookup",
        "unavailable",
        "publish",
        "calc",
        "max_age",
        "valid",
        "wraps",
        "rate",
        "window",
        "on_change",
        "deadband",
        "min_interval",
        "max_interval",
    ];

    /// Those that a field needs not be described for: they concern what a decoder has made.
    pub const BEHIND: &[&str] = Self::KEYS.split_at(9).1;
}

impl<'de> Deserialize<'de> for FieldOverride {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<FieldOverride, D::Error> {
        struct Map;
        impl<'de> de::Visitor<'de> for Map {
            type Value = FieldOverride;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<FieldOverride, A::Error> {
                let named = MapAccessDeserializer::new(WithName { map, step: NameStep::Key });
                FieldSettings::deserialize(named).map(FieldOverride)
            }
        }
        from.deserialize_struct("FieldOverride", FieldOverride::KEYS, Map)
    }
}

/// A map of settings without `name`, which its owner knows, read as one with an empty name.
struct WithName<A> {
    map: A,
    step: NameStep,
}

enum NameStep {
    Key,
    Value,
    Done,
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for WithName<A> {
    type Error = A::Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        if let NameStep::Key = self.step {
            self.step = NameStep::Value;
            return seed.deserialize("name".into_deserializer()).map(Some);
        }
        self.map.next_key_seed(seed)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, A::Error> {
        if let NameStep::Value = self.step {
            self.step = NameStep::Done;
            return seed.deserialize("".into_deserializer());
        }
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for FieldOverride {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FieldOverride".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = FieldSettings::json_schema(generator);
        let about = "Settings of a field by its name, which count for more than those that stand where the \
                     field is described: in `registers`, or in the list of a decoder. With `calc`, a name \
                     that nothing describes is a new field.";
        schema.insert("description".into(), about.into());
        schema.remove("required");
        if let Some(serde_json::Value::Object(keys)) = schema.get_mut("properties") {
            keys.retain(|key, _| FieldOverride::KEYS.contains(&key.as_str()));
        }
        schema
    }
}

/// The settings of fields by name. They stand where the fields are described, too; those are kept that say
/// what becomes of values behind the decoder, which needs no description.
#[derive(Clone, Debug, Default)]
pub struct FieldOverrides(pub BTreeMap<String, FieldOverride>);

impl<'de> Deserialize<'de> for FieldOverrides {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<FieldOverrides, D::Error> {
        struct OneByOne;
        impl<'de> de::Visitor<'de> for OneByOne {
            type Value = FieldOverrides;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kept = BTreeMap::new();
                loop {
                    match map.next_entry::<String, FieldOverride>() {
                        Ok(Some((name, field))) if field.0.is_filtered() => {
                            kept.insert(name, field);
                        }
                        Ok(None) => return Ok(FieldOverrides(kept)),
                        // A mistake is noted, and each call goes further, as in `one_by_one`.
                        Ok(Some(_)) | Err(_) => {}
                    }
                }
            }
        }
        from.deserialize_map(OneByOne)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for FieldOverrides {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        BTreeMap::<String, FieldOverride>::schema_name()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, FieldOverride>::json_schema(generator)
    }
}

/// What becomes of a value in time (`state_class` of Home Assistant).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StateClass {
    /// It is how things are now.
    Measurement,
    /// An angle of now, as the direction of wind.
    MeasurementAngle,
    /// An amount that rises and falls.
    Total,
    /// An amount that rises, and begins again at 0.
    TotalIncreasing,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// A number if the field has `unit`, `scale`, `offset` or `decimals`, or if a unit came with the
    /// value. Without any of these it is published exactly as it came: as a number if it is spelled
    /// as JSON spells one, without exponent and with at most 15 digits before the point (`21.50`,
    /// `-3`, `0`), and as a text if not (`0042`, `12E5`, `+5`, `-0`, `.5`, `ready`).
    Auto,
    /// A number. Its decimals stay, zeros and a `+` in front of it go: `0021.50` is `21.50`. Blanks behind
    /// the sign, a decimal comma and the field's `unit` behind the number are understood: `-  450,38 kg`. A
    /// word or nothing in its place (`nan`, `inf`, `ovf`, `--`, `Booting v1.2`) is no value: it is not
    /// published, and counted as `no_value`. What begins like a number without being one (`21;5`,
    /// `0x1F`) is damage: it is refused, and counted as `not_a_number`.
    Number,
    /// A number with its unit behind it: `21.5C`, `1.234 kg`, `98%`. The unit is published, unless the field
    /// has a `unit`; in `json` it is not.
    Quantity,
    /// Degrees and minutes, `ddmm.mmmm`, with a letter for the direction at either end: `4807.038N`,
    /// `01131.000,W`. Published as degrees, south and west negative, with two decimals more.
    Degrees,
    /// A date, a time of day or both, written as `format` says. Published as ISO 8601 has it:
    /// `2024-01-12T23:18:15+01:00`. In `binary` its digits are packed, two a byte, if `length` is half of
    /// what `format` takes.
    Time,
    /// A number of up to 16 hexadecimal digits in text: `7ef36`, `0x203`.
    Hex,
    /// A text as it came, even if it reads like a number: serial numbers, postcodes, times. In `binary`
    /// UTF-8 without the NULs and spaces around it; with `unit`, `scale`, `offset` or `decimals` it is a
    /// number in digits there.
    Text,
    /// Unsigned, 1 byte.
    U8,
    /// Signed, 1 byte.
    I8,
    /// Unsigned, 2 bytes.
    U16,
    /// Signed, 2 bytes.
    I16,
    /// Unsigned, 3 bytes.
    U24,
    /// Signed, 3 bytes.
    I24,
    /// Unsigned, 4 bytes.
    U32,
    /// Signed, 4 bytes.
    I32,
    /// Unsigned, 8 bytes.
    U64,
    /// Signed, 8 bytes.
    I64,
    /// Sign and magnitude, 2 bytes: the highest bit says that the number in the others is negative.
    Sm16,
    /// Sign and magnitude, 4 bytes.
    Sm32,
    /// Floating point (IEEE 754), 4 bytes. NaN and the infinities are no values.
    F32,
    /// Floating point (IEEE 754), 8 bytes.
    F64,
    /// Binary-coded decimal, two digits per byte. `F` in place of the first digit is a minus.
    Bcd,
    /// Bytes, published in hexadecimal.
    Bytes,
}

/// The lowest and the highest of some bits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    pub lowest: u8,
    pub(super) highest: u8,
}

impl FromStr for Bits {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Bits, BuildError> {
        let (lowest, highest) = text.split_once('-').unwrap_or((text, text));
        match (lowest.trim().parse(), highest.trim().parse()) {
            (Ok(lowest), Ok(highest)) if lowest <= highest && highest < 64 => {
                Ok(Bits { lowest, highest })
            }
            _ => wrong(
                format!("{text:?} does not say which bits"),
                "write 3, or \"4-7\" with the lowest first",
            ),
        }
    }
}

deserialize_from_str!(Bits: "bits");

/// A field of a text format: its name alone, or a map of settings.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(inline))]
pub struct Named(#[cfg_attr(test, schemars(schema_with = "Named::schema"))] pub FieldSettings);

#[cfg(test)]
impl Named {
    fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<FieldSettings>();
        schemars::json_schema!({"anyOf": [{"type": "string"}, settings]})
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Named, D::Error> {
        struct NameOrMap;
        impl<'de> de::Visitor<'de> for NameOrMap {
            type Value = Named;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name, or a map with its `name`")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Named, E> {
                Ok(Named(FieldSettings { name: name.into(), ..FieldSettings::default() }))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Named, A::Error> {
                FieldSettings::deserialize(MapAccessDeserializer::new(map)).map(Named)
            }
        }
        from.deserialize_any(NameOrMap)
    }
}

/// A field of bytes, whose place and type have to be said.
#[derive(Clone, Debug)]
pub struct Placed {
    pub(super) field: FieldSettings,
    pub(super) at: u16,
    pub(super) kind: Type,
}

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Placed, D::Error> {
        #[rustfmt::skip]
        const KEYS: &[&str] = &[
            "name", "at", "type", "length", "endian", "bits", "format", "zone", "decimal_sign", "unit",
            "class", "scale", "offset", "state_class", "decimals", "lookup", "unavailable", "publish",
            "calc", "max_age", "valid", "wraps", "rate", "window", "on_change", "deadband", "min_interval",
            "max_interval",
        ];
        struct Map;
        impl<'de> de::Visitor<'de> for Map {
            type Value = Placed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Placed, A::Error> {
                let field = FieldSettings::deserialize(MapAccessDeserializer::new(map))?;
                let missing = |key| move || de::Error::missing_field(key);
                let at = field.at.ok_or_else(missing("at"))?;
                let kind = field.kind.ok_or_else(missing("type"))?;
                Ok(Placed { field, at, kind })
            }
        }
        from.deserialize_struct("FieldSettings", KEYS, Map)
    }
}

/// A field that runs.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    /// Unit of measurement; a unit that comes with the value is less than this one.
    pub unit: Option<String>,
    /// Where the value comes from, in the words of the decoder.
    pub(super) from: String,
    pub(super) publish: bool,
    pub(super) convert: Convert,
    /// What reads the bytes that its text stands for.
    pub(super) nested: Option<Box<Nested>>,
    /// Its settings, where something becomes of its values behind the decoder.
    pub settings: Option<Box<FieldSettings>>,
    /// Its place in the list of its decoder, counted from 0.
    pub(super) item: usize,
    /// What is measured (`device_class` of Home Assistant).
    pub class: Option<Box<str>>,
    pub state_class: Option<StateClass>,
    /// How its numbers are stored, where they are bytes.
    pub(super) stored: Option<Stored>,
}

impl Field {
    /// Whether its values are published.
    pub fn is_published(&self) -> bool {
        self.publish
    }

    /// A field without settings.
    pub(super) fn named(name: &str) -> Field {
        let name = name.to_owned();
        Field {
            from: name.clone(),
            name,
            unit: None,
            publish: true,
            convert: PLAIN.clone(),
            nested: None,
            settings: None,
            item: 0,
            class: None,
            state_class: None,
            stored: None,
        }
    }
}

impl FieldSettings {
    /// Whether its values are numbers because of what is to be done with them.
    pub(super) fn is_measure(&self) -> bool {
        let is_filtered = self.deadband.is_some() || self.valid.is_some() || self.is_reshaped();
        self.calculates()
            || is_filtered && self.calc.is_none()
            || self.unit.as_deref().is_some_and(|unit| !unit.is_empty())
    }

    pub(super) fn calculates(&self) -> bool {
        self.scale.is_some() || self.offset.is_some() || self.decimals.is_some()
    }

    /// Whether its values become others behind the decoder, so that they are rounded there.
    pub fn is_reshaped(&self) -> bool {
        self.calc.is_some() || self.wraps.is_some() || self.rate.is_some() || self.window.is_some()
    }

    /// Whether anything becomes of its values behind the decoder.
    pub fn is_filtered(&self) -> bool {
        let bounds =
            self.valid.is_some() || self.deadband.is_some() || self.on_change == Some(true);
        let times = self.min_interval.is_some() || self.max_interval.is_some();
        self.is_reshaped() || bounds || times
    }

    /// Whether what a filter of the one remembers holds for the other: all keys are the same that choose its
    /// values or change them.
    pub fn remembers_as(&self, other: &FieldSettings) -> bool {
        let place =
            |it: &FieldSettings| (it.at, it.kind, it.length, it.endian, it.bits, it.decimals);
        let times = |it: &FieldSettings| (it.max_age, it.min_interval, it.max_interval, it.window);
        let words = |it: &FieldSettings| (it.rate, it.on_change, it.deadband, it.publish);
        let texts = |it: &FieldSettings| {
            [&it.from, &it.scale, &it.offset, &it.calc, &it.wraps].map(Option::clone)
        };
        self.name == other.name
            && (place(self), times(self), words(self)) == (place(other), times(other), words(other))
            && texts(self) == texts(other)
            && (&self.unit, &self.valid) == (&other.unit, &other.valid)
            && (&self.lookup, &self.unavailable) == (&other.lookup, &other.unavailable)
    }

    /// The expression of `calc`. Its mistakes have their characters.
    pub fn expression(&self) -> Result<Option<Expression>, BuildError> {
        let parse = |Token(text): &Token| Expression::parse(text);
        self.calc.as_ref().map(parse).transpose().map_err(|error| error.at("calc"))
    }

    /// The conversion of what is calculated; it is rounded later.
    pub fn build_calculated(&self) -> Result<Convert, BuildError> {
        Convert::build(&FieldSettings { decimals: None, ..self.clone() }, ValueKind::Auto)
    }

    /// The running field of a text format.
    pub(super) fn build_text(&self) -> Result<Field, BuildError> {
        let kind = self.text_kind()?;
        let is_text = !matches!(kind, ValueKind::Digits(_));
        let in_binary = "fields of `binary`";
        let in_digits = "numbers in bytes or hexadecimal digits";
        only([
            ("at", self.at.is_some(), in_binary),
            ("length", self.length.is_some(), in_binary),
            ("endian", self.endian.is_some() && is_text, in_digits),
            ("bits", self.bits.is_some() && is_text, in_digits),
        ])?;
        self.build(kind)
    }

    /// What its values are where they stand in a text.
    pub(super) fn text_kind(&self) -> Result<ValueKind, BuildError> {
        Ok(match self.kind {
            None | Some(Type::Auto) if self.is_measure() => ValueKind::Number,
            None | Some(Type::Auto) => ValueKind::Auto,
            Some(Type::Number) => ValueKind::Number,
            Some(Type::Quantity) => ValueKind::Quantity,
            Some(Type::Degrees) => ValueKind::Degrees,
            Some(Type::Text | Type::Time) if self.calculates() => {
                let error = BuildError::new("a text has no scale, offset and decimals");
                return Err(error.at("type"));
            }
            Some(Type::Text) => ValueKind::Text,
            Some(Type::Time) => {
                let remedy = "write YYMMDDhhmmss, hhmmss or epoch";
                let error = || BuildError::new("a time needs a `format`").remedy(remedy);
                ValueKind::Time(self.format.clone().ok_or_else(error)?, self.zone)
            }
            Some(Type::Bytes) => {
                let error = BuildError::new("only fields of `binary` have this type");
                return Err(error.remedy("write text, or hex for a number").at("type"));
            }
            Some(kind) => {
                self.check_bits(kind, kind.size().unwrap_or(8))?;
                let endian = self.endian.unwrap_or_default();
                return Ok(ValueKind::Digits(Stored { kind, endian, bits: self.bits }));
            }
        })
    }

    pub(super) fn check_bits(&self, kind: Type, size: usize) -> Result<(), BuildError> {
        let Some(bits) = self.bits else { return Ok(()) };
        if !kind.is_unsigned() {
            let error = BuildError::new("only unsigned types have bits");
            return Err(error.remedy("take u8, u16 or u32").at("bits"));
        }
        if usize::from(bits.highest) >= 8 * size {
            let error = BuildError::new(format!("this type has the bits 0 to {}", 8 * size - 1));
            return Err(error.remedy("take a longer one").at("bits"));
        }
        Ok(())
    }

    fn build_nested(&self) -> Result<Option<Box<Nested>>, BuildError> {
        let Some(decode) = &self.decode else {
            only([("as", self.spelling.is_some(), "fields with `decode`")])?;
            return Ok(None);
        };
        if self.kind.is_some() || self.is_measure() || self.at.is_some() {
            let error = BuildError::new("a value has a decoder or a type");
            return Err(error
                .remedy("give type and unit to the fields of this decoder")
                .at("decode"));
        }
        Ok(Some(Box::new(Nested::build(decode, self.spelling.unwrap_or_default())?)))
    }

    /// A key that says nothing about values of this kind.
    fn check_keys(&self, kind: &ValueKind) -> Result<(), BuildError> {
        let is_text = matches!(kind, ValueKind::Auto | ValueKind::Text | ValueKind::Quantity);
        let is_time = matches!(kind, ValueKind::Time(..));
        let is_number = *kind == ValueKind::Number || is_text;
        only([
            ("format", self.format.is_some() && !is_time, "fields of type time"),
            ("zone", self.zone.is_some() && !is_time, "fields of type time"),
            ("decimal_sign", self.decimal_sign.is_some() && !is_number, "numbers in text"),
        ])
    }

    /// The running field, whose values are of a kind that its decoder chose.
    pub(super) fn build(&self, kind: ValueKind) -> Result<Field, BuildError> {
        if self.name.is_empty() {
            return Err(BuildError::new("a field needs a name"));
        }
        let is_of_class = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if let Some(class) = self.class.as_ref().filter(|class| !class.chars().all(is_of_class)) {
            let error = BuildError::new(format!("{class:?} is not a valid class"));
            return Err(error.remedy("write one such as temperature or energy").at("class"));
        }
        self.check_keys(&kind)?;
        if self.expression()?.is_none() && self.max_age.is_some() {
            let error = BuildError::new("only with `calc` has this a meaning");
            return Err(error.remedy("leave it out").at("max_age"));
        }
        let convert = match self.is_reshaped() {
            true => Convert::build(&FieldSettings { decimals: None, ..self.clone() }, kind)?,
            false => Convert::build(self, kind)?,
        };
        Ok(Field {
            name: self.name.clone(),
            unit: self.unit.clone(),
            from: self.from.as_ref().map_or(&self.name, |Token(from)| from).clone(),
            publish: self.publish.unwrap_or(true),
            convert,
            settings: self.is_filtered().then(|| Box::new(self.clone())),
            item: 0,
            class: self.class.as_deref().map(Into::into),
            state_class: self.state_class,
            stored: None,
            nested: self.build_nested()?,
        })
    }
}

/// An error for the first key that is set where only others have it.
fn only<const N: usize>(keys: [(&str, bool, &str); N]) -> Result<(), BuildError> {
    match keys.iter().find(|(_, is_misplaced, _)| *is_misplaced) {
        Some((key, _, whose)) => {
            let error = BuildError::new(format!("only {whose} have this key"));
            Err(error.remedy("leave it out").at(key))
        }
        None => Ok(()),
    }
}

/// The running fields of a text format, from the list under `key`.
pub(super) fn build_named(key: &str, list: &[Named]) -> Result<Vec<Field>, BuildError> {
    let built = build_each(key, list, |Named(field)| field, |Named(field)| field.build_text())?;
    Ok((0..).zip(built).map(|(item, field)| Field { item, ..field }).collect())
}

/// Builds each field of the list under `key`. No two have one name, but for columns to skip.
pub(super) fn build_each<S, T>(
    key: &str,
    list: &[S],
    settings: impl Fn(&S) -> &FieldSettings,
    build: impl Fn(&S) -> Result<T, BuildError>,
) -> Result<Vec<T>, BuildError> {
    let mut names = HashSet::new();
    let mut built = Vec::with_capacity(list.len());
    for (n, item) in list.iter().enumerate() {
        let name = &settings(item).name;
        if name != "_" && !names.insert(name) {
            let error = BuildError::new(format!("there is a field {name:?} already"));
            return Err(error.remedy("give each a name of its own").item(n).at(key));
        }
        built.push(build(item).map_err(|error| error.item(n).at(key))?);
    }
    Ok(built)
}

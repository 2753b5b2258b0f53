//! Values that follow each other in a frame, however many there are: the cells of a battery.

use super::Decoded;
use super::binary::{Cell, build_field};
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::decimal::Decimal;
use crate::codec::endian::Endian;
use crate::codec::field::{Field, Placed};
use crate::codec::value::{Reading, RejectReason};
use serde::Deserialize;

/// Values that follow each other: `{at: 4, step: 2, count: cells, fields: [{name: "cell{n}", at: 0, type:
/// u16}]}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// First byte of the first group of values, counted from 0.
    pub at: u16,
    /// Bytes from one group to the next.
    pub step: u16,
    /// How many groups there are: a number, or the name of a field of the frame, also of one with `publish:
    /// false`. Default: as many as there is room for before the last `trailing` bytes.
    #[serde(default)]
    pub count: Option<Token>,
    /// Bytes at the end of the frame that are no values, where nothing says the count.
    #[serde(default)]
    pub trailing: u16,
    /// The number of the first group, or the name of a field of the frame that says it. Default: 1.
    #[serde(default)]
    pub first: Option<Token>,
    /// How much the number rises from one group to the next. Default: 1.
    #[serde(default)]
    pub by: Option<u8>,
    /// The values of a group, each with `at` counted from where the group begins. `{n}` in a `name` is the
    /// number of the group.
    #[serde(deserialize_with = "crate::base::one_by_one::list")]
    #[cfg_attr(test, schemars(schema_with = "super::binary::Binary::fields_schema"))]
    pub fields: Vec<Placed>,
}

/// A number, or the field that has it.
#[derive(Debug)]
enum Amount {
    Fixed(usize),
    Of(String),
}

/// The highest number of a group.
const MOST: usize = 99;

impl Amount {
    /// `names` are the fields of the frame.
    fn build(key: &str, token: &Token, names: &[&str]) -> Result<Amount, BuildError> {
        let Token(text) = token;
        match text.parse() {
            Ok(number) if number <= MOST => Ok(Amount::Fixed(number)),
            Ok(_) => Err(BuildError::new("at most 99").at(key)),
            Err(_) if names.contains(&text.as_str()) => Ok(Amount::Of(text.clone())),
            Err(_) => {
                let error = BuildError::new(format!("there is no field {text:?}"));
                Err(error.remedy("write a number, or the name of one of `fields`").at(key))
            }
        }
    }

    /// The number; `None` if the frame has none, or one that is not whole or above 99.
    fn of(&self, readings: &[Reading<'_>]) -> Option<usize> {
        let name = match self {
            Amount::Fixed(number) => return Some(*number),
            Amount::Of(name) => name,
        };
        let reading = readings.iter().find(|reading| *reading.field == **name)?;
        let number = Decimal::read(reading.value.as_str())?;
        let is_whole = number.is_multiple_of(Decimal::from(1))?;
        let number = usize::try_from(number.divided(Decimal::from(1))?).ok()?;
        (is_whole && number <= MOST).then_some(number)
    }
}

/// A field that is found by its name only in the frame.
fn build_plain(placed: &Placed, endian: Endian) -> Result<(Field, Cell), BuildError> {
    let (field, cell) = build_field(placed, endian)?;
    if field.settings.is_some() {
        let error = BuildError::new("calc and filters are not possible in `repeat`");
        return Err(error.remedy("write {cell1: {calc: cell1, …}} below `fields` of the port"));
    }
    Ok((field, cell))
}

impl Repeat {
    pub(super) fn build(&self, endian: Endian, names: &[&str]) -> Result<Repeated, BuildError> {
        for (key, is_zero) in [("step", self.step == 0), ("by", self.by == Some(0))] {
            if is_zero {
                return Err(BuildError::new("at least 1").at(key));
            }
        }
        let amount = |key, token: &Option<Token>| {
            token.as_ref().map(|token| Amount::build(key, token, names)).transpose()
        };
        let (count, first) = (amount("count", &self.count)?, amount("first", &self.first)?);
        let mut fields = Vec::with_capacity(self.fields.len());
        for (n, placed) in self.fields.iter().enumerate() {
            let at_field = |error: BuildError| error.item(n).at("fields");
            let (field, cell) = build_plain(placed, endian).map_err(at_field)?;
            if !field.name.contains("{n}") {
                let error = BuildError::new("all groups would have this name");
                return Err(at_field(
                    error.remedy("put {n} into it, as in \"cell{n}\"").at("name"),
                ));
            }
            let numbered = (0..=MOST).map(|n| field.name.replace("{n}", &n.to_string())).collect();
            fields.push((field, cell, numbered));
        }
        if fields.is_empty() {
            return Err(BuildError::new("name at least one field").at("fields"));
        }
        let (at, step) = (usize::from(self.at), usize::from(self.step));
        let (trailing, by) = (usize::from(self.trailing), usize::from(self.by.unwrap_or(1)));
        Ok(Repeated { at, step, count, trailing, first, by, fields })
    }
}

/// A running repeat. The names of all groups are made once.
#[derive(Debug)]
pub(super) struct Repeated {
    at: usize,
    step: usize,
    count: Option<Amount>,
    trailing: usize,
    first: Option<Amount>,
    by: usize,
    fields: Vec<(Field, Cell, Vec<String>)>,
}

impl Repeated {
    /// Adds all groups of a frame whose other fields are read already.
    pub(super) fn decode<'a>(&'a self, frame: &'a [u8], out: &mut Decoded<'a>) {
        let room = frame.len().saturating_sub(self.at + self.trailing) / self.step;
        let count = self.count.as_ref().map_or(Some(room), |count| count.of(&out.readings));
        let first = self.first.as_ref().map_or(Some(1), |first| first.of(&out.readings));
        let (Some(count), Some(first)) = (count, first) else {
            let expected = "a whole number of groups, up to 99";
            return out.reject("repeat", RejectReason::Malformed, expected, frame);
        };
        for n in 0..count {
            let start = self.at + n * self.step;
            for (field, cell, names) in &self.fields {
                let Some(name) = names.get(first + n * self.by) else {
                    let expected = "numbers of groups up to 99";
                    return out.reject("repeat", RejectReason::Malformed, expected, &b"more"[..]);
                };
                let Some(bytes) = frame.get(start + cell.at.start..start + cell.at.end) else {
                    return out.missing(name);
                };
                let value = cell.value(&field.convert, bytes);
                match value {
                    _ if !field.publish => {}
                    Err(reason) => {
                        out.reject(name, reason, field.convert.expected(reason), bytes);
                    }
                    value => out.add(name, field.unit.as_deref(), value, || bytes.into()),
                }
            }
        }
    }
}

//! From what a device sent to what is published: one conversion for every decoder.

use super::decimal::{is_plain, spelled};
use super::{Decimal, RejectReason, Value};
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a value is taken for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A number if the field has `unit`, `scale`, `offset` or `decimals`, or if a unit came with the
    /// value. Without any of these it is published exactly as it came: as a number if it is spelled
    /// as JSON spells one, without exponent and with at most 15 digits before the point (`21.50`,
    /// `-3`, `0`), and as a text if not (`0042`, `12E5`, `+5`, `-0`, `.5`, `ready`).
    #[default]
    Auto,
    /// A number. Its decimals stay, zeros and a `+` in front of it go: `0021.50` is `21.50`. A word
    /// or nothing in its place (`nan`, `inf`, `ovf`, `--`, `Booting v1.2`) is no value: it is not
    /// published, and counted as `no_value`. What begins as a number and is none (`21;5`, `0x1F`)
    /// is damage: it is refused, and counted as `not_a_number`.
    Number,
    /// A text as it came, even if it reads as a number: serial numbers, postcodes, times.
    Text,
}

/// What a format says about a value, besides its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Nothing.
    Bare,
    /// It is marked as a text, as by quotes.
    Text,
    /// It is marked as a number: a unit comes with it, or the format has numbers of its own.
    Number,
}

/// How one field's values are converted.
#[derive(Clone, Debug, Default)]
pub struct Convert {
    kind: Kind,
    scale: Option<Decimal>,
    offset: Option<Decimal>,
    decimals: Option<u8>,
    lookup: Table<String>,
    unavailable: Table<()>,
}

/// What single values stand for. They are found by their spelling or, where they are numbers, by
/// their amount: `-127` is also `-127.00`, and `2` is also `0002`.
#[derive(Clone, Debug)]
struct Table<T> {
    spelled: BTreeMap<String, T>,
    amounts: BTreeMap<Decimal, T>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { spelled: BTreeMap::new(), amounts: BTreeMap::new() }
    }
}

impl<T: Clone> Table<T> {
    fn new(kind: Kind, entries: impl Iterator<Item = (String, T)>) -> Table<T> {
        let spelled: BTreeMap<String, T> = entries.collect();
        let amounts = spelled.iter().filter(|_| kind != Kind::Text);
        let amounts = amounts
            .filter_map(|(text, entry)| Some((Decimal::read(text)?.trimmed(), entry.clone())))
            .collect();
        Table { spelled, amounts }
    }

    fn by_text(&self, text: &str) -> Option<&T> {
        let spelled = self.spelled.get(text);
        if spelled.is_some() || self.amounts.is_empty() {
            return spelled;
        }
        self.amounts.get(&Decimal::read(text)?.trimmed())
    }

    fn by_amount(&self, number: Decimal) -> Option<&T> {
        self.amounts.get(&number)
    }
}

impl Convert {
    /// From the settings of a field; `is_measure`: it has a unit. The error names the key.
    pub fn build(
        kind: Kind,
        is_measure: bool,
        scale: Option<&Token>,
        offset: Option<&Token>,
        decimals: Option<u8>,
        lookup: &BTreeMap<Token, Token>,
        unavailable: &[Token],
    ) -> Result<Convert, BuildError> {
        let decimal = |key: &str, token: Option<&Token>| {
            let parse = |Token(text): &Token| {
                let what = || BuildError::new(format!("{text:?} is not a decimal number"));
                Decimal::read(text).ok_or_else(|| what().remedy("write 0.1 or -40").at(key))
            };
            token.map(parse).transpose()
        };
        let scale = decimal("scale", scale)?;
        if scale.is_some_and(Decimal::is_zero) {
            return Err(BuildError::new("0 makes every value 0").at("scale"));
        }
        let offset = decimal("offset", offset)?;
        if decimals.is_some_and(|n| n > 18) {
            return Err(BuildError::new("at most 18").at("decimals"));
        }
        let calculates = scale.is_some() || offset.is_some() || decimals.is_some();
        if calculates && kind == Kind::Text {
            return Err(BuildError::new("a text has no scale, offset and decimals").at("type"));
        }
        let kind = match kind {
            Kind::Auto if calculates || is_measure => Kind::Number,
            kind => kind,
        };
        let lookup = lookup.iter().map(|(token, meaning)| (token.0.clone(), meaning.0.clone()));
        let lookup = Table::new(kind, lookup);
        let unavailable = unavailable.iter().map(|token| (token.0.clone(), ()));
        let unavailable = Table::new(kind, unavailable);
        Ok(Convert { kind, scale, offset, decimals, lookup, unavailable })
    }

    /// The value of bytes that are text; `Ok(None)` when the device has none. White space around it
    /// is dropped. Nothing at all is no value, unless the settings know it.
    pub fn text<'a>(
        &'a self,
        bytes: &'a [u8],
        wire: Wire,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::NotUtf8)?.trim();
        let value = self.token(text, wire)?;
        let is_nothing = text.is_empty() && value.as_ref().is_some_and(|v| v.as_str().is_empty());
        Ok(value.filter(|_| !is_nothing))
    }

    /// The same for a text that is what it is, even if it is empty.
    pub fn token<'a>(
        &'a self,
        text: &'a str,
        wire: Wire,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        if self.is_unavailable(text) {
            return Ok(None);
        }
        if let Some(meaning) = self.lookup.by_text(text) {
            return Ok(Some(Value::Text(meaning.into())));
        }
        match (self.kind, wire) {
            (Kind::Number, _) | (Kind::Auto, Wire::Number) => self.number(text.trim()),
            (Kind::Auto, Wire::Bare) if is_plain(text) => Ok(Some(Value::Number(text.into()))),
            (Kind::Auto | Kind::Text, _) => Ok(Some(Value::Text(text.into()))),
        }
    }

    /// The number that a text is. A word in its place says that there is none.
    fn number<'a>(&self, text: &'a str) -> Result<Option<Value<'a>>, RejectReason> {
        let number = match self.calculates() {
            true => Decimal::read(text).map(|number| self.calculate(number)).transpose()?,
            false => spelled(text).map(Value::Number),
        };
        if number.is_some() || is_word(text) {
            return Ok(number);
        }
        Err(RejectReason::NotANumber)
    }

    /// The same for a whole number.
    pub fn integer(&self, number: i128) -> Result<Option<Value<'_>>, RejectReason> {
        let number = Decimal::from(number);
        if self.unavailable.by_amount(number).is_some() {
            return Ok(None);
        }
        match self.lookup.by_amount(number) {
            Some(meaning) => Ok(Some(Value::Text(meaning.into()))),
            None => self.calculate(number).map(Some),
        }
    }

    /// Whether a device says with this text that it has no value.
    pub fn is_unavailable(&self, text: &str) -> bool {
        self.unavailable.by_text(text).is_some()
    }

    /// Whether a device says with this bit pattern that it has no value: of a signed number,
    /// 0x8000 is -32768, and data sheets write either.
    pub fn is_unavailable_pattern(&self, bits: u64) -> bool {
        self.unavailable.by_amount(Decimal::from(i128::from(bits))).is_some()
    }

    fn calculates(&self) -> bool {
        self.scale.is_some() || self.offset.is_some() || self.decimals.is_some()
    }

    fn calculate(&self, number: Decimal) -> Result<Value<'static>, RejectReason> {
        let scaled = self.scale.map_or(Some(number), |scale| number.times(scale));
        let moved = scaled.and_then(|n| self.offset.map_or(Some(n), |offset| n.plus(offset)));
        let rounded = moved.and_then(|n| self.decimals.map_or(Some(n), |d| n.rounded(d)));
        let number = rounded.ok_or(RejectReason::NotANumber)?;
        Ok(Value::Number(Cow::Owned(number.to_string())))
    }
}

/// Whether a text is no attempt at a number: nothing, a word, a mark such as `--`. A damaged number
/// begins with a digit, or with what belongs to no word.
fn is_word(text: &str) -> bool {
    let marks = |c: char| c.is_ascii_punctuation() || c == ' ';
    text.trim_start_matches(marks).chars().next().is_none_or(char::is_alphabetic)
}

//! From what a device sent to what is published: one conversion for every decoder.

use super::FieldSettings;
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::decimal::{Decimal, is_plain, spelled};
use crate::codec::value::{RejectReason, Value};
use std::borrow::Cow;

/// What a field's values are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Numbers where they are spelled as such, or marked as such by the format.
    Auto,
    /// Numbers; a word in their place is no value.
    Number,
    Text,
}

/// What a format says about a value, besides its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Bare,
    /// It is marked as a text, as by quotes.
    Text,
    /// It is marked as a number: a unit comes with it, or the format has numbers of its own.
    Number,
}

/// The conversion of a field without settings.
pub static PLAIN: Convert = Convert {
    kind: ValueKind::Auto,
    scale: None,
    offset: None,
    decimals: None,
    lookup: Table(Vec::new()),
    unavailable: Table(Vec::new()),
};

#[derive(Clone, Debug)]
pub struct Convert {
    kind: ValueKind,
    scale: Option<Decimal>,
    offset: Option<Decimal>,
    decimals: Option<u8>,
    lookup: Table,
    unavailable: Table,
}

/// What single values stand for. A value is found by its spelling or, if it is a number, by its amount:
/// `-127` is also `-127.00`, and `2` is also `0002`. There are few, so they are looked at one by one.
#[derive(Clone, Debug)]
struct Table(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    spelled: String,
    amount: Option<Decimal>,
    meaning: String,
}

impl Table {
    fn new<'a>(kind: ValueKind, entries: impl Iterator<Item = (&'a Token, &'a str)>) -> Table {
        let known = |(Token(spelled), meaning): (&Token, &str)| {
            let amount = Decimal::read(spelled).filter(|_| kind != ValueKind::Text);
            let amount = amount.map(Decimal::trimmed);
            Known { spelled: spelled.clone(), amount, meaning: meaning.to_owned() }
        };
        Table(entries.map(known).collect())
    }

    fn by_text(&self, text: &str) -> Option<&str> {
        let exact = self.0.iter().find(|known| known.spelled == text);
        if let Some(known) = exact {
            return Some(&known.meaning);
        }
        let has_amounts = self.0.iter().any(|known| known.amount.is_some());
        has_amounts.then(|| self.by_amount(Decimal::read(text)?)).flatten()
    }

    fn by_amount(&self, number: Decimal) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let number = number.trimmed();
        let known = self.0.iter().rfind(|known| known.amount == Some(number));
        known.map(|known| known.meaning.as_str())
    }
}

impl Convert {
    /// The conversion of a field whose values are of this kind.
    pub(super) fn build(field: &FieldSettings, kind: ValueKind) -> Result<Convert, BuildError> {
        let decimal = |key: &str, token: &Option<Token>| {
            let parse = |Token(text): &Token| {
                let what = || BuildError::new(format!("{text:?} is not a decimal number"));
                Decimal::read(text).ok_or_else(|| what().remedy("write 0.1 or -40").at(key))
            };
            token.as_ref().map(parse).transpose()
        };
        let scale = decimal("scale", &field.scale)?;
        if scale.is_some_and(Decimal::is_zero) {
            return Err(BuildError::new("0 makes every value 0").at("scale"));
        }
        let offset = decimal("offset", &field.offset)?;
        if field.decimals.is_some_and(|n| n > 18) {
            return Err(BuildError::new("at most 18").at("decimals"));
        }
        let lookup = field.lookup.iter().map(|(token, meaning)| (token, meaning.0.as_str()));
        let unavailable = field.unavailable.iter().map(|token| (token, ""));
        Ok(Convert {
            kind,
            scale,
            offset,
            decimals: field.decimals,
            lookup: Table::new(kind, lookup),
            unavailable: Table::new(kind, unavailable),
        })
    }

    /// The value of bytes that are text; `Ok(None)` when the device has none. White space around it
    /// is dropped. An empty text is no value, unless the settings know it.
    pub fn text<'a>(
        &'a self,
        bytes: &'a [u8],
        wire: Wire,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::NotUtf8)?;
        // Looking for Unicode's white space takes long.
        let is_trimmed = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
        let text =
            if is_trimmed(bytes.first()) && is_trimmed(bytes.last()) { text } else { text.trim() };
        let value = self.token(text, wire)?;
        let is_nothing = text.is_empty() && value.as_ref().is_some_and(|v| v.as_str().is_empty());
        Ok(value.filter(|_| !is_nothing))
    }

    /// The same for a text that is not trimmed, and is a value even if it is empty.
    pub fn token<'a>(
        &'a self,
        text: &'a str,
        wire: Wire,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        if self.unavailable.by_text(text).is_some() {
            return Ok(None);
        }
        if let Some(meaning) = self.lookup.by_text(text) {
            return Ok(Some(Value::Text(meaning.into())));
        }
        match (self.kind, wire) {
            (ValueKind::Number, _) | (ValueKind::Auto, Wire::Number) => self.number(text.trim()),
            (ValueKind::Auto, Wire::Bare) if is_plain(text) => Ok(Some(Value::Number(text.into()))),
            (ValueKind::Auto | ValueKind::Text, _) => Ok(Some(Value::Text(text.into()))),
        }
    }

    /// Reads a number. A word in its place says that the device has no value.
    fn number<'a>(&self, text: &'a str) -> Result<Option<Value<'a>>, RejectReason> {
        let number = if self.calculates() {
            Decimal::read(text).map(|number| self.calculate(number)).transpose()?
        } else {
            spelled(text).map(Value::Number)
        };
        if number.is_some() || is_word(text) {
            return Ok(number);
        }
        Err(RejectReason::NotANumber)
    }

    /// The same for a whole number.
    pub fn integer(&self, number: i128) -> Result<Option<Value<'_>>, RejectReason> {
        self.powered(number, 0)
    }

    /// The same for a whole number that is to be multiplied by a power of ten first.
    pub fn powered(&self, number: i128, power: i8) -> Result<Option<Value<'_>>, RejectReason> {
        let number = Decimal::from(number);
        if self.unavailable.by_amount(number).is_some() {
            return Ok(None);
        }
        match self.lookup.by_amount(number) {
            Some(meaning) => Ok(Some(Value::Text(meaning.into()))),
            None => {
                let number = number.shifted(power).ok_or(RejectReason::NotANumber)?;
                self.calculate(number).map(Some)
            }
        }
    }

    /// Whether a device says with this bit pattern that it has no value: of a signed number,
    /// 0x8000 is -32768, and data sheets write either.
    pub fn is_unavailable_pattern(&self, bits: u64) -> bool {
        self.unavailable.by_amount(i128::from(bits).into()).is_some()
    }

    fn calculates(&self) -> bool {
        self.scale.is_some() || self.offset.is_some() || self.decimals.is_some()
    }

    fn calculate(&self, number: Decimal) -> Result<Value<'static>, RejectReason> {
        let scaled = self.scale.map_or(Some(number), |scale| number.times(scale));
        let moved = scaled.and_then(|n| self.offset.map_or(Some(n), |offset| n.plus(offset)));
        let rounded = moved.and_then(|n| self.decimals.map_or(Some(n), |d| n.rounded(d)));
        let number = rounded.ok_or(RejectReason::NotANumber)?;
        Ok(Value::Number(Cow::Owned(number.spelled())))
    }
}

/// Whether a text does not attempt to be a number: it is empty, a word, or a mark such as `--`. A
/// damaged number begins with a digit, or with a character that does not begin a word.
fn is_word(text: &str) -> bool {
    let marks = |c: char| c.is_ascii_punctuation() || c == ' ';
    text.trim_start_matches(marks).chars().next().is_none_or(char::is_alphabetic)
}

//! From what a device sent to what is published: one conversion for every decoder.

use super::{FieldSettings, Kind, Stored, Type, Values, degrees};
use crate::base::path::BuildError;
use crate::base::scalar::Token;
use crate::codec::decimal::{Decimal, is_plain, spelled};
use crate::codec::endian::Endian;
use crate::codec::spelled::Spelled;
use crate::codec::time::{TimeFormat, Zone};
use crate::codec::value::{RejectReason, Value};
use serde::Deserialize;
use std::fmt::Write;

/// What a field's values are taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Numbers where they are spelled as such, or marked as such by the format.
    Auto,
    /// Numbers; a word in their place is no value.
    Number,
    Text,
    /// Numbers with a unit behind them.
    Quantity,
    /// Hexadecimal digits of numbers.
    Digits(Stored),
    /// Degrees and minutes.
    Degrees,
    Time(TimeFormat, Option<Zone>),
}

/// The sign before the decimals of a number.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum DecimalSign {
    /// `1.5`
    #[serde(rename = ".")]
    Point,
    /// `1,5`
    #[serde(rename = ",")]
    Comma,
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
    decimal_sign: None,
    unit: None,
};

#[derive(Clone, Debug)]
pub struct Convert {
    kind: ValueKind,
    scale: Option<Decimal>,
    offset: Option<Decimal>,
    decimals: Option<u8>,
    lookup: Table,
    unavailable: Table,
    decimal_sign: Option<DecimalSign>,
    /// Behind a number it is no damage.
    unit: Option<String>,
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
    fn new<'a>(kind: &ValueKind, entries: impl Iterator<Item = (&'a Token, &'a str)>) -> Table {
        let known = |(Token(spelled), meaning): (&Token, &str)| {
            let amount = Decimal::read(spelled).filter(|_| *kind != ValueKind::Text);
            let amount = amount.map(Decimal::trimmed);
            Known { spelled: spelled.clone(), amount, meaning: meaning.to_owned() }
        };
        Table(entries.map(known).collect())
    }

    fn by_text(&self, text: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
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
    /// The conversion of a field of this type without further settings.
    pub(in crate::codec) fn of(kind: Type) -> Result<Convert, BuildError> {
        let field = FieldSettings { kind: Some(kind), ..FieldSettings::default() };
        Convert::build(&field, field.text_kind()?)
    }

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
            scale,
            offset,
            decimals: field.decimals,
            lookup: Table::new(&kind, lookup),
            unavailable: Table::new(&kind, unavailable),
            decimal_sign: field.decimal_sign,
            unit: field.unit.clone(),
            kind,
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
        let number_in_digits = matches!(self.kind, ValueKind::Digits(_));
        // Of hexadecimal digits the amount counts, not how they look.
        if !number_in_digits && self.unavailable.by_text(text).is_some() {
            return Ok(None);
        }
        if let Some(meaning) = self.lookup.by_text(text).filter(|_| !number_in_digits) {
            return Ok(Some(Value::Text(meaning.into())));
        }
        match (&self.kind, wire) {
            (ValueKind::Number | ValueKind::Quantity, _) | (ValueKind::Auto, Wire::Number) => {
                self.number(text.trim())
            }
            (ValueKind::Auto, Wire::Bare) if is_plain(text) => Ok(Some(Value::Number(text.into()))),
            (ValueKind::Auto | ValueKind::Text, _) => Ok(Some(Value::Text(text.into()))),
            // Marks such as `----` stand for no value.
            _ if !text.bytes().any(|byte| byte.is_ascii_alphanumeric()) && text.is_ascii() => {
                Ok(None)
            }
            (ValueKind::Digits(stored), _) => stored.digits(self, text.trim()),
            (ValueKind::Degrees, _) => {
                let degrees = degrees::read(text.trim()).ok_or(RejectReason::Malformed)?;
                self.calculate(degrees).map(Some)
            }
            (ValueKind::Time(format, zone), _) => {
                let time = format.read(text, *zone).ok_or(RejectReason::Malformed)?;
                Ok(Some(Value::Text(time)))
            }
        }
    }

    /// The time that some bytes are: a number since 1970, text, or packed digits.
    pub(in crate::codec) fn time<'a>(
        &'a self,
        bytes: &'a [u8],
        endian: Endian,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        let ValueKind::Time(format, zone) = &self.kind else { return Err(RejectReason::Malformed) };
        let time = match format.width() {
            Some(width) if width == bytes.len() => return self.text(bytes, Wire::Bare),
            // Nothing but zeros, and nothing but ones, is no time.
            _ if bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xFF) => {
                return Ok(None);
            }
            None => format.since_1970(endian.number(bytes)),
            Some(_) => {
                let mut digits = Spelled::default();
                let mut push = |byte: &u8| {
                    // Writing to it cannot fail.
                    let _ = write!(digits, "{byte:02x}");
                };
                match endian {
                    Endian::Big => bytes.iter().for_each(&mut push),
                    Endian::Little => bytes.iter().rev().for_each(&mut push),
                }
                format.read(&digits, *zone)
            }
        };
        time.map(|time| Some(Value::Text(time))).ok_or(RejectReason::Malformed)
    }

    /// What was expected where a value is refused for this reason.
    pub fn expected(&self, reason: RejectReason) -> &'static str {
        match (reason, &self.kind) {
            (RejectReason::Malformed, ValueKind::Digits(_)) => "hexadecimal digits of its type",
            (RejectReason::Malformed, ValueKind::Degrees) => "degrees and minutes, ddmm.mmmm",
            (RejectReason::Malformed, ValueKind::Time(..)) => "a time as `format` says",
            (RejectReason::Malformed, ValueKind::Number) => "two decimal digits a byte",
            (reason, _) => reason.expected(),
        }
    }

    /// The unit that stands behind the number in a value, if that is to be published.
    pub fn unit_in<'a>(&self, value: &'a [u8]) -> Option<&'a str> {
        if !matches!(self.kind, ValueKind::Quantity) {
            return None;
        }
        let value = std::str::from_utf8(value).ok()?;
        let value = value.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        Some(split_unit(value).1).filter(|unit| !unit.is_empty())
    }

    /// Reads a number. A word in its place says that the device has no value.
    fn number<'a>(&self, text: &'a str) -> Result<Option<Value<'a>>, RejectReason> {
        let number = self.plain_number(text)?;
        if number.is_some() {
            return Ok(number);
        }
        if let Some(respelled) = self.respelled(text) {
            // What this makes of the number is never borrowed from it.
            let number = self.exact_number(&respelled)?.map(Value::into_owned);
            return if number.is_some() { Ok(number) } else { Err(RejectReason::NotANumber) };
        }
        if is_word(text) { Ok(None) } else { Err(RejectReason::NotANumber) }
    }

    fn plain_number<'a>(&self, text: &'a str) -> Result<Option<Value<'a>>, RejectReason> {
        if self.decimal_sign == Some(DecimalSign::Comma) && text.contains('.') {
            return Ok(None);
        }
        self.exact_number(text)
    }

    fn exact_number<'a>(&self, text: &'a str) -> Result<Option<Value<'a>>, RejectReason> {
        if self.calculates() {
            return Decimal::read(text).map(|number| self.calculate(number)).transpose();
        }
        Ok(spelled(text).map(Value::Number))
    }

    /// A number in its usual spelling, if the text is one with blanks behind its sign, a decimal comma or
    /// its unit; `None` if nothing was changed.
    fn respelled(&self, text: &str) -> Option<Spelled<'static>> {
        let number = match (&self.kind, &self.unit) {
            (ValueKind::Quantity, _) => split_unit(text).0,
            (_, Some(unit)) => text.strip_suffix(unit.as_str()).unwrap_or(text).trim_end(),
            _ => text,
        };
        let (sign, amount) = match number.as_bytes().first() {
            Some(b'-' | b'+') => number.split_at(1),
            _ => ("", number),
        };
        let amount = amount.trim_start();
        let is_comma = match amount.split_once(',') {
            Some((whole, decimals)) => match self.decimal_sign {
                Some(sign) => sign == DecimalSign::Comma,
                // Three digits behind a comma may be a group of thousands.
                None => decimals.len() != 3 || !(1..=3).contains(&whole.len()) || whole == "0",
            },
            None => false,
        };
        if number.len() == text.len() && sign.len() + amount.len() == text.len() && !is_comma {
            return None;
        }
        let digit = amount.as_bytes().first().is_some_and(|b| b.is_ascii_digit() || *b == b'.');
        let mixes = is_comma && amount.contains('.');
        let swapped = self.decimal_sign == Some(DecimalSign::Comma) && amount.contains('.');
        if !digit || mixes || swapped {
            return None;
        }
        let (whole, decimals) = amount.split_once(',').filter(|_| is_comma).unwrap_or((amount, ""));
        let point = if is_comma { "." } else { "" };
        Some(Spelled::of(format_args!("{sign}{whole}{point}{decimals}")))
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

    /// The same for a number in a text.
    pub fn shifted(&self, bytes: &[u8], power: i8) -> Result<Option<Value<'_>>, RejectReason> {
        let text = std::str::from_utf8(bytes).map_err(|_| RejectReason::NotUtf8)?.trim();
        if self.unavailable.by_text(text).is_some() {
            return Ok(None);
        }
        let respelled = || Decimal::read(&self.respelled(text)?);
        match (self.lookup.by_text(text), Decimal::read(text).or_else(respelled)) {
            (Some(meaning), _) => Ok(Some(Value::Text(meaning.into()))),
            (None, Some(number)) => {
                self.calculate(number.shifted(power).ok_or(RejectReason::NotANumber)?).map(Some)
            }
            (None, None) if is_word(text) => Ok(None),
            (None, None) => Err(RejectReason::NotANumber),
        }
    }

    /// The same for what was calculated.
    pub fn decimal(&self, number: Decimal) -> Result<Option<Value<'_>>, RejectReason> {
        if self.unavailable.by_amount(number).is_some() {
            return Ok(None);
        }
        match self.lookup.by_amount(number) {
            Some(meaning) => Ok(Some(Value::Text(meaning.into()))),
            None => self.calculate(number).map(Some),
        }
    }

    /// Whether a device says with this bit pattern that it has no value: of a signed number,
    /// 0x8000 is -32768, and data sheets write either.
    pub fn is_unavailable_pattern(&self, bits: u64) -> bool {
        self.unavailable.by_amount(i128::from(bits).into()).is_some()
    }

    /// The value of a floating-point number that is spelled without exponent.
    pub(super) fn float(&self, text: &str) -> Result<Option<Value<'_>>, RejectReason> {
        if self.unavailable.by_text(text).is_some() {
            return Ok(None);
        }
        if let Some(meaning) = self.lookup.by_text(text) {
            return Ok(Some(Value::Text(meaning.into())));
        }
        let number = self.exact_number(text)?.map(Value::into_owned);
        if number.is_some() || is_word(text) { Ok(number) } else { Err(RejectReason::NotANumber) }
    }

    /// What its values are, of numbers that are stored so.
    pub(super) fn values(&self, stored: Option<Stored>) -> Values {
        let stored = match &self.kind {
            ValueKind::Digits(stored) => Some(*stored),
            _ => stored,
        };
        let kind = match &self.kind {
            ValueKind::Auto => Kind::Any,
            ValueKind::Text => Kind::Text,
            ValueKind::Time(format, zone) => match format.parts() {
                (true, false) => Kind::Date,
                (true, true) if format.has_zone(*zone) => Kind::Timestamp,
                _ => Kind::Text,
            },
            _ => match stored.map(|stored| stored.kind) {
                Some(Type::Text | Type::Bytes) => Kind::Text,
                _ => Kind::Number,
            },
        };
        let mut words: Vec<String> = Vec::new();
        for known in &self.lookup.0 {
            if !words.contains(&known.meaning) {
                words.push(known.meaning.clone());
            }
        }
        let is_whole = stored.is_some_and(|Stored { kind, .. }| {
            kind.is_signed() || kind.is_unsigned() || kind == Type::Bcd
        });
        let of_scale = [self.scale, self.offset].into_iter().flatten().map(Decimal::decimals);
        let decimals = self.decimals.or(is_whole.then(|| of_scale.max().unwrap_or(0)));
        // Of one bit, or of two of them.
        let bits = stored.and_then(|stored| stored.bits).map(|bits| bits.highest - bits.lowest + 1);
        let is_closed = bits.is_some_and(|bits| bits < 8 && self.lookup.0.len() >= 1 << bits);
        Values { kind, words, is_closed, decimals: decimals.filter(|_| kind == Kind::Number) }
    }

    /// Whether its field says itself what numbers are multiplied by.
    pub(in crate::codec) fn has_scale(&self) -> bool {
        self.scale.is_some()
    }

    fn calculates(&self) -> bool {
        self.scale.is_some() || self.offset.is_some() || self.decimals.is_some()
    }

    fn calculate(&self, number: Decimal) -> Result<Value<'static>, RejectReason> {
        let scaled = self.scale.map_or(Some(number), |scale| number.times(scale));
        let moved = scaled.and_then(|n| self.offset.map_or(Some(n), |offset| n.plus(offset)));
        let rounded = moved.and_then(|n| self.decimals.map_or(Some(n), |d| n.rounded(d)));
        let number = rounded.ok_or(RejectReason::NotANumber)?;
        Ok(Value::Number(number.spelled()))
    }
}

/// Whether a text does not attempt to be a number: it is empty, a word, or a mark such as `--`. A
/// damaged number begins with a digit, or with a character that does not begin a word.
fn is_word(text: &str) -> bool {
    let marks = |c: char| c.is_ascii_punctuation() || c == ' ';
    text.trim_start_matches(marks).chars().next().is_none_or(char::is_alphabetic)
}

/// A number and the unit behind it, which has a letter or a sign such as `%` in front.
fn split_unit(text: &str) -> (&str, &str) {
    let is_of_number = |(at, c): &(usize, char)| {
        c.is_ascii_digit() || matches!(c, '.' | ',' | ' ') || *at == 0 && matches!(c, '-' | '+')
    };
    let end = text.char_indices().find(|it| !is_of_number(it)).map_or(text.len(), |(at, _)| at);
    let (number, unit) = text.split_at(end);
    let starts = |c: char| c.is_alphabetic() || matches!(c, '%' | '°' | '"' | '\'' | '/' | '‰');
    if unit.len() <= LONGEST_UNIT && unit.starts_with(starts) && !number.trim_end().is_empty() {
        (number.trim_end(), unit)
    } else {
        (text, "")
    }
}

/// The longest unit in bytes that is taken for one.
const LONGEST_UNIT: usize = 16;

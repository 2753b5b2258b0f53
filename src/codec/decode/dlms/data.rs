//! Data of DLMS as bytes: a tag for the type, then the value (IEC 62056-5-3, A-XDR encoding of IEC 61334-6).

use crate::base::calendar::Date;
use crate::codec::decode::content::Content;
use crate::codec::dlms_unit;
use crate::codec::spelled::Spelled;
use crate::codec::time::{Moment, Zone};

/// How deep structures may be nested.
pub(super) const DEEPEST: usize = 8;

/// Bytes that are taken from the front.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Null,
    /// An array or a structure; its elements follow.
    Many(usize),
    Whole(i128, &'a [u8]),
    Float(&'a [u8]),
    Octets(&'a [u8]),
    Text(&'a [u8]),
    /// Bits, or a type whose bytes are all that is known.
    Raw(&'a [u8]),
    DateTime(&'a [u8]),
}

type Taken<T> = Result<T, &'static str>;

const CUT: &str = "as many bytes as the lengths say";

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, length: usize) -> Taken<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Taken<u8> {
        let (first, rest) = self.0.split_first().ok_or(CUT)?;
        self.0 = rest;
        Ok(*first)
    }

    /// A length: below 128 in one byte, else behind the number of its bytes.
    fn length(&mut self) -> Taken<usize> {
        match self.byte()? {
            length @ 0..=0x7F => Ok(length.into()),
            0x81 => Ok(self.byte()?.into()),
            0x82 => {
                let high = self.byte()?;
                Ok(usize::from(high) << 8 | usize::from(self.byte()?))
            }
            _ => Err("a length below 65536"),
        }
    }

    /// Bytes behind their length.
    pub(super) fn octets(&mut self) -> Taken<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn integer(&mut self, length: usize, is_signed: bool) -> Taken<Item<'a>> {
        let bytes = self.take(length)?;
        let number = bytes.iter().fold(0_i128, |number, byte| number << 8 | i128::from(*byte));
        let unused = 128 - 8 * length as u32;
        let number = if is_signed { number << unused >> unused } else { number };
        Ok(Item::Whole(number, bytes))
    }

    /// The next element, without those within it.
    pub(super) fn item(&mut self) -> Taken<Item<'a>> {
        match self.byte()? {
            0 => Ok(Item::Null),
            1 | 2 => Ok(Item::Many(self.length()?)),
            // Boolean, enum, bcd, and integers of all lengths.
            3 | 17 | 22 => self.integer(1, false),
            13 | 15 => self.integer(1, true),
            16 => self.integer(2, true),
            18 => self.integer(2, false),
            5 => self.integer(4, true),
            6 => self.integer(4, false),
            20 => self.integer(8, true),
            21 => self.integer(8, false),
            4 => {
                let bits = self.length()?;
                Ok(Item::Raw(self.take(bits.div_ceil(8))?))
            }
            9 => Ok(Item::Octets(self.octets()?)),
            10 | 12 => Ok(Item::Text(self.octets()?)),
            23 => Ok(Item::Float(self.take(4)?)),
            24 => Ok(Item::Float(self.take(8)?)),
            25 => Ok(Item::DateTime(self.take(12)?)),
            26 => Ok(Item::Raw(self.take(5)?)),
            27 => Ok(Item::Raw(self.take(4)?)),
            _ => Err("a type of DLMS"),
        }
    }
}

/// Whether two elements are a power of ten and the code of a unit, and how many bytes they take.
pub(super) fn scaler_and_unit(rest: &[u8]) -> Option<(i8, Option<&'static str>, usize)> {
    let (&[0x0F, scaler, 0x16, unit], _) = rest.split_first_chunk::<4>()? else { return None };
    Some((scaler as i8, dlms_unit::unit(unit), 4))
}

impl<'a> Item<'a> {
    /// The value with a power of ten, and its bytes.
    pub(super) fn content(&self, power: i8) -> (Content<'a>, &'a [u8]) {
        match *self {
            Item::Null | Item::Many(_) => (Content::Nothing, &[]),
            Item::Whole(number, bytes) => (Content::Whole(number, power), bytes),
            Item::Float(bytes) => {
                let text = match (bytes.try_into(), bytes.try_into()) {
                    (Ok(bytes), _) => Spelled::of(format_args!("{}", f32::from_be_bytes(bytes))),
                    (_, Ok(bytes)) => Spelled::of(format_args!("{}", f64::from_be_bytes(bytes))),
                    _ => Spelled::default(),
                };
                (Content::Float(text, power), bytes)
            }
            Item::DateTime(bytes) => (date_time(bytes), bytes),
            Item::Octets(bytes) if bytes.len() == 12 && !is_text(bytes) => {
                (date_time(bytes), bytes)
            }
            Item::Octets(bytes) | Item::Text(bytes) => (text(bytes), bytes),
            Item::Raw(bytes) => (Content::Hex(bytes), bytes),
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| (b' '..=b'~').contains(byte))
}

fn text(bytes: &[u8]) -> Content<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => Content::Text(text.into()),
        _ => Content::Hex(bytes),
    }
}

/// A date and a time of 12 bytes (IEC 62056-6-2, 4.1.6.1): the deviation is that of UTC from the local
/// time in minutes, 8000 for none.
fn date_time(bytes: &[u8]) -> Content<'_> {
    let &[high, low, month, day, _, hour, minute, second, _, ahead, of_utc, status] = bytes else {
        return Content::Hex(bytes);
    };
    // Seconds may be left out.
    let second = if second == 0xFF { 0 } else { second };
    let year = u16::from_be_bytes([high, low]).into();
    let deviation = i16::from_be_bytes([ahead, of_utc]);
    let zone = (deviation != i16::MIN).then(|| Zone::ahead(deviation.saturating_neg()));
    let date = Some(Date { year, month, day });
    let moment = Moment { date, clock: Some((hour, minute, second)), zone, ..Moment::default() };
    // A year of FFFF is not known. Bit 0 of the status: the clock is not valid; FF: there is no status.
    let is_valid = year <= 9999 && (status == 0xFF || status & 1 == 0) && moment.is_valid();
    if is_valid { Content::Text(moment.spelled()) } else { Content::Nothing }
}

//! One record of the M-Bus: its data information, its value information, and its value (EN 13757-3,
//! sections 6.2 to 6.4).

use super::time::{self, Time};
use super::vif::{Change, Kind, Quantity, Table, change};
use crate::codec::decode::content::Content;
use crate::codec::endian::Endian;
use crate::codec::spelled::Spelled;

/// Most bytes that extend a data or a value information field (section 6.2).
const MOST_EXTENSIONS: usize = 10;

/// One record as it stands in a telegram.
#[derive(Debug)]
pub(super) struct Record<'a> {
    function: &'static str,
    storage: u64,
    tariff: u32,
    subunit: u16,
    meaning: Meaning<'a>,
    /// The bytes behind the value information that say more about it.
    extensions: &'a [u8],
    data: Data<'a>,
    /// The bytes of its value.
    pub(super) value: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Meaning<'a> {
    Known(Quantity),
    /// A code that no table knows.
    Code(&'static str, u8),
    /// The device spells it, last letter first.
    Spelled(&'a [u8]),
    /// Only the maker knows.
    Vendor,
}

/// What the bytes of a value are, as the data information says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data<'a> {
    Nothing,
    Integer,
    Float,
    Bcd,
    NegativeBcd,
    Text,
    Binary,
    /// Its length is not known, so what follows cannot be read.
    Reserved(&'a [u8]),
}

/// What begins a data record block.
pub(super) enum Next<'a> {
    Record(Record<'a>),
    /// All the rest is the maker's; whether another telegram follows.
    Vendor {
        more: bool,
    },
    End,
    /// What is wrong, and the bytes in question.
    Wrong(&'static str, &'a [u8]),
}

impl<'a> Next<'a> {
    /// Takes the next record from the front of `rest`.
    pub(super) fn take(rest: &mut &'a [u8]) -> Next<'a> {
        // Fillers.
        while let Some((0x2F, after)) = rest.split_first() {
            *rest = after;
        }
        let all = *rest;
        let Some(dif) = byte(rest) else { return Next::End };
        match dif {
            0x0F | 0x1F => return Next::Vendor { more: dif == 0x1F },
            _ if dif & 0xF == 0xF => {
                return Next::Wrong("a data information field of EN 13757-3", all);
            }
            _ => {}
        }
        match Record::take(dif, rest) {
            Some(Record { data: Data::Reserved(found), .. }) => {
                Next::Wrong("a length of EN 13757-3", found)
            }
            Some(record) => Next::Record(record),
            None => Next::Wrong("a whole record", all),
        }
    }
}

/// Takes the first byte.
fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

/// Takes bytes up to and including the first without the highest bit.
fn extensions<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (bytes, after) = rest.split_at_checked(length).filter(|_| length <= MOST_EXTENSIONS)?;
    *rest = after;
    Some(bytes)
}

impl<'a> Record<'a> {
    /// The record behind a data information field; `None` if it is not whole.
    fn take(dif: u8, rest: &mut &'a [u8]) -> Option<Record<'a>> {
        let mut storage = u64::from(dif >> 6 & 1);
        let (mut tariff, mut subunit) = (0_u32, 0_u16);
        let difes = if dif & 0x80 == 0 { &[][..] } else { extensions(rest)? };
        for (n, dife) in (0_u32..).zip(difes) {
            storage |= u64::from(dife & 0xF) << (4 * n + 1);
            tariff |= u32::from(dife >> 4 & 3) << (2 * n);
            subunit |= u16::from(dife >> 6 & 1) << n;
        }
        let function = ["", "max", "min", "error"][usize::from(dif >> 4 & 3)];
        let (meaning, extensions) = Meaning::take(rest)?;
        let (data, length) = Data::take(dif & 0xF, rest)?;
        let (value, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(Record { function, storage, tariff, subunit, meaning, extensions, data, value })
    }

    /// Writes the name of its value: what it is, which of them, and when.
    pub(super) fn name(&self, out: &mut String) {
        match self.meaning {
            Meaning::Known(quantity) => out.push_str(quantity.name),
            Meaning::Code(table, code) => {
                out.push_str(table);
                hex(out, &[code]);
            }
            Meaning::Spelled(letters) => spelled(out, letters),
            Meaning::Vendor => out.push_str("vendor"),
        }
        if let Meaning::Vendor = self.meaning {
            if !self.extensions.is_empty() {
                out.push('_');
                hex(out, self.extensions);
            }
        } else {
            self.extend_name(out);
        }
        if !self.function.is_empty() {
            out.push('_');
            out.push_str(self.function);
        }
        for (letter, number) in
            [("_s", self.storage), ("_t", self.tariff.into()), ("_u", self.subunit.into())]
        {
            if number > 0 {
                out.push_str(letter);
                self::number(out, number);
            }
        }
    }

    fn extend_name(&self, out: &mut String) {
        for extension in Extensions(self.extensions) {
            match extension {
                Extension::Known("", _) => {}
                Extension::Known(word, _) => {
                    out.push('_');
                    out.push_str(word);
                }
                Extension::Phase(phase) => {
                    out.push_str("_l");
                    number(out, phase.into());
                }
                Extension::Other(codes) => {
                    out.push_str("_x");
                    hex(out, codes);
                }
                Extension::Vendor(codes) => {
                    out.push('_');
                    hex(out, codes);
                }
            }
        }
    }

    /// The name where it is one of the tables' words, and nothing else.
    pub(super) fn word(&self) -> Option<&'static str> {
        match self.meaning {
            Meaning::Known(quantity) => Some(quantity.name),
            _ => None,
        }
    }

    /// Its value, and the unit of that.
    pub(super) fn content(&self, order: Endian) -> (Content<'a>, Option<&'static str>) {
        let (mut quantity, mut has_value) = match self.meaning {
            Meaning::Known(quantity) => (quantity, true),
            Meaning::Spelled(letters) => {
                // The one unit among what devices spell; other texts are names.
                let unit = if letters == b"HR%" { "%" } else { "" };
                (Quantity { unit, ..RAW }, true)
            }
            Meaning::Code(..) | Meaning::Vendor => (RAW, true),
        };
        if !matches!(self.meaning, Meaning::Vendor) {
            for extension in Extensions(self.extensions) {
                match extension {
                    Extension::Other(_) => quantity.unit = "",
                    Extension::Phase(_) | Extension::Vendor(_) => {}
                    Extension::Known(_, change) => match change {
                        Change::Kept => {}
                        Change::NoUnit => quantity.unit = "",
                        Change::Power(power) => quantity.power += power,
                        Change::Time => quantity = Quantity { kind: Kind::Time, ..RAW },
                        Change::Duration(unit) => quantity = Quantity { unit, ..RAW },
                        Change::NoValue => has_value = false,
                    },
                }
            }
        }
        let content = if has_value { self.value(&quantity, order) } else { Content::Nothing };
        let unit = Some(quantity.unit).filter(|unit| !unit.is_empty());
        (content, unit)
    }

    fn value(&self, quantity: &Quantity, order: Endian) -> Content<'a> {
        let bytes = self.value;
        let is_binary = matches!(self.data, Data::Integer | Data::Binary);
        if quantity.kind == Kind::Time && is_binary {
            return match time::read(bytes, order) {
                Time::At(text) => Content::Text(text),
                Time::Never => Content::Nothing,
                Time::Unknown => Content::Wrong("a date or a time of 2, 3, 4 or 6 bytes"),
            };
        }
        let number = match self.data {
            Data::Nothing => return Content::Nothing,
            Data::Reserved(_) => return Content::Wrong("a length of EN 13757-3"),
            Data::Text => return Content::Text(text(bytes, order).into()),
            Data::Float => {
                let bits = Endian::number(order, bytes) as u32;
                return Content::Float(
                    Spelled::of(format_args!("{}", f32::from_bits(bits))),
                    quantity.power,
                );
            }
            Data::Bcd => bcd(bytes, order),
            Data::NegativeBcd => bcd(bytes, order).map(|number| -number),
            Data::Integer | Data::Binary => {
                let is_signed = quantity.kind == Kind::Number;
                match integer(bytes, order, is_signed) {
                    Some(number) => Some(number),
                    None => return Content::Hex(bytes),
                }
            }
        };
        match number {
            Some(number) => Content::Whole(number, quantity.power),
            None => Content::Wrong("decimal digits, the first one F for a negative number"),
        }
    }
}

/// What stands behind the value information, one by one.
struct Extensions<'a>(&'a [u8]);

enum Extension<'a> {
    Known(&'static str, Change),
    /// Of a three-phase line, 1 to 3.
    Phase(u8),
    /// No table here knows it.
    Other(&'a [u8]),
    /// Only the maker knows.
    Vendor(&'a [u8]),
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        let all = self.0;
        let code = byte(&mut self.0)? & 0x7F;
        Some(match code {
            0x7F => {
                self.0 = &[];
                Extension::Vendor(all)
            }
            // The next one is of a table of its own (table 16).
            0x7C => match byte(&mut self.0).map(|code| code & 0x7F) {
                Some(phase @ 1..=3) => Extension::Phase(phase),
                _ => Extension::Other(all.get(..all.len() - self.0.len()).unwrap_or(all)),
            },
            _ => match change(code) {
                Some((word, change)) => Extension::Known(word, change),
                None => Extension::Other(all.get(..1).unwrap_or(all)),
            },
        })
    }
}

/// A value of which nothing is known.
const RAW: Quantity = Quantity { name: "", unit: "", power: 0, kind: Kind::Number };

impl<'a> Meaning<'a> {
    /// The value information, and the bytes that say more about it.
    fn take(rest: &mut &'a [u8]) -> Option<(Meaning<'a>, &'a [u8])> {
        let vif = byte(rest)?;
        let (mut is_extended, code) = (vif & 0x80 != 0, vif & 0x7F);
        let of = |table: Table, prefix, code| match table.find(code) {
            Some(quantity) => Meaning::Known(quantity),
            None => Meaning::Code(prefix, code),
        };
        let meaning = match vif {
            0xFB | 0xFD => {
                let next = byte(rest)?;
                is_extended = next & 0x80 != 0;
                let (table, prefix) =
                    if vif == 0xFB { (Table::Fb, "fb") } else { (Table::Fd, "fd") };
                of(table, prefix, next & 0x7F)
            }
            0xEF => {
                let next = byte(rest)?;
                is_extended = next & 0x80 != 0;
                Meaning::Code("ef", next & 0x7F)
            }
            0x7C | 0xFC => {
                let length = byte(rest)?;
                let (letters, after) = rest.split_at_checked(length.into())?;
                *rest = after;
                Meaning::Spelled(letters)
            }
            0x7F | 0xFF => Meaning::Vendor,
            _ => of(Table::Primary, "vif", code),
        };
        Some((meaning, if is_extended { extensions(rest)? } else { &[] }))
    }
}

impl<'a> Data<'a> {
    /// What the data field says, and the length of the value.
    fn take(field: u8, rest: &mut &'a [u8]) -> Option<(Data<'a>, usize)> {
        let integer = |length| (Data::Integer, length);
        Some(match field {
            0x1..=0x4 => integer(field.into()),
            0x5 => (Data::Float, 4),
            0x6 => integer(6),
            0x7 => integer(8),
            0x9..=0xC => (Data::Bcd, usize::from(field) - 8),
            0xE => (Data::Bcd, 6),
            0xD => {
                let found = *rest;
                let lvar = byte(rest)?;
                let low = usize::from(lvar & 0xF);
                match lvar {
                    0x00..=0xBF => (Data::Text, lvar.into()),
                    0xC0..=0xC9 => (Data::Bcd, low),
                    0xD0..=0xD9 => (Data::NegativeBcd, low),
                    0xE0..=0xEF => (Data::Binary, low),
                    0xF0..=0xF4 => (Data::Binary, 16 + 4 * low),
                    0xF5 => (Data::Binary, 48),
                    0xF6 => (Data::Binary, 64),
                    _ => (Data::Reserved(found), 0),
                }
            }
            // No data, or a selection for readout.
            _ => (Data::Nothing, 0),
        })
    }
}

/// Digits, two a byte; `F` in the first place is a minus (type A).
pub(super) fn bcd(bytes: &[u8], order: Endian) -> Option<i128> {
    let mut number = 0;
    let mut sign = 1;
    for n in 0..bytes.len() {
        let at = if order == Endian::Little { bytes.len() - 1 - n } else { n };
        let byte = bytes.get(at)?;
        for nibble in [byte >> 4, byte & 0xF] {
            match nibble {
                0..=9 => number = 10 * number + i128::from(nibble),
                0xF if number == 0 && n == 0 && sign == 1 && nibble == byte >> 4 => sign = -1,
                _ => return None,
            }
        }
    }
    Some(sign * number)
}

/// A binary number (types B and C); `None` if it is longer than any number is.
pub(super) fn integer(bytes: &[u8], order: Endian, is_signed: bool) -> Option<i128> {
    let add = |number: i128, byte: &u8| number << 8 | i128::from(*byte);
    let number = match order {
        _ if bytes.len() > 16 => return None,
        Endian::Little => bytes.iter().rev().fold(0, add),
        Endian::Big => bytes.iter().fold(0, add),
    };
    match 128 - 8 * bytes.len() as u32 {
        0 => Some(number).filter(|number| *number >= 0),
        unused if is_signed && unused < 128 => Some(number << unused >> unused),
        _ => Some(number),
    }
}

/// A text of ISO 8859-1. In the usual order its last letter comes first.
fn text(bytes: &[u8], order: Endian) -> String {
    let letter = |byte: &u8| char::from(*byte);
    match order {
        Endian::Little => bytes.iter().rev().map(letter).collect(),
        Endian::Big => bytes.iter().map(letter).collect(),
    }
}

/// Writes what a device spells as a name: letters and digits, and `_` for the rest.
fn spelled(out: &mut String, letters: &[u8]) {
    let before = out.len();
    let mut gap = false;
    for letter in letters.iter().rev() {
        if letter.is_ascii_alphanumeric() {
            if gap && out.len() > before {
                out.push('_');
            }
            gap = false;
            out.push(char::from(*letter));
        } else {
            gap = true;
        }
    }
    if out.len() == before {
        out.push_str("text");
    }
}

/// Writes a number in digits.
pub(super) fn number(out: &mut String, number: u64) {
    if number > 9 {
        self::number(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

fn hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xF] {
            out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
}

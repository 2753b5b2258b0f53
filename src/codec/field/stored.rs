//! A number as it is stored in bytes.

use super::{Bits, Convert, Type};
use crate::base::scalar::hex_digit;
use crate::codec::endian::Endian;
use crate::codec::spelled::Spelled;
use crate::codec::value::{RejectReason, Value};

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub kind: Type,
    pub endian: Endian,
    pub bits: Option<Bits>,
}

impl Stored {
    /// The value of any type that is a number.
    pub(in crate::codec) fn number<'a>(
        self,
        convert: &'a Convert,
        bytes: &[u8],
    ) -> Result<Option<Value<'a>>, RejectReason> {
        if self.kind == Type::Bcd {
            return convert.integer(bcd(bytes, self.endian)?);
        }
        let pattern = self.endian.number(bytes);
        if self.bits.is_none() && convert.is_unavailable_pattern(pattern) {
            return Ok(None);
        }
        // Rust prints the shortest spelling that reads as the same number, without an exponent. NaN and
        // the infinities are words: no values.
        match self.kind {
            Type::F32 => {
                convert.float(&Spelled::of(format_args!("{}", f32::from_bits(pattern as u32))))
            }
            Type::F64 => convert.float(&Spelled::of(format_args!("{}", f64::from_bits(pattern)))),
            _ => convert.integer(self.integer(pattern, 8 * bytes.len() as u32)),
        }
    }

    /// A whole number times a power of ten.
    pub(in crate::codec) fn powered<'a>(
        self,
        convert: &'a Convert,
        bytes: &[u8],
        power: i8,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        let pattern = self.endian.number(bytes);
        if self.bits.is_none() && convert.is_unavailable_pattern(pattern) {
            return Ok(None);
        }
        convert.powered(self.integer(pattern, 8 * bytes.len() as u32), power)
    }

    /// The value of hexadecimal digits, whose bytes are these. Digits that lack in front of a number are
    /// zeros: `b0` in place of `00b0`.
    pub(super) fn digits<'a>(
        self,
        convert: &'a Convert,
        digits: &str,
    ) -> Result<Option<Value<'a>>, RejectReason> {
        let digits = digits.strip_prefix("0x").or(digits.strip_prefix("0X")).unwrap_or(digits);
        let mut bytes = [0_u8; 16];
        let most = 2 * self.kind.size().unwrap_or(if self.kind == Type::Bcd { 16 } else { 8 });
        // Of a float and of bytes in another order no digit can be left out.
        let is_whole = matches!(self.kind, Type::F32 | Type::F64)
            || self.endian == Endian::Little && self.kind.size().is_some();
        let is_odd = self.endian == Endian::Little && !digits.len().is_multiple_of(2);
        if digits.is_empty() || digits.len() > most || is_whole && digits.len() < most || is_odd {
            return Err(RejectReason::Malformed);
        }
        for (place, digit) in digits.bytes().rev().enumerate() {
            let digit = hex_digit(digit).ok_or(RejectReason::Malformed)?;
            let byte = bytes.len().checked_sub(1 + place / 2).and_then(|at| bytes.get_mut(at));
            *byte.ok_or(RejectReason::Malformed)? |= digit << (4 * (place % 2));
        }
        let used = self.kind.size().unwrap_or(digits.len().div_ceil(2));
        self.number(convert, bytes.get(bytes.len() - used..).unwrap_or(&bytes))
    }

    /// The whole number that a pattern of so many bits is.
    fn integer(self, pattern: u64, bits: u32) -> i128 {
        if let Some(Bits { lowest, highest }) = self.bits {
            let mask = u64::MAX >> (63 - (highest - lowest));
            return (pattern >> lowest & mask).into();
        }
        if self.kind.is_signed() {
            let unused = 64 - bits;
            return i128::from(((pattern << unused) as i64) >> unused);
        }
        if matches!(self.kind, Type::Sm16 | Type::Sm32) {
            let sign = 1 << (bits - 1);
            let amount = i128::from(pattern & (sign - 1));
            return if pattern & sign == 0 { amount } else { -amount };
        }
        pattern.into()
    }
}

/// Binary-coded decimal: two digits a byte. An `F` in place of the first digit is a minus (EN 13757-3,
/// annex A, type A).
fn bcd(bytes: &[u8], endian: Endian) -> Result<i128, RejectReason> {
    let digit = |number: i128, nibble: u8| match nibble {
        0..=9 => Ok(number * 10 + i128::from(nibble)),
        _ => Err(RejectReason::Malformed),
    };
    let first = match endian {
        Endian::Big => bytes.first(),
        Endian::Little => bytes.last(),
    };
    let is_negative = first.is_some_and(|byte| byte >> 4 == 0xF);
    let mut is_first = is_negative;
    let add = |number, byte: &u8| {
        let high = if std::mem::take(&mut is_first) { 0 } else { byte >> 4 };
        digit(digit(number, high)?, byte & 0xF)
    };
    let amount = match endian {
        Endian::Big => bytes.iter().try_fold(0, add),
        Endian::Little => bytes.iter().rev().try_fold(0, add),
    };
    amount.map(|amount: i128| if is_negative { -amount } else { amount })
}

//! A payload as the request that writes it into registers.

use crate::base::scalar::parse_hex;
use crate::codec::bounds::{Bounds, OutOfBounds};
use crate::codec::decimal::Decimal;
use crate::codec::field::Type;
use crate::codec::modbus::{ByteOrder, Request};
use std::collections::BTreeMap;

/// Why a payload cannot be written into a register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("it can only be read")]
    ReadOnly,
    #[error("not a number")]
    NotANumber,
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
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
    pub(super) kind: Type,
    pub(super) is_coil: bool,
    /// Of the value in bytes.
    pub(super) length: usize,
    pub(super) scale: Option<Decimal>,
    pub(super) offset: Option<Decimal>,
    pub(super) bounds: Bounds,
    /// What words stand for.
    pub(super) words: BTreeMap<String, i128>,
    /// Nothing but these words.
    pub(super) is_select: bool,
    pub(super) is_multiple: bool,
}

/// Decimals beyond these are what a binary floating-point number leaves behind: 21.299999999999997.
const MOST_DECIMALS: u8 = 9;

impl Writable {
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
        self.bounds.check(short)?;
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

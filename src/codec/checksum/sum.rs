//! What a checksum computes: sums, exclusive or, and CRCs.

use super::crc::{NarrowCrc, WideCrc};

/// Checksums that need no parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Sum8,
    Sum8Inverted,
    Sum16,
    Sum16Inverted,
    Xor8,
    Lrc,
    Lrc16,
    Tic,
    Ebus,
    Internet,
    Fletcher8,
    Fletcher16,
    Fletcher32,
    Adler32,
}

/// A checksum that runs.
#[derive(Clone, Debug)]
pub(super) enum Sum {
    Plain(Plain),
    Crc(u8, NarrowCrc),
    WideCrc(u8, Box<WideCrc>),
}

impl Sum {
    /// How many bytes it takes up.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Sum::Plain(plain) => plain.bytes(),
            Sum::Crc(width, _) | Sum::WideCrc(width, _) => usize::from(width.div_ceil(8)),
        }
    }

    pub(super) fn of(&self, bytes: &[u8]) -> u128 {
        match self {
            Sum::Plain(plain) => plain.of(bytes).into(),
            Sum::Crc(_, crc) => crc.of(bytes).into(),
            Sum::WideCrc(_, crc) => crc.of(bytes),
        }
    }
}

impl Plain {
    pub(super) const fn bytes(self) -> usize {
        match self {
            Plain::Sum8 | Plain::Sum8Inverted | Plain::Xor8 | Plain::Lrc => 1,
            Plain::Tic | Plain::Ebus => 1,
            Plain::Sum16 | Plain::Sum16Inverted | Plain::Lrc16 | Plain::Internet => 2,
            Plain::Fletcher8 | Plain::Fletcher16 => 2,
            Plain::Fletcher32 | Plain::Adler32 => 4,
        }
    }

    fn of(self, bytes: &[u8]) -> u32 {
        // No frame has enough bytes for more than 32 bits.
        let sum = || bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        match self {
            Plain::Sum8 => sum() & 0xFF,
            Plain::Sum8Inverted => !sum() & 0xFF,
            Plain::Lrc => sum().wrapping_neg() & 0xFF,
            Plain::Sum16 => sum() & 0xFFFF,
            Plain::Sum16Inverted => !sum() & 0xFFFF,
            Plain::Lrc16 => sum().wrapping_neg() & 0xFFFF,
            Plain::Xor8 => bytes.iter().fold(0, |sum, byte| sum ^ byte).into(),
            Plain::Tic => {
                let add = |sum: u32, byte: &u8| sum.wrapping_add(u32::from(byte & 0x7F));
                (bytes.iter().fold(0, add) & 0x3F) + 0x20
            }
            // Unlike other CRCs, it has no zeros appended to the message: no parameters describe it.
            Plain::Ebus => bytes.iter().fold(0_u8, remainder_by_9b).into(),
            Plain::Internet => !two_sums(words(bytes, u16::from_be_bytes), 0, 0xFFFF).0 & 0xFFFF,
            Plain::Fletcher8 => {
                let (first, second) = two_sums(bytes.iter().map(|byte| u16::from(*byte)), 0, 0x100);
                second << 8 | first
            }
            Plain::Fletcher16 => {
                let (first, second) = two_sums(bytes.iter().map(|byte| u16::from(*byte)), 0, 0xFF);
                second << 8 | first
            }
            Plain::Fletcher32 => {
                let (first, second) = two_sums(words(bytes, u16::from_le_bytes), 0, 0xFFFF);
                second << 16 | first
            }
            Plain::Adler32 => {
                let bytes = bytes.iter().map(|byte| u16::from(*byte));
                let (first, second) = two_sums(bytes, 1, 65_521);
                second << 16 | first
            }
        }
    }
}

/// The remainder of a message by the polynomial 9B, when one more byte follows it.
fn remainder_by_9b(remainder: u8, byte: &u8) -> u8 {
    let shifted = (0..8).fold(remainder, |register, _| {
        (register << 1) ^ if register & 0x80 == 0 { 0 } else { 0x9B }
    });
    shifted ^ byte
}

/// Pairs of bytes as words, the last one filled up with 0.
fn words(bytes: &[u8], word: fn([u8; 2]) -> u16) -> impl Iterator<Item = u16> {
    bytes.chunks(2).map(move |pair| word([pair[0], pair.get(1).copied().unwrap_or_default()]))
}

/// The sum of numbers and the sum of these sums.
fn two_sums(numbers: impl Iterator<Item = u16>, start: u32, modulus: u32) -> (u32, u32) {
    numbers.fold((start, 0), |(first, second), number| {
        let first = (first + u32::from(number)) % modulus;
        (first, (second + first) % modulus)
    })
}

//! CRC-32C of bytes, and of any part of bytes that were gone through before.

use crc::{CRC_32_ISCSI, Crc, Table};
use std::ops::Range;

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// The polynomial, the coefficient of x^31 in the lowest bit.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of parts in a row.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC.digest();
    for part in parts {
        work::done(part.len());
        digest.update(part);
    }
    digest.finalize()
}

/// Checksums of the beginnings of some bytes, from which that of any part follows without going
/// through it again. In a damaged file every second byte could begin a record: checking each of
/// those would take time that grows with the square of the file's size.
pub(super) struct Sums<'a> {
    bytes: &'a [u8],
    /// Of the first 0, [`BLOCK`], twice as many bytes, and so on.
    blocks: Vec<u32>,
}

const BLOCK: usize = 256;

impl<'a> Sums<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Sums<'a> {
        let mut digest = CRC.digest();
        let mut blocks = vec![digest.clone().finalize()];
        work::done(bytes.len());
        for block in bytes.chunks_exact(BLOCK) {
            digest.update(block);
            blocks.push(digest.clone().finalize());
        }
        Sums { bytes, blocks }
    }

    /// Of all bytes before a place.
    fn before(&self, at: usize) -> u32 {
        let block = at / BLOCK;
        let rest = &self.bytes[block * BLOCK..at];
        moved(self.blocks[block], rest.len()) ^ checksum(&[rest])
    }

    /// Of `head`, and behind it a range of the bytes.
    pub(super) fn behind(&self, head: &[u8], range: Range<usize>) -> u32 {
        // The checksum of two parts is that of the first, moved by the length of the second, and
        // that of the second.
        moved(checksum(&[head]) ^ self.before(range.start), range.len()) ^ self.before(range.end)
    }
}

/// A checksum times x^(8·bytes), modulo the polynomial.
fn moved(mut sum: u32, mut bytes: usize) -> u32 {
    // x^8, then its squares.
    let mut power = 1 << 23;
    while bytes > 0 {
        if bytes & 1 == 1 {
            sum = product(sum, power);
        }
        power = product(power, power);
        bytes >>= 1;
    }
    sum
}

fn product(mut a: u32, mut b: u32) -> u32 {
    work::done(4);
    let mut product = 0;
    while a != 0 {
        if a & 1 << 31 != 0 {
            product ^= b;
        }
        a <<= 1;
        b = b >> 1 ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

/// Counts what is gone through, in bytes; a multiplication is as much work as four.
pub(in crate::outbox::journal) mod work {
    #[cfg(not(test))]
    pub(in crate::outbox::journal::record) fn done(_: usize) {}

    #[cfg(test)]
    thread_local!(static DONE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

    #[cfg(test)]
    pub(in crate::outbox::journal::record) fn done(bytes: usize) {
        DONE.set(DONE.get() + bytes);
    }

    /// What was done on this thread while something was.
    #[cfg(test)]
    pub(in crate::outbox::journal) fn of(something: impl FnOnce()) -> usize {
        let before = DONE.get();
        something();
        DONE.get() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stretch_has_the_checksum_of_its_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            head in prop::collection::vec(any::<u8>(), 0..9),
            ends in any::<[prop::sample::Index; 2]>(),
        ) {
            let mut ends = ends.map(|end| end.index(bytes.len() + 1));
            ends.sort_unstable();
            let range = ends[0]..ends[1];
            let expected = checksum(&[&head, &bytes[range.clone()]]);
            prop_assert_eq!(Sums::of(&bytes).behind(&head, range), expected);
        }
    }
}

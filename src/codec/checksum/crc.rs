//! Cyclic redundancy checks of any parameters, four bits at a time: a table of 16 entries is made when the
//! configuration is loaded, so that none is in flash.

use crc::Algorithm;

/// A running CRC on registers of one word.
macro_rules! crc_on {
    ($name:ident, $word:ty) => {
        #[derive(Clone, Debug)]
        pub(in crate::codec) struct $name {
            algorithm: Algorithm<$word>,
            /// The register at the start: at the word's low end if it is reflected, else at its high end.
            start: $word,
            /// What four bits that are shifted out do to the register.
            nibbles: [$word; 16],
        }

        impl $name {
            /// Of 1 to as many bits as the word has.
            pub(super) fn new(algorithm: Algorithm<$word>) -> $name {
                let high = <$word>::BITS - u32::from(algorithm.width);
                let Algorithm { poly, init, refin, .. } = algorithm;
                let placed = |number: $word| match refin {
                    true => number.reverse_bits() >> high,
                    false => number << high,
                };
                let poly = placed(poly);
                let step = |register: $word| match refin {
                    true => (register >> 1) ^ if register & 1 == 0 { 0 } else { poly },
                    false => (register << 1) ^ if register.leading_zeros() > 0 { 0 } else { poly },
                };
                let nibble = |n: usize| {
                    let n = n as $word;
                    let n = if refin { n } else { n << (<$word>::BITS - 4) };
                    step(step(step(step(n))))
                };
                let nibbles = std::array::from_fn(nibble);
                $name { algorithm, start: placed(init), nibbles }
            }

            pub(in crate::codec) fn of(&self, bytes: &[u8]) -> $word {
                let Algorithm { width, refin, refout, xorout, .. } = self.algorithm;
                let high = <$word>::BITS - u32::from(width);
                let entry = |n: $word| self.nibbles[(n & 0xF) as usize];
                let mut register = self.start;
                for byte in bytes {
                    if refin {
                        register ^= <$word>::from(*byte);
                        register = entry(register) ^ (register >> 4);
                        register = entry(register) ^ (register >> 4);
                    } else {
                        register ^= <$word>::from(*byte) << (<$word>::BITS - 8);
                        register = entry(register >> (<$word>::BITS - 4)) ^ (register << 4);
                        register = entry(register >> (<$word>::BITS - 4)) ^ (register << 4);
                    }
                }
                let register = if refin { register } else { register >> high };
                let is_turned = refin != refout;
                (if is_turned { register.reverse_bits() >> high } else { register }) ^ xorout
            }
        }
    };
}

crc_on!(NarrowCrc, u32);

impl NarrowCrc {
    pub(in crate::codec) fn of_16_bits(crc: Algorithm<u16>) -> NarrowCrc {
        NarrowCrc::new(super::catalogue::widened!(crc, u32))
    }
}

crc_on!(WideCrc, u128);

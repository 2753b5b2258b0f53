//! The checksums by name: one row of [`KINDS`] for each that serial devices are known to use, and the CRC
//! catalogue.

use super::catalogue::{NARROW, WIDE, narrow, widened};
use super::crc::{NarrowCrc, WideCrc};
use super::sum::{Plain, Sum};
use crate::codec::endian::Endian::{self, Big, Little};
use crc::Algorithm;

/// What serial devices use: name, algorithm, usual order of its bytes and of its hexadecimal digits, checksum
/// of "123456789" (for the CRCs the one in the CRC RevEng catalogue), and what the manual says.
#[rustfmt::skip]
const KINDS: &[Row] = &[
    plain("sum8", Plain::Sum8, Big, 0xDD, "Sum of all bytes, lowest 8 bits"),
    plain("sum8-inverted", Plain::Sum8Inverted, Big, 0x22, "One's complement of the sum of all bytes (Sensirion's SHDLC)"),
    plain("sum16", Plain::Sum16, Big, 0x01DD, "Sum of all bytes, 16 bits (PMS5003 and relatives)"),
    plain("sum16-inverted", Plain::Sum16Inverted, Big, 0xFE22, "One's complement of the sum of all bytes, 16 bits"),
    plain("xor8", Plain::Xor8, Big, 0x31, "Exclusive or of all bytes (NMEA 0183)"),
    plain("lrc", Plain::Lrc, Big, 0x23, "Two's complement of the sum of all bytes (Modbus ASCII)"),
    plain("lrc16", Plain::Lrc16, Big, 0xFE23, "Two's complement of the sum of all bytes, 16 bits (JBD)"),
    plain("tic", Plain::Tic, Big, 0x3D, "Sum of the lower 7 bits of all bytes, its lowest 6 bits plus 20h, one printable character (Linky's TIC, Enedis-NOI-CPT_54E). In standard mode `{from: 1}`; historic mode does not cover the last separator, `{from: 1, separator: \" \"}`"),
    plain("internet", Plain::Internet, Big, 0xF62A, "One's complement of the one's complement sum of 16-bit words, high byte first (RFC 1071)"),
    plain("fletcher8", Plain::Fletcher8, Little, 0x15DD, "8-bit Fletcher of RFC 1145: two sums modulo 256 (UBX)"),
    plain("fletcher16", Plain::Fletcher16, Big, 0x1EDE, "Fletcher-16: two sums of bytes modulo 255"),
    plain("fletcher32", Plain::Fletcher32, Big, 0xDF09_D509, "Fletcher-32: two sums of 16-bit words, low byte first, modulo 65535"),
    plain("adler32", Plain::Adler32, Big, 0x091E_01DE, "Adler-32: two sums of bytes modulo 65521 (RFC 1950)"),
    crc("crc8", narrow!(crc::CRC_8_SMBUS), Big, Big, "CRC-8/SMBUS: polynomial 07"),
    plain("crc8-ebus", Plain::Ebus, Big, 0x1C, "CRC of the eBUS: polynomial 9B, without the zeros that other CRCs append, so that no parameters describe it; it counts escape sequences, `over: escaped`"),
    crc("crc8-maxim", narrow!(crc::CRC_8_MAXIM_DOW), Big, Big, "CRC-8/MAXIM-DOW (1-Wire)"),
    crc("crc16-modbus", narrow!(crc::CRC_16_MODBUS), Little, Little, "CRC-16/MODBUS"),
    crc("crc16-arc", narrow!(crc::CRC_16_ARC), Little, Big, "CRC-16/ARC (DSMR P1)"),
    crc("crc16-xmodem", narrow!(crc::CRC_16_XMODEM), Big, Big, "CRC-16/XMODEM"),
    crc("crc16-ccitt-false", narrow!(crc::CRC_16_IBM_3740), Big, Big, "CRC-16/IBM-3740, often called CCITT-FALSE"),
    crc("crc16-kermit", narrow!(crc::CRC_16_KERMIT), Little, Little, "CRC-16/KERMIT"),
    crc("crc16-x25", narrow!(crc::CRC_16_IBM_SDLC), Little, Little, "CRC-16/IBM-SDLC, known as X-25 (HDLC, SML, wireless M-Bus)"),
    crc("crc32", narrow!(crc::CRC_32_ISO_HDLC), Little, Little, "CRC-32/ISO-HDLC (Ethernet, zip)"),
];

struct Row {
    name: &'static str,
    formula: Formula,
    order: Endian,
    order_of_digits: Endian,
    /// The checksum of "123456789".
    #[cfg(test)]
    check: u32,
    /// What the manual says about it.
    #[cfg(test)]
    about: &'static str,
}

/// How it is computed.
enum Formula {
    Plain(Plain),
    Crc(Algorithm<u32>),
}

/// A row of a sum; what only tests need stays out of the program.
#[rustfmt::skip]
const fn plain(name: &'static str, sum: Plain, order: Endian, _check: u32, _about: &'static str) -> Row {
    let formula = Formula::Plain(sum);
    Row { name, formula, order, order_of_digits: Big, #[cfg(test)] check: _check, #[cfg(test)] about: _about }
}

#[rustfmt::skip]
const fn crc(name: &'static str, crc: Algorithm<u32>, order: Endian, order_of_digits: Endian, _about: &'static str) -> Row {
    #[cfg(test)]
    let check = crc.check;
    Row { name, formula: Formula::Crc(crc), order, order_of_digits, #[cfg(test)] check, #[cfg(test)] about: _about }
}

/// All names, those of [`KINDS`] first.
pub(super) const NAMES: [&str; KINDS.len() + NARROW.len() + WIDE.len() + 1] = {
    let mut names = [CUSTOM; KINDS.len() + NARROW.len() + WIDE.len() + 1];
    let mut n = 0;
    while n < KINDS.len() {
        names[n] = KINDS[n].name;
        n += 1;
    }
    // The last name is that of the parameters.
    while n < names.len() - 1 {
        let at = n - KINDS.len();
        names[n] = if at < NARROW.len() { NARROW[at].0 } else { WIDE[at - NARROW.len()].0 };
        n += 1;
    }
    names
};

/// The name under which a CRC is described by its parameters.
pub(super) const CUSTOM: &str = "crc";

/// A checksum as it runs, and the usual order of its bytes and of its hexadecimal digits.
pub(super) struct Kind {
    pub(super) sum: Sum,
    pub(super) order: Endian,
    pub(super) order_of_digits: Endian,
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<Kind> {
        if let Some(row) = KINDS.iter().find(|row| row.name == name) {
            let sum = match row.formula {
                Formula::Plain(plain) => Sum::Plain(plain),
                Formula::Crc(crc) => Sum::Crc(crc.width, NarrowCrc::new(crc)),
            };
            return Some(Kind { sum, order: row.order, order_of_digits: row.order_of_digits });
        }
        let of = |name: &str| {
            let narrow = NARROW.iter().find(|row| row.0 == name).map(|row| widened!(row.1, u128));
            narrow.or_else(|| WIDE.iter().find(|row| row.0 == name).map(|row| row.1))
        };
        of(name).map(Kind::of)
    }

    /// A CRC; the order of its bytes is the one in which its bits go over the line.
    pub(super) fn of(crc: Algorithm<u128>) -> Kind {
        let order = if crc.refout { Little } else { Big };
        let sum = match crc.width {
            0..=32 => Sum::Crc(crc.width, NarrowCrc::new(widened!(crc, u32))),
            _ => Sum::WideCrc(crc.width, Box::new(WideCrc::new(crc))),
        };
        Kind { sum, order, order_of_digits: Big }
    }
}

/// Names with what the manual says of them.
#[cfg(test)]
pub(super) fn described() -> Vec<(&'static str, String)> {
    let order = |bytes: usize, order: Endian, digits: Endian| match (order, digits) {
        _ if bytes == 1 => "",
        (Big, _) => ", big endian",
        (Little, Little) => ", little endian",
        (Little, Big) => ", big endian in hexadecimal digits, else little endian",
    };
    let kinds = KINDS.iter().map(|row| {
        let bytes = match row.formula {
            Formula::Plain(plain) => plain.bytes(),
            Formula::Crc(crc) => crc.width.div_ceil(8).into(),
        };
        let order = order(bytes, row.order, row.order_of_digits);
        (row.name, format!("{}{order}.", row.about))
    });
    let of_crc = |name: &'static str, crc: Algorithm<u128>| {
        let Algorithm { width, poly, init, refin, refout, xorout, .. } = crc;
        let digits = usize::from(width.div_ceil(4));
        let reflected = match (refin, refout) {
            (true, true) => ", reflected",
            (false, false) => "",
            (true, false) => ", reflected input",
            (false, true) => ", reflected output",
        };
        let order = order(width.div_ceil(8).into(), if refout { Little } else { Big }, Big);
        let about = format!(
            "{width} bits, polynomial {poly:0digits$X}, initial value {init:0digits$X}{reflected}, \
             final exclusive or {xorout:0digits$X}{order}."
        );
        (name, about)
    };
    let narrow = NARROW.iter().map(|(name, crc)| of_crc(name, widened!(crc, u128)));
    let wide = WIDE.iter().map(|(name, crc)| of_crc(name, *crc));
    let custom = "A CRC by its parameters: `{crc: {width: 8, poly: 0x31}}`. Little endian with `refout`, else \
                  big endian; in hexadecimal digits big endian.";
    kinds.chain(narrow).chain(wide).chain([(CUSTOM, custom.to_owned())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        let of = |name: &str| Kind::named(name).unwrap().sum.of(b"123456789");
        for row in KINDS {
            assert_eq!(of(row.name), row.check.into(), "{}", row.name);
        }
        for (name, crc) in NARROW {
            assert_eq!(of(name), crc.check.into(), "{name}");
        }
        for (name, crc) in WIDE {
            assert_eq!(of(name), crc.check, "{name}");
        }
        assert_eq!(NARROW.len() + WIDE.len(), 113 - 4);
    }

    #[test]
    fn each_name_is_there_once() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }

    #[test]
    fn published_sums() {
        // Wikipedia's for Fletcher, the worked example of RFC 1071, and UBX-CFG-MSG from u-blox's manual.
        let of = |name: &str, bytes: &[u8]| Kind::named(name).unwrap().sum.of(bytes);
        // Telegrams of a Vaillant, from ebusd's logs.
        assert_eq!(of("crc8-ebus", b"\x10\x08\xB5\x11\x01\x01"), 0x89);
        assert_eq!(of("crc8-ebus", b"\x31\x08\xB5\x09\x01\x25"), 0x49);
        assert_eq!(of("crc8-ebus", b"\x09100024601"), 0xA9);
        assert_eq!(of("fletcher16", b"abcde"), 0xC8F0);
        assert_eq!(of("fletcher32", b"abcde"), 0xF04F_C729);
        assert_eq!(of("fletcher32", b"abcdefgh"), 0xEBE1_9591);
        let rfc = b"\x00\x01\xF2\x03\xF4\xF5\xF6\xF7";
        assert_eq!(of("internet", rfc), u128::from(!0xDDF2_u16));
        assert_eq!(of("fletcher8", b"\x06\x01\x08\x00\xF0\x05\x00\x00\x00\x00\x00\x01"), 0x4705);
    }
}

//! Checksums at a frame's end.

use super::frame::Endian;
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use crc::{Algorithm, Crc, NoTable};
use serde::Deserialize;

/// Checksum at the end of each frame, by its usual name: `crc16-modbus`, or with settings
/// `{xor8: {format: hex, separator: "*"}}`. CRC names are those of the CRC RevEng catalogue.
///
/// It covers all bytes of the frame before it, start and end delimiters among them; `from` leaves out
/// the first ones. Between `escape` sequences it covers what they stand for, without flags.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// Sum of all bytes, lowest 8 bits.
    Sum8(Settings),
    /// Sum of all bytes, 16 bits, big endian (PMS5003 and relatives).
    Sum16(Settings),
    /// Exclusive or of all bytes (NMEA 0183).
    Xor8(Settings),
    /// Two's complement of the sum of all bytes (Modbus ASCII).
    Lrc(Settings),
    /// CRC-8/SMBUS: polynomial 07.
    Crc8(Settings),
    /// CRC-8/MAXIM-DOW: 1-Wire.
    #[serde(rename = "crc8-maxim")]
    Crc8Maxim(Settings),
    /// CRC-16/MODBUS, little endian.
    #[serde(rename = "crc16-modbus")]
    Crc16Modbus(Settings),
    /// CRC-16/ARC, big endian when in hexadecimal digits (DSMR P1), else little endian.
    #[serde(rename = "crc16-arc")]
    Crc16Arc(Settings),
    /// CRC-16/XMODEM, big endian.
    #[serde(rename = "crc16-xmodem")]
    Crc16Xmodem(Settings),
    /// CRC-16/IBM-3740, often called CCITT-FALSE, big endian.
    #[serde(rename = "crc16-ccitt-false")]
    Crc16CcittFalse(Settings),
    /// CRC-16/KERMIT, little endian.
    #[serde(rename = "crc16-kermit")]
    Crc16Kermit(Settings),
    /// CRC-16/IBM-SDLC, known as X-25 (HDLC, SML, M-Bus by radio), little endian.
    #[serde(rename = "crc16-x25")]
    Crc16X25(Settings),
    /// CRC-32/ISO-HDLC (Ethernet, zip), little endian.
    Crc32(Settings),
}

/// Where a checksum stands and how it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Order of its bytes. Default: as usual for its kind.
    #[serde(default)]
    pub endian: Option<Endian>,
    /// Bytes, or hexadecimal digits in ASCII.
    #[serde(default)]
    pub format: Format,
    /// How many bytes at the frame's start it does not cover. They are counted with the start
    /// delimiter, which NMEA 0183 leaves out: 1.
    #[serde(default)]
    pub from: u8,
    /// What stands between the covered bytes and the checksum: `"*"` in NMEA 0183.
    #[serde(default)]
    pub separator: ByteString,
    /// How many bytes of the frame stand behind the checksum: the line break of DSMR P1, 2.
    #[serde(default)]
    pub behind: u8,
}

/// How a checksum is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As bytes.
    #[default]
    Binary,
    /// As hexadecimal digits in ASCII, two for each byte, in either case.
    Hex,
}

impl Checksum {
    pub(super) fn build(&self) -> Result<Rule, BuildError> {
        use Checksum as C;
        use Endian::{Big, Little};
        let (sum, endian, settings) = match self {
            C::Sum8(settings) => (Sum::Sum8, Big, settings),
            C::Sum16(settings) => (Sum::Sum16, Big, settings),
            C::Xor8(settings) => (Sum::Xor8, Big, settings),
            C::Lrc(settings) => (Sum::Lrc, Big, settings),
            C::Crc8(settings) => (Sum::Crc8(&crc::CRC_8_SMBUS), Big, settings),
            C::Crc8Maxim(settings) => (Sum::Crc8(&crc::CRC_8_MAXIM_DOW), Big, settings),
            C::Crc16Modbus(settings) => (Sum::Crc16(&crc::CRC_16_MODBUS), Little, settings),
            C::Crc16Arc(settings) => {
                let endian = if settings.format == Format::Hex { Big } else { Little };
                (Sum::Crc16(&crc::CRC_16_ARC), endian, settings)
            }
            C::Crc16Xmodem(settings) => (Sum::Crc16(&crc::CRC_16_XMODEM), Big, settings),
            C::Crc16CcittFalse(settings) => (Sum::Crc16(&crc::CRC_16_IBM_3740), Big, settings),
            C::Crc16Kermit(settings) => (Sum::Crc16(&crc::CRC_16_KERMIT), Little, settings),
            C::Crc16X25(settings) => (Sum::Crc16(&crc::CRC_16_IBM_SDLC), Little, settings),
            C::Crc32(settings) => (Sum::Crc32(&crc::CRC_32_ISO_HDLC), Little, settings),
        };
        if settings.separator.as_bytes().len() > 8 {
            return Err(BuildError::new("its separator has at most 8 bytes"));
        }
        let endian = settings.endian.unwrap_or(endian);
        Ok(Rule { sum, endian, settings: settings.clone() })
    }
}

/// A checksum that runs.
#[derive(Debug)]
pub(super) struct Rule {
    sum: Sum,
    endian: Endian,
    settings: Settings,
}

#[derive(Clone, Copy)]
enum Sum {
    Sum8,
    Sum16,
    Xor8,
    Lrc,
    Crc8(&'static Algorithm<u8>),
    Crc16(&'static Algorithm<u16>),
    Crc32(&'static Algorithm<u32>),
}

impl std::fmt::Debug for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes())
    }
}

impl Rule {
    /// If the checksum at the end of `bytes` matches: how many bytes stand before it, its separator
    /// not counted.
    pub(super) fn verify(&self, bytes: &[u8]) -> Option<usize> {
        let Settings { format, from, separator, behind, .. } = &self.settings;
        let digits = match format {
            Format::Binary => self.sum.bytes(),
            Format::Hex => 2 * self.sum.bytes(),
        };
        let (rest, written) = bytes
            .split_at_checked(bytes.len().checked_sub(usize::from(*behind))?)
            .and_then(|(rest, _)| rest.split_at_checked(rest.len().checked_sub(digits)?))?;
        let covered = rest.strip_suffix(separator.as_bytes())?;
        let written = match format {
            Format::Binary => self.endian.number(written),
            Format::Hex => {
                let mut value = 0;
                for pair in written.chunks(2) {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    value = value << 8 | u64::from(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
                }
                match self.endian {
                    Endian::Big => value,
                    Endian::Little => value.swap_bytes() >> (64 - 8 * self.sum.bytes()),
                }
            }
        };
        let computed = self.sum.of(covered.get(usize::from(*from)..)?);
        (computed == written).then_some(covered.len())
    }
}

impl Sum {
    fn bytes(self) -> usize {
        match self {
            Sum::Sum8 | Sum::Xor8 | Sum::Lrc | Sum::Crc8(_) => 1,
            Sum::Sum16 | Sum::Crc16(_) => 2,
            Sum::Crc32(_) => 4,
        }
    }

    /// Without tables: serial lines are slow, and flash is small.
    fn of(self, bytes: &[u8]) -> u64 {
        let sum8 = || bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        match self {
            Sum::Sum8 => sum8().into(),
            Sum::Lrc => sum8().wrapping_neg().into(),
            Sum::Xor8 => bytes.iter().fold(0, |sum, byte| sum ^ byte).into(),
            Sum::Sum16 => {
                let sum16 = |sum: u16, byte: &u8| sum.wrapping_add(u16::from(*byte));
                bytes.iter().fold(0, sum16).into()
            }
            Sum::Crc8(algorithm) => Crc::<u8, NoTable>::new(algorithm).checksum(bytes).into(),
            Sum::Crc16(algorithm) => Crc::<u16, NoTable>::new(algorithm).checksum(bytes).into(),
            Sum::Crc32(algorithm) => Crc::<u32, NoTable>::new(algorithm).checksum(bytes).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        // CRC RevEng catalogue: the CRC of "123456789".
        for (checksum, expected) in [
            ("crc8", 0xF4),
            ("crc8-maxim", 0xA1),
            ("crc16-modbus", 0x4B37),
            ("crc16-arc", 0xBB3D),
            ("crc16-xmodem", 0x31C3),
            ("crc16-ccitt-false", 0x29B1),
            ("crc16-kermit", 0x2189),
            ("crc16-x25", 0x906E),
            ("crc32", 0xCBF4_3926),
            ("sum8", 0xDD),
            ("lrc", 0x23),
            ("xor8", 0x31),
            ("sum16", 0x01DD),
        ] {
            let checksum: Checksum = crate::config::tree::parse(checksum).unwrap();
            assert_eq!(checksum.build().unwrap().sum.of(b"123456789"), expected, "{checksum:?}");
        }
    }
}

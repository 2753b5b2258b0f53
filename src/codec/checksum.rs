//! Checksums at a frame's end: one row of [`KINDS`] for each.

use super::endian::Endian;
use crate::base::path::BuildError;
use crate::base::scalar::ByteString;
use Endian::{Big, Little};
use Sum::{Crc8, Crc16, Crc32, Inverted, Lrc, Lrc16, Sum8, Sum16, Xor8};
use crc::{Algorithm, Crc, NoTable};
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// All checksums: name, algorithm, usual order of its bytes and of its hexadecimal digits, checksum of
/// "123456789" (for the CRCs the one in the CRC RevEng catalogue), and what the manual says.
#[rustfmt::skip]
const KINDS: &[ChecksumKind] = &[
    kind("sum8", Sum8, Big, Big, 0xDD, "Sum of all bytes, lowest 8 bits"),
    kind("sum8-inverted", Inverted, Big, Big, 0x22, "One's complement of the sum of all bytes (Sensirion's SHDLC)"),
    kind("sum16", Sum16, Big, Big, 0x01DD, "Sum of all bytes, 16 bits (PMS5003 and relatives)"),
    kind("xor8", Xor8, Big, Big, 0x31, "Exclusive or of all bytes (NMEA 0183)"),
    kind("lrc", Lrc, Big, Big, 0x23, "Two's complement of the sum of all bytes (Modbus ASCII)"),
    kind("lrc16", Lrc16, Big, Big, 0xFE23, "Two's complement of the sum of all bytes, 16 bits (JBD)"),
    kind("crc8", Crc8(&crc::CRC_8_SMBUS), Big, Big, 0xF4, "CRC-8/SMBUS: polynomial 07"),
    kind("crc8-maxim", Crc8(&crc::CRC_8_MAXIM_DOW), Big, Big, 0xA1, "CRC-8/MAXIM-DOW (1-Wire)"),
    kind("crc16-modbus", Crc16(&crc::CRC_16_MODBUS), Little, Little, 0x4B37, "CRC-16/MODBUS"),
    kind("crc16-arc", Crc16(&crc::CRC_16_ARC), Little, Big, 0xBB3D, "CRC-16/ARC (DSMR P1)"),
    kind("crc16-xmodem", Crc16(&crc::CRC_16_XMODEM), Big, Big, 0x31C3, "CRC-16/XMODEM"),
    kind("crc16-ccitt-false", Crc16(&crc::CRC_16_IBM_3740), Big, Big, 0x29B1, "CRC-16/IBM-3740, often called CCITT-FALSE"),
    kind("crc16-kermit", Crc16(&crc::CRC_16_KERMIT), Little, Little, 0x2189, "CRC-16/KERMIT"),
    kind("crc16-x25", Crc16(&crc::CRC_16_IBM_SDLC), Little, Little, 0x906E, "CRC-16/IBM-SDLC, known as X-25 (HDLC, SML, wireless M-Bus)"),
    kind("crc32", Crc32(&crc::CRC_32_ISO_HDLC), Little, Little, 0xCBF4_3926, "CRC-32/ISO-HDLC (Ethernet, zip)"),
];

#[derive(Debug)]
struct ChecksumKind {
    name: &'static str,
    sum: Sum,
    /// Order of its bytes, unless the settings say otherwise; and of its hexadecimal digits.
    order: Endian,
    order_of_digits: Endian,
    /// The checksum of "123456789".
    #[cfg(test)]
    check: u64,
    /// What the manual says about it.
    #[cfg(test)]
    about: &'static str,
}

/// A row of the table; what only tests need stays out of the program.
#[rustfmt::skip]
const fn kind(name: &'static str, sum: Sum, order: Endian, order_of_digits: Endian, _check: u64, _about: &'static str) -> ChecksumKind {
    ChecksumKind { name, sum, order, order_of_digits, #[cfg(test)] check: _check, #[cfg(test)] about: _about }
}

const NAMES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = KINDS[n].name;
        n += 1;
    }
    names
};

/// The checksum at the end of each frame, as it is configured.
#[derive(Clone, Debug)]
pub struct Checksum {
    kind: &'static ChecksumKind,
    settings: ChecksumSettings,
}

/// Where a checksum stands and how it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ChecksumSettings {
    /// Order of its bytes. Default: as usual for its kind.
    pub endian: Option<Endian>,
    /// Bytes, or hexadecimal digits in ASCII.
    pub format: ChecksumFormat,
    /// How many bytes at the frame's start it does not cover. The start delimiter is one of them:
    /// NMEA 0183, whose checksum leaves out the `$`, has 1 here.
    pub from: u8,
    /// What stands between the covered bytes and the checksum: `"*"` in NMEA 0183.
    pub separator: ByteString,
    /// How many bytes of the frame follow the checksum: 2 for the line break of DSMR P1.
    pub trailing: u8,
    /// Bytes that do not occur in the checksum: the device sends one higher in place of each. Inverters
    /// by Voltronic have `"hex:28 0D 0A"` here.
    #[serde(default)]
    pub avoid: ByteString,
}

/// How a checksum is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChecksumFormat {
    /// As bytes.
    #[default]
    Binary,
    /// As hexadecimal digits in ASCII, two for each byte, in either case.
    Hex,
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Checksum, D::Error> {
        from.deserialize_enum("Checksum", &NAMES, Named)?.ok_or_else(|| unknown("none"))
    }
}

fn unknown<E: de::Error>(name: &str) -> E {
    E::unknown_variant(name, &NAMES)
}

/// A checksum's name, or `none`.
struct Named;

impl<'de> de::Visitor<'de> for Named {
    type Value = Option<Checksum>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a checksum's name")
    }
    fn visit_enum<A: de::EnumAccess<'de>>(self, choice: A) -> Result<Self::Value, A::Error> {
        let (name, settings) = choice.variant::<String>()?;
        let settings = de::VariantAccess::newtype_variant(settings)?;
        if name == "none" {
            return Ok(None);
        }
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| unknown(&name))?;
        Ok(Some(Checksum { kind, settings }))
    }
}

impl Checksum {
    /// A checksum, or the word `none`.
    pub fn or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Checksum>, D::Error> {
        from.deserialize_enum("Checksum", &NAMES, Named)
    }

    pub fn build(&self) -> Result<Summer, BuildError> {
        let Checksum { kind, settings } = self.clone();
        if settings.separator.as_bytes().len() > 8 {
            return Err(BuildError::new("at most 8 bytes").at("separator").at(kind.name));
        }
        let usual = match settings.format {
            ChecksumFormat::Binary => kind.order,
            ChecksumFormat::Hex => kind.order_of_digits,
        };
        Ok(Summer { sum: kind.sum, endian: settings.endian.unwrap_or(usual), settings })
    }
}

/// A checksum that runs: it verifies what was read, and is appended to what is written.
#[derive(Clone, Debug)]
pub struct Summer {
    sum: Sum,
    endian: Endian,
    settings: ChecksumSettings,
}

#[derive(Clone, Copy, Debug)]
enum Sum {
    Sum8,
    Inverted,
    Sum16,
    Xor8,
    Lrc,
    Lrc16,
    Crc8(&'static Algorithm<u8>),
    Crc16(&'static Algorithm<u16>),
    Crc32(&'static Algorithm<u32>),
}

impl Summer {
    /// If the checksum at the end of `bytes` matches: how many bytes stand before it, its separator
    /// not counted.
    pub(super) fn verify(&self, bytes: &[u8]) -> Option<usize> {
        let ChecksumSettings { format, from, separator, trailing, .. } = &self.settings;
        let length = match format {
            ChecksumFormat::Binary => self.sum.bytes(),
            ChecksumFormat::Hex => 2 * self.sum.bytes(),
        };
        let (rest, written) = bytes
            .split_at_checked(bytes.len().checked_sub(usize::from(*trailing))?)
            .and_then(|(rest, _)| rest.split_at_checked(rest.len().checked_sub(length)?))?;
        let covered = rest.strip_suffix(separator.as_bytes())?;
        let sum = self.sum_of(covered.get(usize::from(*from)..)?);
        let fits = match format {
            ChecksumFormat::Binary => written == &sum[8 - length..],
            ChecksumFormat::Hex => {
                let digits = std::str::from_utf8(written).ok()?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let number = u64::from_str_radix(digits, 16).ok().filter(|_| is_hex);
                number == Some(u64::from_be_bytes(sum))
            }
        };
        fits.then_some(covered.len())
    }

    /// The checksum of bytes that are to be written, as it stands behind them. The separator, which
    /// is among them, is not covered.
    pub(crate) fn written(&self, bytes: &[u8]) -> Vec<u8> {
        let ChecksumSettings { format, from, separator, .. } = &self.settings;
        let covered = bytes.strip_suffix(separator.as_bytes()).unwrap_or(bytes);
        let sum = self.sum_of(covered.get(usize::from(*from)..).unwrap_or_default());
        let sum = &sum[8 - self.sum.bytes()..];
        match format {
            ChecksumFormat::Binary => sum.to_vec(),
            ChecksumFormat::Hex => {
                sum.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect()
            }
        }
    }

    /// The checksum in the order in which it is written, in the last bytes.
    fn sum_of(&self, covered: &[u8]) -> [u8; 8] {
        let mut bytes = self.sum.of(covered).to_be_bytes();
        let sum = &mut bytes[8 - self.sum.bytes()..];
        if self.endian == Endian::Little {
            sum.reverse();
        }
        for byte in sum {
            if self.settings.avoid.as_bytes().contains(byte) {
                *byte = byte.wrapping_add(1);
            }
        }
        bytes
    }
}

impl Sum {
    fn bytes(self) -> usize {
        match self {
            Sum8 | Inverted | Xor8 | Lrc | Crc8(_) => 1,
            Sum16 | Lrc16 | Crc16(_) => 2,
            Crc32(_) => 4,
        }
    }

    /// Without tables: serial lines are slow, and flash is small.
    fn of(self, bytes: &[u8]) -> u64 {
        let sum8 = || bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let sum16 = || bytes.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        match self {
            Sum8 => sum8().into(),
            Inverted => (!sum8()).into(),
            Lrc => sum8().wrapping_neg().into(),
            Xor8 => bytes.iter().fold(0, |sum, byte| sum ^ byte).into(),
            Sum16 => sum16().into(),
            Lrc16 => sum16().wrapping_neg().into(),
            Crc8(algorithm) => Crc::<u8, NoTable>::new(algorithm).checksum(bytes).into(),
            Crc16(algorithm) => Crc::<u16, NoTable>::new(algorithm).checksum(bytes).into(),
            Crc32(algorithm) => Crc::<u32, NoTable>::new(algorithm).checksum(bytes).into(),
        }
    }
}

#[cfg(test)]
mod schema {
    use super::*;

    /// What the manual says about all of them.
    const ABOUT: &str = "Checksum at the end of each frame, by its usual name: `crc16-modbus`, or with \
    settings `{xor8: {format: hex, separator: \"*\"}}`. CRC names are those of the CRC RevEng catalogue.

It covers all bytes of the frame before it, including the start and end delimiters; `from` excludes the \
first ones. With `escape` it covers the unescaped bytes, without delimiters.";

    impl schemars::JsonSchema for Checksum {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Checksum".into()
        }
        fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
            let settings = generator.subschema_for::<ChecksumSettings>();
            let kinds = KINDS.iter().map(
                |ChecksumKind { name, about, order, order_of_digits, sum, .. }| {
                    let order = match (order, order_of_digits) {
                        _ if sum.bytes() == 1 => "",
                        (Big, _) => ", big endian",
                        (Little, Little) => ", little endian",
                        (Little, Big) => ", big endian in hexadecimal digits, else little endian",
                    };
                    schemars::json_schema!({
                        "description": format!("{about}{order}."),
                        "type": "object",
                        "properties": {*name: settings},
                        "required": [name],
                        "additionalProperties": false,
                    })
                },
            );
            let kinds: Vec<_> = kinds.collect();
            schemars::json_schema!({ "description": ABOUT, "oneOf": kinds })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        for kind in KINDS {
            let named: Checksum = crate::config::tree::parse(kind.name).unwrap();
            assert_eq!(named.build().unwrap().sum.of(b"123456789"), kind.check, "{kind:?}");
        }
    }
}

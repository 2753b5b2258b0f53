//! Checksums at a frame's end: verified on what was read, appended to what is written.

mod catalogue;
mod crc;
mod kind;
#[cfg(test)]
mod schema;
mod sum;

use super::endian::Endian;
use crate::base::path::BuildError;
use crate::base::scalar::{ByteString, hex_byte, hex_digit};
use ::crc::Algorithm;
pub(super) use crc::NarrowCrc;
use kind::{Kind, NAMES};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::fmt;
use sum::Sum;

/// The checksum at the end of each frame, as it is configured.
#[derive(Clone, Debug)]
pub struct Checksum {
    name: &'static str,
    settings: ChecksumSettings,
}

/// A checksum, or the word `none`.
#[derive(Clone, Debug)]
pub struct OwnChecksum(pub Option<Checksum>);

/// Where a checksum stands, how it is written and what it covers.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ChecksumSettings {
    /// Order of its bytes. Default: as usual for its kind.
    pub endian: Option<Endian>,
    /// Bytes, or hexadecimal digits in ASCII.
    pub format: ChecksumFormat,
    /// What of the covered part is counted: its bytes, or the bytes that its hexadecimal digits stand for.
    pub over: Over,
    /// How many bytes at the frame's start it does not cover. The start delimiter is one of them:
    /// NMEA 0183, whose checksum leaves out the `$`, has 1 here.
    pub from: u8,
    /// What stands between the covered bytes and the checksum: `"*"` in NMEA 0183.
    pub separator: ByteString,
    /// How many bytes of the frame follow the checksum: 2 for the line break of DSMR P1.
    pub trailing: u8,
    /// Whether a frame without `separator` and checksum is taken, too; it is counted as `unchecked`.
    pub optional: bool,
    /// Bytes that do not occur in the checksum: the device sends one higher in place of each. Inverters
    /// by Voltronic have `"hex:28 0D 0A"` here.
    pub avoid: ByteString,
    /// Of `crc`: how many bits it has, 1 to 64.
    pub width: Option<u8>,
    /// Of `crc`: its polynomial without the highest bit, `0x1021`.
    pub poly: Option<u64>,
    /// Of `crc`: its value at the start. Default: 0.
    pub init: Option<u64>,
    /// Of `crc`: whether the lowest bit of each byte counts first. Default: `false`.
    pub refin: Option<bool>,
    /// Of `crc`: whether its bits are turned around at the end. Default: `false`.
    pub refout: Option<bool>,
    /// Of `crc`: what it is combined with at the end by exclusive or. Default: 0.
    pub xorout: Option<u64>,
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

/// What a checksum counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// The bytes, with `escape` the unescaped ones.
    #[default]
    Bytes,
    /// The bytes that pairs of hexadecimal digits stand for: the tag readers RDM6300 and ID-20LA.
    Digits,
    /// With `escape`: the bytes as they come over the line, escape sequences in place, as on an eBUS.
    Escaped,
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Checksum, D::Error> {
        OwnChecksum::deserialize(from)?.0.ok_or_else(|| de::Error::unknown_variant("none", &NAMES))
    }
}

impl<'de> Deserialize<'de> for OwnChecksum {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<OwnChecksum, D::Error> {
        from.deserialize_enum("Checksum", &NAMES, Named)
    }
}

/// A checksum's name, or `none`.
struct Named;

impl<'de> de::Visitor<'de> for Named {
    type Value = OwnChecksum;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a checksum's name")
    }
    fn visit_enum<A: de::EnumAccess<'de>>(self, choice: A) -> Result<OwnChecksum, A::Error> {
        let (name, settings) = choice.variant::<String>()?;
        let settings = de::VariantAccess::newtype_variant(settings)?;
        if name == "none" {
            return Ok(OwnChecksum(None));
        }
        let known = NAMES.iter().find(|known| **known == name);
        let name = known.ok_or_else(|| de::Error::unknown_variant(&name, &NAMES))?;
        Ok(OwnChecksum(Some(Checksum { name, settings })))
    }
}

impl Checksum {
    pub fn build(&self) -> Result<Summer, BuildError> {
        self.built().map_err(|error| error.at(self.name))
    }

    fn built(&self) -> Result<Summer, BuildError> {
        let settings = self.settings.clone();
        if settings.separator.as_bytes().len() > 8 {
            return Err(BuildError::new("at most 8 bytes").at("separator"));
        }
        if settings.optional && settings.separator == ByteString::default() {
            let error =
                BuildError::new("without a `separator` a checksum that is left out cannot be told");
            return Err(error.remedy("add `separator`").at("optional"));
        }
        let kind = match Kind::named(self.name) {
            Some(kind) => match settings.parameter() {
                None => kind,
                Some(key) => {
                    let what = format!("{} has its own parameters", self.name);
                    let error = BuildError::new(what).remedy("leave it out, or write `crc`");
                    return Err(error.at(key));
                }
            },
            None => settings.custom()?,
        };
        let usual = match settings.format {
            ChecksumFormat::Binary => kind.order,
            ChecksumFormat::Hex => kind.order_of_digits,
        };
        Ok(Summer { sum: kind.sum, endian: settings.endian.unwrap_or(usual), settings })
    }
}

impl ChecksumSettings {
    /// The first key that is there and describes a CRC.
    fn parameter(&self) -> Option<&'static str> {
        let keys = [
            (self.width.is_some(), "width"),
            (self.poly.is_some(), "poly"),
            (self.init.is_some(), "init"),
            (self.refin.is_some(), "refin"),
            (self.refout.is_some(), "refout"),
            (self.xorout.is_some(), "xorout"),
        ];
        keys.into_iter().find(|(is_there, _)| *is_there).map(|(_, key)| key)
    }

    /// The CRC that the parameters describe.
    fn custom(&self) -> Result<Kind, BuildError> {
        let (Some(width), Some(poly)) = (self.width, self.poly) else {
            let error = BuildError::new("a CRC is described by its width and its polynomial");
            return Err(error.remedy("write {crc: {width: 16, poly: 0x1021}}, or a CRC's name"));
        };
        if !(1..=64).contains(&width) {
            return Err(BuildError::new("a CRC here has 1 to 64 bits").at("width"));
        }
        let (init, xorout) = (self.init.unwrap_or_default(), self.xorout.unwrap_or_default());
        for (key, number) in [("poly", poly), ("init", init), ("xorout", xorout)] {
            if u64::BITS - number.leading_zeros() > width.into() {
                let what = format!("{number:#x} has more than {width} bits");
                let remedy = match key {
                    "poly" => "leave its highest bit out",
                    _ => "write at most as many bits as `width` says",
                };
                return Err(BuildError::new(what).remedy(remedy).at(key));
            }
        }
        let crc = Algorithm {
            width,
            poly: poly.into(),
            init: init.into(),
            refin: self.refin.unwrap_or_default(),
            refout: self.refout.unwrap_or_default(),
            xorout: xorout.into(),
            // What it makes of certain bytes is of use in tests only.
            check: 0,
            residue: 0,
        };
        Ok(Kind::of(crc))
    }
}

/// A checksum that runs: it verifies what was read, and is appended to what is written.
#[derive(Clone, Debug)]
pub struct Summer {
    sum: Sum,
    endian: Endian,
    settings: ChecksumSettings,
}

/// A frame as it came over the line, escape sequences in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct EscapedFrame<'a> {
    pub(super) bytes: &'a [u8],
    /// What each escape sequence of two bytes begins with.
    pub(super) escape: u8,
}

/// A frame whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// How many bytes stand before the checksum, its separator not counted.
    pub(super) covered: usize,
    /// Whether there was a checksum.
    pub(super) is_checked: bool,
}

/// As many bytes as the widest checksum has.
const WIDEST: usize = size_of::<u128>();

impl Summer {
    /// If the checksum at the end of `bytes` matches, or may be left out.
    pub(super) fn verify(
        &self,
        bytes: &[u8],
        escaped: Option<EscapedFrame<'_>>,
    ) -> Option<Verified> {
        let ChecksumSettings { format, separator, trailing, optional, .. } = &self.settings;
        let length = match format {
            ChecksumFormat::Binary => self.sum.bytes(),
            ChecksumFormat::Hex => 2 * self.sum.bytes(),
        };
        let separator = separator.as_bytes();
        if *optional && super::frame::find(bytes, separator, 0).is_none() {
            return Some(Verified { covered: bytes.len(), is_checked: false });
        }
        let (rest, written) = bytes
            .split_at_checked(bytes.len().checked_sub(usize::from(*trailing))?)
            .and_then(|(rest, _)| rest.split_at_checked(rest.len().checked_sub(length)?))?;
        let covered = rest.strip_suffix(separator)?;
        let sum = self.sum_of(&self.counted(covered, escaped)?);
        let fits = match format {
            ChecksumFormat::Binary => sum.ends_with(written),
            ChecksumFormat::Hex => {
                let digits = std::str::from_utf8(written).ok()?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let number = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex);
                number == Some(u128::from_be_bytes(sum))
            }
        };
        fits.then_some(Verified { covered: covered.len(), is_checked: true })
    }

    /// What is counted of the bytes before the checksum and its separator; `None` if it is damaged.
    fn counted<'a>(
        &self,
        covered: &'a [u8],
        escaped: Option<EscapedFrame<'a>>,
    ) -> Option<Cow<'a, [u8]>> {
        let from = usize::from(self.settings.from);
        let plain = covered.get(from..)?;
        Some(match (self.settings.over, escaped) {
            (Over::Digits, _) => Cow::Owned(plain.chunks(2).map(hex_byte).collect::<Option<_>>()?),
            (Over::Escaped, Some(escaped)) => {
                let start = escaped.length_of(from);
                let length = escaped.length_of(covered.len()).checked_sub(start)?;
                Cow::Borrowed(escaped.bytes.get(start..)?.get(..length)?)
            }
            (Over::Bytes, _) | (Over::Escaped, None) => Cow::Borrowed(plain),
        })
    }

    /// The checksum of bytes that are to be written, as it stands behind them. The separator, which
    /// is among them, is not covered.
    pub(crate) fn written(&self, bytes: &[u8]) -> Vec<u8> {
        let ChecksumSettings { format, from, separator, over, .. } = &self.settings;
        let covered = bytes.strip_suffix(separator.as_bytes()).unwrap_or(bytes);
        let covered = covered.get(usize::from(*from)..).unwrap_or_default();
        let sum = match over {
            Over::Bytes | Over::Escaped => self.sum_of(covered),
            Over::Digits => {
                // What is no digit stands between them.
                let digits: Vec<u8> = covered.iter().filter_map(|byte| hex_digit(*byte)).collect();
                let bytes = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]);
                self.sum_of(&bytes.collect::<Vec<_>>())
            }
        };
        let (_, sum) = sum.split_at(WIDEST - self.sum.bytes());
        match format {
            ChecksumFormat::Binary => sum.to_vec(),
            ChecksumFormat::Hex => {
                sum.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect()
            }
        }
    }

    /// The checksum in the order in which it is written, in the last bytes.
    fn sum_of(&self, counted: &[u8]) -> [u8; WIDEST] {
        let mut bytes = self.sum.of(counted).to_be_bytes();
        let (_, sum) = bytes.split_at_mut(WIDEST - self.sum.bytes());
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

impl EscapedFrame<'_> {
    /// How many bytes of the line the first `n` unescaped ones take up.
    fn length_of(&self, n: usize) -> usize {
        let mut at = 0;
        for _ in 0..n {
            at += if self.bytes.get(at) == Some(&self.escape) { 2 } else { 1 };
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summer(yaml: &str) -> Summer {
        crate::config::tree::parse::<Checksum>(yaml).unwrap().build().unwrap()
    }

    fn covered(yaml: &str, bytes: &[u8]) -> Option<usize> {
        summer(yaml).verify(bytes, None).map(|verified| verified.covered)
    }

    #[test]
    fn parameters_make_the_same_checksum_as_the_name() {
        for (name, parameters) in [
            ("crc16-modbus", "width: 16, poly: 0x8005, init: 0xFFFF, refin: true, refout: true"),
            ("crc16-xmodem", "width: 16, poly: 0x1021"),
            ("crc8-darc", "width: 8, poly: 0x39, refin: true, refout: true"),
            ("crc5-usb", "width: 5, poly: 5, init: 0x1F, refin: true, refout: true, xorout: 0x1F"),
            ("crc12-umts", "width: 12, poly: 0x80F, refout: true"),
            ("crc40-gsm", "width: 40, poly: 0x4820009, xorout: 0xFFFFFFFFFF"),
            (
                "crc64-xz",
                "width: 64, poly: 0x42F0E1EBA9EA3693, init: 0xFFFFFFFFFFFFFFFF, refin: true, \
                 refout: true, xorout: 0xFFFFFFFFFFFFFFFF",
            ),
        ] {
            let of = |yaml: &str| summer(yaml).written(b"123456789");
            assert_eq!(of(name), of(&format!("{{crc: {{{parameters}}}}}")), "{name}");
        }
    }

    #[test]
    fn each_verifies_what_it_writes_and_finds_a_wrong_bit() {
        let settings = ["{}", "{format: hex}", "{from: 1, separator: '*', endian: little}"];
        for name in NAMES.iter().filter(|name| **name != "crc") {
            for settings in settings {
                let summer = summer(&format!("{{{name}: {settings}}}"));
                let text: &[u8] = if settings.contains("separator") { b"$12,5*" } else { b"$12,5" };
                let mut frame = text.to_vec();
                frame.extend(summer.written(text));
                let verified = |frame: &[u8]| summer.verify(frame, None).map(|it| it.covered);
                assert_eq!(verified(&frame), Some(5), "{name} {settings}");
                // Six bits of a sum do not notice the others.
                let bits = if *name == "tic" { 0..6 } else { 0..8 };
                for (at, bit) in
                    (1..frame.len()).flat_map(|at| bits.clone().map(move |bit| (at, bit)))
                {
                    frame[at] ^= 1 << bit;
                    // The other case of a digit is the same digit.
                    let is_letter = frame[at].is_ascii_alphabetic() && bit == 5;
                    assert!(
                        is_letter || verified(&frame).is_none(),
                        "{name} {settings} {at} {bit}"
                    );
                    frame[at] ^= 1 << bit;
                }
            }
        }
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (wrong, why) in [
            ("crc", "width"),
            ("{crc: {width: 0, poly: 1}}", "1 to 64"),
            ("{crc: {width: 65, poly: 1}}", "1 to 64"),
            ("{crc: {width: 16, poly: 0x11021}}", "highest bit"),
            ("{crc: {width: 8, poly: 7, init: 0x100}}", "crc.init"),
            ("{crc8: {poly: 0x31}}", "own parameters"),
            ("{xor8: {optional: true}}", "separator"),
        ] {
            let error = crate::config::tree::parse::<Checksum>(wrong).unwrap().build().unwrap_err();
            assert!(error.to_string().contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_line_of_linkys_tic_in_both_modes() {
        // Published lines, and one of them as it came damaged.
        let standard = "{tic: {from: 1}}";
        assert_eq!(covered(standard, b"\nEASF03\t001548023\t;"), Some(18));
        assert_eq!(covered(standard, b"\nSMAXSN-1\tH241202043910\t03800\tR"), Some(30));
        assert_eq!(covered(standard, b"\nEASF03\t00154 023\t;"), None);
        let historic = "{tic: {from: 1, separator: ' '}}";
        assert_eq!(covered(historic, b"\nHCHP 019571184 7"), Some(15));
    }

    #[test]
    fn over_what_hexadecimal_digits_stand_for() {
        let tag = "{xor8: {over: digits, format: hex, from: 1}}";
        assert_eq!(covered(tag, b"\x02331122A6D771"), Some(11));
        assert_eq!(covered(tag, b"\x02331122A6D770"), None);
        assert_eq!(covered(tag, b"\x023G1122A6D771"), None);
        // A line of the example in Intel's Hexadecimal Object File Format Specification.
        let intel = "{lrc: {over: digits, format: hex, from: 1}}";
        assert_eq!(covered(intel, b":0300300002337A1E"), Some(15));
        assert_eq!(summer(intel).written(b":0300300002337A"), b"1E");
    }

    #[test]
    fn a_checksum_that_may_be_left_out() {
        let nmea = summer("{xor8: {format: hex, from: 1, separator: '*', optional: true}}");
        let is = |covered, is_checked| Some(Verified { covered, is_checked });
        assert_eq!(nmea.verify(b"$PMTK000*32", None), is(8, true));
        assert_eq!(nmea.verify(b"$PMTK000", None), is(8, false));
        assert_eq!(nmea.verify(b"$PMTK000*3", None), None);
        assert_eq!(nmea.verify(b"$PMTK001*32", None), None);
    }
}

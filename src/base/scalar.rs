//! Words of the configuration that parse themselves: an invalid one cannot be built.

use super::path::BuildError;
use super::plain::is_unfit;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is wrong with a word of the configuration, and what to write instead.
pub(crate) fn wrong<T>(
    what: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, BuildError> {
    Err(BuildError::new(what).remedy(remedy))
}

/// Reads a YAML scalar as text, whether or not it was quoted, and parses it.
macro_rules! deserialize_from_str {
    ($($name:ident: $kind:literal),*) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let word = from.deserialize_str($crate::base::scalar::AnyScalar)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }
        $crate::base::scalar::word_schema!($name: {"type": ["string", "integer"], "x-kind": $kind});
    )*};
}
pub(crate) use deserialize_from_str;

/// The schema of a word that parses itself; with a generator, of what may be a list or a map, too.
macro_rules! word_schema {
    ($name:ident: $schema:tt) => {
        $crate::base::scalar::word_schema!($name, _generator: $schema);
    };
    ($name:ident, $generator:ident: $schema:tt) => {
        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(crate) use word_schema;

/// Reads what is a word or a map of settings.
macro_rules! deserialize_word_or_map {
    ($name:ident: $expected:literal, $of_word:expr, $of_map:expr) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                struct WordOrMap;
                impl<'de> serde::de::Visitor<'de> for WordOrMap {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<$name, E> {
                        $of_word(word)
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        map: A,
                    ) -> Result<$name, A::Error> {
                        let map = serde::de::value::MapAccessDeserializer::new(map);
                        serde::Deserialize::deserialize(map).map($of_map)
                    }
                }
                from.deserialize_any(WordOrMap)
            }
        }
    };
}
pub(crate) use deserialize_word_or_map;

deserialize_from_str!(Span: "time span", Size: "size", Name: "name", ByteString: "bytes");

/// Takes any scalar as text, whether or not it was quoted.
pub(crate) struct AnyScalar;

impl de::Visitor<'_> for AnyScalar {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<String, E> {
        Ok(yes.to_string())
    }
}

/// A length of time such as `20ms`, `5s`, `10min`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    pub const fn duration(self) -> Duration {
        self.0
    }
    pub const fn from_secs(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }
    pub const fn from_millis(milliseconds: u64) -> Span {
        Span(Duration::from_millis(milliseconds))
    }
}

/// Units of time, the longest first, in microseconds.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// A number with one of these units behind it.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, size) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

impl FromStr for Span {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Span, BuildError> {
        match amount(text, &TIMES) {
            Some(micros) => Ok(Span(Duration::from_micros(micros))),
            None => wrong(
                format!("{text:?} is not a valid time span"),
                "write 20ms, 5s, 10min, 1h or 1d",
            ),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let mut units = TIMES.iter().map(|(unit, size)| (unit, u128::from(*size)));
        match units.find(|(_, size)| micros >= *size && micros.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", micros / size),
            None => f.write_str("0s"),
        }
    }
}

/// A number of bytes such as `512`, `64KiB`, `4MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(usize);

impl Size {
    pub const fn bytes(self) -> usize {
        self.0
    }
    pub const fn from_bytes(bytes: usize) -> Size {
        Size(bytes)
    }
}

impl FromStr for Size {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Size, BuildError> {
        const K: u64 = 1 << 10;
        const UNITS: [(&str, u64); 6] =
            [("", 1), ("B", 1), ("KiB", K), ("K", K), ("MiB", K * K), ("M", K * K)];
        match amount(text, &UNITS) {
            Some(bytes) if bytes <= 1 << 30 => Ok(Size(bytes as usize)),
            _ => wrong(
                format!("{text:?} is not a valid size"),
                "write 512, 64KiB or 4MiB, at most 1024MiB",
            ),
        }
    }
}

/// A name that is one level of a topic: not empty, without `/`, `+`, `#`, control characters and
/// noncharacters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host's name, or `gateway` where it has none that fits a topic.
    pub fn of_host() -> Name {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        host.parse().unwrap_or_else(|_| Name("gateway".into()))
    }
}

impl FromStr for Name {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<Name, BuildError> {
        if text.is_empty() || text.starts_with('$') {
            return wrong(
                format!("{text:?} is not a valid name"),
                "a name is not empty and does not begin with `$`",
            );
        }
        match text.chars().find(|c| matches!(c, '/' | '+' | '#') || is_unfit(*c)) {
            Some(c) => wrong(
                format!("{text:?} is not a valid name: {c:?} has a meaning in topics"),
                "leave it out",
            ),
            None => Ok(Name(text.into())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes, written as text or, behind `hex:`, as hexadecimal digits: `"\r\n"`, `"hex:42 4D"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteString(Vec<u8>);

impl ByteString {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for ByteString {
    fn from(bytes: &[u8]) -> ByteString {
        ByteString(bytes.to_vec())
    }
}

impl FromStr for ByteString {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<ByteString, BuildError> {
        match text.strip_prefix("hex:") {
            None => Ok(ByteString(text.into())),
            Some(digits) => parse_hex(digits).map(ByteString),
        }
    }
}

/// The value of a hexadecimal digit, in either case.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    // `from_str_radix` would take `+4` for a number, too.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// The byte that two hexadecimal digits spell.
pub(crate) fn hex_byte(pair: &[u8]) -> Option<u8> {
    match pair {
        [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
        _ => None,
    }
}

/// Hexadecimal digits in pairs, with optional white space between the pairs.
pub(crate) fn parse_hex(digits: &str) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for group in digits.split_whitespace() {
        for pair in group.as_bytes().chunks(2) {
            let Some(byte) = hex_byte(pair) else {
                return wrong(
                    format!("{group:?} is not hexadecimal"),
                    "write pairs of digits, as in hex:42 4D",
                );
            };
            bytes.push(byte);
        }
    }
    Ok(bytes)
}

/// A word or a number of the configuration, as text: `0.01`, `off`, `0xFFFF` (which is `65535`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub String);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Token, D::Error> {
        deserializer.deserialize_any(AnyScalar).map(Token)
    }
}

word_schema!(Token: {"type": ["string", "number"]});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes() {
        assert_eq!("20ms".parse(), Ok(Span::from_millis(20)));
        assert_eq!("2min".parse(), Ok(Span::from_secs(120)));
        assert!("20".parse::<Span>().is_err());
        for text in ["1d", "36h", "90min", "61s", "1500ms", "7us", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("64KiB".parse(), Ok(Size(65_536)));
        assert!("64kb".parse::<Size>().is_err());
    }

    #[test]
    fn byte_strings() {
        assert_eq!("\r\n".parse::<ByteString>().unwrap().as_bytes(), b"\r\n");
        assert_eq!("hex:42 4d00".parse::<ByteString>().unwrap().as_bytes(), b"BM\0");
        assert!("hex:4".parse::<ByteString>().is_err());
        assert!("hex:+4".parse::<ByteString>().is_err());
    }
}

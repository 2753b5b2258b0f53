//! Words of the configuration that parse themselves: an invalid one cannot be built.

pub use crate::mqtt::url::BrokerUrl;

use crate::mqtt::topic::is_unfit;
use crate::mqtt::transport::proxy::ProxyUrl;
use crate::mqtt::transport::settings::{Family, Fingerprint, Pem, TlsVersion};
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Why a word of the configuration is not what it should be; the text names the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScalarError(String);

fn wrong<T>(text: impl Into<String>) -> Result<T, ScalarError> {
    Err(ScalarError(text.into()))
}

/// Reads a YAML scalar as text, whether or not it was quoted, and parses it.
macro_rules! deserialize_from_str {
    ($($name:ident: $kind:literal),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                deserializer.deserialize_str(Word)?.parse().map_err(de::Error::custom)
            }
        }
        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": ["string", "integer"], "x-kind": $kind})
            }
        }
    )*};
}

deserialize_from_str!(
    Span: "time span",
    SyncPolicy: "each, never or a time span",
    Size: "size",
    Line: "line setting",
    Name: "name",
    BrokerUrl: "address",
    ProxyUrl: "address",
    TcpAddress: "address",
    Family: "any, 4 or 6",
    TlsVersion: "1.2 or 1.3",
    Pem: "file or PEM text",
    Control: "file or off",
    Fingerprint: "fingerprint",
    ByteString: "bytes",
    UsbId: "USB id"
);

struct Word;

impl de::Visitor<'_> for Word {
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
    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
    /// From whole seconds.
    pub const fn from_secs(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }
    /// From whole milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Span {
        Span(Duration::from_millis(milliseconds))
    }
}

impl FromStr for Span {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<Span, ScalarError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let micros = match unit.trim() {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => {
                return wrong(format!("{text:?} is no time span; write 20ms, 5s, 10min, 1h or 1d"));
            }
        };
        match number.parse::<u64>().ok().and_then(|n| n.checked_mul(micros)) {
            Some(total) => Ok(Span(Duration::from_micros(total))),
            None => wrong(format!("{text:?} is no time span; write 20ms, 5s, 10min, 1h or 1d")),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// When what was written to a disk is safe from a power failure: `each`, `never` or a time span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it counts as written.
    Each,
    /// After so long.
    Every(Span),
    /// When the system likes to.
    Never,
}

impl FromStr for SyncPolicy {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<SyncPolicy, ScalarError> {
        match text.trim_start_matches("every ") {
            "each" => Ok(SyncPolicy::Each),
            "never" => Ok(SyncPolicy::Never),
            span => match span.parse() {
                Ok(span) => Ok(SyncPolicy::Every(span)),
                Err(_) => wrong(format!("{text:?} is no sync policy; write each, never or 1s")),
            },
        }
    }
}

/// A number of bytes such as `512`, `64KiB`, `4MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(usize);

impl Size {
    /// As bytes.
    pub const fn bytes(self) -> usize {
        self.0
    }
    /// From bytes.
    pub const fn from_bytes(bytes: usize) -> Size {
        Size(bytes)
    }
}

impl FromStr for Size {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<Size, ScalarError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit.trim() {
            "" | "B" => 1,
            "KiB" | "K" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            _ => return wrong(format!("{text:?} is no size; write 512, 64KiB or 4MiB")),
        };
        match number.parse::<u32>().ok().and_then(|n| (n as usize).checked_mul(factor)) {
            Some(total) if total <= 1 << 30 => Ok(Size(total)),
            _ => wrong(format!("{text:?} is no size; write 512, 64KiB or 4MiB, at most 1024MiB")),
        }
    }
}

/// Parity of a character on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Speed and character format of a line: `115200 8N1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bits per second.
    pub baud: u32,
    /// Data bits per character, 5 to 8.
    pub data_bits: u8,
    /// Parity.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
}

impl Line {
    /// What most devices use; only where nothing is configured.
    pub const DEFAULT: Line = Line { baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: 1 };

    /// How long `characters` take on the wire, start, parity and stop bits included.
    pub fn time_of(&self, characters: f32) -> Duration {
        let bits = 1 + self.data_bits + u8::from(self.parity != Parity::None) + self.stop_bits;
        Duration::from_secs_f32(characters * f32::from(bits) / self.baud as f32)
    }
}

impl FromStr for Line {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<Line, ScalarError> {
        const HELP: &str = "write the speed and the format, as in 9600 8N1";
        let mut words = text.split_whitespace();
        let baud = words.next().unwrap_or_default();
        let format = words.next().unwrap_or("8N1");
        if words.next().is_some() {
            return wrong(format!("{text:?} is no line setting; {HELP}"));
        }
        let baud = match baud.parse::<u32>() {
            Ok(baud) if (1..=20_000_000).contains(&baud) => baud,
            _ => return wrong(format!("{baud:?} is no speed in bits per second; {HELP}")),
        };
        let (data_bits, parity, stop_bits) = match format.as_bytes() {
            [data @ b'5'..=b'8', parity, stop @ b'1'..=b'2'] => (data - b'0', parity, stop - b'0'),
            _ => return wrong(format!("{format:?} is no character format; {HELP}")),
        };
        let parity = match parity.to_ascii_uppercase() {
            b'N' => Parity::None,
            b'E' => Parity::Even,
            b'O' => Parity::Odd,
            _ => return wrong(format!("{format:?} has no parity N, E or O; {HELP}")),
        };
        Ok(Line { baud, data_bits, parity, stop_bits })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} {}{parity}{}", self.baud, self.data_bits, self.stop_bits)
    }
}

/// A name that is one level of a topic: not empty, without `/`, `+`, `#`, control characters and
/// noncharacters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The name as text.
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
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<Name, ScalarError> {
        if text.is_empty() || text.starts_with('$') {
            return wrong(format!("{text:?} is no name; it must not be empty nor begin with `$`"));
        }
        match text.chars().find(|c| matches!(c, '/' | '+' | '#') || is_unfit(*c)) {
            Some(c) => {
                wrong(format!("{text:?} is no name, {c:?} has a meaning in topics; leave it out"))
            }
            None => Ok(Name(text.into())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `host:port` of a serial port on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAddress {
    /// Host name or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl FromStr for TcpAddress {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<TcpAddress, ScalarError> {
        if let Some((scheme, address)) = text.split_once("://") {
            let address = address.trim_end_matches('/');
            return wrong(match scheme {
                "telnet" | "rfc2217" => format!(
                    "{scheme} is not spoken here; set the serial server to raw TCP (ser2net: \
                     `tcp` without `telnet`), with its own line settings, and write `{address}`"
                ),
                _ => format!("only raw TCP is spoken here; write `{address}` without {scheme}://"),
            });
        }
        match split_host_port(text, 0) {
            Ok((host, port)) if port != 0 => Ok(TcpAddress { host, port }),
            _ => wrong(format!("{text:?} is no address; write host:port, as in 192.168.1.7:2000")),
        }
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn split_host_port(text: &str, default_port: u16) -> Result<(String, u16), ScalarError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, rest)) if rest.starts_with(':') => (host, Some(&rest[1..])),
            _ => return wrong(format!("{text:?} has an unclosed `[`")),
        }
    } else {
        match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return wrong(format!("an IPv6 address stands in brackets: [{text}]"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return wrong(format!("{host:?} is no host name"));
    }
    let port = match port {
        None => default_port,
        Some(digits) => match digits.parse() {
            Ok(port) if port != 0 => port,
            _ => return wrong(format!("{digits:?} is no port number from 1 to 65535")),
        },
    };
    Ok((host.into(), port))
}

/// Bytes, written as text or, behind `hex:`, as hexadecimal digits: `"\r\n"`, `"hex:42 4D"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteString(Vec<u8>);

impl ByteString {
    /// The bytes.
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
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<ByteString, ScalarError> {
        match text.strip_prefix("hex:") {
            None => Ok(ByteString(text.into())),
            Some(digits) => parse_hex(digits).map(ByteString),
        }
    }
}

/// Hexadecimal digits in pairs, with white space between pairs where one likes.
pub(crate) fn parse_hex(digits: &str) -> Result<Vec<u8>, ScalarError> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for group in digits.split_whitespace() {
        for pair in group.as_bytes().chunks(2) {
            let value = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
            match value.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
                Some(byte) => bytes.push(byte),
                None => {
                    return wrong(format!(
                        "{group:?} is not hexadecimal; write pairs of digits, as in hex:42 4D"
                    ));
                }
            }
        }
    }
    Ok(bytes)
}

/// Where the control socket is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// Where it is by default.
    #[default]
    Standard,
    /// There is none.
    Off,
    /// Here.
    At(PathBuf),
}

impl Control {
    /// The longest path of a Unix socket, in bytes (`sun_path` of unix(7) without its zero byte).
    const LONGEST: usize = 107;
}

impl FromStr for Control {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<Control, ScalarError> {
        match text {
            "off" | "false" => Ok(Control::Off),
            "" | "true" | "on" => wrong(format!("{text:?} is no path; write one, or `off`")),
            _ if text.len() > Control::LONGEST => {
                wrong(format!("the path of a socket has at most {} bytes", Control::LONGEST))
            }
            _ => Ok(Control::At(text.into())),
        }
    }
}

/// A USB vendor or product id: four hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbId(pub u16);

impl FromStr for UsbId {
    type Err = ScalarError;
    fn from_str(text: &str) -> Result<UsbId, ScalarError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        match u16::from_str_radix(digits, 16) {
            Ok(id) if digits.len() == 4 => Ok(UsbId(id)),
            _ => wrong(format!(
                "{text:?} is no USB id; write four hexadecimal digits in quotes, as in \"1a86\""
            )),
        }
    }
}

impl fmt::Display for UsbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

/// A text that is never printed.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "String")]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Its bytes, for the CONNECT packet only.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text.into_bytes())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Secret {
        Secret(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_sizes_and_lines() {
        assert_eq!("20ms".parse(), Ok(Span::from_millis(20)));
        assert_eq!("2min".parse(), Ok(Span::from_secs(120)));
        assert!("20".parse::<Span>().is_err());
        assert_eq!("64KiB".parse(), Ok(Size(65_536)));
        assert!("64kb".parse::<Size>().is_err());
        let line: Line = "250000 7e2".parse().unwrap();
        assert_eq!(line.to_string(), "250000 7E2");
        assert_eq!("9600".parse::<Line>().unwrap().to_string(), "9600 8N1");
        for bad in ["fast", "9600 9N1", "9600 8X1", "9600 8N1 now", "0 8N1"] {
            assert!(bad.parse::<Line>().is_err(), "{bad}");
        }
    }

    #[test]
    fn three_and_a_half_characters_at_9600_8n1_are_3_6_milliseconds() {
        let line: Line = "9600 8N1".parse().unwrap();
        assert_eq!(line.time_of(3.5).as_micros(), 3645);
    }

    #[test]
    fn byte_strings() {
        assert_eq!("\r\n".parse::<ByteString>().unwrap().as_bytes(), b"\r\n");
        assert_eq!("hex:42 4d00".parse::<ByteString>().unwrap().as_bytes(), b"BM\0");
        assert!("hex:4".parse::<ByteString>().is_err());
    }
}

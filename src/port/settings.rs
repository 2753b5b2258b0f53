//! What a configuration says of a port: how it is found and opened.

use crate::base::scalar::{ScalarError, deserialize_from_str, wrong};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

deserialize_from_str!(TcpAddress: "address", UsbId: "USB id");

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

/// A USB adapter, by what sysfs says of it. `tty2mqtt ports` shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Usb {
    /// Vendor id, four hexadecimal digits in quotes: `"1a86"`.
    pub vendor: UsbId,
    /// Product id, four hexadecimal digits in quotes: `"7523"`.
    pub product: UsbId,
    /// Serial number, for several adapters of one kind.
    #[serde(default)]
    pub serial: Option<String>,
    /// Interface number of an adapter with several ports, from 0.
    #[serde(default)]
    pub interface: Option<u8>,
}

/// Flow control.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// None.
    #[default]
    None,
    /// By the RTS and CTS lines.
    Hardware,
    /// By the characters XON and XOFF.
    Software,
}

/// What is done with a modem line after opening.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ModemLine {
    /// Leave it as it is, and do not let it fall when the port is closed.
    #[default]
    Keep,
    /// Raise it.
    On,
    /// Let it fall.
    Off,
}

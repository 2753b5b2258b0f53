//! Where a serial port on the network is, and what is spoken there.

use crate::base::path::BuildError;
use crate::base::scalar::{deserialize_from_str, wrong};
use std::fmt;
use std::str::FromStr;

deserialize_from_str!(TcpAddress: "address");

/// `host:port` of a serial port on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAddress {
    pub protocol: Protocol,
    /// Host name or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What a serial server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing but the bytes of the device.
    Raw,
    /// Telnet, with a line that is set elsewhere.
    Telnet,
    /// Telnet, by which the line is set, too.
    Rfc2217,
}

impl Protocol {
    fn scheme(self) -> &'static str {
        match self {
            Protocol::Raw => "",
            Protocol::Telnet => "telnet://",
            Protocol::Rfc2217 => "rfc2217://",
        }
    }
}

impl FromStr for TcpAddress {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<TcpAddress, BuildError> {
        let (protocol, address) = match text.split_once("://") {
            None => (Protocol::Raw, text),
            Some(("telnet", address)) => (Protocol::Telnet, address.trim_end_matches('/')),
            Some(("rfc2217", address)) => (Protocol::Rfc2217, address.trim_end_matches('/')),
            Some((scheme, address)) => {
                let address = address.trim_end_matches('/');
                return wrong(
                    format!("{scheme}:// is none of telnet:// and rfc2217://"),
                    format!("write `{address}` for raw TCP"),
                );
            }
        };
        match split_host_port(address) {
            Some((host, port)) => Ok(TcpAddress { protocol, host: host.into(), port }),
            None => wrong(
                format!("{text:?} is not a valid address"),
                "write host:port, as in 192.168.1.7:2000 or [2001:db8::7]:2000",
            ),
        }
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.protocol.scheme())?;
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An IPv6 address stands in brackets.
fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text.rsplit_once(':').filter(|(host, _)| !host.contains(':'))?,
    };
    let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    is_host.then_some((host, port))
}

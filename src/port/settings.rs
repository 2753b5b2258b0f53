//! What a configuration says of a port: how it is found and opened.

use crate::base::line::Line;
use crate::base::one_by_one;
use crate::base::scalar::{Name, ScalarError, Span, deserialize_from_str, wrong};
use crate::device::mapping::{Mapping, Names};
use crate::device::settings::{Checksum, CommandRule, Decode, DeviceSettings, FrameKind, Framing};
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

deserialize_from_str!(TcpAddress: "address", UsbId: "USB id");

/// A serial port and all that happens on it. Exactly one of `path`, `usb` and `tcp` names it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// A tty such as `/dev/ttyS1`. A relative path counts from the configuration file's folder.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// A USB adapter, found by what it is and not by the number it got. `tty2mqtt ports` prints
    /// these lines for each adapter.
    #[serde(default)]
    pub usb: Option<Usb>,
    /// `host:port` of a serial port on the network: ser2net, ESP-Link, RS-485 adapters. Its line is
    /// set there; here it must be raw TCP, neither telnet nor RFC 2217. What comes in the first
    /// second of a link is held back until the link has lasted: a serial server that cannot serve
    /// says why and closes.
    #[serde(default)]
    pub tcp: Option<TcpAddress>,
    /// Speed and character format, `115200 8N1`. Any speed that the driver takes; what it does not
    /// take is a warning in the log. Needed for `path` and `usb`. A byte with a parity or framing
    /// error spoils the frame it stands in (`line_error` in the status).
    #[serde(default)]
    pub line: Option<Line>,
    /// Flow control.
    #[serde(default)]
    pub flow: Flow,
    /// The DTR line after opening. An Arduino resets when DTR rises, so the default is to leave
    /// it alone as far as the driver allows.
    #[serde(default)]
    pub dtr: ModemLine,
    /// The RTS line after opening.
    #[serde(default)]
    pub rts: ModemLine,
    /// Name of the device on the port, for `{device}`. Default: the port's name.
    #[serde(default)]
    pub device: Option<Name>,
    /// Where a frame begins and ends.
    #[serde(default)]
    pub framing: Framing,
    /// Checksum at the end of each frame. A frame with a wrong one is dropped and counted; the
    /// decoder does not see the checksum.
    #[serde(default)]
    pub checksum: Option<Checksum>,
    /// How a frame is read. Default: `text`. For a port with several kinds of frames see
    /// `frames`.
    #[serde(default)]
    pub decode: Option<Decode>,
    /// What is published. Default: one message per field to `{gateway}/{node}/{field}`.
    #[serde(default, deserialize_with = "one_by_one::optional_list")]
    pub messages: Option<Vec<Mapping>>,
    /// Several kinds of frames on one port, instead of `decode` and `messages`: the first whose
    /// `starts` matches takes the frame.
    #[serde(default, deserialize_with = "one_by_one::list")]
    pub frames: Vec<FrameKind>,
    /// Messages from the broker that are written to the port. Each is written, and then acknowledged
    /// to the broker; or refused, reported with the reason under
    /// `{gateway}/status/ports/{port}/command` (a flood in one report, whose `count` is how many), and
    /// acknowledged; or not acknowledged, when the gateway
    /// ends before and the broker will give it again (`clean: false`, QoS 1 or 2). At most 256 messages
    /// and 32KiB of topics and payloads wait for a port; more are refused.
    #[serde(default, deserialize_with = "one_by_one::list")]
    pub commands: Vec<CommandRule>,
    /// How long commands wait for a port that is not open, 0s to 10min, counted from the start of the
    /// gateway, from the reload that closed the port, or from when the device went away. When it
    /// opens, they are written in their order; after that time they are refused, and so is each that
    /// comes while the port is still away. Default: 30s.
    #[serde(default = "Port::default_command_wait")]
    pub command_wait: Span,
    /// After so long without a byte the port's status says `silent`: `5min`, at least 1s. Default:
    /// never.
    #[serde(default)]
    pub silent_after: Option<Span>,
    /// Most messages a second, from 1 on; a second's worth may come at once. What is beyond is
    /// dropped, and counted as `limited` in the port's status. Default: no limit.
    #[serde(default)]
    pub rate_limit: Option<std::num::NonZeroU32>,
}

impl Port {
    fn default_command_wait() -> Span {
        Span::from_secs(30)
    }

    /// What it says of the device on it, for a port of this name.
    pub fn device<'a>(&'a self, gateway: &'a Name, name: &'a Name) -> DeviceSettings<'a> {
        DeviceSettings {
            names: Names {
                gateway: gateway.as_str(),
                port: name.as_str(),
                device: self.device.as_ref().unwrap_or(name).as_str(),
            },
            line: self.line.as_ref(),
            framing: &self.framing,
            checksum: self.checksum.as_ref(),
            decode: self.decode.as_ref(),
            messages: self.messages.as_deref(),
            frames: &self.frames,
            commands: &self.commands,
            command_wait: self.command_wait.duration(),
        }
    }

    /// All entries of `messages`.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        let frames = self.frames.iter().map(|frame| &frame.messages);
        std::iter::once(&self.messages).chain(frames).flatten().flatten()
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

//! The settings of a serial port: how it is found and opened, and everything that happens on it.

mod tcp_address;

pub use tcp_address::{Protocol, TcpAddress};

use crate::base::line::Line;
use crate::base::one_by_one;
use crate::base::path::BuildError;
use crate::base::scalar::{Name, Span, deserialize_from_str, wrong};
use crate::device::mapping::{Mapping, Names};
use crate::device::settings::{
    ByteOrder, Checksum, CommandSettings, Decode, Decrypt, DeviceSettings, FieldOverrides,
    FrameKind, Framing, Join, MemberSettings, Mode, OnBus, PollSettings, RegisterSettings,
    StepSettings,
};
use crate::port::rs485::Rs485;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

deserialize_from_str!(UsbId: "USB id");

/// A serial port and everything that happens on it. Exactly one of `path`, `usb` and `tcp` says
/// which port it is.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// A tty such as `/dev/ttyS1`. A relative path starts at the folder of the configuration file.
    pub path: Option<PathBuf>,
    /// A USB adapter, found by its ids, whatever number the system gave it. `tty2mqtt ports` prints
    /// these lines for each adapter.
    pub usb: Option<Usb>,
    /// `host:port` of a serial port on the network (ser2net, ESP-Link, RS-485 adapters) that is raw
    /// TCP; `telnet://host:port` if it speaks telnet, which is 8-bit clean here (RFC 854, 856). The line
    /// is set at the serial server then. With `rfc2217://host:port` `line`, `flow`, `dtr` and `rts` are
    /// set there by the gateway (RFC 2217), and line errors are counted in the status. Data of the first
    /// second of a connection is held back until the connection has lasted that long, because a serial
    /// server that cannot open its port sends the reason as text and closes.
    pub tcp: Option<TcpAddress>,
    /// Speed and character format, `115200 8N1`. Any speed that the driver supports; if it does
    /// not, the log has a warning. Needed for `path`, `usb` and `rfc2217://`. A byte with a parity or framing
    /// error makes its frame invalid (`line_error` in the status).
    pub line: Option<Line>,
    /// Flow control. Default: `none`.
    #[serde(default)]
    pub flow: Flow,
    /// The DTR line after opening. Many Arduinos reset when DTR rises, so the default is to leave
    /// it alone as far as the driver allows.
    #[serde(default)]
    pub dtr: ModemLine,
    /// The RTS line after opening. Default: left alone.
    #[serde(default)]
    pub rts: ModemLine,
    /// Name of the device on the port, for `{device}` in topics. Default: the name of the port.
    pub name: Option<Name>,
    /// Where a frame begins and ends. Default: `lines`.
    #[serde(default)]
    pub framing: Framing,
    /// Checksum at the end of each frame. A frame with a wrong checksum is dropped and counted; the
    /// decoder gets the frame without it.
    pub checksum: Option<Checksum>,
    /// The keys with which the device encrypts what it sends: `{key: {file: /etc/tty2mqtt/meter.key}}`.
    pub decrypt: Option<Decrypt>,
    /// How the fields of a frame are read. Default: `text`. For several kinds of frames on one port
    /// see `frames`.
    pub decode: Option<Decode>,
    /// What is published. Default: one message per field to `{gateway}/{node}/{field}`.
    #[serde(default, deserialize_with = "one_by_one::optional_list")]
    pub messages: Option<Vec<Mapping>>,
    /// Several kinds of frames on one port, in place of `decode` and `messages`: the first entry
    /// whose `prefix` matches gets the frame.
    #[serde(default, deserialize_with = "one_by_one::list")]
    pub frames: Vec<FrameKind>,
    /// Which Modbus is spoken on the line, where there are `registers`. Default: `rtu`.
    #[serde(default)]
    pub modbus: Mode,
    /// Settings of a line on which devices are asked: `{silence: 10ms, echo: true}`.
    #[serde(default)]
    pub bus: Bus,
    /// Several devices on one line (RS-485), each under its name, which stands for `{device}`: `{house:
    /// {address: 1, registers: …}, pump: {address: 3, registers: …}}`. Of the port's own keys `interval`,
    /// `timeout`, `retries`, `misses`, `align`, `messages` and `checksum` are their defaults; the others
    /// that describe a device stand below its name.
    #[serde(default, deserialize_with = "one_by_one::map")]
    pub devices: BTreeMap<Name, OnBus>,
    /// Name of a device file, without `.yaml`: its settings stand below those here. Maps are merged, a list
    /// or a word of one's own replaces. `tty2mqtt devices` lists the names. A file is looked for in the folder
    /// `devices` beside this file, then in `/etc/tty2mqtt/devices`, then in the library of the package
    /// `tty2mqtt-devices`, then among those of the program, and read again at a reload. It has the keys of a
    /// device, and may name another `model`; `make`, `title`, `aliases`, `about`, `wiring`, `source`, `detect` and
    /// `cases` in it are for people and tests. What a device file says of the `line` holds where the port does not
    /// say it.
    #[serde(default)]
    #[allow(dead_code, reason = "the device file was laid below these settings already")]
    pub model: Option<String>,
    /// Settings of single fields by name, wherever the field is described: `{energy: {unit: MWh, scale:
    /// 0.001}}`. `publish: false` drops one. A name that nothing describes is a new field by `calc`.
    #[serde(default)]
    pub fields: FieldOverrides,
    /// Address of the device, where it has one; with Modbus 1 to 247. For several devices see `devices`.
    #[serde(default)]
    pub address: Option<u8>,
    /// Time from one poll to the next, 10ms to 7d. Polls keep their phase; one that is late by more
    /// than an interval is skipped and counted (`skipped`). Default: 10s.
    #[serde(default)]
    pub interval: Option<Span>,
    /// How long a device may be silent when it is to answer. Only silence costs this time: an answer,
    /// an exception or a wrong checksum ends the wait at once, and a reply that is still coming is
    /// awaited. Default: 500ms.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// How often a request that failed is repeated before its next interval; each time the others that
    /// are due come first. A device that does not answer rests after each time-out, first for 1s at least,
    /// then twice as long each time, up to 60s. Default: 2.
    #[serde(default)]
    pub retries: Option<u8>,
    /// Number of failures in a row after which the device is `offline`. Default: 3.
    #[serde(default)]
    pub misses: Option<u8>,
    /// `true`: polls come at whole multiples of their interval on the wall clock (`15min`: at :00, :15,
    /// :30 and :45), once it is set. Default: they begin when the port opens.
    #[serde(default)]
    pub align: bool,
    /// Order of the bytes of values in several registers: `ABCD`, `CDAB` (words swapped), `BADC` (bytes
    /// swapped) or `DCBA` (both). Default: `ABCD`.
    #[serde(default)]
    pub byte_order: ByteOrder,
    /// Which registers are read together: `{gap: 8, count: 60}`.
    #[serde(default)]
    pub join: Join,
    /// The Modbus registers of the device, each under the name of its field: `{power: {input: 12, type:
    /// f32, unit: W}}`.
    #[serde(default, deserialize_with = "one_by_one::map")]
    pub registers: BTreeMap<String, RegisterSettings>,
    /// Requests in any other protocol, each under a name of your choice.
    #[serde(default, deserialize_with = "one_by_one::map")]
    pub poll: BTreeMap<String, PollSettings>,
    /// Steps that are gone through after each opening of the port, before the device is asked anything.
    #[serde(default, deserialize_with = "one_by_one::list")]
    pub startup: Vec<StepSettings>,
    /// Messages from the broker that are written to the port. Each of them is either written and
    /// then acknowledged to the broker; or refused, reported with the reason on
    /// `{gateway}/status/ports/{port}/command`, and acknowledged; or not acknowledged because the
    /// gateway stops, so that the broker sends it again (`clean: false`, QoS 1 or 2). Many refusals
    /// at once are one report, whose `count` says how many. At most 256 messages and 32KiB of
    /// topics and payloads wait for a port; more are refused.
    ///
    /// A map has a command under each name, which is given at `{gateway}/{device}/NAME/set`; a list has
    /// rules with topics of their own.
    #[serde(default)]
    pub commands: CommandSettings,
    /// How long commands wait for a port that is not open, 0s to 10min. The time runs from the
    /// start of the gateway, from the reload that closed the port, or from when the device was
    /// unplugged. When the port opens, the commands are written in their order; when the time is
    /// over they are refused, and so is each further one until the port opens. Default: 30s.
    #[serde(default = "Port::default_command_wait")]
    pub command_wait: Span,
    /// After this time without a byte the status of the port says `silent`: `5min`, at least 1s.
    /// Default: never.
    pub silent_after: Option<Span>,
    /// The most messages per second, at least 1; those of one second may come at once. Further
    /// messages are dropped and counted as `limited` in the status of the port. Default: no limit.
    pub rate_limit: Option<std::num::NonZeroU32>,
}

impl Port {
    fn default_command_wait() -> Span {
        Span::from_secs(30)
    }

    /// The same without what is asked on the line, which the device has in a form of its own: of a bus with
    /// hundreds of registers one copy is enough.
    pub fn without_devices(&self) -> Port {
        let mut port = self.clone();
        port.devices.clear();
        port.registers.clear();
        port.poll.clear();
        port
    }

    /// The same with this mapping in place of all others.
    pub fn with_messages(&self, mapping: &Mapping) -> Port {
        let mut port = self.clone();
        port.messages = Some(vec![mapping.clone()]);
        port.frames.iter_mut().for_each(|frame| frame.messages = None);
        for device in port.devices.values_mut() {
            device.messages = None;
            device.poll.values_mut().for_each(|poll| poll.messages = None);
        }
        port.poll.values_mut().for_each(|poll| poll.messages = None);
        port
    }

    /// The settings of the device on a port of this name.
    pub fn device<'a>(&'a self, gateway: &'a Name, name: &'a Name) -> DeviceSettings<'a> {
        let names = Names {
            gateway: gateway.as_str(),
            port: name.as_str(),
            device: self.name.as_ref().unwrap_or(name).as_str(),
        };
        DeviceSettings {
            names,
            line: self.line.as_ref(),
            framing: &self.framing,
            checksum: self.checksum.as_ref(),
            decrypt: self.decrypt.as_ref(),
            decode: self.decode.as_ref(),
            messages: self.messages.as_deref(),
            frames: &self.frames,
            fields: &self.fields.0,
            commands: &self.commands.rules,
            command_wait: self.command_wait.duration(),
            members: self.members(names),
            mode: self.modbus,
            silence: self.bus.silence.map(Span::duration),
            turnaround: self.bus.turnaround.duration(),
            echo: self.bus.echo,
        }
    }

    /// Whether its devices speak when they are asked, and not by themselves.
    pub fn is_asked(&self) -> bool {
        !(self.poll.is_empty() && self.registers.is_empty() && self.devices.is_empty())
    }

    /// The devices that are asked.
    fn members<'a>(&'a self, names: Names<'a>) -> Vec<MemberSettings<'a>> {
        let own = MemberSettings {
            names,
            key: None,
            address: self.address,
            interval: self.interval,
            timeout: self.timeout,
            retries: self.retries,
            misses: self.misses,
            align: self.align,
            byte_order: self.byte_order,
            join: self.join,
            registers: &self.registers,
            fields: &self.fields.0,
            poll: &self.poll,
            startup: &self.startup,
            commands: &self.commands.named,
            framing: None,
            port_framing: Some(&self.framing),
            decrypt: self.decrypt.as_ref(),
            decode: self.decode.as_ref(),
            messages: self.messages.as_deref(),
            checksum: self.checksum.as_ref(),
        };
        if self.devices.is_empty() {
            return if own.is_asked() || !own.commands.is_empty() { vec![own] } else { Vec::new() };
        }
        self.devices.iter().map(|(name, device)| device.member(name.as_str(), &own)).collect()
    }

    /// All entries of `messages`.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        let frames = self.frames.iter().map(|frame| &frame.messages);
        std::iter::once(&self.messages).chain(frames).flatten().flatten()
    }
}

/// Settings of a line on which devices are asked.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Bus {
    /// The shortest silence between any two frames, whoever sends them. Default, and never less: 3.5
    /// characters, or 1.75ms above 19200 baud.
    pub silence: Option<Span>,
    /// How long nothing is written after a broadcast (address 0), so that all devices can carry it out.
    /// Default: 100ms.
    pub turnaround: Span,
    /// Whether the adapter hears what it sends, as some RS-485 adapters do. What it hears of itself is
    /// dropped. Default: the gateway finds out.
    pub echo: Option<bool>,
    /// Who switches the transmitter of an RS-485 line. Only for `path` and `usb`, and neither beside
    /// `rts` nor `flow: hardware`. Tested down to the calls of the kernel, not on hardware. Default:
    /// `none`.
    pub rs485: Rs485,
}

impl Default for Bus {
    fn default() -> Bus {
        let turnaround = Span::from_millis(100);
        Bus { silence: None, turnaround, echo: None, rs485: Rs485::None }
    }
}

/// A USB vendor or product id: four hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbId(pub u16);

impl FromStr for UsbId {
    type Err = BuildError;
    fn from_str(text: &str) -> Result<UsbId, BuildError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        match u16::from_str_radix(digits, 16) {
            Ok(id) if digits.len() == 4 => Ok(UsbId(id)),
            _ => wrong(
                format!("{text:?} is not a valid USB id"),
                "write four hexadecimal digits in quotes, as in \"1a86\"",
            ),
        }
    }
}

impl fmt::Display for UsbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

impl serde::Serialize for UsbId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A USB adapter, by its ids. `tty2mqtt ports` shows them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Usb {
    /// Vendor id, four hexadecimal digits in quotes: `"1a86"`.
    pub vendor: UsbId,
    /// Product id, four hexadecimal digits in quotes: `"7523"`.
    pub product: UsbId,
    /// Serial number, to distinguish several adapters of one model.
    pub serial: Option<String>,
    /// Interface number of an adapter with several ports, from 0.
    pub interface: Option<u8>,
}

/// Flow control.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// No flow control.
    #[default]
    None,
    /// With the lines RTS and CTS.
    Hardware,
    /// With the characters XON and XOFF.
    Software,
}

/// The state of a modem line after opening.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ModemLine {
    /// As it is. It is not switched off when the port is closed, either.
    #[default]
    Keep,
    /// Switched on.
    On,
    /// Switched off.
    Off,
}

//! The settings of one device, as the configuration of its port has them.

use crate::base::line::Line;
use crate::device::mapping::{Mapping, Names};
use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::codec::decode::Decode;
pub use crate::codec::decrypt::Decrypt;
pub use crate::codec::field::{FieldOverride, FieldOverrides};
pub use crate::codec::frame::{Checksum, Framing};
pub use crate::codec::modbus::{ByteOrder, Join, Mode, RegisterSettings};
pub use crate::device::command::{CommandRule, CommandSettings};
pub use crate::device::member::MemberSettings;
pub use crate::device::named::NamedCommand;
pub use crate::device::on_bus::OnBus;
pub use crate::device::pipeline::FrameKind;
pub use crate::device::poll::PollSettings;
pub use crate::device::step::StepSettings;

/// What the settings of a port say of the device on it.
#[derive(Clone, Debug)]
pub struct DeviceSettings<'a> {
    pub names: Names<'a>,
    /// Where it is known, silences are counted in its characters.
    pub line: Option<&'a Line>,
    pub framing: &'a Framing,
    pub checksum: Option<&'a Checksum>,
    pub decrypt: Option<&'a Decrypt>,
    pub decode: Option<&'a Decode>,
    pub messages: Option<&'a [Mapping]>,
    pub frames: &'a [FrameKind],
    /// Settings of single fields, where no device is asked.
    pub fields: &'a BTreeMap<String, FieldOverride>,
    pub commands: &'a [CommandRule],
    /// How long commands wait for a line that is not open.
    pub command_wait: Duration,
    /// The devices that are asked: the port's own, or those of its bus.
    pub members: Vec<MemberSettings<'a>>,
    /// Which Modbus is spoken on the line.
    pub mode: Mode,
    /// The shortest silence between two frames, where it is longer than the line's own.
    pub silence: Option<Duration>,
    /// How long nothing is written after a broadcast.
    pub turnaround: Duration,
    /// Whether the line echoes what is written; `None`: the device finds out.
    pub echo: Option<bool>,
}

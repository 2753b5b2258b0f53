//! The settings of one device, as the configuration of its port has them.

use crate::base::line::Line;
use crate::device::mapping::{Mapping, Names};
use std::time::Duration;

pub use crate::codec::decode::Decode;
pub use crate::codec::frame::{Checksum, Framing};
pub use crate::device::command::CommandRule;
pub use crate::device::pipeline::FrameKind;

/// What the settings of a port say of the device on it.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSettings<'a> {
    pub names: Names<'a>,
    /// Where it is known, silences are counted in its characters.
    pub line: Option<&'a Line>,
    pub framing: &'a Framing,
    pub checksum: Option<&'a Checksum>,
    pub decode: Option<&'a Decode>,
    pub messages: Option<&'a [Mapping]>,
    pub frames: &'a [FrameKind],
    pub commands: &'a [CommandRule],
    /// How long commands wait for a line that is not open.
    pub command_wait: Duration,
}

//! A device: its bytes become messages, messages from the broker become its bytes. Sans-io.

pub mod capture;
pub mod cases;
pub mod command;
pub mod last_values;
pub mod mapping;
pub mod pipeline;
pub mod publication;
pub mod settings;

// What the room `port` needs of the rooms below this one.
pub use crate::codec::frame::FrameCounts;
pub(crate) use crate::codec::frame::READ;
pub use crate::codec::value::RejectReason;
pub use crate::mqtt::message::Message;
pub use crate::mqtt::topic::{Qos, Topic};
pub use publication::Publication;

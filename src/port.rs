//! Serial ports: opening them by path, by USB id or over the network, and the task of each.
//!
//! Architecture Invariant: nothing outside of this module knows `tokio_serial`.

#[cfg(feature = "tools")]
pub mod bare;
pub mod devices;
mod in_use;
mod line;
mod line_change;
pub mod line_counts;
pub mod list;
mod marks;
mod open;
pub mod rs485;
pub mod settings;
pub mod status;
mod stream;
mod system_calls;
pub mod task;
mod telnet;
mod tty;
mod tty_io;
pub mod usb;

pub use line_change::{LineRequests, LineSetter, NotSet, line_change};
#[cfg(any(test, feature = "testing"))]
pub use open::open;
pub use open::{LinkKind, OpenError, Opened, Opener};
pub use stream::{PortStream, Stream};

//! Serial ports: opening them by path, by USB id or over the network, and the task of each.
//!
//! Architecture Invariant: nothing outside of this module knows `tokio_serial`.

pub mod devices;
mod in_use;
pub mod line_counts;
pub mod list;
mod marks;
mod open;
pub mod settings;
pub mod status;
mod stream;
pub mod task;
pub mod usb;

#[cfg(any(test, feature = "testing"))]
pub use open::open;
pub use open::{LinkKind, OpenError, Opened, Opener};
pub use stream::Stream;

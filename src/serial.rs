//! Serial ports: opening them by path, by USB id or over the network, and the task of each.
//!
//! Architecture Invariant: nothing outside of this module knows `tokio_serial`.

mod in_use;
mod line_counts;
pub mod list;
mod marks;
mod open;
pub mod port;
#[cfg(feature = "demo")]
pub mod pty;
mod stream;
pub mod usb;

pub use open::{OpenError, Opener, open};
pub use stream::Stream;

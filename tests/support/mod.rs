//! What the tests share: programs that they start, and both ends of conversations.

// No binary needs all of it.
#[allow(dead_code)]
#[macro_use]
pub mod needs;

pub mod certificates;
pub mod chance;
pub mod control;
mod free_port;
pub mod gateway;
pub mod lines;
pub mod linked;
pub mod mosquitto;
pub mod peer;
pub mod port;
pub mod preload;
pub mod proxy;
pub mod ser2net;
pub mod talk;

pub use free_port::free_port;

use std::time::Duration;

/// For anything that should happen soon.
pub const DEADLINE: Duration = Duration::from_secs(30);

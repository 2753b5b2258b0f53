//! tty2mqtt reads frames from serial devices, maps them to MQTT topics by one YAML file and keeps
//! them until the broker has them. Commands travel back the same way.
//!
//! The only public room is [`mqtt`], our MQTT client. `ARCHITECTURE.md` has the map of the others.

// Without the feature `testing` what only tests use is not imported.
#![cfg_attr(not(feature = "testing"), allow(unused_imports))]

mod base;
mod cli;
mod codec;
mod config;
mod control;
#[cfg(feature = "demo")]
mod demo;
mod device;
mod gateway;
pub mod mqtt;
mod outbox;
mod port;
#[cfg(feature = "shell")]
mod shell;
#[cfg(all(feature = "demo", not(feature = "testing")))]
#[allow(dead_code, reason = "the demo uses a part of what the tests do")]
mod testing;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;

/// Runs `tty2mqtt` with the arguments of this process.
#[doc(hidden)]
pub fn main() -> std::process::ExitCode {
    cli::run_process()
}

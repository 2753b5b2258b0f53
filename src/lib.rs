//! tty2mqtt reads frames from serial devices, maps them to MQTT topics by one YAML file and keeps
//! them until the broker has them. Commands travel back the same way.
//!
//! The modules in the order in which a byte meets them:
//!
//! - [`config`]: what the user wrote, checked whole before anything starts.
//! - [`serial`]: opens ports, finds USB adapters, runs one task per port.
//! - [`frame`]: bytes → frames. [`decode`]: frame → readings. [`map`]: readings → messages.
//!   [`pipeline`] is the three of them for one port, without I/O.
//! - [`command`]: message from the broker → bytes for a port.
//! - [`outbox`]: bounded store of messages that the broker has not acknowledged.
//! - [`mqtt`]: packets, session, link: our own MQTT client.
//! - [`status`]: what the gateway says about itself.
//! - [`last`]: the last value of each topic. [`control`]: the socket on which the gateway is asked.
//! - [`app`]: wires tasks, threads and channels together.
//!
//! Everything in `frame`, `decode`, `map`, `pipeline`, `outbox` and `mqtt::session` is sans-io:
//! no sockets, no tasks, no clock. Time is an argument, the next deadline a return value.

pub mod app;
pub mod backoff;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod decode;
#[cfg(feature = "demo")]
pub mod demo;
pub mod frame;
pub mod golden;
pub mod intake;
pub mod journal;
pub mod last;
pub mod log;
mod machine;
pub mod map;
pub mod message;
pub mod mqtt;
pub mod outbox;
pub mod pipeline;
pub mod plain;
pub mod serial;
pub mod status;
pub mod uplink;
pub mod value;

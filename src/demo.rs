//! `tty2mqtt demo`: simulated sensors on virtual serial ports, the real gateway, and a broker.
//!
//! The broker is on our own packet codec, with fault injection, so that tests use it too. It is no
//! broker for production: it keeps everything in memory, knows QoS 0 and 1 only, and one user at
//! most. Router builds leave this module out.

mod actor;
pub mod broker;
pub mod play;
pub mod sensors;
pub mod server;
pub mod tally;

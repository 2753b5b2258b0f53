//! `tty2mqtt demo`: simulated sensors on virtual serial ports, the real gateway, and a broker.
//!
//! Router builds leave this module out.

mod actor;
mod bus;
pub mod play;
pub mod player;
pub mod sensors;
pub mod simulation;
pub mod tally;

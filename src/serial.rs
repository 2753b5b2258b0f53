//! Serial ports.

pub mod port;

//! A device: its bytes become messages, messages from the broker become its bytes. Sans-io.

pub mod capture;
pub mod cases;
pub mod command;
pub mod last_values;
pub mod mapping;
pub mod pipeline;

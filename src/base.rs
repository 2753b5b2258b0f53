//! What every room may use: times, back-off, the log, and text that steers no terminal.

pub mod backoff;
pub mod clock;
pub mod command_line;
pub mod log;
pub mod plain;

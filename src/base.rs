//! What every room may use: times, back-off, the log, and text that steers no terminal.

pub mod backoff;
pub mod bucket;
pub mod calendar;
pub mod clock;
pub mod command_line;
pub mod deque;
pub mod durability;
pub mod json;
pub mod line;
pub mod log;
pub mod nearest;
pub mod one_by_one;
pub mod path;
pub mod plain;
pub mod scalar;
pub mod secret;
pub mod sorted;

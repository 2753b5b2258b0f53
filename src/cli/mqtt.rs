//! MQTT from the shell: `pub`, `sub` and `test`.

pub mod format;
pub mod options;
pub mod stub;

//! Bytes → frames → readings, without I/O, clock or any knowledge of MQTT.

pub mod checksum;
mod decimal;
pub mod decode;
pub mod endian;
pub mod field;
pub mod frame;
pub mod value;

//! Bytes → frames → readings, without I/O, clock or any knowledge of MQTT.

pub mod checksum;
pub mod decode;
pub mod frame;
pub mod value;

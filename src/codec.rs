//! Bytes → frames → readings, without I/O, clock or any knowledge of MQTT.

pub mod bounds;
pub mod calc;
pub mod checksum;
pub mod decimal;
pub mod decode;
pub mod decrypt;
pub mod dlms_unit;
pub mod encode;
pub mod endian;
pub mod field;
pub mod frame;
pub mod modbus;
pub mod obis_code;
#[cfg(feature = "tools")]
pub mod recognise;
pub mod spelled;
pub mod time;
pub mod unit;
pub mod value;

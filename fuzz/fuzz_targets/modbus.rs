#![no_main]

#[path = "../one/modbus.rs"]
mod one;

libfuzzer_sys::fuzz_target!(|data: &[u8]| one::fuzz_one(data));

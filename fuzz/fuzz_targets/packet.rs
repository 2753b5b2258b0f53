#![no_main]

#[path = "../one/packet.rs"]
mod one;

libfuzzer_sys::fuzz_target!(|data: &[u8]| one::fuzz_one(data));

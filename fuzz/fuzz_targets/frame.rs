#![no_main]

#[path = "../one/frame.rs"]
mod one;

libfuzzer_sys::fuzz_target!(|data: &[u8]| one::fuzz_one(data));

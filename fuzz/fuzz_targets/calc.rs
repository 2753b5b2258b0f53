#![no_main]

#[path = "../one/calc.rs"]
mod one;

libfuzzer_sys::fuzz_target!(|data: &[u8]| one::fuzz_one(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| butane::fuzz::yaml(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| resolve::fuzz_message(data));

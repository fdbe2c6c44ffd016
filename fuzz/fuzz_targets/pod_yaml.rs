#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pod::fuzz_spec(data));

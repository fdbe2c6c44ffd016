#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ignition_spec::fuzz_json(data));

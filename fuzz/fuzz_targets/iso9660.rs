#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provision::fuzz::iso9660(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provision::fuzz::day2_files(data));

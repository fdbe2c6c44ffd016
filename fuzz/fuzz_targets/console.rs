#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vm::fuzz_console(data));

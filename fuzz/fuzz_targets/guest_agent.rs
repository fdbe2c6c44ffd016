#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vm::fuzz_guest_agent(data));

//! Frames and messages of the guest agent, as either end reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vm::fuzz_guest_agent(bytes));

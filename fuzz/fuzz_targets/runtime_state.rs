#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(oci_runtime::state::Record::parse(data)));

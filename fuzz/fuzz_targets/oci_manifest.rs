#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oci_image::fuzz_manifest(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    orlop_config::fuzz::lsp_stream(bytes);
    orlop_config::fuzz::lsp_text(bytes);
});

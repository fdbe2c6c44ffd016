//! The parts of `orlop-config` that are tested and fuzzed without a process: the language server, packing.

pub mod lsp;
pub mod pack;
pub mod pages;
pub mod views;

/// Fuzz entries.
pub mod fuzz {
    /// Any bytes on the server's standard input must be answered or refused.
    pub fn lsp_stream(bytes: &[u8]) {
        let mut out = Vec::new();
        let _ = crate::lsp::serve(&mut std::io::BufReader::new(bytes), &mut out);
    }

    /// Any text must have diagnostics, and a context for completion at each of its lines' ends.
    pub fn lsp_text(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for language in ["json", "yaml"] {
            crate::lsp::exercise(&text, language);
        }
    }
}

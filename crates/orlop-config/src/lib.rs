//! The language server of `orlop-config`, as a library so that it can be tested and fuzzed without a process.

pub mod lsp;
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

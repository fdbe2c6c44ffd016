//! Entries for fuzzing: parsers of bytes from outside must answer to anything without a panic.

use crate::fetch::data_url;
use crate::fetch::documents::decode_source_maps;
use crate::net::dns;
use crate::plan::install::Install;

/// `data:` URLs of configs.
pub fn data_url(bytes: &[u8]) {
    if let Ok(url) = std::str::from_utf8(bytes) {
        let _ = data_url::decode(url);
    }
}

/// Answers of name servers.
pub fn dns_answer(bytes: &[u8]) {
    for record_type in [1, 28] {
        let _ = dns::decode_answer(bytes, "www.example.org", record_type);
    }
}

/// Unit files of a config or an image.
pub fn unit_file(bytes: &[u8]) {
    let install = Install::parse(&String::from_utf8_lossy(bytes));
    for unit in ["a.service", "a@.service", "a@b.service", ""] {
        let _ = install.links(unit);
    }
}

/// Source maps beside a config.
pub fn source_map(bytes: &[u8]) {
    let _ = decode_source_maps(bytes);
}

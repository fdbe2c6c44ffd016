//! Encodings of user data.

use std::io::Read as _;

use base64::Engine as _;
use flate2::read::MultiGzDecoder;

use super::{PlatformError, USER_DATA_BYTES_MAX};

/// First bytes of gzip (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Decodes base64 with line ends in it.
pub(super) fn base64(from: &str, data: &[u8]) -> Result<Vec<u8>, PlatformError> {
    let compact: Vec<u8> = data.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let engine = base64::engine::general_purpose::STANDARD;
    engine.decode(compact).map_err(|_| PlatformError::Decode { from: from.to_owned(), what: "base64" })
}

/// Unpacks gzip.
pub(super) fn gunzip(from: &str, data: &[u8]) -> Result<Vec<u8>, PlatformError> {
    let bad = |what| PlatformError::Decode { from: from.to_owned(), what };
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(data).take(USER_DATA_BYTES_MAX + 1).read_to_end(&mut out);
    match read {
        Ok(length) if length as u64 > USER_DATA_BYTES_MAX => Err(bad("of a size that anybody means")),
        Ok(_) => Ok(out),
        Err(_) => Err(bad("gzip, or not all of it")),
    }
}

/// Unpacks what is gzip and leaves the rest.
pub(super) fn maybe_gunzip(from: &str, data: Vec<u8>) -> Result<Vec<u8>, PlatformError> {
    if data.starts_with(&GZIP) { gunzip(from, &data) } else { Ok(data) }
}

//! Contents as data URLs: percent-escaped, base64, or base64 of gzip, whichever is shortest.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Length in bytes below which gzip cannot be shorter: its frame alone is 18 bytes, 24 in base64.
const GZIP_MIN_BYTES: usize = 32;

/// What Go's compressor, by which upstream decides, ends a stream with and ours does not: an empty stored block.
const GO_TRAILER_BYTES: usize = 5;

/// A data URL with `contents`, and the compression to set for it: none when `given` already says how the user
/// compressed them, else `gzip`, or empty so that no parent's value is inherited.
pub(crate) fn encode(contents: &[u8], given: Option<&str>, compress: bool) -> (String, Option<&'static str>) {
    let user_compressed = given.is_some_and(|method| !method.is_empty());
    let base64_len = ";base64,".len() + contents.len().div_ceil(3) * 4;
    let escaped_len = 1 + contents.iter().map(|byte| if is_plain(*byte) { 1 } else { 3 }).sum::<usize>();
    let shorter = base64_len.min(escaped_len);
    if !user_compressed && compress && shorter > GZIP_MIN_BYTES {
        let packed = gzip(contents);
        let packed_len = ";base64,".len() + (packed.len() + GO_TRAILER_BYTES).div_ceil(3) * 4;
        if packed_len + "gzip".len() < shorter {
            return (base64_url(&packed), Some("gzip"));
        }
    }
    let url =
        if base64_len < escaped_len { base64_url(contents) } else { escaped_url(contents, escaped_len) };
    (url, (!user_compressed).then_some(""))
}

/// A data URL with `contents` percent-escaped, the only form of fcos 1.0.
pub(crate) fn escape(contents: &[u8]) -> String {
    escaped_url(contents, contents.len())
}

fn base64_url(bytes: &[u8]) -> String {
    let mut url = String::from("data:;base64,");
    STANDARD.encode_string(bytes, &mut url);
    url
}

fn escaped_url(contents: &[u8], len: usize) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut url = String::with_capacity("data:".len() + len);
    url.push_str("data:,");
    for byte in contents {
        if is_plain(*byte) {
            url.push(char::from(*byte));
        } else {
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    url
}

/// RFC 2396's unreserved characters.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

/// `contents` as gzip at the best level, with no time and no name: the same bytes for the same contents.
fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::GzBuilder::new().operating_system(255).write(Vec::new(), flate2::Compression::best());
    match encoder.write_all(contents).and_then(|()| encoder.finish()) {
        Ok(packed) => packed,
        // A vector takes all that is written to it.
        Err(_) => contents.to_vec(),
    }
}

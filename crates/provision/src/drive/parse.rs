//! Numbers and texts at offsets. What is beyond the end is `None`.

pub(crate) fn bytes<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn le16(data: &[u8], at: usize) -> Option<u16> {
    bytes(data, at).map(u16::from_le_bytes)
}

pub(crate) fn le32(data: &[u8], at: usize) -> Option<u32> {
    bytes(data, at).map(u32::from_le_bytes)
}

pub(crate) fn le64(data: &[u8], at: usize) -> Option<u64> {
    bytes(data, at).map(u64::from_le_bytes)
}

/// UTF-16, big endian, with a replacement for what is none.
pub(crate) fn utf16_be(data: &[u8]) -> String {
    let units = data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A text in a field that is filled up with blanks or zeros.
pub(crate) fn trimmed(text: &str) -> String {
    text.trim_end_matches(['\0', ' ']).to_owned()
}

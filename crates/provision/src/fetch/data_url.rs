//! `data:` URLs (RFC 2397): the content of most files of a config.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Accepts base64 with and without padding, as Go's decoder that real configs were tested with does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a `data:` URL cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DataUrlError {
    /// The part before the data is missing its comma.
    #[error("the data URL has no comma before its data")]
    NoComma,
    /// It does not start with `data:`.
    #[error("the URL does not start with data:")]
    NotData,
    /// The data are not base64.
    #[error("the data of the URL are not base64")]
    Base64 {
        /// What the decoder found.
        #[source]
        source: base64::DecodeError,
    },
}

/// Decodes the data of a `data:` URL; the media type is of no interest.
///
/// # Errors
/// [`DataUrlError`] when it is none.
pub fn decode(url: &str) -> Result<Vec<u8>, DataUrlError> {
    let body = match url.split_at_checked(5) {
        Some((scheme, body)) if scheme.eq_ignore_ascii_case("data:") => body,
        _ => return Err(DataUrlError::NotData),
    };
    let (head, data) = body.split_once(',').ok_or(DataUrlError::NoComma)?;
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(data).collect();
    if !head.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64")) {
        return Ok(bytes);
    }
    let compact: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(compact).map_err(|source| DataUrlError::Base64 { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_data() {
        for (url, data) in [
            ("data:,", ""),
            ("data:,hello%20world%0A", "hello world\n"),
            ("data:text/plain;charset=utf-8,a,b", "a,b"),
            ("data:;base64,aGk=", "hi"),
            ("data:;base64,aGk", "hi"),
            ("data:;base64,aGk%3D", "hi"),
            ("DATA:text/plain;base64,aG\nk=", "hi"),
        ] {
            assert_eq!(decode(url).unwrap(), data.as_bytes(), "{url}");
        }
        assert!(matches!(decode("data:"), Err(DataUrlError::NoComma)));
        assert!(matches!(decode("http://a/,"), Err(DataUrlError::NotData)));
        assert!(matches!(decode("data:;base64,%%%"), Err(DataUrlError::Base64 { .. })));
    }
}

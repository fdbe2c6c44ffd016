//! Frames: `0xFF`, the payload's length as eight lower-case hexadecimal digits, the payload.
//!
//! The payload is UTF-8 text, in which `0xFF` cannot occur; the length is text for the same reason. So
//! `0xFF` always begins a frame, and a reader that meets one inside a frame drops the cut frame.

use std::collections::VecDeque;

/// First byte of each frame.
pub const MARK: u8 = 0xFF;

/// Bytes before the payload: the mark and eight digits.
pub const HEADER_BYTES: usize = 9;

/// Longest payload accepted, in bytes. Bulk data travels in pieces well below it; a longer frame is noise.
pub const PAYLOAD_MAX_BYTES: usize = 1 << 20;

/// Why a frame was dropped; the decoder goes on with the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Eight digits did not follow the mark.
    #[error("frame header is not eight hexadecimal digits: {header:?}")]
    Header {
        /// The bytes found, as text.
        header: String,
    },
    /// The length is over [`PAYLOAD_MAX_BYTES`].
    #[error("frame of {length} bytes, more than {PAYLOAD_MAX_BYTES}")]
    TooLong {
        /// The length stated, in bytes.
        length: usize,
    },
    /// A new frame began before this one was complete.
    #[error("frame cut short: {had} of {length} bytes")]
    Cut {
        /// Bytes of payload that had come.
        had: usize,
        /// Bytes stated in the header.
        length: usize,
    },
}

/// One frame around `payload`, which must be UTF-8 text of at most [`PAYLOAD_MAX_BYTES`].
#[must_use]
pub fn encode(payload: &str) -> Vec<u8> {
    assert!(payload.len() <= PAYLOAD_MAX_BYTES, "callers send bulk data in pieces");
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.push(MARK);
    frame.extend_from_slice(format!("{:08x}", payload.len()).as_bytes());
    frame.extend_from_slice(payload.as_bytes());
    frame
}

/// Finds frames in a stream of bytes that may begin, break and resume anywhere.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Either empty or beginning with [`MARK`]; never more than one frame long.
    partial: Vec<u8>,
    ready: VecDeque<Result<Vec<u8>, FrameError>>,
}

impl Decoder {
    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.push_byte(byte);
        }
    }

    /// The next complete payload, or why one was dropped.
    pub fn next_frame(&mut self) -> Option<Result<Vec<u8>, FrameError>> {
        self.ready.pop_front()
    }

    /// Bytes held of a frame that is not complete.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }

    fn push_byte(&mut self, byte: u8) {
        if byte == MARK {
            self.drop_cut_frame();
            self.partial.push(MARK);
            return;
        }
        if self.partial.is_empty() {
            return; // between frames: the rest of a cut one, or noise
        }
        self.partial.push(byte);
        if self.partial.len() < HEADER_BYTES {
            return;
        }
        match header_length(&self.partial[1..HEADER_BYTES]) {
            Err(error) => {
                self.partial.clear();
                self.ready.push_back(Err(error));
            }
            Ok(length) if self.partial.len() == HEADER_BYTES + length => {
                let payload = self.partial.split_off(HEADER_BYTES);
                self.partial.clear();
                self.ready.push_back(Ok(payload));
            }
            Ok(_) => {}
        }
    }

    fn drop_cut_frame(&mut self) {
        if self.partial.len() >= HEADER_BYTES
            && let Ok(length) = header_length(&self.partial[1..HEADER_BYTES])
        {
            let had = self.partial.len() - HEADER_BYTES;
            self.ready.push_back(Err(FrameError::Cut { had, length }));
        }
        self.partial.clear();
    }
}

fn header_length(digits: &[u8]) -> Result<usize, FrameError> {
    let bad = || FrameError::Header { header: String::from_utf8_lossy(digits).into_owned() };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad());
    }
    let text = std::str::from_utf8(digits).map_err(|_| bad())?;
    let length = usize::from_str_radix(text, 16).map_err(|_| bad())?;
    if length > PAYLOAD_MAX_BYTES {
        return Err(FrameError::TooLong { length });
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(bytes: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        std::iter::from_fn(|| decoder.next_frame()).collect()
    }

    #[test]
    fn frame_form_is_stable() {
        assert_eq!(encode("{}"), b"\xff00000002{}");
        assert_eq!(encode(""), b"\xff00000000");
    }

    #[test]
    fn cut_frame_gives_way_to_the_next() {
        let mut bytes = encode("lost")[..HEADER_BYTES + 2].to_vec();
        bytes.extend(encode("kept"));
        assert_eq!(frames(&bytes), [Err(FrameError::Cut { had: 2, length: 4 }), Ok(b"kept".to_vec())]);
    }

    #[test]
    fn tail_of_an_older_frame_is_skipped() {
        let mut bytes = encode("an older frame")[12..].to_vec();
        bytes.extend(encode("kept"));
        assert_eq!(frames(&bytes), [Ok(b"kept".to_vec())]);
    }

    #[test]
    fn bad_headers_are_named() {
        assert_eq!(frames(b"\xff0000zz00"), [Err(FrameError::Header { header: "0000zz00".into() })]);
        assert_eq!(frames(b"\xff7fffffff"), [Err(FrameError::TooLong { length: 0x7fff_ffff })]);
    }

    proptest! {
        #[test]
        fn any_cut_of_a_stream_decodes_alike(texts in prop::collection::vec(".{0,40}", 0..6), size in 1usize..13) {
            let stream: Vec<u8> = texts.iter().flat_map(|text| encode(text)).collect();
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame() {
                    found.push(String::from_utf8(frame.unwrap()).unwrap());
                }
            }
            prop_assert_eq!(found, texts);
        }

        #[test]
        fn noise_never_breaks_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            crate::fuzz(&bytes);
        }
    }
}

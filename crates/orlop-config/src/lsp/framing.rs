//! Messages on a stream: a header `Content-Length: N`, an empty line, N bytes of JSON (Language Server Protocol 3.17,
//! base protocol).

use std::io::{self, BufRead, Read as _, Write};

/// Largest message that is read, in bytes; a document of the largest size that a platform hands out is far smaller.
pub(crate) const MESSAGE_MAX_BYTES: usize = 64 << 20;

/// Longest header line, in bytes.
const HEADER_MAX_BYTES: u64 = 1024;

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed or ended within a message.
    #[error("cannot read a message")]
    Read {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A header line without colon, or longer than allowed.
    #[error("a header line is malformed: {line:?}")]
    Header {
        /// The line, shortened.
        line: String,
    },
    /// The length is missing, no number, or too large.
    #[error("a message has no usable Content-Length")]
    Length,
}

/// The next message; nothing at the end of the stream.
pub(crate) fn read(stream: &mut impl BufRead) -> Result<Option<Vec<u8>>, FrameError> {
    let mut length = None;
    let mut first = true;
    loop {
        let mut line = Vec::new();
        let count = stream
            .by_ref()
            .take(HEADER_MAX_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|source| FrameError::Read { source })?;
        if count == 0 && first {
            return Ok(None);
        }
        first = false;
        if line.last() != Some(&b'\n') {
            return Err(malformed(&line));
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            break;
        }
        let at = line.iter().position(|byte| *byte == b':').ok_or_else(|| malformed(line))?;
        if line[..at].eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(line[at + 1..].trim_ascii()).ok().and_then(|text| text.parse().ok());
        }
    }
    let length: usize = length.filter(|length| *length <= MESSAGE_MAX_BYTES).ok_or(FrameError::Length)?;
    let mut message = Vec::new();
    let count = stream
        .by_ref()
        .take(length as u64)
        .read_to_end(&mut message)
        .map_err(|source| FrameError::Read { source })?;
    match count == length {
        true => Ok(Some(message)),
        false => Err(FrameError::Read { source: io::ErrorKind::UnexpectedEof.into() }),
    }
}

fn malformed(line: &[u8]) -> FrameError {
    FrameError::Header { line: String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned() }
}

/// Writes one message.
pub(crate) fn write(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    write!(stream, "Content-Length: {}\r\n\r\n", message.len())?;
    stream.write_all(message)?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut stream = Vec::new();
        write(&mut stream, b"{}").unwrap();
        write(&mut stream, b"[1]").unwrap();
        let mut rest = stream.as_slice();
        assert_eq!(read(&mut rest).unwrap().as_deref(), Some(&b"{}"[..]));
        assert_eq!(read(&mut rest).unwrap().as_deref(), Some(&b"[1]"[..]));
        assert!(read(&mut rest).unwrap().is_none());
    }

    #[test]
    fn bad_frames_are_refused() {
        for text in [
            "x\r\n\r\n",
            "Content-Length: x\r\n\r\n",
            "A: b\r\n\r\n",
            "Content-Length: 5\r\n\r\nab",
            "Content",
        ] {
            assert!(read(&mut text.as_bytes()).is_err(), "{text:?}");
        }
        let further =
            "content-length: 2\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n{}";
        assert_eq!(read(&mut further.as_bytes()).unwrap().as_deref(), Some(&b"{}"[..]));
    }
}

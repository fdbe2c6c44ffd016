//! Just enough of HTTP/1.1 (RFC 9112) to serve files: requests without a body, responses with a known length.

use std::io::{self, BufRead, Read, Write};

/// A request's head is at most so long.
const HEAD_BYTES_MAX: u64 = 16 << 10;

/// What a peer asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// `Range: bytes=FIRST-[LAST]`, if there is a single one; other forms are passed over, as RFC 9110 allows.
    pub range: Option<(u64, Option<u64>)>,
    /// Whether the connection goes on after the answer.
    pub keep_alive: bool,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer does not speak HTTP/1.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Request {
    /// Reads one request; none if the peer closed the connection in between.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn read(reader: &mut impl BufRead) -> Result<Option<Self>, RequestError> {
        // A peer that tries TLS first sends no line and waits for an answer: it gets one at once.
        if reader.fill_buf()?.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            return Err(RequestError::Malformed("only HTTP is spoken here"));
        }
        let mut left = HEAD_BYTES_MAX;
        let Some(first) = line(reader, &mut left)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(RequestError::Malformed("the request line has not three words"));
        };
        if !version.starts_with("HTTP/1.") {
            return Err(RequestError::Malformed("only HTTP/1 is spoken here"));
        }
        let mut request = Self {
            method: method.to_owned(),
            path: target.split('?').next().unwrap_or_default().to_owned(),
            range: None,
            keep_alive: version == "HTTP/1.1",
        };
        loop {
            let Some(header) = line(reader, &mut left)? else {
                return Err(RequestError::Malformed("the request ends in its head"));
            };
            if header.is_empty() {
                return Ok(Some(request));
            }
            request.header(&header)?;
        }
    }

    fn header(&mut self, header: &str) -> Result<(), RequestError> {
        let Some((name, value)) = header.split_once(':') else {
            return Err(RequestError::Malformed("a header has no colon"));
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "connection" => self.keep_alive &= !value.eq_ignore_ascii_case("close"),
            "range" => self.range = parse_range(value),
            "content-length" if value != "0" => {
                return Err(RequestError::Malformed("requests with a body are not read"));
            }
            "transfer-encoding" => return Err(RequestError::Malformed("requests with a body are not read")),
            _ => {}
        }
        Ok(())
    }
}

fn parse_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}

/// A line without its end; none at the end of the stream.
fn line(reader: &mut impl BufRead, left: &mut u64) -> Result<Option<String>, RequestError> {
    let mut bytes = Vec::new();
    let count = reader.take(*left).read_until(b'\n', &mut bytes)?;
    if count == 0 && *left > 0 {
        return Ok(None);
    }
    *left -= count as u64;
    if bytes.pop() != Some(b'\n') {
        return Err(RequestError::Malformed("the request's head is too long or cut short"));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map(Some).map_err(|_| RequestError::Malformed("the request's head is not UTF-8"))
}

/// What goes back.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    body: Box<dyn Read>,
    length: u64,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Response {
    /// A body of known length that is read as it is sent.
    #[must_use]
    pub fn stream(status: u16, body: Box<dyn Read>, length: u64) -> Self {
        let headers = vec![("Content-Type", "application/octet-stream".to_owned())];
        Self { status, headers, body, length }
    }

    /// A body in memory.
    #[must_use]
    pub fn bytes(status: u16, media_type: &str, bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        let headers = vec![("Content-Type", media_type.to_owned())];
        Self { status, headers, body: Box::new(io::Cursor::new(bytes)), length }
    }

    /// A JSON body.
    #[must_use]
    pub fn json(status: u16, text: impl Into<String>) -> Self {
        Self::bytes(status, "application/json", text.into().into_bytes())
    }

    /// An error in the shape of the distribution-spec.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::json(status, body.to_string())
    }

    /// Sends it; gives the number of body bytes sent.
    ///
    /// # Errors
    /// The connection's, or the body's where it ends early.
    pub fn write(mut self, out: &mut impl Write, head_only: bool, keep_alive: bool) -> io::Result<u64> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let connection = if keep_alive { "keep-alive" } else { "close" };
        head.push_str(&format!("Content-Length: {}\r\n", self.length));
        head.push_str(&format!(
            "Docker-Distribution-Api-Version: registry/2.0\r\nConnection: {connection}\r\n\r\n"
        ));
        out.write_all(head.as_bytes())?;
        if head_only {
            return Ok(0);
        }
        let sent = io::copy(&mut (&mut self.body).take(self.length), out)?;
        if sent < self.length {
            // The length was promised: only closing the connection tells the peer the truth.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(sent)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Request>, RequestError> {
        Request::read(&mut text.as_bytes())
    }

    #[test]
    fn a_request_is_read() {
        let request = read("GET /v2/a?x=1 HTTP/1.1\r\nHost: h\r\nRange: bytes=5-\r\n\r\n").unwrap().unwrap();
        assert_eq!(request.path, "/v2/a");
        assert_eq!(request.range, Some((5, None)));
        assert!(request.keep_alive);
        assert!(read("").unwrap().is_none());
        assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().keep_alive);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
        assert!(matches!(read("\u{16}\u{3}\u{1}"), Err(RequestError::Malformed(_))), "a TLS hello");
        for text in [
            "GET /\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nx\r\n\r\n",
            "GET / HT",
            &long,
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        ] {
            assert!(matches!(read(text), Err(RequestError::Malformed(_))), "{text:.40}");
        }
    }
}

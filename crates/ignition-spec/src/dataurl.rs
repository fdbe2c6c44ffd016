//! `data:` URLs (RFC 2397), as upstream's decoder takes them.

/// Why a data URL does not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else than `data:`.
    #[error("missing data prefix")]
    Prefix,
    /// No comma.
    #[error("missing comma before data")]
    Comma,
    /// A character that cannot start a media type.
    #[error("invalid character after data prefix")]
    AfterPrefix,
    /// A media type without slash.
    #[error("missing media type slash")]
    Slash,
    /// A character that no media type has.
    #[error("invalid character for media type")]
    TypeCharacter,
    /// A media type that is none.
    #[error("invalid media type")]
    Type,
    /// A character that no media subtype has.
    #[error("invalid character for media subtype")]
    SubtypeCharacter,
    /// Nothing after the slash.
    #[error("incomplete media type")]
    Incomplete,
    /// A parameter that does not end.
    #[error("unterminated parameter sequence")]
    Parameter,
    /// A character that no parameter name has.
    #[error("invalid character for parameter attribute")]
    AttributeCharacter,
    /// A character that no parameter value has.
    #[error("invalid character for parameter value")]
    ValueCharacter,
    /// A quoted value that does not end.
    #[error("unclosed quoted string")]
    Quote,
    /// Something else than `;` or `,`.
    #[error("expected semicolon or comma")]
    Separator,
    /// A last parameter without value that is not `base64`.
    #[error("expected base64, got {found}")]
    NotBase64 {
        /// What is there.
        found: String,
    },
    /// A character that the data cannot have.
    #[error("invalid data character")]
    DataCharacter,
    /// Broken base64.
    #[error("illegal base64 data at input byte {at}")]
    Base64 {
        /// Offset into the data.
        at: usize,
    },
    /// A percent sign without two hexadecimal digits.
    #[error("rfc2396: invalid char 0x25 in unescape sequence")]
    Escape,
    /// A percent sign at the end.
    #[error("rfc2396: unexpected end of unescape sequence")]
    EscapeEnd,
}

/// The bytes that `url` holds.
pub fn decode(url: &str) -> Result<Vec<u8>, Fault> {
    let rest = url.strip_prefix("data:").ok_or(Fault::Prefix)?;
    let (base64, data) = header(rest)?;
    if base64 {
        if !data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=\n".contains(&byte)) {
            return Err(Fault::DataCharacter);
        }
        return base64_decode(data.as_bytes()).map_err(|at| Fault::Base64 { at });
    }
    let fine = |byte: u8| (0x21..0x7f).contains(&byte) && !b"<>#\"{}|\\^[]`".contains(&byte);
    if !data.bytes().all(fine) {
        return Err(Fault::DataCharacter);
    }
    percent_decode(data.as_bytes())
}

/// Whether `;base64` is there, and what follows the comma.
fn header(text: &str) -> Result<(bool, &str), Fault> {
    let mut at = text;
    match at.chars().next() {
        None => return Err(Fault::Comma),
        Some(';' | ',') => {}
        Some(char) if is_token(char) => at = media_type(at)?,
        Some(_) => return Err(Fault::AfterPrefix),
    }
    let mut base64 = false;
    loop {
        match at.chars().next() {
            None => return Err(Fault::Comma),
            Some(',') => return Ok((base64, &at[1..])),
            Some(';') => (at, base64) = parameter(&at[1..])?,
            Some(_) => return Err(Fault::Separator),
        }
    }
}

fn media_type(text: &str) -> Result<&str, Fault> {
    let slash = text.find(|char| !is_token(char)).ok_or(Fault::Slash)?;
    if !text[slash..].starts_with('/') {
        return Err(Fault::TypeCharacter);
    }
    let known = ["text", "image", "audio", "video", "application", "message", "multipart", "x-", "X-"];
    if !known.iter().any(|prefix| text[..slash].starts_with(prefix)) {
        return Err(Fault::Type);
    }
    let subtype = &text[slash + 1..];
    let end = subtype.find(|char| !is_token(char)).ok_or(Fault::Incomplete)?;
    match subtype[end..].starts_with([';', ',']) {
        true => Ok(&subtype[end..]),
        false => Err(Fault::SubtypeCharacter),
    }
}

/// What follows a parameter, and whether it was `base64`.
fn parameter(text: &str) -> Result<(&str, bool), Fault> {
    let end = text.find(|char| !is_token(char)).ok_or(Fault::Parameter)?;
    let (name, rest) = text.split_at(end);
    match (name, rest.chars().next()) {
        ("", Some('=' | ',') | None) => Err(Fault::Parameter),
        ("base64", Some(',')) => Ok((rest, true)),
        (_, Some('=')) if !name.is_empty() => Ok((value(&rest[1..])?, false)),
        (_, Some(',')) => Err(Fault::NotBase64 { found: name.into() }),
        _ => Err(Fault::AttributeCharacter),
    }
}

fn value(text: &str) -> Result<&str, Fault> {
    match text.chars().next() {
        None => Err(Fault::Comma),
        Some('"') => quoted(&text[1..]),
        Some(char) if is_token(char) => {
            let end = text.find(|char| !is_token(char)).ok_or(Fault::Comma)?;
            match text[end..].starts_with([';', ',']) {
                true => percent_decode(&text.as_bytes()[..end]).map(|_| &text[end..]),
                false => Err(Fault::ValueCharacter),
            }
        }
        Some(_) => Err(Fault::ValueCharacter),
    }
}

fn quoted(text: &str) -> Result<&str, Fault> {
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok(&text[at + 1..]),
            '\\' if chars.next().is_none_or(|(_, escaped)| !escaped.is_ascii()) => return Err(Fault::Quote),
            char if !char.is_ascii() => return Err(Fault::ValueCharacter),
            _ => {}
        }
    }
    Err(Fault::Quote)
}

fn is_token(char: char) -> bool {
    char.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(char)
}

/// `text` with its `%XX` resolved.
pub(crate) fn percent_decode(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    let digit = |at: usize| match text.get(at) {
        None => Err(Fault::EscapeEnd),
        Some(&byte) => char::from(byte).to_digit(16).ok_or(Fault::Escape),
    };
    while at < text.len() {
        if text[at] == b'%' {
            let byte = digit(at + 1)? * 16 + digit(at + 2)?;
            out.push(u8::try_from(byte).unwrap_or_default());
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    Ok(out)
}

/// Standard base64 with padding, line ends skipped, as Go decodes it; on failure the offset of the fault.
fn base64_decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut group = 0u32;
    let mut count = 0;
    let mut bytes = text.iter().enumerate().filter(|(_, byte)| **byte != b'\n');
    while let Some((at, &byte)) = bytes.next() {
        let bits = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ if count < 2 => return Err(at),
            _ => {
                if count == 2 && bytes.next().is_none_or(|(_, byte)| *byte != b'=') {
                    return Err(text.len());
                }
                if let Some((extra, _)) = bytes.next() {
                    return Err(extra);
                }
                let [_, first, second, _] = (group << (6 * (4 - count))).to_be_bytes();
                out.extend_from_slice(&[first, second][..count - 1]);
                return Ok(out);
            }
        };
        group = group << 6 | u32::from(bits);
        count += 1;
        if count == 4 {
            out.extend_from_slice(&group.to_be_bytes()[1..]);
            (group, count) = (0, 0);
        }
    }
    if count == 0 { Ok(out) } else { Err(text.len() - count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_upstream_decodes() {
        for (url, bytes) in [
            ("data:,a%20b", &b"a b"[..]),
            ("data:", b""),
            ("data:text/plain;charset=utf-8;base64,aGk=", b"hi"),
            ("data:;base64,aGlh", b"hia"),
            ("data:;base64,aA==", b"h"),
            ("data:x-a/b,x", b"x"),
            ("data:text/plain;a=\"b;c\",x", b"x"),
        ] {
            let decoded = decode(url);
            if url == "data:" {
                assert_eq!(decoded, Err(Fault::Comma));
            } else {
                assert_eq!(decoded.as_deref(), Ok(bytes), "{url}");
            }
        }
    }

    #[test]
    fn refuses_with_upstreams_words() {
        for (url, text) in [
            ("data:foo", "missing media type slash"),
            ("data:a b,c", "invalid character for media type"),
            ("data:, x", "invalid data character"),
            ("data:,%2", "rfc2396: unexpected end of unescape sequence"),
            ("data:,%zz", "rfc2396: invalid char 0x25 in unescape sequence"),
            ("data:;base65,x", "expected base64, got base65"),
            ("data:;base64,aGk", "illegal base64 data at input byte 0"),
        ] {
            let message = decode(url).unwrap_err().to_string();
            assert_eq!(message, text, "{url}");
        }
    }
}

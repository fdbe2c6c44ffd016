//! DNS messages (RFC 1035, section 4): a question for one name, and the addresses of its answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name has at most so many bytes on the wire (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 255;
/// A label has at most so many bytes.
const LABEL_BYTES_MAX: usize = 63;
/// Compression pointers followed in one name; an honest name needs one or two, a loop needs an end.
const POINTERS_MAX: usize = 32;
/// `IN`, the internet class.
const CLASS_IN: u16 = 1;
const TYPE_CNAME: u16 = 5;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4, type 1.
    A,
    /// IPv6, type 28 (RFC 3596).
    Aaaa,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
        }
    }
}

/// Why bytes are not an answer to the question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A name that cannot be put into a message.
    #[error("{name:?} is not a name that DNS can carry")]
    BadName {
        /// The name as given.
        name: String,
    },
    /// The message ends in the middle of a field, or points outside of itself.
    #[error("the answer is cut short or malformed at byte {at}")]
    Malformed {
        /// Offset into the message.
        at: usize,
    },
    /// The message answers some other question: another id or name, or is no answer.
    #[error("the message does not answer the question")]
    Unrelated,
    /// The server refused or failed: RCODE other than 0 and 3 (RFC 1035, 4.1.1).
    #[error("the server answered with code {code}")]
    Refused {
        /// The RCODE.
        code: u8,
    },
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The addresses; none if the name exists without one of this kind.
    Addresses(Vec<IpAddr>),
    /// There is no such name (RCODE 3).
    NoName,
    /// The answer did not fit; ask again over TCP.
    Truncated,
}

/// A question for the addresses of `name`, recursion desired.
///
/// # Errors
/// [`MessageError::BadName`] where a label is empty or too long.
pub fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, MessageError> {
    let bad = || MessageError::BadName { name: name.to_owned() };
    let mut message = Vec::with_capacity(name.len() + 18);
    message.extend(id.to_be_bytes());
    // Flags: recursion desired; one question, no records.
    message.extend([0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX || !label.is_ascii() {
            return Err(bad());
        }
        message.push(u8::try_from(label.len()).map_err(|_| bad())?);
        message.extend(label.as_bytes());
    }
    message.push(0);
    if message.len() - 12 > NAME_BYTES_MAX {
        return Err(bad());
    }
    message.extend(kind.code().to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    Ok(message)
}

/// Reads the answer to the question `(id, name, kind)`, following aliases inside the message.
///
/// # Errors
/// [`MessageError`] where the bytes are no answer to it.
pub fn parse_answer(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Result<Answer, MessageError> {
    let mut reader = Reader { bytes, at: 0 };
    let (got, flags) = (reader.u16()?, reader.u16()?);
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.at = 12;
    if got != id || flags & 0x8000 == 0 || questions != 1 {
        return Err(MessageError::Unrelated);
    }
    let mut wanted = name.trim_end_matches('.').to_ascii_lowercase();
    if reader.name()? != wanted || reader.u16()? != kind.code() || reader.u16()? != CLASS_IN {
        return Err(MessageError::Unrelated);
    }
    match flags & 0x0f {
        0 => {}
        3 => return Ok(Answer::NoName),
        code => return Err(MessageError::Refused { code: code as u8 }),
    }
    if flags & 0x0200 != 0 {
        return Ok(Answer::Truncated);
    }
    let mut addresses = Vec::new();
    for _ in 0..answers {
        let owner = reader.name()?;
        let (class_type, class) = (reader.u16()?, reader.u16()?);
        reader.take(4)?; // time to live: nothing is cached here
        let length = usize::from(reader.u16()?);
        let start = reader.at;
        let data = reader.take(length)?;
        if owner != wanted || class != CLASS_IN {
            continue;
        }
        if class_type == TYPE_CNAME {
            wanted = Reader { bytes, at: start }.name()?;
        } else if class_type == kind.code() {
            addresses.push(address(data, kind).ok_or(MessageError::Malformed { at: start })?);
        }
    }
    Ok(Answer::Addresses(addresses))
}

fn address(data: &[u8], kind: Kind) -> Option<IpAddr> {
    Some(match kind {
        Kind::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
        Kind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MessageError> {
        let end = self.at.saturating_add(count);
        let part = self.bytes.get(self.at..end).ok_or(MessageError::Malformed { at: self.at })?;
        self.at = end;
        Ok(part)
    }

    fn u16(&mut self) -> Result<u16, MessageError> {
        let part = self.take(2)?;
        Ok(u16::from_be_bytes([part[0], part[1]]))
    }

    /// A name in lower case, compression followed; the reader ends after the name's own bytes.
    fn name(&mut self) -> Result<String, MessageError> {
        let mut name = String::new();
        let mut after = None;
        let mut pointers = 0;
        loop {
            let at = self.at;
            let length = self.take(1)?[0];
            match length {
                0 => break,
                1..=63 => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    let label = self.take(usize::from(length))?;
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                }
                0xc0..=0xff => {
                    let low = self.take(1)?[0];
                    after.get_or_insert(self.at);
                    pointers += 1;
                    self.at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                }
                _ => return Err(MessageError::Malformed { at }),
            }
            if name.len() > 2 * NAME_BYTES_MAX || pointers > POINTERS_MAX {
                return Err(MessageError::Malformed { at });
            }
        }
        self.at = after.unwrap_or(self.at);
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `a.example` with records in the given raw form after the echoed question.
    fn answer(flags: u16, count: u16, records: &[u8]) -> Vec<u8> {
        let mut bytes = question(7, "a.example", Kind::A).unwrap();
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&count.to_be_bytes());
        bytes.extend(records);
        bytes
    }

    const RECORD: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];

    #[test]
    fn an_address_is_read() {
        let bytes = answer(0x8180, 1, RECORD);
        let got = parse_answer(&bytes, 7, "A.Example.", Kind::A).unwrap();
        assert_eq!(got, Answer::Addresses(vec!["192.0.2.1".parse().unwrap()]));
    }

    #[test]
    fn an_alias_is_followed_and_strangers_are_not() {
        let mut records = vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'b', 0xc0, 14];
        records.extend([1, b'b', 0xc0, 14, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 2]);
        records.extend([1, b'x', 0xc0, 14, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 6, 6, 6, 6]);
        let got = parse_answer(&answer(0x8180, 3, &records), 7, "a.example", Kind::A).unwrap();
        assert_eq!(got, Answer::Addresses(vec!["192.0.2.2".parse().unwrap()]));
    }

    #[test]
    fn codes_are_told_apart() {
        let ask = |bytes: &[u8], id| parse_answer(bytes, id, "a.example", Kind::A);
        assert_eq!(ask(&answer(0x8183, 0, &[]), 7), Ok(Answer::NoName));
        assert_eq!(ask(&answer(0x8380, 0, &[]), 7), Ok(Answer::Truncated));
        assert_eq!(ask(&answer(0x8182, 0, &[]), 7), Err(MessageError::Refused { code: 2 }));
        assert_eq!(ask(&answer(0x8180, 1, RECORD), 8), Err(MessageError::Unrelated));
        assert_eq!(ask(&answer(0x0180, 1, RECORD), 7), Err(MessageError::Unrelated));
    }

    #[test]
    fn a_pointer_loop_ends() {
        let records = [0xc0, 27, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4];
        let bytes = answer(0x8180, 1, &records);
        assert!(matches!(parse_answer(&bytes, 7, "a.example", Kind::A), Err(MessageError::Malformed { .. })));
    }

    #[test]
    fn names_that_dns_cannot_carry_are_refused() {
        for name in ["", "a..b", &"x".repeat(64), &"abcdefgh.".repeat(40), "ü.example"] {
            assert!(question(1, name, Kind::A).is_err(), "{name}");
        }
    }
}

//! GUIDs as GPT stores them, and the partition types of the Discoverable Partitions Specification (UAPI.2).

use std::fmt;
use std::str::FromStr;

/// A GUID; the bytes are in the order of its text, not of the disk (see [`Guid::to_disk`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

/// Why a text is no GUID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is no GUID of the form 01234567-89ab-cdef-0123-456789abcdef")]
pub struct GuidError {
    /// What was given.
    pub text: String,
}

impl Guid {
    /// All zeros: an unused entry.
    pub const ZERO: Self = Self([0; 16]);
    /// EFI system partition.
    pub const ESP: Self = Self::constant("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    /// `/usr` of x86-64.
    pub const USR: Self = Self::constant("8484680c-9521-48c6-9c11-b0720656f69e");
    /// dm-verity hash tree of `/usr` of x86-64.
    pub const USR_VERITY: Self = Self::constant("77ff5f63-e7b6-4633-acf4-1565b864c0e6");
    /// Root file system of x86-64.
    pub const ROOT: Self = Self::constant("4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
    /// Plain Linux data.
    pub const LINUX: Self = Self::constant("0fc63daf-8483-4772-8e79-3d69d8477de4");

    /// From the order of the disk: three little-endian fields, then eight bytes as they are (UEFI 2.10, appendix A).
    #[must_use]
    pub const fn from_disk(b: [u8; 16]) -> Self {
        Self([
            b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
            b[15],
        ])
    }

    /// To the order of the disk.
    #[must_use]
    pub const fn to_disk(self) -> [u8; 16] {
        // The exchange of bytes is its own inverse.
        Self::from_disk(self.0).0
    }

    /// A GUID known at compile time; panics there when the text is wrong.
    #[must_use]
    pub const fn constant(text: &str) -> Self {
        match parse(text.as_bytes()) {
            Some(guid) => guid,
            None => panic!("not a GUID"),
        }
    }
}

const fn parse(text: &[u8]) -> Option<Guid> {
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let (mut at, mut digit) = (0, 0);
    while at < 36 {
        let byte = text[at];
        if matches!(at, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
        } else {
            let value = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => return None,
            };
            bytes[digit / 2] = bytes[digit / 2] << 4 | value;
            digit += 1;
        }
        at += 1;
    }
    Some(Guid(bytes))
}

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        parse(text.as_bytes()).ok_or_else(|| GuidError { text: text.to_owned() })
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_disk_orders() {
        // The example of UEFI's appendix A: the ESP type.
        let disk =
            [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
        assert_eq!(Guid::from_disk(disk), Guid::ESP);
        assert_eq!(Guid::ESP.to_disk(), disk);
        assert_eq!(Guid::ESP.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B".parse(), Ok(Guid::ESP));
    }

    #[test]
    fn wrong_texts() {
        for text in [
            "",
            "c12a7328",
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
            "c12a7328+f81f-11d2-ba4b-00a0c93ec93b",
            "g12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        ] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }
}

//! The kernel command line: what Orlop reads of it. Reference: `docs/reference/kernel-arguments.md`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Longest wait for the disk of `/usr` unless `orlop.device_timeout=` says otherwise. Virtio and NVMe disks are there
/// at once; USB and network storage take seconds.
pub(crate) const DEVICE_WAIT: Duration = Duration::from_secs(30);
/// Longest wait for an address unless `orlop.network_timeout=` says otherwise: a switch port with spanning tree stays
/// silent for 30 to 50 seconds.
pub(crate) const NETWORK_WAIT: Duration = Duration::from_secs(120);

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnFailure {
    /// Wait for a key, for ever.
    #[default]
    Ask,
    /// Power off at once.
    PowerOff,
    /// Restart after [`crate::screen::REBOOT_DELAY`].
    Reboot,
}

/// The dm-verity root hash of `/usr` (SHA-256).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RootHash(pub(crate) [u8; 32]);

/// What the command line says to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// `usrhash=`.
    pub(crate) usr_hash: RootHash,
    /// `orlop.on_failure=`.
    pub(crate) on_failure: OnFailure,
    /// `orlop.device_timeout=`.
    pub(crate) device_wait: Duration,
    /// `orlop.network_timeout=`.
    pub(crate) network_wait: Duration,
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum CommandLineError {
    /// No `usrhash=`.
    #[error("the kernel command line has no usrhash=: nothing says which /usr to trust")]
    NoHash,
    /// A value that cannot be read.
    #[error("kernel argument `{argument}`: {what}")]
    Value {
        /// The whole argument.
        argument: String,
        /// What was expected.
        what: &'static str,
    },
}

/// Splits as the kernel does (`lib/cmdline.c`): blanks separate, double quotes keep blanks together and vanish.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            c if c.is_whitespace() && !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

/// `orlop.on_failure=` alone: the failure screen needs it even when the rest cannot be read. The last one counts.
pub(crate) fn on_failure(text: &str) -> Result<OnFailure, CommandLineError> {
    last(text, "orlop.on_failure").map_or(Ok(OnFailure::default()), |(argument, value)| {
        match value.as_str() {
            "shell" => Ok(OnFailure::Ask),
            "poweroff" => Ok(OnFailure::PowerOff),
            "reboot" => Ok(OnFailure::Reboot),
            _ => Err(CommandLineError::Value { argument, what: "expected shell, poweroff or reboot" }),
        }
    })
}

impl CommandLine {
    /// Reads the whole command line; of arguments given twice the last counts.
    pub(crate) fn parse(text: &str) -> Result<Self, CommandLineError> {
        let (argument, value) = last(text, "usrhash").ok_or(CommandLineError::NoHash)?;
        Ok(Self {
            usr_hash: value.parse().map_err(|what| CommandLineError::Value { argument, what })?,
            on_failure: on_failure(text)?,
            device_wait: seconds(text, "orlop.device_timeout")?.unwrap_or(DEVICE_WAIT),
            network_wait: seconds(text, "orlop.network_timeout")?.unwrap_or(NETWORK_WAIT),
        })
    }
}

fn last(text: &str, key: &str) -> Option<(String, String)> {
    words(text).into_iter().rev().find_map(|word| {
        let value = word.strip_prefix(key)?.strip_prefix('=')?.to_owned();
        Some((word, value))
    })
}

fn seconds(text: &str, key: &str) -> Result<Option<Duration>, CommandLineError> {
    last(text, key)
        .map(|(argument, value)| match value.parse::<u32>() {
            Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
            _ => Err(CommandLineError::Value { argument, what: "expected seconds, a whole number above 0" }),
        })
        .transpose()
}

impl FromStr for RootHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHAT: &str = "expected the 64 hexadecimal digits of a SHA-256 root hash";
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(WHAT);
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| WHAT)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| WHAT)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

    #[test]
    fn words_as_the_kernel_splits_them() {
        assert_eq!(words(" quiet a=\"x y\"  \"b=c d\"\tlast\n"), ["quiet", "a=x y", "b=c d", "last"]);
        assert_eq!(words(" \n"), Vec::<String>::new());
        assert_eq!(words("open=\"to the end"), ["open=to the end"]);
    }

    #[test]
    fn defaults_and_the_last_of_two() {
        let line = CommandLine::parse(&format!("console=ttyS0 usrhash={HASH}")).unwrap();
        assert_eq!(line.usr_hash.to_string(), HASH);
        assert_eq!(line.on_failure, OnFailure::Ask);
        assert_eq!(line.device_wait, DEVICE_WAIT);
        let line = CommandLine::parse(&format!(
            "usrhash=x usrhash={} orlop.on_failure=reboot orlop.on_failure=poweroff orlop.device_timeout=5",
            HASH.to_uppercase()
        ))
        .unwrap();
        assert_eq!(line.usr_hash.to_string(), HASH);
        assert_eq!(line.on_failure, OnFailure::PowerOff);
        assert_eq!(line.device_wait, Duration::from_secs(5));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases = [
            ("quiet", "the kernel command line has no usrhash=: nothing says which /usr to trust".to_owned()),
            (
                "usrhash=12",
                "kernel argument `usrhash=12`: expected the 64 hexadecimal digits of a SHA-256 root hash"
                    .to_owned(),
            ),
            (
                &format!("usrhash={HASH} orlop.on_failure=panic"),
                "kernel argument `orlop.on_failure=panic`: expected shell, poweroff or reboot".to_owned(),
            ),
            (
                &format!("usrhash={HASH} orlop.network_timeout=0"),
                "kernel argument `orlop.network_timeout=0`: expected seconds, a whole number above 0"
                    .to_owned(),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(CommandLine::parse(text).unwrap_err().to_string(), expected);
        }
    }
}

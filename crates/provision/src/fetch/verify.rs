//! `verification.hash` of a resource: `sha256-HEX` or `sha512-HEX` over the decompressed bytes.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256, Sha512};

/// A digest that is not the one the config asks for, or a malformed one in the config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The specifier is not `FUNCTION-HEX` with a length that fits.
    #[error("hash {hash:?} is not sha256- or sha512- followed by the digest in hexadecimal")]
    Malformed {
        /// The specifier as it is in the config.
        hash: String,
    },
    /// The content is another one.
    #[error("the content's digest is {found}, the config asks for {wanted}")]
    Mismatch {
        /// Digest that the config asks for.
        wanted: String,
        /// Digest of the bytes received, decompressed.
        found: String,
    },
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of `bytes` in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[derive(Debug, Clone)]
enum State {
    None,
    Sha256(Sha256, String),
    Sha512(Box<Sha512>, String),
}

/// Takes bytes as they pass and compares in the end.
#[derive(Debug, Clone)]
pub struct Verifier(State);

impl Verifier {
    /// For a specifier of the config; `None` accepts everything.
    ///
    /// # Errors
    /// [`VerifyError::Malformed`].
    pub fn new(specifier: Option<&str>) -> Result<Self, VerifyError> {
        let Some(hash) = specifier else { return Ok(Self(State::None)) };
        let malformed = || VerifyError::Malformed { hash: hash.to_owned() };
        let (function, digest) = hash.split_once('-').ok_or_else(malformed)?;
        if !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        let wanted = hash.to_ascii_lowercase();
        match (function, digest.len()) {
            ("sha256", 64) => Ok(Self(State::Sha256(Sha256::new(), wanted))),
            ("sha512", 128) => Ok(Self(State::Sha512(Box::new(Sha512::new()), wanted))),
            _ => Err(malformed()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::None => {}
            State::Sha256(hasher, _) => hasher.update(bytes),
            State::Sha512(hasher, _) => hasher.update(bytes),
        }
    }

    /// Compares.
    ///
    /// # Errors
    /// [`VerifyError::Mismatch`].
    pub fn finish(self) -> Result<(), VerifyError> {
        let (wanted, found) = match self.0 {
            State::None => return Ok(()),
            State::Sha256(hasher, wanted) => (wanted, format!("sha256-{}", hex(&hasher.finalize()))),
            State::Sha512(hasher, wanted) => (wanted, format!("sha512-{}", hex(&hasher.finalize()))),
        };
        if wanted == found { Ok(()) } else { Err(VerifyError::Mismatch { wanted, found }) }
    }
}

/// A writer that hashes what it passes on.
#[derive(Debug)]
pub struct Hashing<'a, W> {
    /// Where the bytes go.
    pub inner: W,
    /// What takes them on the way.
    pub verifier: &'a mut Verifier,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.verifier.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn compares_and_refuses() {
        assert!(Verifier::new(None).unwrap().finish().is_ok());
        assert!(Verifier::new(Some(EMPTY)).unwrap().finish().is_ok());
        let mut verifier = Verifier::new(Some(EMPTY)).unwrap();
        verifier.update(b"x");
        assert!(matches!(verifier.finish(), Err(VerifyError::Mismatch { .. })));
        for bad in ["", "sha256", "sha256-00", "md5-d41d8cd98f00b204e9800998ecf8427e", "sha1-00"] {
            assert!(Verifier::new(Some(bad)).is_err(), "{bad}");
        }
    }
}

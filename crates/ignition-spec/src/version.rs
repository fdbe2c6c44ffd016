//! Spec versions and the semantic-version grammar that upstream reads them with.

use std::fmt;

/// A version of the Ignition spec that is read here: 3.0.0 to 3.6.0 and 3.7.0-experimental.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spec(u8);

impl Spec {
    /// The oldest spec that is read.
    pub const OLDEST: Spec = Spec(0);
    /// The newest spec that is stable; configs are translated up to it.
    pub const STABLE: Spec = Spec(6);
    /// The newest spec that is read; experimental.
    pub const EXPERIMENTAL: Spec = Spec(7);
    /// What is accepted, for hints.
    pub const ACCEPTED: &'static str = "3.0.0 to 3.6.0 and 3.7.0-experimental";

    /// The spec 3.`minor`, if there is one.
    pub fn minor(minor: u8) -> Option<Spec> {
        (minor <= Self::EXPERIMENTAL.0).then_some(Spec(minor))
    }

    /// The number after the first dot.
    pub fn minor_number(self) -> u8 {
        self.0
    }

    /// The spec that `text` names.
    pub fn parse(text: &str) -> Result<Spec, VersionError> {
        let version = Semver::parse(text).ok_or(VersionError::Malformed)?;
        let spec = (version.major == 3)
            .then(|| u8::try_from(version.minor).ok().and_then(Spec::minor))
            .flatten()
            .ok_or(VersionError::Unsupported)?;
        if version == Semver::parse(&spec.to_string()).unwrap_or_default() {
            Ok(spec)
        } else {
            Err(VersionError::Unsupported)
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if *self == Spec::EXPERIMENTAL { "-experimental" } else { "" };
        write!(f, "3.{}.0{suffix}", self.0)
    }
}

/// Why a version is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// No semantic version.
    #[error("not a version of the form 3.0.0")]
    Malformed,
    /// A version that is not read here.
    #[error("not among {}", Spec::ACCEPTED)]
    Unsupported,
}

/// A semantic version as coreos/go-semver reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Semver {
    /// First number.
    pub major: i64,
    /// Second number.
    pub minor: i64,
    /// Third number.
    pub patch: i64,
    /// After the dash.
    pub pre_release: String,
    /// After the plus.
    pub metadata: String,
}

impl Semver {
    /// Reads `MAJOR.MINOR.PATCH[-PRE][+META]`.
    pub fn parse(text: &str) -> Option<Semver> {
        let (rest, metadata) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, pre_release) = rest.split_once('-').unwrap_or((rest, ""));
        let mut parts = numbers.splitn(3, '.');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (major, minor, patch) = (number()?, number()?, number()?);
        if !identifiers(pre_release) || !identifiers(metadata) {
            return None;
        }
        Some(Semver { major, minor, patch, pre_release: pre_release.into(), metadata: metadata.into() })
    }
}

fn identifiers(text: &str) -> bool {
    let identifier =
        |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.is_empty() || text.split('.').all(identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_get_upstreams_verdict() {
        for minor in 0..=6 {
            assert_eq!(Spec::parse(&format!("3.{minor}.0")), Ok(Spec(minor)));
        }
        assert_eq!(Spec::parse("3.7.0-experimental"), Ok(Spec::EXPERIMENTAL));
        assert_eq!(Spec::parse("03.+5.0"), Err(VersionError::Malformed), "+ starts metadata");
        assert_eq!(Spec::parse("03.5.00"), Ok(Spec(5)));
        assert_eq!(Spec::parse("3.5.0-"), Ok(Spec(5)));
        for text in ["2.3.0", "3.7.0", "3.5.1", "3.5.0-experimental", "3.5.0+x", "3.8.0", "300.0.0"] {
            assert_eq!(Spec::parse(text), Err(VersionError::Unsupported), "{text}");
        }
        for text in ["", "3", "3.5", "3.5.x", "v3.5.0", "3.5.0.0", "3.5.0-a..b", "3.5.0-ä"] {
            let malformed = Spec::parse(text);
            assert!(malformed.is_err(), "{text}: {malformed:?}");
        }
    }
}

//! Debian packages: resolved by `mmdebstrap`, fetched and checked against the lock, opened without unpacking.

pub mod deb;
pub mod fetch;
pub mod resolve;

use std::path::PathBuf;

/// Why packages cannot be resolved, fetched or opened.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// A program cannot be started or followed.
    #[error("cannot run {program} (Debian package {program})")]
    Program {
        /// Its name.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `mmdebstrap` or one of its `apt` calls failed.
    #[error("packages cannot be resolved, {program} ended with {status}: {last_lines}")]
    Resolve {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said last.
        last_lines: String,
    },
    /// The resolver's answer lacks a field.
    #[error("the resolver's answer for {package} has no {field}")]
    Answer {
        /// The package.
        package: String,
        /// The field of its paragraph.
        field: &'static str,
    },
    /// The mirror no longer has a locked version: Debian drops superseded ones.
    #[error("{name} {version} of os/orlop.lock is no longer on the mirror ({url})")]
    Gone {
        /// Package.
        name: String,
        /// Version.
        version: String,
        /// Where it was.
        url: String,
    },
    /// The download failed, after retries.
    #[error("cannot download {url}")]
    Download {
        /// From where.
        url: String,
        /// The last attempt's failure.
        #[source]
        source: Box<ureq::Error>,
    },
    /// What came is not what the lock names.
    #[error("{url} has sha256 {found}, but os/orlop.lock says {expected}")]
    Digest {
        /// From where.
        url: String,
        /// Of the lock.
        expected: String,
        /// Of the bytes.
        found: String,
    },
    /// A file of the cache cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Path {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a Debian package.
    #[error("{} is not a Debian package: {what}", path.display())]
    NotDeb {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        what: &'static str,
    },
    /// A program of the SDK is missing.
    #[error(transparent)]
    Sdk(#[from] sdk::Error),
}

impl DebianError {
    /// Closure for `map_err`.
    pub(crate) fn at(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Path { action, path, source }
    }

    /// Whether `--refresh-lock` helps.
    #[must_use]
    pub fn wants_refresh(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Digest { .. })
    }
}

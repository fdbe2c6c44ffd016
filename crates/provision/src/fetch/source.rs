//! Where the machine's own config comes from.
//!
//! The user's config is the first of `ignition.config.url=` or `ignition.config.device=` with `ignition.config.path=`
//! on the kernel's command line, `user.ign` or `user.bu` in a system directory, and the platform's
//! ([`crate::platform`]). The base configs are the `*.ign` and `*.bu` of `base.d` and `base.platform.d/PLATFORM` in the
//! system directories; a name in a directory of higher priority shadows the same name in a lower one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::platform::{self, PlatformError};

/// fw_cfg key of the map from the config to the user's Butane file (docs/explanation/provisioning.md).
const FW_CFG_SOURCE_MAP: &str = "opt/io.orlop/source-map";

/// A source of configs that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that cannot be read.
    #[error("cannot read the config {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Two files that are each other's alternative.
    #[error("both {path} and {other} are there: one config, in one format")]
    Twice {
        /// The one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// What the command line or the platform gives.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// Names of the user's config in a system directory.
const USER_FILES: [&str; 2] = ["user.ign", "user.bu"];

/// A config as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Name for people.
    pub name: String,
    /// Its text, Ignition JSON or Butane YAML.
    pub bytes: Vec<u8>,
}

/// Where the user's config is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserConfig {
    /// A URL of the kernel's command line.
    Url(String),
    /// A file of a drive, both named on the kernel's command line.
    Device {
        /// Label of the drive.
        label: String,
        /// Path of the file on it.
        path: String,
    },
    /// Bytes at hand.
    Raw(Raw),
    /// The platform's to give.
    Platform,
}

/// The places to look at.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Where sysfs is mounted.
    pub sysfs: PathBuf,
    /// The kernel's command line.
    pub cmdline: String,
    /// Directories with base configs, of highest priority first; upstream's are `/run/ignition`, `/etc/ignition`,
    /// `/usr/lib/ignition`.
    pub system_dirs: Vec<PathBuf>,
    /// Name of the platform, unless `ignition.platform.id=` on the command line names another.
    pub platform: String,
}

impl Sources {
    /// The base configs in the order in which they are merged.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn base(&self) -> Result<Vec<Raw>, SourceError> {
        let mut found = self.fragments(Path::new("base.d"))?;
        found.extend(self.fragments(&Path::new("base.platform.d").join(self.platform()))?);
        Ok(found)
    }

    /// Name of the platform.
    pub fn platform(&self) -> &str {
        argument(&self.cmdline, "ignition.platform.id").unwrap_or(&self.platform)
    }

    /// Where the user's config is.
    ///
    /// # Errors
    /// When a file that is there cannot be read, and when the command line contradicts itself or names a platform that
    /// nobody knows.
    pub fn user(&self) -> Result<UserConfig, SourceError> {
        platform::find(self.platform())?;
        let given = |key| argument(&self.cmdline, key).map(str::to_owned);
        if let Some(url) = given("ignition.config.url") {
            return Ok(UserConfig::Url(url));
        }
        match (given("ignition.config.device"), given("ignition.config.path")) {
            (Some(label), Some(path)) => return Ok(UserConfig::Device { label, path }),
            (None, None) => {}
            _ => return Err(PlatformError::HalfADevice.into()),
        }
        for dir in &self.system_dirs {
            let [json, yaml] = USER_FILES.map(|name| dir.join(name));
            let found = match (read(&json)?, read(&yaml)?) {
                (Some(_), Some(_)) => return Err(SourceError::Twice { path: json, other: yaml }),
                (Some(bytes), None) => (json, bytes),
                (None, Some(bytes)) => (yaml, bytes),
                (None, None) => continue,
            };
            return Ok(UserConfig::Raw(Raw { name: found.0.display().to_string(), bytes: found.1 }));
        }
        Ok(UserConfig::Platform)
    }

    /// The source map beside the config.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn source_map(&self) -> Result<Option<Vec<u8>>, SourceError> {
        read(&self.fw_cfg(FW_CFG_SOURCE_MAP))
    }

    fn fw_cfg(&self, key: &str) -> PathBuf {
        self.sysfs.join("firmware/qemu_fw_cfg/by_name").join(key).join("raw")
    }

    fn fragments(&self, below: &Path) -> Result<Vec<Raw>, SourceError> {
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for dir in self.system_dirs.iter().rev().map(|dir| dir.join(below)) {
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(SourceError::Read { path: dir, source }),
            };
            for entry in entries {
                let entry = entry.map_err(|source| SourceError::Read { path: dir.clone(), source })?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".ign") || name.ends_with(".bu") {
                    files.insert(name, entry.path());
                }
            }
        }
        let read_all = files.into_values().map(|path| {
            let bytes = read(&path)?.unwrap_or_default();
            Ok(Raw { name: path.display().to_string(), bytes })
        });
        read_all
            .filter(|raw: &Result<Raw, SourceError>| !matches!(raw, Ok(raw) if raw.bytes.is_empty()))
            .collect()
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SourceError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SourceError::Read { path: path.to_owned(), source }),
    }
}

impl SourceError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Platform(error) => error.hint(),
            Self::Twice { .. } => Some("remove one of them".into()),
            Self::Read { .. } => None,
        }
    }
}

/// The last value of `key=` on a kernel command line, quotes removed.
pub fn argument<'a>(cmdline: &'a str, key: &str) -> Option<&'a str> {
    let values =
        cmdline.split_ascii_whitespace().filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    values.map(|value| value.trim_matches('"')).rfind(|value| !value.is_empty())
}

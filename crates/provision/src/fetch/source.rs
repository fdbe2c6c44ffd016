//! Where the machine's own config comes from.
//!
//! The user's config is the first of `ignition.config.url=` on the kernel's command line, `user.ign` in a system
//! directory, and the platform's: here QEMU's fw_cfg. The base configs are the `*.ign` and `*.bu` of `base.d` in the
//! system directories; a name in a directory of higher priority shadows the same name in a lower one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// fw_cfg key of the config; what upstream's documentation tells QEMU users.
const FW_CFG_CONFIG: &str = "opt/com.coreos/config";
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
    /// An argument of the kernel's command line that asks for a source which is not there yet.
    #[error("the kernel argument {argument} is not supported yet")]
    Argument {
        /// The argument.
        argument: String,
    },
}

/// Arguments of Ignition that name sources we do not have.
const ARGUMENTS_LATER: [&str; 2] = ["ignition.config.device", "ignition.config.path"];
/// Platforms whose config is found: `metal` has only what the kernel's command line says.
const PLATFORMS: [&str; 2] = ["qemu", "metal"];

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
    /// Bytes at hand.
    Raw(Raw),
    /// Nowhere: the machine stays as the image is.
    None,
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
    /// Name of the platform, for `base.platform.d/NAME`.
    pub platform: String,
}

impl Sources {
    /// The base configs in the order in which they are merged.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn base(&self) -> Result<Vec<Raw>, SourceError> {
        let mut found = self.fragments(Path::new("base.d"))?;
        found.extend(self.fragments(&Path::new("base.platform.d").join(&self.platform))?);
        Ok(found)
    }

    /// The user's config.
    ///
    /// # Errors
    /// When a file that is there cannot be read, and when the command line names a source that is not supported.
    pub fn user(&self) -> Result<UserConfig, SourceError> {
        for key in ARGUMENTS_LATER {
            if let Some(value) = argument(&self.cmdline, key) {
                return Err(SourceError::Argument { argument: format!("{key}={value}") });
            }
        }
        let platform = argument(&self.cmdline, "ignition.platform.id").unwrap_or(&self.platform);
        if !PLATFORMS.contains(&platform) {
            return Err(SourceError::Argument { argument: format!("ignition.platform.id={platform}") });
        }
        if let Some(url) = argument(&self.cmdline, "ignition.config.url") {
            return Ok(UserConfig::Url(url.to_owned()));
        }
        for path in self.system_dirs.iter().map(|dir| dir.join("user.ign")) {
            if let Some(bytes) = read(&path)? {
                return Ok(UserConfig::Raw(Raw { name: path.display().to_string(), bytes }));
            }
        }
        // QEMU makes the file with an empty config too; an empty config is none.
        match read(&self.fw_cfg(FW_CFG_CONFIG))?.filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Ok(UserConfig::Raw(Raw { name: format!("fw_cfg {FW_CFG_CONFIG}"), bytes })),
            None => Ok(UserConfig::None),
        }
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

/// The last value of `key=` on a kernel command line, quotes removed.
pub fn argument<'a>(cmdline: &'a str, key: &str) -> Option<&'a str> {
    let values =
        cmdline.split_ascii_whitespace().filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    values.map(|value| value.trim_matches('"')).rfind(|value| !value.is_empty())
}

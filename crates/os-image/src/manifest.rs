//! `os/orlop.toml`: what an image is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The only version of the manifest's format.
pub const VERSION: u32 = 1;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, or a key that is unknown, missing or of another type.
    #[error("{} is not a valid manifest", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what, as the parser tells it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that does not make sense.
    #[error("{}: {key}: {what}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: &'static str,
        /// What is wrong.
        what: String,
    },
}

/// A whole manifest. Unknown keys are refused: a misspelt one would be ignored in silence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Format of the manifest: [`VERSION`].
    pub version: u32,
    /// Names and versions.
    pub image: Image,
    /// Where packages come from and which.
    pub debian: Debian,
    /// What happens to the packages' files.
    pub tree: TreeRules,
    /// Kernel modules.
    pub kernel: Kernel,
    /// Our programs: path in the tree → further names of the same file (hard links).
    pub programs: BTreeMap<String, Vec<String>>,
    /// The root file system of the initramfs and its modules.
    pub initramfs: Initramfs,
    /// `/usr`.
    pub usr: Usr,
    /// Partition sizes.
    pub disk: Disk,
}

/// Names and versions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// `ID=` of os-release; also the first part of labels and UKI names.
    pub id: String,
    /// `NAME=` of os-release.
    pub name: String,
    /// Version of the release.
    pub version: String,
    /// Kernel command line beside `usrhash=`.
    pub command_line: Vec<String>,
    /// Boots that a new UKI gets before it counts as bad (`+N` in its file name).
    pub tries: u8,
}

/// Packages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Debian {
    /// Release name.
    pub suite: String,
    /// Base URL of the archive; `ORLOP_DEBIAN_MIRROR` overrides it.
    pub mirror: String,
    /// Packages asked for; their dependencies come with them, recommendations do not.
    pub packages: Vec<String>,
    /// Packages that a dependency asks for and the image does without: neither locked nor downloaded.
    pub omit: Vec<String>,
}

/// What happens to the packages' files. Patterns are of whole paths below the root, `*` also matches `/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TreeRules {
    /// Our own files, beside the manifest: a directory laid over the packages' files.
    pub overlay: PathBuf,
    /// Left out.
    pub drop: Vec<String>,
    /// Kept although a pattern of `drop` matches.
    pub keep: Vec<String>,
    /// Units left out, with the links to them: pattern of a unit's name → reason.
    pub without_units: BTreeMap<String, String>,
    /// Symbolic links to add: path → target.
    pub links: BTreeMap<String, String>,
}

/// Kernel modules of the tree.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    /// Modules left out, by patterns of paths below `kernel/`.
    pub drop: Vec<String>,
    /// Kept although a pattern of `drop` matches.
    pub keep: Vec<String>,
}

/// The initramfs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Initramfs {
    /// The program of ours that is `/init`.
    pub init: String,
    /// Modules loaded, in this order, each after those it needs. Ones that the kernel has built in are skipped.
    pub modules: Vec<String>,
    /// Level of zstd, 1 to 19.
    pub zstd_level: i32,
}

/// The image of `/usr`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Usr {
    /// `lz4hc` or `none`.
    pub compression: String,
    /// Level of lz4hc, 1 to 9.
    pub level: u8,
    /// Size of a compressed cluster, in KiB.
    pub cluster_kib: u32,
}

/// Sizes of partitions, in MiB.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disk {
    /// EFI system partition.
    pub esp_mib: u32,
    /// Each of the two `/usr` slots.
    pub usr_mib: u32,
    /// Each of the two hash partitions.
    pub verity_mib: u32,
    /// Root file system as shipped; grown on first boot.
    pub root_mib: u32,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Parses and checks a manifest's text; `path` is for messages.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`], [`ManifestError::Value`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)
            .map_err(|source| ManifestError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        match manifest.complaint() {
            Some((key, what)) => Err(ManifestError::Value { path: path.to_owned(), key, what }),
            None => Ok(manifest),
        }
    }

    /// The first value that does not make sense.
    fn complaint(&self) -> Option<(&'static str, String)> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        };
        if self.version != VERSION {
            return Some(("version", format!("{} is unknown; this program reads {VERSION}", self.version)));
        }
        for (key, text) in [("image.id", &self.image.id), ("image.version", &self.image.version)] {
            if !plain(text) {
                return Some((key, format!("`{text}` may have letters, digits, `.` and `-` only")));
            }
        }
        if !(1..=19).contains(&self.initramfs.zstd_level) {
            return Some(("initramfs.zstd-level", "1 to 19".to_owned()));
        }
        if self.usr.compression != "lz4hc" && self.usr.compression != "none" {
            return Some(("usr.compression", format!("`{}` is not lz4hc or none", self.usr.compression)));
        }
        if self.disk.esp_mib < 64
            || self.disk.root_mib < 64
            || self.disk.usr_mib == 0
            || self.disk.verity_mib == 0
        {
            return Some(("disk", "esp-mib and root-mib are at least 64, the others at least 1".to_owned()));
        }
        None
    }
}

//! `manifest.json` of an image directory: what was built, from what, and the digests of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hex;

/// Format of `manifest.json`.
pub const VERSION: u32 = 1;
/// Its file name.
pub const FILE: &str = "manifest.json";

/// The files of an image directory that have a digest, in the order they are made.
pub const FILES: &[&str] = &[
    "usr.erofs",
    "usr.verity",
    "vmlinuz",
    "vmlinux",
    "initramfs.cpio.zst",
    "cmdline",
    "uki.efi",
    "disk.qcow2",
];
/// The disk image for use on the spot. It has no digest: five gigabytes of holes take half a minute to hash, and it is
/// what `disk.qcow2` unpacks to.
pub const DISK: &str = "disk.raw";

/// A description of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Format: [`VERSION`].
    pub format: u32,
    /// `ID=` of os-release.
    pub id: String,
    /// Version of the release.
    pub version: String,
    /// Seconds since 1970 that everything in the image is dated to.
    pub time_secs: u64,
    /// Kernel release.
    pub kernel: String,
    /// dm-verity root hash of `usr.erofs`, 64 hex digits.
    pub root_hash: String,
    /// SHA-256 over the tree's paths, metadata and contents.
    pub tree_sha256: String,
    /// Names below `/usr`.
    pub tree_names: u64,
    /// Bytes in its files.
    pub tree_bytes: u64,
    /// Length of `disk.raw`, holes included.
    pub disk_bytes: u64,
    /// What an update or a download carries: `usr.erofs` and `uki.efi` through zstd, in bytes.
    pub compressed_bytes: u64,
    /// Packages: name → version.
    pub packages: BTreeMap<String, String>,
    /// Files of the directory: name → size and digest.
    pub files: BTreeMap<String, FileInfo>,
    /// Hash of all inputs; a build that finds its own here has nothing to do.
    pub inputs_sha256: String,
}

/// A file of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Length; holes count.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: String,
}

impl FileInfo {
    /// Reads a file's length and digest.
    ///
    /// # Errors
    /// Whatever reading gives.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut bytes = 0;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(Self { bytes, sha256: hex(&hash.finalize()) });
            }
            hash.update(&buffer[..count]);
            bytes += count as u64;
        }
    }
}

impl Product {
    /// Reads the description of an image directory, if it has a readable one.
    #[must_use]
    pub fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok().filter(|product: &Self| product.format == VERSION)
    }

    /// Whether all files are there with the sizes described.
    #[must_use]
    pub fn complete(&self, directory: &Path) -> bool {
        let files = self.files.iter().map(|(name, info)| (name.as_str(), info.bytes));
        files.chain([(DISK, self.disk_bytes)]).all(|(name, bytes)| {
            std::fs::metadata(directory.join(name)).is_ok_and(|metadata| metadata.len() == bytes)
        })
    }
}

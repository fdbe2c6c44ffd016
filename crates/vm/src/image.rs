//! The image directory that `orlop build` makes (`docs/formats/image-dir.md`), as machines need it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::spec::Boot;

/// Why an image directory cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file that each image has is not there.
    #[error("{} is not an image directory: {file} is missing", folder.display())]
    Missing {
        /// The directory.
        folder: PathBuf,
        /// The file.
        file: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The manifest is not JSON.
    #[error("cannot make sense of {}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
}

/// A directory with everything that a build made.
#[derive(Debug, Clone)]
pub struct ImageDir {
    folder: PathBuf,
    manifest: serde_json::Value,
    cmdline: String,
}

impl ImageDir {
    /// Opens a directory and looks for what a machine needs.
    ///
    /// # Errors
    /// When something is missing or broken.
    pub fn open(folder: &Path) -> Result<Self, ImageError> {
        let missing = |file| ImageError::Missing { folder: folder.to_owned(), file };
        let folder = folder.canonicalize().map_err(|_| missing("manifest.json"))?;
        for file in ["manifest.json", "disk.raw", "vmlinux", "initramfs.cpio.zst", "cmdline"] {
            if !folder.join(file).exists() {
                return Err(missing(file));
            }
        }
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| ImageError::Read { path, source })
        };
        let manifest = serde_json::from_slice(&read("manifest.json")?)
            .map_err(|source| ImageError::Manifest { path: folder.join("manifest.json"), source })?;
        let cmdline = String::from_utf8_lossy(&read("cmdline")?).trim().to_owned();
        Ok(Self { folder, manifest, cmdline })
    }

    /// The directory, absolute.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The disk image that machines' own disks lie over.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.raw")
    }

    /// The manifest as it is.
    #[must_use]
    pub fn manifest(&self) -> &serde_json::Value {
        &self.manifest
    }

    /// What tells this image from every other: the manifest's text stands for all digests in it.
    #[must_use]
    pub fn identity(&self) -> String {
        self.manifest.to_string()
    }

    /// A boot that leaves the firmware and the boot loader out.
    #[must_use]
    pub fn direct_boot(&self) -> Boot {
        Boot::Direct {
            kernel: self.kernel(),
            initramfs: self.folder.join("initramfs.cpio.zst"),
            cmdline: self.cmdline.clone(),
        }
    }

    /// The kernel for QEMU's own loader: unpacked, which saves the machine two seconds under TCG.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinux")
    }

    /// The kernel's modules, one file each.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.folder.join("modules")
    }
}

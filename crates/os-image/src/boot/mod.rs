//! What boots: initramfs and unified kernel image.

pub mod bzimage;
pub mod cpio;
pub mod initramfs;
pub mod pe;

/// Why a boot file cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A kernel module that the manifest wants in the initramfs does not exist.
    #[error(
        "kernel module {name} (initramfs.modules) is neither in the kernel package nor built in, or kernel.drop drops it"
    )]
    NoModule {
        /// As the manifest names it.
        name: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive could not be compressed.
    #[error("cannot compress the initramfs")]
    Compress {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large for the archive.
    #[error("{path} is too large for a cpio archive")]
    TooLarge {
        /// Its path in the archive.
        path: String,
    },
    /// The stub or the kernel is no PE file as expected.
    #[error("the boot stub cannot take the sections: {what}")]
    Pe {
        /// What does not hold.
        what: &'static str,
    },
}

//! What a caller may choose, and what can go wrong.

use std::io;

use super::compress;
use crate::format::BLOCK_BYTES;

/// How file contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4 with a thorough search. Each level is a part of the format: its bytes never change.
    Lz4hc {
        /// 1 (quickest) to 9 (smallest).
        level: u8,
        /// Size of a physical cluster: 4096 to 65536, a power of two. Larger ones give smaller images; a random read
        /// decodes a whole one.
        cluster_bytes: u32,
    },
}

impl Compression {
    /// What images of Orlop use: level 7 and clusters of 64 KiB, about as small as `mkfs.erofs -zlz4hc -C65536` makes
    /// them in less time; level 9 saves another half percent for twice the time.
    pub const DEFAULT: Self = Self::Lz4hc { level: 7, cluster_bytes: 65536 };

    pub(super) fn check(self) -> Result<(), WriteError> {
        let Self::Lz4hc { level, cluster_bytes } = self else { return Ok(()) };
        if !(1..=9).contains(&level) {
            return Err(WriteError::Level { level });
        }
        let sizes = BLOCK_BYTES as u32..=compress::CLUSTER_BYTES_MAX;
        if !sizes.contains(&cluster_bytes) || !cluster_bytes.is_power_of_two() {
            return Err(WriteError::ClusterSize { cluster_bytes });
        }
        Ok(())
    }
}

/// Everything besides the tree that decides an image's bytes, and the number of threads, which does not.
#[derive(Debug, Clone)]
pub struct Options {
    /// Compression of file contents.
    pub compression: Compression,
    /// Identity of the volume; derive it from the tree's digest, never at random.
    pub uuid: [u8; 16],
    /// Label, NUL-padded.
    pub volume_name: [u8; 16],
    /// The time of every inode, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub time_secs: u64,
    /// Threads that compress; 0 and 1 mean the caller's own, which also reads and writes. The image is the same for any number.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            compression: Compression::DEFAULT,
            uuid: [0; 16],
            volume_name: [0; 16],
            time_secs: 0,
            threads: 1,
        }
    }
}

/// What happened, for a progress display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// So much file content has been written.
    Content {
        /// Bytes so far, before compression.
        done_bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    },
    /// Contents are written, metadata follows.
    Metadata {
        /// Inodes to write.
        inodes: u64,
    },
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Size of the image, a multiple of the block size.
    pub image_bytes: u64,
    /// Number of inodes.
    pub inodes: u64,
    /// File contents before compression, hard links counted once.
    pub content_bytes: u64,
    /// Blocks of file contents, directories not counted, tails in the metadata neither.
    pub data_bytes: u64,
    /// Metadata area, tails included.
    pub metadata_bytes: u64,
}

/// Why no image was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No such compression level.
    #[error("compression level {level}: there are 1 to 9")]
    Level {
        /// As asked for.
        level: u8,
    },
    /// No such cluster size.
    #[error("cluster size {cluster_bytes}: must be a power of two from 4096 to 65536")]
    ClusterSize {
        /// As asked for, in bytes.
        cluster_bytes: u32,
    },
    /// A file could not be read.
    #[error("{path}: cannot read its content")]
    Read {
        /// Path in the tree.
        path: String,
        /// What the [`Source`](crate::Source) said.
        #[source]
        source: io::Error,
    },
    /// A file's content has another length than the tree says.
    #[error("{path}: its content is not the {expected_bytes} bytes that the tree says")]
    Size {
        /// Path in the tree.
        path: String,
        /// Length in the tree.
        expected_bytes: u64,
    },
    /// A file is larger than this writer can index.
    #[error("{path}: {size_bytes} bytes are more than an image can hold")]
    FileTooLarge {
        /// Path in the tree.
        path: String,
        /// Length in the tree.
        size_bytes: u64,
    },
    /// An extended attribute has no form in EROFS.
    #[error("{path}: extended attribute {name}: {reason}")]
    Xattr {
        /// Path in the tree; empty when several inodes share it.
        path: String,
        /// Full name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A symbolic link's target is empty or longer than Linux allows.
    #[error("{path}: a symbolic link's target has 1 to 4095 bytes")]
    Target {
        /// Path in the tree.
        path: String,
    },
    /// A device number that Linux does not have.
    #[error("{path}: device {major}:{minor} is beyond 12 and 20 bits")]
    Device {
        /// Path in the tree.
        path: String,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A number does not fit its field.
    #[error("too large for an image: {what}")]
    TooLarge {
        /// Which part.
        what: &'static str,
    },
    /// A compressing thread ended early.
    #[error("a compressing thread ended before its work was done")]
    Thread,
    /// The image could not be written.
    #[error("cannot write the image")]
    Output {
        /// What the medium said.
        #[source]
        source: io::Error,
    },
}

//! What can be wrong with an image.

use std::io;

use crate::lz4::DecodeError;

/// Why an image, or something in it, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The medium failed.
    #[error("cannot read {length_bytes} bytes at offset {offset}")]
    Io {
        /// Offset in the image.
        offset: u64,
        /// How many bytes were wanted.
        length_bytes: usize,
        /// What the medium said.
        #[source]
        source: io::Error,
    },
    /// There is no superblock.
    #[error("not an EROFS image: the superblock's magic number is missing")]
    NotErofs,
    /// The superblock's checksum is wrong.
    #[error("the superblock's checksum is {found:#010x}, its content gives {computed:#010x}")]
    Checksum {
        /// In the image.
        found: u32,
        /// Of its content.
        computed: u32,
    },
    /// The image uses a part of the format that this reader does not have.
    #[error("not supported: {what}")]
    Unsupported {
        /// Which part.
        what: &'static str,
    },
    /// An inode, or what hangs on it, contradicts itself or leaves the image.
    #[error("inode {nid} is damaged: {what}")]
    Damaged {
        /// Its nid.
        nid: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A compressed piece does not decode.
    #[error("inode {nid} is damaged: the piece at byte {start} does not decode")]
    Decode {
        /// Its nid.
        nid: u64,
        /// Where the piece begins in the file.
        start: u64,
        /// What the decoder said.
        #[source]
        source: DecodeError,
    },
    /// There is nothing at the path.
    #[error("{path}: not in the image")]
    NotFound {
        /// As asked for.
        path: String,
    },
    /// An operation on a kind of inode that does not have it.
    #[error("inode {nid} is not a {wanted}")]
    Kind {
        /// Its nid.
        nid: u64,
        /// The kind it would have to be.
        wanted: &'static str,
    },
    /// The tree is larger or deeper than a reader may be made to follow.
    #[error("the tree has more than {limit} {what}")]
    Limit {
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
}

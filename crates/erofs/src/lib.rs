//! EROFS images: a reader and a deterministic, compressing writer. No I/O of its own.
//!
//! Purpose: `/usr` of a machine is one EROFS image under dm-verity, and an update rebuilds that image on the machine
//! itself, bit for bit. So the writer must give the same bytes for the same tree on every machine and in every later
//! release, which no external tool or compression library promises.
//!
//! Principles:
//! - **Equal tree, equal bytes.** Nothing enters an image but the [`Tree`], the file contents and the [`Options`]: no
//!   clock, no randomness, no order of a hash map, no thread timing. The LZ4 encoder is ours ([`lz4`]) and its output
//!   is part of the format: a changed byte there is a new format version (the digest-stability test says so).
//! - **No I/O.** Files are read through [`Source`], images through [`ReadAt`], output goes to any `Write + Seek`.
//! - **Nothing holds the whole content.** The writer keeps, for each file, its block map and at most one block of
//!   tail; the reader, one extent.
//! - **Images are outside bytes.** The reader refuses what it cannot prove to be in bounds and never panics
//!   ([`fuzz_image`]).
//!
//! The subset of EROFS that is written, and why, is in `docs/formats/erofs.md`. Names and numbers of the format follow
//! the kernel's `fs/erofs/erofs_fs.h`.
//!
//! Modules: [`tree`] the file tree to write; [`write()`] the writer; [`Image`] the reader; [`format`] the on-disk
//! structures that both share; [`lz4`] block encoder and decoder.

pub mod format;
pub mod lz4;
pub mod tree;

mod crc32c;
mod read;
mod write;

pub use read::{Entry, FileReader, Image, Inode, InodeKind, ReadAt, ReadError, fuzz_image};
pub use tree::{Content, ContentId, Device, Kind, Meta, Node, NodeId, Source, Tree, TreeError};
pub use write::{Compression, Event, Options, Summary, WriteError, write};

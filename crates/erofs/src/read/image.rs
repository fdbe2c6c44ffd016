//! The image as a whole: superblock, inodes by number, paths.

use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;

use super::ReadError;
use super::dir::Entry;
use super::inode::{Inode, InodeKind};
use crate::crc32c::crc32c;
use crate::format::{
    COMPAT_CHECKSUM, INCOMPAT_COMPR_CFGS, INCOMPAT_FRAGMENTS, INCOMPAT_HEAD2, INCOMPAT_XATTR_PREFIXES,
    INCOMPAT_ZERO_PADDING, INCOMPAT_ZTAILPACKING, SUPER_BYTES, SUPER_OFFSET, SuperBlock,
};

/// Deepest directory that [`Image::walk`] enters.
const DEPTH_MAX: usize = 1024;

/// Block sizes that the kernel knows, as powers of two.
const BLOCK_BITS: std::ops::RangeInclusive<u8> = 9..=16;

/// Random access to an image's bytes.
pub trait ReadAt {
    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// Whatever the medium reports; [`io::ErrorKind::UnexpectedEof`] beyond the end.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buffer)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buffer)
    }
}

#[cfg(unix)]
impl ReadAt for std::fs::File {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

/// An opened image.
#[derive(Debug)]
pub struct Image<R> {
    source: R,
    superblock: SuperBlock,
}

impl<R: ReadAt> Image<R> {
    /// Reads and checks the superblock.
    ///
    /// # Errors
    /// [`ReadError`] when there is none, its checksum is wrong, or it asks for what this reader does not have.
    pub fn open(source: R) -> Result<Self, ReadError> {
        let mut raw = [0; SUPER_BYTES];
        read(&source, SUPER_OFFSET as u64, &mut raw)?;
        let superblock = SuperBlock::decode(&raw).ok_or(ReadError::NotErofs)?;
        check_features(&superblock)?;
        if superblock.feature_compat & COMPAT_CHECKSUM != 0 {
            check_checksum(&source, &superblock)?;
        }
        Ok(Self { source, superblock })
    }

    /// The superblock.
    pub fn superblock(&self) -> &SuperBlock {
        &self.superblock
    }

    /// The root directory.
    ///
    /// # Errors
    /// As [`Image::inode`].
    pub fn root(&self) -> Result<Inode, ReadError> {
        self.inode(u64::from(self.superblock.root_nid))
    }

    /// The inode with this number.
    ///
    /// # Errors
    /// [`ReadError`] when it is outside the image or makes no sense.
    pub fn inode(&self, nid: u64) -> Result<Inode, ReadError> {
        Inode::read(self, nid)
    }

    /// The inode at `path` from the root; symbolic links are not followed.
    ///
    /// # Errors
    /// [`ReadError::NotFound`], or as [`Image::inode`].
    pub fn find(&self, path: impl AsRef<[u8]>) -> Result<Inode, ReadError> {
        let path = path.as_ref();
        let not_found = || ReadError::NotFound { path: crate::tree::text(path) };
        let mut inode = self.root()?;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            if inode.kind() != InodeKind::Dir {
                return Err(not_found());
            }
            let entry =
                self.entries(&inode)?.into_iter().find(|entry| entry.name == name).ok_or_else(not_found)?;
            inode = self.inode(entry.nid)?;
        }
        Ok(inode)
    }

    /// Visits every name below the root with its path, directories before what is in them, until the visitor breaks.
    ///
    /// # Errors
    /// [`ReadError`] of the first inode that cannot be read; also when a directory has two names or lies too deep.
    pub fn walk(
        &self,
        visit: &mut dyn FnMut(&[u8], &Inode) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let root = self.root()?;
        let mut seen = HashSet::from([root.nid()]);
        let mut stack = vec![(Vec::new(), root, 0)];
        while let Some((path, dir, depth)) = stack.pop() {
            for Entry { name, nid } in self.entries(&dir)? {
                if name == b"." || name == b".." {
                    continue;
                }
                let inode = self.inode(nid)?;
                let path = crate::tree::join(&path, &name);
                if visit(&path, &inode).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                if inode.kind() != InodeKind::Dir {
                    continue;
                }
                if !seen.insert(nid) {
                    return Err(ReadError::Damaged { nid, what: "a directory with two names" });
                }
                if depth == DEPTH_MAX {
                    return Err(ReadError::Limit { limit: DEPTH_MAX as u64, what: "nested directories" });
                }
                stack.push((path, inode, depth + 1));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    pub(super) fn block_bytes(&self) -> u64 {
        1 << self.superblock.block_bits
    }

    pub(super) fn zero_padding(&self) -> bool {
        self.superblock.feature_incompat & INCOMPAT_ZERO_PADDING != 0
    }

    pub(super) fn block_offset(&self, block: u32) -> u64 {
        u64::from(block) << self.superblock.block_bits
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        read(&self.source, offset, buffer)
    }

    /// Reads so many bytes; refuses a length that the image cannot hold, before memory is taken for it.
    pub(super) fn read_vec(&self, nid: u64, offset: u64, length: u64) -> Result<Vec<u8>, ReadError> {
        let end = offset.checked_add(length);
        // Metadata may follow the last counted block by less than one.
        let limit = (u64::from(self.superblock.blocks) + 1) << self.superblock.block_bits;
        if end.is_none_or(|end| end > limit) {
            return Err(ReadError::Damaged { nid, what: "its data lies beyond the image's end" });
        }
        let length =
            usize::try_from(length).map_err(|_| ReadError::Damaged { nid, what: "its data is too long" })?;
        if let (Some(last), true) = (end.and_then(|end| end.checked_sub(1)), length > 0) {
            self.read(last, &mut [0])?;
        }
        let mut buffer = vec![0; length];
        self.read(offset, &mut buffer)?;
        Ok(buffer)
    }
}

fn read<R: ReadAt>(source: &R, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
    let length_bytes = buffer.len();
    source.read_exact_at(offset, buffer).map_err(|source| ReadError::Io { offset, length_bytes, source })
}

fn check_features(superblock: &SuperBlock) -> Result<(), ReadError> {
    let unsupported = |what| Err(ReadError::Unsupported { what });
    let incompat = superblock.feature_incompat;
    if !BLOCK_BITS.contains(&superblock.block_bits) {
        return unsupported("block size other than 512 bytes to 64 KiB");
    }
    if superblock.dir_block_bits != 0 {
        return unsupported("directory blocks larger than a block");
    }
    if incompat & INCOMPAT_FRAGMENTS != 0 {
        return unsupported("fragments and deduplicated extents");
    }
    if incompat & INCOMPAT_HEAD2 != 0 {
        return unsupported("a device table or a second algorithm");
    }
    if incompat & INCOMPAT_XATTR_PREFIXES != 0 {
        return unsupported("long xattr name prefixes");
    }
    match incompat & !(INCOMPAT_ZERO_PADDING | INCOMPAT_COMPR_CFGS | INCOMPAT_ZTAILPACKING) {
        0 => Ok(()),
        _ => unsupported("a feature of the superblock (chunked files, or newer than this reader)"),
    }
}

/// The checksum covers the superblock's block from the superblock on, with the checksum itself as zero.
fn check_checksum<R: ReadAt>(source: &R, superblock: &SuperBlock) -> Result<(), ReadError> {
    let block_bytes = 1usize << superblock.block_bits;
    let length = if block_bytes > SUPER_OFFSET { block_bytes - SUPER_OFFSET } else { block_bytes };
    let mut bytes = vec![0; length];
    read(source, SUPER_OFFSET as u64, &mut bytes)?;
    bytes[4..8].fill(0);
    let (found, computed) = (superblock.checksum, crc32c(&bytes));
    if found == computed { Ok(()) } else { Err(ReadError::Checksum { found, computed }) }
}

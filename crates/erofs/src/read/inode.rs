//! Inodes and their extended attributes.

use std::collections::BTreeMap;

use super::{Image, ReadAt, ReadError};
use crate::format::{
    INODE_COMPACT_BYTES, INODE_EXTENDED_BYTES, Layout, RawInode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK,
    S_IFMT, S_IFREG, S_IFSOCK, SLOT_BYTES, XATTR_ENTRY_BYTES, XATTR_HEADER_BYTES, XATTR_PREFIXES,
    decode_device, le16, le32,
};
use crate::tree::{Device, TARGET_BYTES_MAX};

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeKind {
    /// Directory.
    Dir,
    /// Regular file.
    File,
    /// Symbolic link.
    Symlink,
    /// Character device.
    CharDevice(Device),
    /// Block device.
    BlockDevice(Device),
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
}

/// An inode of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    nid: u64,
    kind: InodeKind,
    pub(super) layout: Layout,
    pub(super) raw: RawInode,
    /// Where it begins in the image.
    offset: u64,
    mtime_secs: u64,
}

impl Inode {
    pub(super) fn read<R: ReadAt>(image: &Image<R>, nid: u64) -> Result<Self, ReadError> {
        let superblock = image.superblock();
        let offset = nid
            .checked_mul(SLOT_BYTES)
            .and_then(|at| at.checked_add(image.block_offset(superblock.meta_block)));
        let offset = offset.ok_or(ReadError::Damaged { nid, what: "its number is out of range" })?;
        let mut bytes = [0; INODE_EXTENDED_BYTES];
        image.read(offset, &mut bytes[..INODE_COMPACT_BYTES])?;
        if bytes[0] & 1 == 1 {
            image.read(offset, &mut bytes)?;
        }
        let raw = RawInode::decode(&bytes).ok_or(ReadError::Damaged { nid, what: "unknown form" })?;
        let layout = Layout::from_number(raw.layout)
            .ok_or(ReadError::Unsupported { what: "an unknown data layout" })?;
        let kind = kind(raw).ok_or(ReadError::Damaged { nid, what: "its mode has no file type" })?;
        let mtime_secs = if raw.extended { raw.mtime_secs } else { superblock.build_time_secs };
        Ok(Self { nid, kind, layout, raw, offset, mtime_secs })
    }

    /// Its number.
    #[must_use]
    pub fn nid(&self) -> u64 {
        self.nid
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> InodeKind {
        self.kind
    }

    /// Permission bits with setuid, setgid and sticky.
    #[must_use]
    pub fn mode(&self) -> u16 {
        self.raw.mode & 0o7777
    }

    /// Owner.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.raw.uid
    }

    /// Group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.raw.gid
    }

    /// Number of names.
    #[must_use]
    pub fn nlink(&self) -> u32 {
        self.raw.nlink
    }

    /// Length of its data in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.raw.size_bytes
    }

    /// Time of modification, in seconds since 1970.
    #[must_use]
    pub fn mtime_secs(&self) -> u64 {
        self.mtime_secs
    }

    pub(super) fn damaged(&self, what: &'static str) -> ReadError {
        ReadError::Damaged { nid: self.nid, what }
    }

    fn xattr_bytes(&self) -> u64 {
        match self.raw.xattr_count {
            0 => 0,
            count => XATTR_HEADER_BYTES as u64 + 4 * (u64::from(count) - 1),
        }
    }

    /// Where in the image its fixed part and xattrs end.
    pub(super) fn head_end(&self) -> u64 {
        self.offset + self.raw.encoded_bytes() as u64 + self.xattr_bytes()
    }
}

fn kind(raw: RawInode) -> Option<InodeKind> {
    let device = || {
        let (major, minor) = decode_device(raw.union);
        Device { major, minor }
    };
    Some(match raw.mode & S_IFMT {
        S_IFDIR => InodeKind::Dir,
        S_IFREG => InodeKind::File,
        S_IFLNK => InodeKind::Symlink,
        S_IFCHR => InodeKind::CharDevice(device()),
        S_IFBLK => InodeKind::BlockDevice(device()),
        S_IFIFO => InodeKind::Fifo,
        S_IFSOCK => InodeKind::Socket,
        _ => return None,
    })
}

impl<R: ReadAt> Image<R> {
    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`ReadError`] when it is none, or damaged.
    pub fn target(&self, inode: &Inode) -> Result<Vec<u8>, ReadError> {
        if inode.kind != InodeKind::Symlink {
            return Err(ReadError::Kind { nid: inode.nid, wanted: "symbolic link" });
        }
        if inode.size_bytes() > TARGET_BYTES_MAX as u64 {
            return Err(inode.damaged("its target is too long"));
        }
        self.data(inode)
    }

    /// The extended attributes of an inode, by full name.
    ///
    /// # Errors
    /// [`ReadError`] when they are damaged.
    pub fn xattrs(&self, inode: &Inode) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ReadError> {
        let mut xattrs = BTreeMap::new();
        let start = inode.offset + inode.raw.encoded_bytes() as u64;
        let body = self.read_vec(inode.nid, start, inode.xattr_bytes())?;
        if body.is_empty() {
            return Ok(xattrs);
        }
        let shared = usize::from(body[4]);
        let mut at = XATTR_HEADER_BYTES + 4 * shared;
        let ids = body.get(XATTR_HEADER_BYTES..at).ok_or_else(|| inode.damaged("its xattrs are cut off"))?;
        for id in ids.chunks_exact(4) {
            let (name, value) = self.shared_xattr(inode, le32(id, 0))?;
            xattrs.insert(name, value);
        }
        while at + XATTR_ENTRY_BYTES <= body.len() {
            let (name_bytes, value_bytes) = entry_bytes(&body[at..]);
            let end = at + XATTR_ENTRY_BYTES + name_bytes + value_bytes;
            let entry = body.get(at..end).ok_or_else(|| inode.damaged("an xattr is cut off"))?;
            let (name, value) = xattr(inode, entry)?;
            xattrs.insert(name, value);
            at = end.next_multiple_of(XATTR_ENTRY_BYTES);
        }
        Ok(xattrs)
    }

    fn shared_xattr(&self, inode: &Inode, id: u32) -> Result<(Vec<u8>, Vec<u8>), ReadError> {
        let at = self.block_offset(self.superblock().xattr_block) + 4 * u64::from(id);
        let head = self.read_vec(inode.nid, at, XATTR_ENTRY_BYTES as u64)?;
        let (name_bytes, value_bytes) = entry_bytes(&head);
        let length = XATTR_ENTRY_BYTES + name_bytes + value_bytes;
        xattr(inode, &self.read_vec(inode.nid, at, length as u64)?)
    }
}

/// Lengths of name and value, from an entry's first four bytes.
fn entry_bytes(entry: &[u8]) -> (usize, usize) {
    (usize::from(entry[0]), usize::from(le16(entry, 2)))
}

/// Full name and value of a whole entry.
fn xattr(inode: &Inode, entry: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ReadError> {
    let (name_bytes, _) = entry_bytes(entry);
    let prefix = XATTR_PREFIXES.iter().find(|(index, _)| *index == entry[1]);
    let (_, prefix) = prefix.ok_or_else(|| inode.damaged("an xattr has an unknown namespace"))?;
    let (suffix, value) = entry[XATTR_ENTRY_BYTES..].split_at(name_bytes);
    Ok(([prefix, suffix].concat(), value.to_vec()))
}

//! Inodes: which there are, what they need, and their bytes.

use std::collections::VecDeque;

use super::data::Data;
use super::dir::{self, Name};
use super::xattr::{self, SharedXattrs};
use super::{WriteError, index};
use crate::format::{
    self, BLOCK_BYTES, Layout, RawInode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK,
    SLOT_BYTES,
};
use crate::tree::{Kind, Node, NodeId, TARGET_BYTES_MAX, Tree, text};

/// An inode on its way to the image.
pub(super) struct Inode<'t> {
    pub(super) id: NodeId,
    /// The first of its paths.
    pub(super) path: Vec<u8>,
    node: &'t Node,
    /// The directory it was found in; its own for the root.
    parent: NodeId,
    raw: RawInode,
    xattrs: Vec<u8>,
    pub(super) data: Data,
    /// Offset in the metadata area.
    pub(super) offset: u64,
}

/// All inodes of a tree, each once: the root, then the children of each directory together.
pub(super) fn collect<'t>(tree: &'t Tree, shared: &SharedXattrs<'t>) -> Result<Vec<Inode<'t>>, WriteError> {
    let mut seen = vec![false; tree.slots()];
    let mut queue = VecDeque::from([(Vec::new(), NodeId::ROOT)]);
    let mut inodes = vec![Inode::new(tree, NodeId::ROOT, Vec::new(), NodeId::ROOT, 1, shared)?];
    while let Some((path, dir)) = queue.pop_front() {
        let Kind::Dir(children) = &tree.node(dir).kind else { continue };
        for (name, &id) in children {
            if std::mem::replace(&mut seen[id.index()], true) {
                continue;
            }
            let child_path = crate::tree::join(&path, name);
            let ino =
                u32::try_from(inodes.len() + 1).map_err(|_| WriteError::TooLarge { what: "2^32 inodes" })?;
            if matches!(tree.node(id).kind, Kind::Dir(_)) {
                queue.push_back((child_path.clone(), id));
            }
            inodes.push(Inode::new(tree, id, child_path, dir, ino, shared)?);
        }
    }
    Ok(inodes)
}

impl<'t> Inode<'t> {
    fn new(
        tree: &'t Tree,
        id: NodeId,
        path: Vec<u8>,
        parent: NodeId,
        ino: u32,
        shared: &SharedXattrs<'t>,
    ) -> Result<Self, WriteError> {
        let node = tree.node(id);
        let xattrs = shared.body(&path, &node.meta)?;
        let (size_bytes, union) = size_and_union(&path, node)?;
        let mut raw = RawInode {
            extended: false,
            layout: Layout::FlatPlain as u16,
            xattr_count: xattr::count_field(xattrs.len()),
            mode: file_type(&node.kind) | node.meta.mode & 0o7777,
            nlink: links(tree, id),
            size_bytes,
            union,
            ino,
            uid: node.meta.uid,
            gid: node.meta.gid,
            mtime_secs: 0,
        };
        raw.extended = !raw.fits_compact();
        let data = match &node.kind {
            Kind::Symlink(target) => Data::Flat { first_block: 0, tail: target.clone() },
            _ => Data::None,
        };
        Ok(Self { id, path, node, parent, raw, xattrs, data, offset: 0 })
    }

    /// The regular file's content, unless it is empty.
    pub(super) fn content(&self) -> Option<crate::tree::Content> {
        match self.node.kind {
            Kind::File(content) if content.size_bytes > 0 => Some(content),
            _ => None,
        }
    }

    pub(super) fn is_symlink(&self) -> bool {
        matches!(self.node.kind, Kind::Symlink(_))
    }

    /// The directory's names, `.` and `..` among them.
    pub(super) fn names(&self) -> Option<Vec<Name<'t, NodeId>>> {
        let Kind::Dir(children) = &self.node.kind else { return None };
        let children = children.iter().map(|(name, &id)| (name.as_slice(), id));
        Some(dir::with_dots(children, self.id, self.parent))
    }

    /// Bytes of the fixed part and the xattrs.
    pub(super) fn head_bytes(&self) -> usize {
        self.raw.encoded_bytes() + self.xattrs.len()
    }

    pub(super) fn set_directory_size(&mut self, size_bytes: u64) {
        self.raw.size_bytes = size_bytes;
        self.raw.extended = !self.raw.fits_compact();
    }

    /// Bytes before the tail, and of the tail.
    pub(super) fn item_bytes(&self) -> (usize, usize) {
        match &self.data {
            Data::None => (self.head_bytes(), 0),
            Data::Flat { tail, .. } => (self.head_bytes(), tail.len()),
            Data::Compressed { tail, .. } => {
                (index::end_offset(self.head_bytes(), self.raw.size_bytes), tail.len())
            }
        }
    }

    pub(super) fn nid(&self) -> u64 {
        self.offset / SLOT_BYTES
    }

    /// Type in directory entries.
    pub(super) fn dirent_type(&self) -> u8 {
        format::dirent_type(self.raw.mode)
    }

    /// Writes the inode with all that lies behind it to its place. Extended inodes carry the image's time.
    pub(super) fn encode(&self, time_secs: u64, area: &mut [u8]) {
        let at = usize::try_from(self.offset).expect("the area is in memory");
        let mut raw = RawInode { mtime_secs: time_secs, ..self.raw };
        let mut behind = Vec::new();
        match &self.data {
            Data::None => {}
            Data::Flat { first_block, tail } => {
                raw.union = *first_block;
                raw.layout = if tail.is_empty() { Layout::FlatPlain } else { Layout::FlatInline } as u16;
                behind.extend_from_slice(tail);
            }
            Data::Compressed { extents, blocks, tail } => {
                raw.union = *blocks;
                raw.layout = Layout::CompressedCompact as u16;
                let inline_bytes =
                    u16::try_from(tail.len()).expect("an inline pcluster is less than a block");
                behind.resize(self.head_bytes().next_multiple_of(8) - self.head_bytes(), 0);
                behind.extend(index::encode(self.head_bytes(), raw.size_bytes, extents, inline_bytes));
                behind.extend_from_slice(tail);
            }
        }
        raw.encode(&mut area[at..]);
        let at = at + raw.encoded_bytes();
        area[at..at + self.xattrs.len()].copy_from_slice(&self.xattrs);
        let at = at + self.xattrs.len();
        area[at..at + behind.len()].copy_from_slice(&behind);
    }
}

/// Whether a tail of this length can follow a head of that one in the same block.
pub(super) fn inlines(head_bytes: usize, tail_bytes: usize) -> bool {
    head_bytes + tail_bytes <= BLOCK_BYTES
}

fn links(tree: &Tree, id: NodeId) -> u32 {
    match &tree.node(id).kind {
        Kind::Dir(children) => {
            let subdirs =
                children.values().filter(|&&child| matches!(tree.node(child).kind, Kind::Dir(_))).count();
            u32::try_from(2 + subdirs).unwrap_or(u32::MAX)
        }
        _ => tree.names(id),
    }
}

fn file_type(kind: &Kind) -> u16 {
    match kind {
        Kind::Dir(_) => S_IFDIR,
        Kind::File(_) => S_IFREG,
        Kind::Symlink(_) => S_IFLNK,
        Kind::CharDevice(_) => S_IFCHR,
        Kind::BlockDevice(_) => S_IFBLK,
        Kind::Fifo => S_IFIFO,
        Kind::Socket => S_IFSOCK,
    }
}

fn size_and_union(path: &[u8], node: &Node) -> Result<(u64, u32), WriteError> {
    match &node.kind {
        // Blocks are numbered with 32 bits.
        Kind::File(content) if content.size_bytes >> (32 + format::BLOCK_BITS) != 0 => {
            Err(WriteError::FileTooLarge { path: text(path), size_bytes: content.size_bytes })
        }
        Kind::File(content) => Ok((content.size_bytes, 0)),
        Kind::Symlink(target) if target.is_empty() || target.len() > TARGET_BYTES_MAX => {
            Err(WriteError::Target { path: text(path) })
        }
        Kind::Symlink(target) => Ok((target.len() as u64, 0)),
        Kind::CharDevice(device) | Kind::BlockDevice(device) => {
            if device.major > 0xfff || device.minor > 0xf_ffff {
                return Err(WriteError::Device {
                    path: text(path),
                    major: device.major,
                    minor: device.minor,
                });
            }
            Ok((0, format::encode_device(device.major, device.minor)))
        }
        Kind::Dir(_) | Kind::Fifo | Kind::Socket => Ok((0, 0)),
    }
}

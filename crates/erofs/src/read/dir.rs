//! Directories.

use super::{Image, Inode, InodeKind, ReadAt, ReadError};
use crate::format::{DIRENT_BYTES, le16, le64};
use crate::tree::NAME_BYTES_MAX;

/// Largest directory that is read, in bytes: about a million names.
const DIR_BYTES_MAX: u64 = 32 << 20;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name; never empty, without `/` and NUL.
    pub name: Vec<u8>,
    /// Number of the inode that it names.
    pub nid: u64,
}

impl<R: ReadAt> Image<R> {
    /// The names in a directory, `.` and `..` among them, in the order of the image (sorted by bytes).
    ///
    /// # Errors
    /// [`ReadError`] when it is no directory, or damaged.
    pub fn entries(&self, dir: &Inode) -> Result<Vec<Entry>, ReadError> {
        if dir.kind() != InodeKind::Dir {
            return Err(ReadError::Kind { nid: dir.nid(), wanted: "directory" });
        }
        if dir.size_bytes() > DIR_BYTES_MAX {
            return Err(ReadError::Limit { limit: DIR_BYTES_MAX, what: "bytes in a directory" });
        }
        let data = self.data(dir)?;
        let block_bytes = 1 << self.superblock().block_bits;
        let mut entries = Vec::new();
        for block in data.chunks(block_bytes) {
            parse_block(block, &mut entries).map_err(|what| dir.damaged(what))?;
        }
        Ok(entries)
    }
}

/// Reads a block: entries, then names; the first entry's name tells where entries end.
fn parse_block(block: &[u8], entries: &mut Vec<Entry>) -> Result<(), &'static str> {
    if block.len() < DIRENT_BYTES {
        return Err("a directory block is too short");
    }
    let names_at = usize::from(le16(block, 8));
    if names_at == 0 || names_at % DIRENT_BYTES != 0 || names_at > block.len() {
        return Err("a directory block's first name is misplaced");
    }
    let count = names_at / DIRENT_BYTES;
    for index in 0..count {
        let at = index * DIRENT_BYTES;
        let start = usize::from(le16(block, at + 8));
        let end =
            if index + 1 < count { usize::from(le16(block, at + DIRENT_BYTES + 8)) } else { block.len() };
        let name = block.get(start..end).filter(|_| start >= names_at).ok_or("a name is misplaced")?;
        // The last name of a block may be followed by zeros.
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(&b'/') {
            return Err("a name is empty, too long, or has a slash");
        }
        entries.push(Entry { name: name.to_vec(), nid: le64(block, at) });
    }
    Ok(())
}

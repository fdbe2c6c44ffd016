//! Entry for fuzzers.

use std::ops::ControlFlow;

use super::{Image, Inode, InodeKind};

/// So many inodes are read of one image: hostile ones may have a tree without an end.
const INODES_MAX: usize = 1000;

/// So much content is read of one image.
const CONTENT_BYTES_MAX: u64 = 32 << 20;

/// Reads all that is in `bytes` as an image, with a limit; must neither panic nor run long, whatever they are. The
/// checksum of the superblock is made good first, since no fuzzer guesses it.
pub fn fuzz_image(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if let Some(compat) = bytes.get_mut(crate::format::SUPER_OFFSET + 8) {
        *compat &= !1;
    }
    let Ok(image) = Image::open(bytes) else { return };
    let (mut inodes, mut content) = (0, 0);
    let _ = image.walk(&mut |_, inode| {
        inodes += 1;
        content += read_all(&image, inode, CONTENT_BYTES_MAX - content);
        match inodes < INODES_MAX && content < CONTENT_BYTES_MAX {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
}

/// Reads what an inode has; gives the bytes read, at most `limit`.
fn read_all(image: &Image<Vec<u8>>, inode: &Inode, limit: u64) -> u64 {
    let _ = image.xattrs(inode);
    if inode.kind() == InodeKind::Symlink {
        return image.target(inode).map_or(0, |target| target.len() as u64);
    }
    let Ok(mut file) = image.file(inode) else { return 0 };
    let (mut at, mut buffer) = (0, vec![0; 1 << 16]);
    while at < limit {
        match file.read_at(at, &mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => at += read as u64,
        }
    }
    at.min(limit)
}

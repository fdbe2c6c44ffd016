//! The writer: file contents first, then directories, then metadata, the superblock last.
//!
//! ```text
//! block 0      superblock at 1024, LZ4 configuration
//! 1 …          contents of files, each file's blocks together, in the order of the inodes
//!              whole blocks of directories
//! meta_block   inodes with xattrs, indexes and tails; the root's first
//! xattr_block  attributes that several inodes share
//! ```
//!
//! Metadata comes last because contents are then written as they are read; it lies together because a path walk reads
//! many inodes and little content.

mod compress;
mod data;
mod dir;
mod index;
mod inode;
mod options;
mod output;
mod place;
mod xattr;

use std::io::{Seek, Write};

use crate::crc32c::crc32c;
use crate::format::{
    BLOCK_BITS, BLOCK_BYTES, COMPAT_CHECKSUM, COMPAT_MTIME, INCOMPAT_COMPR_CFGS, INCOMPAT_ZERO_PADDING,
    INCOMPAT_ZTAILPACKING, Put, SUPER_BYTES, SUPER_OFFSET, SuperBlock,
};
use crate::lz4;
use crate::tree::{Source, Tree};
use data::Data;
use inode::Inode;
pub use options::{Compression, Event, Options, Summary, WriteError};
use output::Output;
use place::Places;
use xattr::SharedXattrs;

/// Offset of the CRC in the superblock.
const CHECKSUM_AT: usize = SUPER_OFFSET + 4;

/// Writes the image of `tree` to `out`, from its present position on; reads file contents from `source`.
///
/// Equal trees, contents and options (but for [`Options::threads`]) give equal bytes.
///
/// # Errors
/// [`WriteError`]; `out` then holds a part of an image without superblock.
pub fn write<W: Write + Seek>(
    tree: &Tree,
    source: &dyn Source,
    options: &Options,
    out: &mut W,
    events: &mut dyn FnMut(Event),
) -> Result<Summary, WriteError> {
    options.compression.check()?;
    let shared = SharedXattrs::collect(tree.walk().map(|(_, id)| &tree.node(id).meta))?;
    let mut inodes = inode::collect(tree, &shared)?;
    let mut output = Output::new(out)?;

    let content_bytes = data::write_all(&mut inodes, source, options, &mut output, events)?;
    let data_blocks = output.next_block() - 1;
    events(Event::Metadata { inodes: inodes.len() as u64 });
    write_long_targets(&mut inodes, &mut output)?;
    let meta_bytes = place_all(&mut inodes);
    write_directories(tree, &mut inodes, &mut output)?;

    let mut area =
        vec![0; usize::try_from(meta_bytes).map_err(|_| WriteError::TooLarge { what: "metadata" })?];
    inodes.iter().for_each(|inode| inode.encode(options.time_secs, &mut area));
    let meta_block = output.blocks(&area)?;
    let xattr_block = output.blocks(&shared.area)?;

    let blocks = output.next_block();
    let superblock = superblock(options, &inodes, [meta_block, xattr_block, blocks])?;
    output.finish(&first_block(&superblock, options))?;
    Ok(Summary {
        image_bytes: u64::from(blocks) * BLOCK_BYTES as u64,
        inodes: inodes.len() as u64,
        content_bytes,
        data_bytes: u64::from(data_blocks) * BLOCK_BYTES as u64,
        metadata_bytes: meta_bytes,
    })
}

/// A target that does not fit behind its inode gets a block.
fn write_long_targets<W: Write + Seek>(
    inodes: &mut [Inode<'_>],
    output: &mut Output<'_, W>,
) -> Result<(), WriteError> {
    for inode in inodes.iter_mut().filter(|inode| inode.is_symlink()) {
        let head_bytes = inode.head_bytes();
        if let Data::Flat { first_block, tail } = &mut inode.data
            && !inode::inlines(head_bytes, tail.len())
        {
            *first_block = output.blocks(tail)?;
            tail.clear();
        }
    }
    Ok(())
}

/// Gives every inode its place, and every directory its size; gives the metadata area's size in bytes.
fn place_all(inodes: &mut [Inode<'_>]) -> u64 {
    let mut places = Places::new();
    for inode in inodes {
        let (mut head_bytes, mut tail_bytes) = inode.item_bytes();
        if let Some(names) = inode.names() {
            let size_bytes = dir::data_bytes(&names);
            inode.set_directory_size(size_bytes);
            head_bytes = inode.head_bytes();
            tail_bytes = dir_tail_bytes(head_bytes, size_bytes);
        }
        inode.offset = places.take(head_bytes, tail_bytes);
    }
    places.end()
}

/// How much of a directory's data lies behind its inode.
fn dir_tail_bytes(head_bytes: usize, size_bytes: u64) -> usize {
    let tail_bytes = (size_bytes % BLOCK_BYTES as u64) as usize;
    if inode::inlines(head_bytes, tail_bytes) { tail_bytes } else { 0 }
}

/// Fills in directories, now that every inode has its nid, and writes those blocks that are not tails.
fn write_directories<W: Write + Seek>(
    tree: &Tree,
    inodes: &mut [Inode<'_>],
    output: &mut Output<'_, W>,
) -> Result<(), WriteError> {
    let mut targets = vec![(0, 0); tree.slots()];
    for inode in inodes.iter() {
        targets[inode.id.index()] = (inode.nid(), inode.dirent_type());
    }
    for inode in inodes {
        let Some(names) = inode.names() else { continue };
        let mut bytes = dir::encode(&names, |id| targets[id.index()]);
        let tail_bytes = dir_tail_bytes(inode.head_bytes(), bytes.len() as u64);
        let tail = bytes.split_off(bytes.len() - tail_bytes);
        inode.data = Data::Flat { first_block: output.blocks(&bytes)?, tail };
    }
    Ok(())
}

fn superblock(
    options: &Options,
    inodes: &[Inode<'_>],
    [meta_block, xattr_block, blocks]: [u32; 3],
) -> Result<SuperBlock, WriteError> {
    let root_nid =
        u16::try_from(inodes[0].nid()).map_err(|_| WriteError::TooLarge { what: "the root's inode" })?;
    let compressed = options.compression != Compression::None;
    let incompat = INCOMPAT_ZERO_PADDING | INCOMPAT_COMPR_CFGS | INCOMPAT_ZTAILPACKING;
    Ok(SuperBlock {
        feature_compat: COMPAT_CHECKSUM | COMPAT_MTIME,
        block_bits: BLOCK_BITS,
        root_nid,
        inodes: inodes.len() as u64,
        build_time_secs: options.time_secs,
        blocks,
        meta_block,
        xattr_block,
        uuid: options.uuid,
        volume_name: options.volume_name,
        feature_incompat: if compressed { incompat } else { 0 },
        // With configurations: a bitmap, bit 0 is LZ4.
        algorithms: u16::from(compressed),
        ..SuperBlock::default()
    })
}

/// The first block: superblock, `z_erofs_lz4_cfgs` behind its length, and the checksum over both.
fn first_block(superblock: &SuperBlock, options: &Options) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut put = Put { out: &mut block, at: SUPER_OFFSET };
    put.bytes(&superblock.encode());
    if let Compression::Lz4hc { cluster_bytes, .. } = options.compression {
        let cluster_blocks = cluster_bytes.div_ceil(BLOCK_BYTES as u32) as u16;
        put.u16(14).u16(lz4::DISTANCE_MAX).u16(cluster_blocks);
    }
    let checksum = crc32c(&block[SUPER_OFFSET..]);
    block[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
    block
}

const _: () = assert!(SUPER_OFFSET + SUPER_BYTES + 16 <= BLOCK_BYTES);

//! Cuts file contents into pclusters.
//!
//! A file is compressed in *segments* of 4 MiB that know nothing of one another: they bound memory, may be compressed by
//! several threads, and keep a read of one page from decoding more than a segment. Within a segment the encoder fills
//! one cluster after another. What does not shrink stays plain, one block to a pcluster. The last piece of a file goes
//! behind its indexes when it takes less than a block (`ztailpacking`).

use super::index::Extent;
use super::place::TAIL_BYTES_MAX;
use crate::format::BLOCK_BYTES;
use crate::lz4::Encoder;

/// Largest cluster this writer makes: 16 blocks.
pub(super) const CLUSTER_BYTES_MAX: u32 = 65536;

/// Content compressed as one; a multiple of the block size. Part of the format.
pub(super) const SEGMENT_BYTES: usize = 4 << 20;

/// A compressed segment.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Its pieces; places are relative to the segment and to `blocks`.
    pub(super) extents: Vec<Extent>,
    /// Whole blocks.
    pub(super) blocks: Vec<u8>,
    /// The last piece, when it belongs behind the indexes.
    pub(super) tail: Vec<u8>,
}

impl Segment {
    /// A segment that is stored as it is.
    pub(super) fn plain(content: &[u8], last: bool) -> Self {
        let mut segment = Self::default();
        let whole = if last { content.len() / BLOCK_BYTES * BLOCK_BYTES } else { content.len() };
        segment.push_plain(0, &content[..whole]);
        if whole < content.len() {
            segment.push_tail(whole, true, &content[whole..]);
        }
        segment
    }

    fn push(&mut self, start: usize, plain: bool, bytes: &[u8]) {
        let block = (self.blocks.len() / BLOCK_BYTES) as u32;
        let padding = bytes.len().next_multiple_of(BLOCK_BYTES) - bytes.len();
        let blocks = ((bytes.len() + padding) / BLOCK_BYTES) as u16;
        self.extents.push(Extent { start: start as u64, plain, block, blocks });
        // Plain data begins its block; compressed data ends it (`INCOMPAT_ZERO_PADDING`).
        let (before, after) = if plain { (0, padding) } else { (padding, 0) };
        self.blocks.resize(self.blocks.len() + before, 0);
        self.blocks.extend_from_slice(bytes);
        self.blocks.resize(self.blocks.len() + after, 0);
    }

    fn push_plain(&mut self, start: usize, bytes: &[u8]) {
        for (index, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            self.push(start + index * BLOCK_BYTES, true, block);
        }
    }

    fn push_tail(&mut self, start: usize, plain: bool, bytes: &[u8]) {
        self.extents.push(Extent { start: start as u64, plain, block: 0, blocks: 0 });
        self.tail = bytes.to_vec();
    }
}

/// Compresses segments with one setting.
#[derive(Debug)]
pub(super) struct Compressor {
    encoder: Encoder,
    cluster: Vec<u8>,
}

impl Compressor {
    pub(super) fn new(level: u8, cluster_bytes: u32) -> Self {
        Self { encoder: Encoder::new(level), cluster: vec![0; cluster_bytes as usize] }
    }

    /// Compresses one segment; `last` when the file ends with it.
    pub(super) fn segment(&mut self, content: &[u8], last: bool) -> Segment {
        let mut segment = Segment::default();
        let mut at = 0;
        while at < content.len() {
            let rest = &content[at..];
            let (taken, packed) = self.encoder.fill(rest, &mut self.cluster);
            let ends = taken == rest.len();
            if last
                && ends
                && let Some((taken, packed)) = self.whole_blocks(rest, packed)
            {
                segment.push(at, false, &self.cluster[..packed]);
                at += taken;
                continue;
            }
            let packed = &self.cluster[..packed];
            if last && ends && packed.len() <= TAIL_BYTES_MAX && packed.len() < rest.len() {
                segment.push_tail(at, false, packed);
                at += taken;
            } else if last && rest.len() <= TAIL_BYTES_MAX {
                segment.push_tail(at, true, rest);
                at += rest.len();
            } else if worthwhile(taken, packed.len(), ends) {
                segment.push(at, false, packed);
                at += taken;
            } else {
                let plain = plain_bytes(taken, rest.len(), last);
                segment.push_plain(at, &rest[..plain]);
                at += plain;
            }
        }
        segment
    }

    /// The same piece, less what would only begin a further block: that then goes behind the indexes.
    fn whole_blocks(&mut self, rest: &[u8], packed: usize) -> Option<(usize, usize)> {
        let whole = packed / BLOCK_BYTES * BLOCK_BYTES;
        if whole == 0 || whole == packed {
            return None;
        }
        let (taken, packed) = self.encoder.refill(rest, &mut self.cluster[..whole]);
        if taken > whole {
            return Some((taken, packed));
        }
        self.encoder.refill(rest, &mut self.cluster);
        None
    }
}

/// How much to store as it is after an attempt that took `taken` bytes and saved nothing: all that was tried, in whole
/// blocks, since trying again after each block would cost a search each. A part of a block at the file's end is kept
/// for the tail.
fn plain_bytes(taken: usize, rest: usize, last: bool) -> usize {
    let tried = (taken / BLOCK_BYTES).max(1) * BLOCK_BYTES;
    match rest / BLOCK_BYTES * BLOCK_BYTES {
        0 => rest,
        whole if last => tried.min(whole),
        _ => tried.min(rest),
    }
}

/// Whether compressing saves a block.
fn worthwhile(taken: usize, packed: usize, ends: bool) -> bool {
    let packed_blocks = packed.div_ceil(BLOCK_BYTES);
    let plain_blocks = if ends { taken.div_ceil(BLOCK_BYTES) } else { taken / BLOCK_BYTES };
    taken > BLOCK_BYTES && packed_blocks < plain_blocks
}

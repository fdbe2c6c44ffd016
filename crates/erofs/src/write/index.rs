//! Compact indexes of compressed files (`fs/erofs/zmap.c`, `unpack_compacted_index`).
//!
//! One entry of 16 or 14 bits for each lcluster, in packs of 2 or 16 entries that end with a block number; entries of
//! 14 bits lie in packs aligned to 32 bytes, so some wide ones come before and after them. All pclusters of a file
//! follow one another on disk, hence one block number serves a whole pack.

use crate::format::{
    ADVISE_BIG_PCLUSTER_1, ADVISE_BIG_PCLUSTER_2, ADVISE_COMPACTED_2B, ADVISE_INLINE_PCLUSTER, ALGORITHM_LZ4,
    BLOCK_BYTES, CBLKCNT, LCLUSTER_HEAD1, LCLUSTER_NONHEAD, LCLUSTER_PLAIN, MAP_HEADER_BYTES, Put,
};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// Bits of an entry below its type.
const LOW_BITS: u32 = 12;
const WIDE_PACK: usize = 2;
const NARROW_PACK: usize = 16;
const WIDE_PACK_BYTES: usize = 8;
const NARROW_PACK_BYTES: usize = 32;

/// A piece of a file and the pcluster that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// First byte of the file in it.
    pub(super) start: u64,
    /// Stored as it is.
    pub(super) plain: bool,
    /// First block.
    pub(super) block: u32,
    /// Number of blocks; 0 when it lies behind the indexes.
    pub(super) blocks: u16,
}

/// How the entries of a file divide into packs.
#[derive(Debug, Clone, Copy)]
struct Split {
    wide_before: usize,
    narrow: usize,
    wide_after: usize,
}

impl Split {
    /// For an inode whose fixed part and xattrs take `head_bytes`.
    fn new(head_bytes: usize, lclusters: usize) -> Self {
        let base = head_bytes.next_multiple_of(8) + MAP_HEADER_BYTES;
        let wide_before = ((NARROW_PACK_BYTES - base % NARROW_PACK_BYTES) / 4) % 8;
        let narrow = lclusters.saturating_sub(wide_before) / NARROW_PACK * NARROW_PACK;
        let wide_before = if narrow == 0 { 0 } else { wide_before };
        Self { wide_before, narrow, wide_after: lclusters - wide_before - narrow }
    }

    fn bytes(self) -> usize {
        4 * self.wide_before + 2 * self.narrow + 4 * self.wide_after.next_multiple_of(WIDE_PACK)
    }
}

/// Bytes from the inode's beginning to the end of its indexes, where an inline pcluster begins.
pub(super) fn end_offset(head_bytes: usize, size_bytes: u64) -> usize {
    let split = Split::new(head_bytes, lcluster_count(size_bytes));
    head_bytes.next_multiple_of(8) + MAP_HEADER_BYTES + split.bytes()
}

fn lcluster_count(size_bytes: u64) -> usize {
    usize::try_from(size_bytes.div_ceil(BLOCK)).expect("a file in memory-mapped blocks")
}

/// The map header and the indexes; `inline_bytes` is the length of the inline pcluster, 0 for none.
pub(super) fn encode(head_bytes: usize, size_bytes: u64, extents: &[Extent], inline_bytes: u16) -> Vec<u8> {
    let entries = entries(size_bytes, extents);
    let split = Split::new(head_bytes, entries.len());
    let mut advise = ADVISE_BIG_PCLUSTER_1 | ADVISE_BIG_PCLUSTER_2;
    if split.narrow > 0 {
        advise |= ADVISE_COMPACTED_2B;
    }
    if inline_bytes > 0 {
        advise |= ADVISE_INLINE_PCLUSTER;
    }
    let mut out = vec![0; MAP_HEADER_BYTES];
    Put { out: &mut out, at: 0 }.u16(0).u16(inline_bytes).u16(advise).bytes(&[ALGORITHM_LZ4, 0]);
    let (before, rest) = entries.split_at(split.wide_before);
    let (narrow, after) = rest.split_at(split.narrow);
    before.chunks(WIDE_PACK).for_each(|pack| encode_pack(pack, WIDE_PACK, WIDE_PACK_BYTES, &mut out));
    narrow.chunks(NARROW_PACK).for_each(|pack| encode_pack(pack, NARROW_PACK, NARROW_PACK_BYTES, &mut out));
    after.chunks(WIDE_PACK).for_each(|pack| encode_pack(pack, WIDE_PACK, WIDE_PACK_BYTES, &mut out));
    out
}

/// What an index entry says of its lcluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// A pcluster begins at this offset in it; the block is `None` when it is inline, or when this only marks the end
    /// of the file.
    Head { plain: bool, offset: u16, block: Option<u32> },
    /// The one after a head: carries the pcluster's length in blocks.
    Count { blocks: u16, to_next: u16 },
    /// Further ones, with the distances to the head before and after.
    Inner { to_head: u16, to_next: u16 },
}

/// One entry for each lcluster.
fn entries(size_bytes: u64, extents: &[Extent]) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(lcluster_count(size_bytes));
    for (index, extent) in extents.iter().enumerate() {
        let end = extents.get(index + 1).map_or(size_bytes, |next| next.start);
        let (first, next) = (extent.start / BLOCK, end / BLOCK);
        let block = (extent.blocks > 0).then_some(extent.block);
        let offset = u16::try_from(extent.start % BLOCK).unwrap_or(0);
        entries.push(Entry::Head { plain: extent.plain, offset, block });
        for lcluster in first + 1..next {
            // Distances stay below CBLKCNT: a pcluster decodes to one segment at most, see `compress`.
            let [to_head, to_next] = [lcluster - first, next - lcluster]
                .map(|n| u16::try_from(n).map_or(CBLKCNT - 1, |n| n.min(CBLKCNT - 1)));
            entries.push(match to_head {
                1 => Entry::Count { blocks: extent.blocks.max(1), to_next },
                _ => Entry::Inner { to_head, to_next },
            });
        }
        if end == size_bytes && !end.is_multiple_of(BLOCK) && next > first {
            // Marks the end, so that the kernel decodes to there and no further.
            let offset = u16::try_from(end % BLOCK).unwrap_or(0);
            entries.push(Entry::Head { plain: true, offset, block: None });
        }
    }
    entries
}

/// Appends a pack; missing entries at the end of a file stay zero.
fn encode_pack(entries: &[Entry], capacity: usize, pack_bytes: usize, out: &mut Vec<u8>) {
    let entry_bits = (pack_bytes - 4) * 8 / capacity;
    let mut pack = vec![0u8; pack_bytes];
    for (index, entry) in entries.iter().enumerate() {
        let bits = entry_value(entry, index + 1 == capacity) << (index * entry_bits % 8);
        let at = index * entry_bits / 8;
        for (byte, value) in pack[at..].iter_mut().zip(bits.to_le_bytes()).take(3) {
            *byte |= value;
        }
    }
    pack[pack_bytes - 4..].copy_from_slice(&base_block(entries).to_le_bytes());
    out.extend_from_slice(&pack);
}

fn entry_value(entry: &Entry, last_in_pack: bool) -> u32 {
    let (kind, low) = match *entry {
        Entry::Head { plain: true, offset, .. } => (LCLUSTER_PLAIN, offset),
        Entry::Head { plain: false, offset, .. } => (LCLUSTER_HEAD1, offset),
        Entry::Count { blocks, .. } => (LCLUSTER_NONHEAD, blocks | CBLKCNT),
        Entry::Inner { to_next, .. } if last_in_pack => (LCLUSTER_NONHEAD, to_next),
        Entry::Inner { to_head, .. } => (LCLUSTER_NONHEAD, to_head),
    };
    u32::from(kind) << LOW_BITS | u32::from(low)
}

/// The pack's block number: a reader adds the blocks of the pclusters before the head it looks for. A head whose count
/// entry lies in the same pack is counted by that entry, any other head as one block.
fn base_block(entries: &[Entry]) -> u32 {
    let mut before = 0u32;
    for (index, entry) in entries.iter().enumerate() {
        match *entry {
            Entry::Head { block: Some(block), .. } => return block.wrapping_sub(before),
            Entry::Count { blocks, .. } if index == 0 => before += u32::from(blocks),
            _ => {}
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_agree() {
        for head in [32usize, 44, 64, 76, 100] {
            for size in [1u64, 4096, 4097, 70_000, 1 << 20, (1 << 22) + 5] {
                let extents = [Extent { start: 0, plain: false, block: 1, blocks: 1 }];
                let bytes = encode(head, size, &extents, 0);
                assert_eq!(head.next_multiple_of(8) + bytes.len(), end_offset(head, size), "{head} {size}");
            }
        }
    }

    #[test]
    fn entries_of_a_small_file() {
        let extents = [
            Extent { start: 0, plain: false, block: 5, blocks: 2 },
            Extent { start: 13_000, plain: true, block: 7, blocks: 1 },
        ];
        let wanted = [
            Entry::Head { plain: false, offset: 0, block: Some(5) },
            Entry::Count { blocks: 2, to_next: 2 },
            Entry::Inner { to_head: 2, to_next: 1 },
            Entry::Head { plain: true, offset: 712, block: Some(7) },
            Entry::Head { plain: true, offset: 116, block: None },
        ];
        assert_eq!(entries(16_500, &extents), wanted);
        assert_eq!(base_block(&wanted[1..]), 5);
    }
}

//! Which pcluster holds which piece of a compressed file (`fs/erofs/zmap.c`).

use super::{Image, Inode, ReadAt, ReadError};
use crate::format::{
    ADVISE_BIG_PCLUSTER_1, ADVISE_COMPACTED_2B, ADVISE_FRAGMENT_PCLUSTER, ADVISE_INLINE_PCLUSTER,
    ADVISE_INTERLACED_PCLUSTER, ALGORITHM_LZ4, CBLKCNT, LCLUSTER_HEAD2, LCLUSTER_NONHEAD, LCLUSTER_PLAIN,
    Layout, MAP_HEADER_BYTES, PCLUSTER_BYTES_MAX, PCLUSTER_DECODED_BYTES_MAX, le16, le32,
};

/// Most bytes of indexes that are read: enough for a file of 32 GiB.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// First byte in the file.
    pub(super) start: u64,
    /// Length in the file.
    pub(super) length: u64,
    /// Where its pcluster begins in the image, and how long that is.
    pub(super) physical: u64,
    pub(super) physical_bytes: u64,
    /// Stored as it is.
    pub(super) plain: bool,
}

/// The pieces of a file in order, and how to read them.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) extents: Vec<Extent>,
    /// Plain pclusters keep each byte at its offset within a block.
    pub(super) interlaced: bool,
}

/// An index entry.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Head {
        kind: u8,
        offset: u64,
        block: u32,
    },
    /// With the length of the pcluster in blocks, where it is given.
    NonHead {
        blocks: Option<u16>,
    },
}

/// The map header's fields.
struct Header {
    inline_bytes: u16,
    advise: u16,
    /// lcluster size as a power of two.
    bits: u32,
}

impl<R: ReadAt> Image<R> {
    pub(super) fn map(&self, inode: &Inode) -> Result<Map, ReadError> {
        let at = inode.head_end().next_multiple_of(8);
        let header = self.header(inode, at)?;
        let count = inode.size_bytes().div_ceil(1 << header.bits);
        let narrow = header.advise & ADVISE_COMPACTED_2B != 0;
        let indexes = match inode.layout {
            Layout::CompressedFull => Indexes { start: at + 16, before: 0, narrow: 0, count, entry_bytes: 8 },
            _ => Indexes::compact(at + MAP_HEADER_BYTES as u64, count, narrow),
        };
        let length = indexes.bytes();
        if length > INDEX_BYTES_MAX {
            return Err(ReadError::Limit { limit: INDEX_BYTES_MAX, what: "bytes of indexes" });
        }
        let raw = self.read_vec(inode.nid(), indexes.start, length)?;
        let entries = match inode.layout {
            Layout::CompressedFull => full_entries(&raw),
            _ => indexes
                .compact_entries(&raw, &header)
                .ok_or(ReadError::Unsupported { what: "this lcluster size" })?,
        };
        let mut extents = self.extents(inode, &header, &entries)?;
        if header.advise & ADVISE_INLINE_PCLUSTER != 0
            && let Some(last) = extents.last_mut()
        {
            last.physical = indexes.start + length;
            last.physical_bytes = u64::from(header.inline_bytes);
        }
        self.check(inode, &extents)?;
        Ok(Map { extents, interlaced: header.advise & ADVISE_INTERLACED_PCLUSTER != 0 })
    }

    fn header(&self, inode: &Inode, at: u64) -> Result<Header, ReadError> {
        let raw = self.read_vec(inode.nid(), at, MAP_HEADER_BYTES as u64)?;
        let advise = le16(&raw, 4);
        if raw[7] >> 7 == 1 || advise & ADVISE_FRAGMENT_PCLUSTER != 0 {
            return Err(ReadError::Unsupported { what: "fragments" });
        }
        if raw[6] & 15 != ALGORITHM_LZ4 {
            return Err(ReadError::Unsupported { what: "a compression algorithm other than LZ4" });
        }
        let bits = u32::from(self.superblock().block_bits) + u32::from(raw[7] & 7);
        Ok(Header { inline_bytes: le16(&raw, 2), advise, bits })
    }

    /// Turns entries into pieces: each head begins one, the next head or the file's end ends it.
    fn extents(&self, inode: &Inode, header: &Header, entries: &[Entry]) -> Result<Vec<Extent>, ReadError> {
        let lcluster_bytes = 1u64 << header.bits;
        let mut extents: Vec<Extent> = Vec::new();
        for (lcluster, entry) in entries.iter().enumerate() {
            let here = lcluster as u64 * lcluster_bytes;
            match *entry {
                Entry::Head { kind, offset, block } => {
                    let start = here + offset;
                    if offset >= lcluster_bytes {
                        return Err(inode.damaged("a piece begins outside its lcluster"));
                    }
                    if let Some(last) = extents.last_mut() {
                        last.length = start.min(inode.size_bytes()) - last.start;
                    }
                    if start >= inode.size_bytes() {
                        break;
                    }
                    if kind == LCLUSTER_HEAD2 {
                        return Err(ReadError::Unsupported { what: "a second compression algorithm" });
                    }
                    extents.push(Extent {
                        start,
                        length: inode.size_bytes() - start,
                        physical: self.block_offset(block),
                        physical_bytes: lcluster_bytes,
                        plain: kind == LCLUSTER_PLAIN,
                    });
                }
                Entry::NonHead { blocks } => {
                    let last =
                        extents.last_mut().ok_or_else(|| inode.damaged("its first piece has no head"))?;
                    if let (Some(blocks), false) = (blocks, last.plain) {
                        last.physical_bytes = u64::from(blocks) * self.block_bytes();
                    }
                }
            }
        }
        Ok(extents)
    }

    /// Pieces must follow one another from the beginning, and be within the kernel's limits.
    fn check(&self, inode: &Inode, extents: &[Extent]) -> Result<(), ReadError> {
        if extents.first().is_none_or(|first| first.start != 0) {
            return Err(inode.damaged("its first piece does not begin at its beginning"));
        }
        for extent in extents {
            if extent.physical_bytes == 0 || extent.physical_bytes > PCLUSTER_BYTES_MAX as u64 {
                return Err(inode.damaged("a pcluster's length is out of range"));
            }
            if extent.plain && extent.length > extent.physical_bytes {
                return Err(inode.damaged("a plain pcluster is shorter than its piece"));
            }
            if extent.length > PCLUSTER_DECODED_BYTES_MAX as u64 {
                return Err(inode.damaged("a piece is too long"));
            }
        }
        Ok(())
    }
}

/// Where the entries of an inode are.
struct Indexes {
    start: u64,
    /// Wide entries before the narrow ones.
    before: u64,
    narrow: u64,
    count: u64,
    /// Bytes of a wide entry.
    entry_bytes: u64,
}

impl Indexes {
    fn compact(start: u64, count: u64, narrow: bool) -> Self {
        let before = (32 - start % 32) / 4 % 8;
        let narrow = if narrow && before < count { (count - before) / 16 * 16 } else { 0 };
        Self { start, before: before.min(count), narrow, count, entry_bytes: 4 }
    }

    fn bytes(&self) -> u64 {
        let wide = self.count - self.narrow;
        let wide = if self.entry_bytes == 4 { wide.next_multiple_of(2) } else { wide };
        wide.saturating_mul(self.entry_bytes).saturating_add(2 * self.narrow)
    }

    /// Decodes packs; `None` when the lcluster size has no compact form.
    fn compact_entries(&self, raw: &[u8], header: &Header) -> Option<Vec<Entry>> {
        if header.bits > 14 || (self.narrow > 0 && header.bits > 12) {
            return None;
        }
        let size = |entries: u64, bytes: u64| usize::try_from(entries * bytes).ok();
        // Without narrow entries, wide packs are not cut where narrow ones would begin; both are even.
        let before = if self.narrow == 0 { 0 } else { self.before };
        let (first, rest) = raw.split_at(size(before, 4)?);
        let (narrow, last) = rest.split_at(size(self.narrow, 2)?);
        let mut entries = Vec::new();
        first.chunks_exact(8).for_each(|pack| decode_pack(pack, 2, header, &mut entries));
        narrow.chunks_exact(32).for_each(|pack| decode_pack(pack, 16, header, &mut entries));
        last.chunks_exact(8).for_each(|pack| decode_pack(pack, 2, header, &mut entries));
        entries.truncate(usize::try_from(self.count).ok()?);
        Some(entries)
    }
}

fn full_entries(raw: &[u8]) -> Vec<Entry> {
    let entry = |raw: &[u8]| {
        let kind = (le16(raw, 0) & 3) as u8;
        if kind == LCLUSTER_NONHEAD {
            let distance = le16(raw, 4);
            Entry::NonHead { blocks: (distance & CBLKCNT != 0).then_some(distance & !CBLKCNT) }
        } else {
            Entry::Head { kind, offset: u64::from(le16(raw, 2)), block: le32(raw, 4) }
        }
    };
    raw.chunks_exact(8).map(entry).collect()
}

/// Decodes the entries of a pack; a head's block is the pack's number and the blocks of those before it in the pack.
fn decode_pack(pack: &[u8], count: usize, header: &Header, entries: &mut Vec<Entry>) {
    let (body, base) = pack.split_at(pack.len() - 4);
    let (base, entry_bits) = (le32(base, 0), body.len() * 8 / count);
    let low_bits = header.bits.max(12);
    let big = header.advise & ADVISE_BIG_PCLUSTER_1 != 0;
    let mut before = u32::from(!big);
    for index in 0..count {
        let at = index * entry_bits;
        let bytes: [u8; 4] = std::array::from_fn(|i| body.get(at / 8 + i).copied().unwrap_or(0));
        let value = u32::from_le_bytes(bytes) >> (at % 8);
        let (kind, low) = ((value >> low_bits & 3) as u8, value & ((1 << low_bits) - 1));
        if kind != LCLUSTER_NONHEAD {
            entries.push(Entry::Head { kind, offset: u64::from(low), block: base.wrapping_add(before) });
            before = before.wrapping_add(1);
            continue;
        }
        let blocks = (big && low & u32::from(CBLKCNT) != 0).then_some((low as u16) & (CBLKCNT - 1));
        if let Some(blocks) = blocks {
            // The head before it counted itself as one.
            before = before.wrapping_sub(u32::from(index > 0)).wrapping_add(u32::from(blocks));
        }
        entries.push(Entry::NonHead { blocks });
    }
}

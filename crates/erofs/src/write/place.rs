//! Where inodes go in the metadata area.
//!
//! An item is an inode with its xattrs and indexes (its *head*) and the tail of its data. The kernel wants items at
//! multiples of 32 bytes and tails within one block (`fs/erofs/data.c`, "inline data cross block boundary"). An item
//! goes into the smallest gap of a begun block that holds it, so tails cost little padding.

use std::collections::BTreeSet;

use crate::format::{BLOCK_BYTES, SLOT_BYTES};

/// Offset of the root's inode: not 0, since nid 0 means "none" and inode number 0 is skipped by `readdir` callers.
const FIRST_OFFSET: u64 = 2 * SLOT_BYTES;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// Longest tail behind a head that does not fit in the same block: a slot less than a block, since items begin at slots.
pub(super) const TAIL_BYTES_MAX: usize = BLOCK_BYTES - SLOT_BYTES as usize;

/// Gives out places in the metadata area.
#[derive(Debug)]
pub(super) struct Places {
    /// Free parts of begun blocks: length, then offset. None crosses a block boundary.
    gaps: BTreeSet<(u64, u64)>,
    /// End of the area, a multiple of the block size.
    end: u64,
}

impl Places {
    pub(super) fn new() -> Self {
        let mut places = Self { gaps: BTreeSet::new(), end: BLOCK };
        places.add_gap(FIRST_OFFSET, BLOCK);
        places
    }

    /// Size of the area in bytes, a multiple of the block size.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// A place for an item; the tail may be empty. Beside a larger head it is at most [`TAIL_BYTES_MAX`].
    pub(super) fn take(&mut self, head_bytes: usize, tail_bytes: usize) -> u64 {
        let (head, tail) = (head_bytes as u64, tail_bytes as u64);
        if head + tail > BLOCK {
            return self.take_fresh(head, tail);
        }
        let need = (head + tail).next_multiple_of(SLOT_BYTES);
        let found = self.gaps.range((need, 0)..).next().copied();
        let (length, offset) = found.unwrap_or_else(|| {
            self.end += BLOCK;
            (BLOCK, self.end - BLOCK)
        });
        self.gaps.remove(&(length, offset));
        self.add_gap(offset + need, offset + length);
        offset
    }

    /// Begins in a new block, so far into it that the tail does not cross a boundary.
    fn take_fresh(&mut self, head: u64, tail: u64) -> u64 {
        let over = head % BLOCK;
        let lead = if over + tail > BLOCK { (BLOCK - over).next_multiple_of(SLOT_BYTES) } else { 0 };
        let start = self.end;
        let item_end = (start + lead + head + tail).next_multiple_of(SLOT_BYTES);
        self.end = item_end.next_multiple_of(BLOCK);
        self.add_gap(start, start + lead);
        self.add_gap(item_end, self.end);
        start + lead
    }

    fn add_gap(&mut self, start: u64, end: u64) {
        if end > start {
            self.gaps.insert((end - start, start));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_are_aligned_and_apart_and_tails_whole(
            items in prop::collection::vec((32usize..9000, 0..=TAIL_BYTES_MAX), 1..200)
        ) {
            let mut places = Places::new();
            let mut taken = Vec::new();
            for (head, tail) in items {
                let at = places.take(head, tail);
                prop_assert_eq!(at % SLOT_BYTES, 0);
                let (tail_start, end) = (at + head as u64, at + (head + tail) as u64);
                prop_assert!(tail == 0 || tail_start / BLOCK == (end - 1) / BLOCK);
                prop_assert!(end <= places.end());
                taken.push((at, end));
            }
            prop_assert!(taken[0].0 >= FIRST_OFFSET);
            taken.sort_unstable();
            prop_assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        }
    }
}

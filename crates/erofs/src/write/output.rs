//! Whole blocks, one after another, behind a reserved first block.

use std::io::{Seek, SeekFrom, Write};

use super::WriteError;
use crate::format::BLOCK_BYTES;

const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// The image being written; what `out` held before its position is kept.
pub(super) struct Output<'o, W> {
    out: &'o mut W,
    /// Where the image begins in `out`.
    start: u64,
    /// Blocks written so far.
    blocks: u32,
}

impl<'o, W: Write + Seek> Output<'o, W> {
    /// Begins an image and leaves its first block empty.
    pub(super) fn new(out: &'o mut W) -> Result<Self, WriteError> {
        let start = out.stream_position().map_err(|source| WriteError::Output { source })?;
        let mut output = Self { out, start, blocks: 0 };
        output.blocks(&ZEROS)?;
        Ok(output)
    }

    /// The number of the next block.
    pub(super) fn next_block(&self) -> u32 {
        self.blocks
    }

    /// Appends bytes, with zeros up to the end of the last block, and gives the first block's number.
    pub(super) fn blocks(&mut self, bytes: &[u8]) -> Result<u32, WriteError> {
        let first = self.blocks;
        let count = u32::try_from(bytes.len().div_ceil(BLOCK_BYTES)).ok();
        let end = count.and_then(|count| first.checked_add(count));
        self.blocks = end.ok_or(WriteError::TooLarge { what: "2^32 blocks" })?;
        let padding = bytes.len().next_multiple_of(BLOCK_BYTES) - bytes.len();
        self.out.write_all(bytes).map_err(|source| WriteError::Output { source })?;
        self.out.write_all(&ZEROS[..padding]).map_err(|source| WriteError::Output { source })?;
        Ok(first)
    }

    /// Fills the first block, and leaves `out` at the image's end.
    pub(super) fn finish(self, first_block: &[u8; BLOCK_BYTES]) -> Result<(), WriteError> {
        let end = self.start + u64::from(self.blocks) * BLOCK_BYTES as u64;
        let mut fill = || {
            self.out.seek(SeekFrom::Start(self.start))?;
            self.out.write_all(first_block)?;
            self.out.seek(SeekFrom::Start(end))?;
            self.out.flush()
        };
        fill().map_err(|source| WriteError::Output { source })
    }
}

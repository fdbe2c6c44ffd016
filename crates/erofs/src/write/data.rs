//! File contents: read, compress, write as blocks, remember where.

use std::io::{self, Read, Seek, Write};

use super::compress::{Compressor, SEGMENT_BYTES};
use super::index::Extent;
use super::output::Output;
use super::{Compression, WriteError};
use crate::format::BLOCK_BYTES;
use crate::tree::{Content, Source, text};

/// Where an inode's data is.
#[derive(Debug, Default)]
pub(super) enum Data {
    /// It has none.
    #[default]
    None,
    /// Uncompressed: blocks, and what is left behind the inode.
    Flat { first_block: u32, tail: Vec<u8> },
    /// Compressed: pclusters, the last one behind the indexes unless `tail` is empty.
    Compressed { extents: Vec<Extent>, blocks: u32, tail: Vec<u8> },
}

/// A regular file to write.
pub(super) struct FileJob<'t> {
    pub(super) path: &'t [u8],
    pub(super) content: Content,
    /// Size of its inode and xattrs: a tail must share a block with them.
    pub(super) head_bytes: usize,
}

/// Reads a file to its end in pieces of [`SEGMENT_BYTES`], and checks its length.
struct Segments<'s> {
    reader: Box<dyn Read + 's>,
    left: u64,
}

impl<'s> Segments<'s> {
    fn open(source: &'s dyn Source, job: &FileJob<'_>) -> Result<Self, WriteError> {
        let reader = source.open(job.content.id).map_err(|source| read_error(job, source))?;
        Ok(Self { reader, left: job.content.size_bytes })
    }

    /// Fills `buffer` with the next segment; says whether it is the last.
    fn next(&mut self, job: &FileJob<'_>, buffer: &mut Vec<u8>) -> Result<bool, WriteError> {
        let want = self.left.min(SEGMENT_BYTES as u64);
        buffer.clear();
        let got =
            (&mut self.reader).take(want).read_to_end(buffer).map_err(|source| read_error(job, source))?;
        self.left -= want;
        let last = self.left == 0;
        let more = last && self.reader.read(&mut [0]).map_err(|source| read_error(job, source))? != 0;
        if got as u64 != want || more {
            let path = text(job.path);
            return Err(WriteError::Size { path, expected_bytes: job.content.size_bytes });
        }
        Ok(last)
    }
}

fn read_error(job: &FileJob<'_>, source: io::Error) -> WriteError {
    WriteError::Read { path: text(job.path), source }
}

/// Writes one file's content.
pub(super) fn write_file<W: Write + Seek>(
    job: &FileJob<'_>,
    source: &dyn Source,
    compressor: Option<&mut Compressor>,
    output: &mut Output<'_, W>,
) -> Result<Data, WriteError> {
    let mut segments = Segments::open(source, job)?;
    match compressor {
        Some(compressor) => write_compressed(job, &mut segments, compressor, output),
        None => write_flat(job, &mut segments, output),
    }
}

fn write_flat<W: Write + Seek>(
    job: &FileJob<'_>,
    segments: &mut Segments<'_>,
    output: &mut Output<'_, W>,
) -> Result<Data, WriteError> {
    let first_block = output.next_block();
    let mut buffer = Vec::new();
    loop {
        let last = segments.next(job, &mut buffer)?;
        let tail_bytes = buffer.len() % BLOCK_BYTES;
        if !last || job.head_bytes + tail_bytes > BLOCK_BYTES {
            output.blocks(&buffer)?;
        } else {
            let (whole, tail) = buffer.split_at(buffer.len() - tail_bytes);
            output.blocks(whole)?;
            return Ok(Data::Flat { first_block, tail: tail.to_vec() });
        }
        if last {
            return Ok(Data::Flat { first_block, tail: Vec::new() });
        }
    }
}

fn write_compressed<W: Write + Seek>(
    job: &FileJob<'_>,
    segments: &mut Segments<'_>,
    compressor: &mut Compressor,
    output: &mut Output<'_, W>,
) -> Result<Data, WriteError> {
    let first_block = output.next_block();
    let (mut extents, mut buffer, mut start) = (Vec::new(), Vec::new(), 0);
    loop {
        let last = segments.next(job, &mut buffer)?;
        let segment = compressor.segment(&buffer, last);
        let block = output.blocks(&segment.blocks)?;
        let place =
            |extent: Extent| Extent { start: extent.start + start, block: extent.block + block, ..extent };
        extents.extend(segment.extents.into_iter().map(place));
        start += buffer.len() as u64;
        if last {
            return settle(job, first_block, extents, segment.tail, output);
        }
    }
}

/// A file of which nothing shrank is a flat one: its plain pclusters lie as flat data does.
fn settle<W: Write + Seek>(
    job: &FileJob<'_>,
    first_block: u32,
    extents: Vec<Extent>,
    tail: Vec<u8>,
    output: &mut Output<'_, W>,
) -> Result<Data, WriteError> {
    let blocks = output.next_block() - first_block;
    if !extents.iter().all(|extent| extent.plain) {
        return Ok(Data::Compressed { extents, blocks, tail });
    }
    if job.head_bytes + tail.len() <= BLOCK_BYTES {
        return Ok(Data::Flat { first_block, tail });
    }
    output.blocks(&tail)?;
    Ok(Data::Flat { first_block, tail: Vec::new() })
}

/// The compressor that the options ask for.
pub(super) fn compressor(compression: Compression) -> Option<Compressor> {
    match compression {
        Compression::None => None,
        Compression::Lz4hc { level, cluster_bytes } => Some(Compressor::new(level, cluster_bytes)),
    }
}

//! Data of inodes: flat and compressed.

use std::io;

use super::map::{Extent, Map};
use super::{Image, Inode, InodeKind, ReadAt, ReadError};
use crate::format::Layout;
use crate::lz4;

/// Reads a regular file: at any offset, or from the beginning on through [`io::Read`].
#[derive(Debug)]
pub struct FileReader<'i, R> {
    image: &'i Image<R>,
    inode: Inode,
    /// Of a compressed file.
    map: Option<Map>,
    /// The piece decoded last: where it begins, and its bytes.
    piece: (u64, Vec<u8>),
    position: u64,
}

impl<R: ReadAt> Image<R> {
    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`ReadError`] when it is none, or its indexes are damaged.
    pub fn file(&self, inode: &Inode) -> Result<FileReader<'_, R>, ReadError> {
        if inode.kind() != InodeKind::File {
            return Err(ReadError::Kind { nid: inode.nid(), wanted: "regular file" });
        }
        FileReader::open(self, inode)
    }

    /// All data of an inode whose size the caller has found reasonable.
    pub(super) fn data(&self, inode: &Inode) -> Result<Vec<u8>, ReadError> {
        let size =
            usize::try_from(inode.size_bytes()).map_err(|_| inode.damaged("its size is out of range"))?;
        let mut data = vec![0; size];
        let mut reader = FileReader::open(self, inode)?;
        let mut done = 0;
        while done < size {
            match reader.read_at(done as u64, &mut data[done..])? {
                0 => return Err(inode.damaged("its data ends early")),
                read => done += read,
            }
        }
        Ok(data)
    }

    /// Reads flat data from `offset` on, as far as it lies together.
    fn read_flat(&self, inode: &Inode, offset: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let block_bytes = self.block_bytes();
        let tail_at = match inode.layout {
            Layout::FlatInline => (inode.size_bytes().div_ceil(block_bytes) - 1) * block_bytes,
            _ => inode.size_bytes(),
        };
        let (physical, end) = if offset < tail_at {
            let first = self.block_offset(inode.raw.union);
            (first.checked_add(offset).ok_or_else(|| inode.damaged("its data is out of range"))?, tail_at)
        } else {
            let start = inode.head_end();
            let length = inode.size_bytes() - tail_at;
            if start % block_bytes + length > block_bytes {
                return Err(inode.damaged("its tail crosses a block boundary"));
            }
            (start + offset - tail_at, inode.size_bytes())
        };
        let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
        self.read(physical, &mut buffer[..length])?;
        Ok(length)
    }

    /// The plain bytes of a piece.
    fn decode(&self, inode: &Inode, map: &Map, extent: Extent) -> Result<Vec<u8>, ReadError> {
        let raw = self.read_vec(inode.nid(), extent.physical, extent.physical_bytes)?;
        // Limited by `Map`'s check.
        let length = extent.length as usize;
        if extent.plain {
            let shift = if map.interlaced { (extent.start % self.block_bytes()) as usize } else { 0 };
            let mut piece = raw;
            let turn = shift % piece.len().max(1);
            piece.rotate_left(turn);
            piece.truncate(length);
            return Ok(piece);
        }
        let padding = match self.zero_padding() {
            true => raw.iter().take(1 << self.superblock().block_bits).take_while(|&&byte| byte == 0).count(),
            false => 0,
        };
        let mut piece = vec![0; length];
        lz4::decode(&raw[padding..], &mut piece).map_err(|source| ReadError::Decode {
            nid: inode.nid(),
            start: extent.start,
            source,
        })?;
        Ok(piece)
    }
}

impl<'i, R: ReadAt> FileReader<'i, R> {
    fn open(image: &'i Image<R>, inode: &Inode) -> Result<Self, ReadError> {
        let map = match inode.layout {
            Layout::FlatPlain | Layout::FlatInline => None,
            Layout::CompressedFull | Layout::CompressedCompact if inode.size_bytes() == 0 => None,
            Layout::CompressedFull | Layout::CompressedCompact => Some(image.map(inode)?),
            Layout::ChunkBased => return Err(ReadError::Unsupported { what: "chunked files" }),
        };
        Ok(Self { image, inode: inode.clone(), map, piece: (0, Vec::new()), position: 0 })
    }

    /// Reads from `offset` on into `buffer`, as much as is at hand; gives the number of bytes, 0 at the end.
    ///
    /// # Errors
    /// [`ReadError`] when the data is damaged or outside the image.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
        if offset >= self.inode.size_bytes() || buffer.is_empty() {
            return Ok(0);
        }
        let Some(map) = &self.map else { return self.image.read_flat(&self.inode, offset, buffer) };
        let (start, piece) = &self.piece;
        if offset < *start || offset - start >= piece.len() as u64 {
            let index = map.extents.partition_point(|extent| extent.start <= offset);
            let extent = map.extents[index - 1];
            self.piece = (extent.start, self.image.decode(&self.inode, map, extent)?);
        }
        let (start, piece) = &self.piece;
        let from = usize::try_from(offset - start).ok().and_then(|from| piece.get(from..));
        let from =
            from.filter(|from| !from.is_empty()).ok_or_else(|| self.inode.damaged("a piece is too short"))?;
        let length = from.len().min(buffer.len());
        buffer[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }
}

impl<R: ReadAt> io::Read for FileReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(self.position, buffer).map_err(io::Error::other)?;
        self.position += read as u64;
        Ok(read)
    }
}

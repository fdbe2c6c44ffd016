//! File contents of a tree: bytes in memory, ranges of package tars, files on disk.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs::{Content, ContentId, Source};

#[derive(Debug, Clone)]
enum Place {
    Memory(Arc<[u8]>),
    Range { file: Arc<File>, offset: u64, bytes: u64 },
    Path(PathBuf),
}

/// Where the contents of a tree's files are.
#[derive(Debug, Default)]
pub struct Contents {
    places: Vec<Place>,
}

impl Contents {
    fn add(&mut self, place: Place, size_bytes: u64) -> Content {
        self.places.push(place);
        Content { size_bytes, id: ContentId(self.places.len() as u64 - 1) }
    }

    /// Bytes in memory.
    pub fn memory(&mut self, bytes: impl Into<Arc<[u8]>>) -> Content {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        self.add(Place::Memory(bytes), size)
    }

    /// A range of a file that stays open.
    pub fn range(&mut self, file: &Arc<File>, offset: u64, bytes: u64) -> Content {
        self.add(Place::Range { file: Arc::clone(file), offset, bytes }, bytes)
    }

    /// A whole file, opened when it is read.
    ///
    /// # Errors
    /// When its length cannot be read.
    pub fn path(&mut self, path: &Path) -> io::Result<Content> {
        let bytes = std::fs::metadata(path)?.len();
        Ok(self.add(Place::Path(path.to_owned()), bytes))
    }

    /// All bytes of one content.
    ///
    /// # Errors
    /// Whatever reading gives.
    pub fn read(&self, id: ContentId) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(id)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Source for Contents {
    fn open(&self, id: ContentId) -> io::Result<Box<dyn Read + '_>> {
        let place = usize::try_from(id.0).ok().and_then(|index| self.places.get(index));
        Ok(match place.ok_or(io::ErrorKind::NotFound)? {
            Place::Memory(bytes) => Box::new(&bytes[..]),
            Place::Range { file, offset, bytes } => Box::new(RangeReader { file, at: *offset, left: *bytes }),
            Place::Path(path) => Box::new(File::open(path)?),
        })
    }
}

/// Reads a range of a shared file without moving its position.
struct RangeReader<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

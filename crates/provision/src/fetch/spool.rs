//! Remote contents, fetched and verified before anything of the machine is changed, and kept until they are written.
//!
//! What fits stays in memory up to [`MEMORY_MAX_BYTES`], then in unnamed files of a directory (on a first boot a tmpfs).
//! What fits in neither is known to be there and to be right, and is fetched again when it is written.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags};

use super::resource::{Resource, Sink};

/// Bytes that are kept in memory: what configs usually fetch, and little of a small machine's 192 MiB.
pub const MEMORY_MAX_BYTES: u64 = 16 << 20;

/// Where a content is.
#[derive(Debug)]
pub enum Kept {
    /// In memory.
    Memory(Vec<u8>),
    /// In an unnamed file.
    File(File),
    /// Nowhere: it was too large. It was verified and is fetched again when it is wanted.
    Nowhere,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "kept in memory",
            Self::File(_) => "kept on tmpfs",
            Self::Nowhere => "verified; too large to keep, so it will be fetched again",
        })
    }
}

/// The contents.
#[derive(Debug, Default)]
pub struct Spool {
    dir: Option<PathBuf>,
    kept: Vec<(Resource, Kept)>,
    in_memory: u64,
}

impl Spool {
    /// Files go to `dir`, which is made when the first one is wanted.
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self { dir, ..Self::default() }
    }

    /// Whether a resource was fetched.
    pub fn has(&self, resource: &Resource) -> bool {
        self.kept.iter().any(|(known, _)| known == resource)
    }

    /// The content of a resource, decompressed; `None` when it has to be fetched.
    ///
    /// # Errors
    /// When the file that holds it cannot be read.
    pub fn open(&mut self, resource: &Resource) -> io::Result<Option<Box<dyn Read + '_>>> {
        let found = self.kept.iter_mut().find(|(known, _)| known == resource);
        Ok(match found.map(|(_, kept)| kept) {
            None | Some(Kept::Nowhere) => None,
            Some(Kept::Memory(bytes)) => Some(Box::new(bytes.as_slice())),
            Some(Kept::File(file)) => {
                file.seek(SeekFrom::Start(0))?;
                Some(Box::new(file))
            }
        })
    }

    /// Takes what [`Spool::sink`] collected.
    pub fn keep(&mut self, resource: Resource, kept: Kept) -> String {
        if let Kept::Memory(bytes) = &kept {
            self.in_memory += bytes.len() as u64;
        }
        let text = kept.to_string();
        self.kept.push((resource, kept));
        text
    }

    /// A sink for the next content.
    pub fn sink(&self) -> SpoolSink {
        SpoolSink {
            kept: Kept::Memory(Vec::new()),
            dir: self.dir.clone(),
            memory_left: MEMORY_MAX_BYTES.saturating_sub(self.in_memory),
            bytes: 0,
        }
    }
}

/// Collects one content: in memory, then in a file, then nowhere.
#[derive(Debug)]
pub struct SpoolSink {
    /// Where it is by now.
    pub kept: Kept,
    /// Its length.
    pub bytes: u64,
    dir: Option<PathBuf>,
    memory_left: u64,
}

impl SpoolSink {
    /// Moves from memory to a file.
    fn spill(&mut self) -> io::Result<()> {
        let Kept::Memory(bytes) = &self.kept else { return Ok(()) };
        let Some(dir) = &self.dir else { return Err(io::ErrorKind::StorageFull.into()) };
        std::fs::create_dir_all(dir)?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(CWD, dir, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        self.kept = Kept::File(file);
        Ok(())
    }
}

impl Write for SpoolSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        if matches!(self.kept, Kept::Memory(_)) && self.bytes > self.memory_left && self.spill().is_err() {
            self.kept = Kept::Nowhere;
        }
        let written = match &mut self.kept {
            Kept::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
            Kept::File(file) => file.write_all(bytes),
            Kept::Nowhere => Ok(()),
        };
        if written.is_err() {
            // A full tmpfs is no reason to give up: the content is only looked at then.
            self.kept = Kept::Nowhere;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for SpoolSink {
    fn restart(&mut self) -> io::Result<()> {
        (self.kept, self.bytes) = (Kept::Memory(Vec::new()), 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(source: &str) -> Resource {
        Resource { source: source.into(), ..Resource::default() }
    }

    fn fill(spool: &mut Spool, name: &str, bytes: &[u8]) -> String {
        let mut sink = spool.sink();
        sink.restart().unwrap();
        sink.write_all(b"broken off").unwrap();
        sink.restart().unwrap();
        bytes.chunks(1 << 16).for_each(|chunk| sink.write_all(chunk).unwrap());
        assert_eq!(sink.bytes, bytes.len() as u64);
        spool.keep(resource(name), sink.kept)
    }

    fn read(spool: &mut Spool, name: &str) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        spool.open(&resource(name)).unwrap()?.read_to_end(&mut all).unwrap();
        Some(all)
    }

    #[test]
    fn memory_then_files_then_nowhere() {
        let temp = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Some(temp.path().join("spool")));
        let large = vec![7; usize::try_from(MEMORY_MAX_BYTES).unwrap() - 3];
        assert_eq!(fill(&mut spool, "a", &large), "kept in memory");
        assert_eq!(fill(&mut spool, "b", b"abcd"), "kept on tmpfs");
        assert_eq!(fill(&mut spool, "c", b"abc"), "kept in memory");
        for _ in 0..2 {
            assert_eq!(read(&mut spool, "b").unwrap(), b"abcd");
        }
        assert_eq!(
            (read(&mut spool, "a").unwrap(), read(&mut spool, "c").unwrap()),
            (large, b"abc".to_vec())
        );
        assert_eq!(read(&mut spool, "d"), None);
        assert_eq!(std::fs::read_dir(temp.path().join("spool")).unwrap().count(), 0, "files have no names");

        let mut nowhere = Spool { in_memory: MEMORY_MAX_BYTES, ..Spool::default() };
        assert!(fill(&mut nowhere, "e", b"x").starts_with("verified; too large"));
        assert!(nowhere.has(&resource("e")));
        assert_eq!(read(&mut nowhere, "e"), None);
    }
}

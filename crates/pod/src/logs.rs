//! What containers print, kept in the form of the CRI (kubernetes/cri-api, `LogDirectory`):
//!
//! ```text
//! 2026-11-21T12:00:00.000000000Z stdout F a whole line
//! 2026-11-21T12:00:00.000000001Z stderr P the beginning of a line that is too long
//! ```

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Longer lines are kept in parts of this size, as containerd and CRI-O have it.
const LINE_BYTES_MAX: usize = 16 << 10;

/// A log file is begun anew at this size; the one before is kept as `log.1`.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn word(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Cuts what comes from a pipe into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Adds bytes; gives each whole line (and each part of a line that is too long, with `false`).
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8], bool)) {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.rest.len();
            let part = &bytes[..bytes.len().min(room)];
            if let Some(end) = part.iter().position(|byte| *byte == b'\n') {
                self.rest.extend(&part[..end]);
                line(&self.rest, true);
                self.rest.clear();
                bytes = &bytes[end + 1..];
            } else {
                self.rest.extend(part);
                bytes = &bytes[part.len()..];
                if self.rest.len() == LINE_BYTES_MAX {
                    line(&self.rest, false);
                    self.rest.clear();
                }
            }
        }
    }

    /// The end of the pipe: a line without its end counts as one.
    pub fn finish(&mut self, mut line: impl FnMut(&[u8], bool)) {
        if !self.rest.is_empty() {
            line(&self.rest, true);
            self.rest.clear();
        }
    }
}

/// Writes one container's log.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Writer {
    /// Appends to the log at `path`.
    ///
    /// # Errors
    /// The file's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// The file's.
    pub fn line(&mut self, stream: Stream, text: &[u8], whole: bool, now: SystemTime) -> io::Result<()> {
        let mut entry =
            format!("{} {} {} ", timestamp(now), stream.word(), if whole { 'F' } else { 'P' }).into_bytes();
        entry.extend(text);
        entry.push(b'\n');
        if self.bytes + entry.len() as u64 > FILE_BYTES_MAX {
            std::fs::rename(&self.path, self.path.with_extension("1"))?;
            *self = Self::open(&self.path)?;
        }
        self.bytes += entry.len() as u64;
        // One write: a reader never sees half of an entry of a whole file.
        self.file.write_all(&entry)
    }
}

/// RFC 3339 with nanoseconds, UTC.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = oci_image::build::rfc3339(since.as_secs());
    format!("{}.{:09}Z", seconds.trim_end_matches('Z'), since.subsec_nanos())
}

/// An entry as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// RFC 3339.
    pub time: &'a str,
    /// Where it was printed.
    pub stream: Stream,
    /// The line ends here.
    pub whole: bool,
    /// What was printed, without the line's end.
    pub text: &'a [u8],
}

/// Reads an entry, without its line's end.
#[must_use]
pub fn parse_entry(line: &[u8]) -> Option<Entry<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let whole = parts.next()?.first() == Some(&b'F');
    Some(Entry { time, stream, whole, text: parts.next()? })
}

/// Reads a log, and what comes to it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: Option<io::BufReader<File>>,
    part: Vec<u8>,
}

impl Reader {
    /// The log at `path`, from the one before it on if that is still there.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let older = File::open(path.with_extension("1"));
        let file = older.or_else(|_| File::open(path)).ok().map(io::BufReader::new);
        Self { path: path.to_owned(), file, part: Vec::new() }
    }

    /// The next entry's line; none if there is none yet.
    ///
    /// # Errors
    /// The file's.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.file.is_none() {
                self.file = File::open(&self.path).ok().map(io::BufReader::new);
            }
            let Some(file) = &mut self.file else { return Ok(None) };
            file.read_until(b'\n', &mut self.part)?;
            if self.part.pop_if(|last| *last == b'\n').is_some() {
                return Ok(Some(std::mem::take(&mut self.part)));
            }
            // At the end: of the newest file, or of one that was put aside.
            if same_file(file.get_ref(), &self.path) {
                return Ok(None);
            }
            self.part.clear();
            self.file = None;
        }
    }
}

/// Whether the open file is the one at `path` (or there is none at `path`).
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(a), Ok(b)) = (file.metadata(), path.metadata()) else { return true };
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_cut_into_lines_and_long_ones_into_parts() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut note = |text: &[u8], whole| seen.push((text.len(), whole));
        lines.push(b"ab", &mut note);
        lines.push(b"c\n\nd", &mut note);
        lines.push(&vec![b'x'; LINE_BYTES_MAX], &mut note);
        lines.push(b"y\n", &mut note);
        lines.push(b"end", &mut note);
        lines.finish(&mut note);
        assert_eq!(seen, [(3, true), (0, true), (LINE_BYTES_MAX, false), (2, true), (3, true)]);
    }

    #[test]
    fn what_is_written_is_read_across_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::open(&path).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::new(1, 5);
        let mut reader = Reader::open(&path);
        assert!(reader.next_line().unwrap().is_none());
        writer.line(Stream::Stdout, b"one", true, time).unwrap();
        let line = reader.next_line().unwrap().unwrap();
        assert_eq!(line, b"1970-01-01T00:00:01.000000005Z stdout F one");
        let entry = parse_entry(&line).unwrap();
        assert_eq!((entry.stream, entry.whole, entry.text), (Stream::Stdout, true, &b"one"[..]));
        writer.bytes = FILE_BYTES_MAX;
        writer.line(Stream::Stderr, b"two", false, time).unwrap();
        assert!(dir.path().join("log.1").is_file());
        assert!(reader.next_line().unwrap().unwrap().ends_with(b"stderr P two"));
        assert!(reader.next_line().unwrap().is_none());
        let mut fresh = Reader::open(&path);
        assert!(fresh.next_line().unwrap().unwrap().ends_with(b"one"));
        assert!(fresh.next_line().unwrap().unwrap().ends_with(b"two"));
    }
}

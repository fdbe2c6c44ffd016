//! File contents: read, compress, write as blocks, remember where.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Seek, Write};
use std::sync::{Mutex, mpsc};
use std::thread;

use super::compress::{Compressor, SEGMENT_BYTES, Segment};
use super::index::Extent;
use super::inode::{self, Inode};
use super::output::Output;
use super::{Compression, Event, Options, WriteError};
use crate::format::BLOCK_BYTES;
use crate::tree::{Content, Source, text};

/// Segments on their way through each compressing thread: one in work and one waiting.
const SEGMENTS_PER_THREAD: usize = 2;

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

/// Writes the contents of regular files in the order of the inodes; gives their bytes before compression.
pub(super) fn write_all<W: Write + Seek>(
    inodes: &mut [Inode<'_>],
    source: &dyn Source,
    options: &Options,
    output: &mut Output<'_, W>,
    events: &mut dyn FnMut(Event),
) -> Result<u64, WriteError> {
    let contents = inodes.iter().enumerate().filter_map(|(index, inode)| Some((index, inode.content()?)));
    let contents: Vec<_> = contents.collect();
    let total_bytes = contents.iter().map(|(_, content)| content.size_bytes).sum();
    let mut assembly =
        Assembly { inodes, output, events, extents: Vec::new(), start: 0, done_bytes: 0, total_bytes };
    match options.compression {
        Compression::Lz4hc { level, cluster_bytes } if options.threads > 1 => {
            let new = || Compressor::new(level, cluster_bytes);
            in_threads(&contents, source, &mut assembly, options.threads, &new)?;
        }
        Compression::Lz4hc { level, cluster_bytes } => {
            let mut compressor = Compressor::new(level, cluster_bytes);
            one_by_one(&contents, source, &mut assembly, |content, last| compressor.segment(content, last))?;
        }
        Compression::None => one_by_one(&contents, source, &mut assembly, Segment::plain)?,
    }
    Ok(total_bytes)
}

fn one_by_one<W: Write + Seek>(
    contents: &[(usize, Content)],
    source: &dyn Source,
    assembly: &mut Assembly<'_, '_, '_, W>,
    mut compress: impl FnMut(&[u8], bool) -> Segment,
) -> Result<(), WriteError> {
    let mut buffer = Vec::new();
    for &(index, content) in contents {
        let mut reader =
            SegmentReader::open(source, content).map_err(|fault| assembly.fault(index, fault))?;
        loop {
            let last = reader.next(&mut buffer).map_err(|fault| assembly.fault(index, fault))?;
            assembly.accept(Piece { index, bytes: buffer.len() as u64, last }, compress(&buffer, last))?;
            if last {
                break;
            }
        }
    }
    Ok(())
}

/// Reads and writes on this thread, compresses on `threads` others. Segments are written in the order in which they were
/// read, whichever is ready first.
fn in_threads<W: Write + Seek>(
    contents: &[(usize, Content)],
    source: &dyn Source,
    assembly: &mut Assembly<'_, '_, '_, W>,
    threads: usize,
    new: &(dyn Fn() -> Compressor + Sync),
) -> Result<(), WriteError> {
    let (jobs, work) = mpsc::channel::<(u64, Vec<u8>, bool)>();
    let (done, results) = mpsc::channel();
    let work = Mutex::new(work);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (work, done) = (&work, done.clone());
            scope.spawn(move || {
                let mut compressor = new();
                let next = || work.lock().ok()?.recv().ok();
                while let Some((number, content, last)) = next() {
                    if done.send((number, compressor.segment(&content, last))).is_err() {
                        return;
                    }
                }
            });
        }
        // Only the threads hold senders now; and they end when the queue, which holds `jobs`, is gone.
        drop(done);
        let mut queue = Queue { jobs, results, waiting: VecDeque::new(), ready: BTreeMap::new(), next: 0 };
        for &(index, content) in contents {
            let mut reader =
                SegmentReader::open(source, content).map_err(|fault| assembly.fault(index, fault))?;
            loop {
                let mut buffer = Vec::new();
                let last = reader.next(&mut buffer).map_err(|fault| assembly.fault(index, fault))?;
                queue.push(Piece { index, bytes: buffer.len() as u64, last }, buffer);
                while queue.waiting.len() >= threads * SEGMENTS_PER_THREAD {
                    queue.pop(assembly)?;
                }
                if last {
                    break;
                }
            }
        }
        while !queue.waiting.is_empty() {
            queue.pop(assembly)?;
        }
        Ok(())
    })
}

/// Segments given to threads and not yet written.
struct Queue {
    jobs: mpsc::Sender<(u64, Vec<u8>, bool)>,
    results: mpsc::Receiver<(u64, Segment)>,
    /// In the order of reading.
    waiting: VecDeque<(u64, Piece)>,
    /// Compressed before their turn.
    ready: BTreeMap<u64, Segment>,
    next: u64,
}

impl Queue {
    fn push(&mut self, piece: Piece, content: Vec<u8>) {
        let _ = self.jobs.send((self.next, content, piece.last));
        self.waiting.push_back((self.next, piece));
        self.next += 1;
    }

    /// Waits for the oldest segment and writes it.
    fn pop<W: Write + Seek>(&mut self, assembly: &mut Assembly<'_, '_, '_, W>) -> Result<(), WriteError> {
        let Some((number, piece)) = self.waiting.pop_front() else { return Ok(()) };
        let segment = loop {
            if let Some(segment) = self.ready.remove(&number) {
                break segment;
            }
            let (number, segment) = self.results.recv().map_err(|_| WriteError::Thread)?;
            self.ready.insert(number, segment);
        };
        assembly.accept(piece, segment)
    }
}

/// Which part of which file a segment is.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Of the inode.
    index: usize,
    bytes: u64,
    last: bool,
}

/// Writes segments and puts each file's together.
struct Assembly<'a, 't, 'o, W> {
    inodes: &'a mut [Inode<'t>],
    output: &'a mut Output<'o, W>,
    events: &'a mut dyn FnMut(Event),
    /// Of the file at hand, so far.
    extents: Vec<Extent>,
    /// Bytes of the file at hand, so far.
    start: u64,
    done_bytes: u64,
    total_bytes: u64,
}

impl<W: Write + Seek> Assembly<'_, '_, '_, W> {
    fn accept(&mut self, piece: Piece, segment: Segment) -> Result<(), WriteError> {
        let (block, start) = (self.output.blocks(&segment.blocks)?, self.start);
        let place =
            |extent: Extent| Extent { start: extent.start + start, block: extent.block + block, ..extent };
        self.extents.extend(segment.extents.into_iter().map(place));
        self.start += piece.bytes;
        self.done_bytes += piece.bytes;
        if piece.last {
            self.start = 0;
            let extents = std::mem::take(&mut self.extents);
            self.inodes[piece.index].data = self.settle(piece.index, extents, segment.tail)?;
            (self.events)(Event::Content { done_bytes: self.done_bytes, total_bytes: self.total_bytes });
        }
        Ok(())
    }

    /// A file of which nothing shrank is a flat one: its plain pclusters lie as flat data does.
    fn settle(&mut self, index: usize, extents: Vec<Extent>, tail: Vec<u8>) -> Result<Data, WriteError> {
        let blocks = extents.iter().map(|extent| u32::from(extent.blocks)).sum();
        if !extents.iter().all(|extent| extent.plain) {
            return Ok(Data::Compressed { extents, blocks, tail });
        }
        let first_block = self.output.next_block() - blocks;
        if inode::inlines(self.inodes[index].head_bytes(), tail.len()) {
            return Ok(Data::Flat { first_block, tail });
        }
        self.output.blocks(&tail)?;
        Ok(Data::Flat { first_block, tail: Vec::new() })
    }

    fn fault(&self, index: usize, fault: Fault) -> WriteError {
        let inode = &self.inodes[index];
        let path = text(&inode.path);
        match fault {
            Fault::Io(source) => WriteError::Read { path, source },
            Fault::Size => {
                WriteError::Size { path, expected_bytes: inode.content().map_or(0, |c| c.size_bytes) }
            }
        }
    }
}

/// What is wrong with a content.
enum Fault {
    Io(io::Error),
    Size,
}

/// Reads a file to its end in pieces of [`SEGMENT_BYTES`], and checks its length.
struct SegmentReader<'s> {
    reader: Box<dyn Read + 's>,
    left: u64,
}

impl<'s> SegmentReader<'s> {
    fn open(source: &'s dyn Source, content: Content) -> Result<Self, Fault> {
        Ok(Self { reader: source.open(content.id).map_err(Fault::Io)?, left: content.size_bytes })
    }

    /// Fills `buffer` with the next segment; says whether it is the last.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Fault> {
        let want = self.left.min(SEGMENT_BYTES as u64);
        buffer.clear();
        let got = (&mut self.reader).take(want).read_to_end(buffer).map_err(Fault::Io)?;
        self.left -= want;
        let last = self.left == 0;
        let more = last && self.reader.read(&mut [0]).map_err(Fault::Io)? != 0;
        if got as u64 != want || more { Err(Fault::Size) } else { Ok(last) }
    }
}

const _: () = assert!(SEGMENT_BYTES.is_multiple_of(BLOCK_BYTES));

//! The part of UDF (ECMA-167 third edition, OSTA UDF 1.02 to 2.01) that config CD-ROMs use: one physical partition
//! (type 1 map), file entries, directories and files in one extent or many, or inside their entry.
//!
//! Virtual, sparable and metadata partitions (packet-written media, Blu-ray) are refused.

use block::probe::ReadAt;

use super::parse::{le16, le32, le64, utf16_be};
use super::{DIRECTORY_BYTES_MAX, FILE_BYTES_MAX, VolumeError, peek, read_at, steps};

const FORMAT: &str = "udf";
/// Logical blocks: those of discs first, then of disks, whose volumes have their sector's size.
const BLOCK_BYTES: [u64; 3] = [2048, 512, 4096];
/// The anchor is at this block (ECMA-167 3/8.4.2.1).
const ANCHOR_BLOCK: u64 = 256;
/// More descriptors than a volume has.
const DESCRIPTORS_MAX: u32 = 64;
/// Allocation descriptors that are followed for one file.
const EXTENTS_MAX: usize = 4096;

/// Tag identifiers (3/7.2.1, 4/7.2.1).
const TAG_PRIMARY: u16 = 1;
const TAG_ANCHOR: u16 = 2;
const TAG_PARTITION: u16 = 5;
const TAG_LOGICAL: u16 = 6;
const TAG_TERMINATING: u16 = 8;
const TAG_FILE_SET: u16 = 256;
const TAG_IDENTIFIER: u16 = 257;
const TAG_ENTRY: u16 = 261;
const TAG_EXTENDED_ENTRY: u16 = 266;

/// File type of an ICB: a directory (4/14.6.6).
const TYPE_DIRECTORY: u8 = 4;
/// Characteristics of an identifier (4/14.4.3): deleted, parent.
const DELETED_OR_PARENT: u8 = 0b1100;

/// A volume.
#[derive(Debug, Clone)]
pub struct Udf {
    /// Identifiers of the logical and the primary volume.
    pub labels: Vec<String>,
    block_bytes: u64,
    /// First block of the partition.
    partition: u64,
    root: u32,
}

/// What an information control block says of a file.
#[derive(Debug)]
struct Node {
    is_directory: bool,
    bytes: u64,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Inside(Vec<u8>),
    /// Block in the partition (`None` for a hole) and length in bytes.
    Extents(Vec<(Option<u32>, u32)>),
}

const fn damaged(what: &'static str) -> VolumeError {
    VolumeError::Damaged { format: FORMAT, what }
}

impl Udf {
    /// Recognises a volume.
    ///
    /// # Errors
    /// Those of the device.
    pub fn open(device: &dyn ReadAt, size_bytes: u64) -> Result<Option<Self>, VolumeError> {
        for block_bytes in BLOCK_BYTES {
            let Some(anchor) = peek(device, ANCHOR_BLOCK * block_bytes, 512, size_bytes)? else { continue };
            if tag(&anchor) != Some(TAG_ANCHOR) || le32(&anchor, 12) != Some(ANCHOR_BLOCK as u32) {
                continue;
            }
            let sequence = le32(&anchor, 16).zip(le32(&anchor, 20));
            let Some((bytes, block)) = sequence else { continue };
            return Self::volume(device, size_bytes, block_bytes, block, bytes);
        }
        Ok(None)
    }

    /// Reads the volume descriptor sequence.
    fn volume(
        device: &dyn ReadAt,
        size_bytes: u64,
        block_bytes: u64,
        first: u32,
        bytes: u32,
    ) -> Result<Option<Self>, VolumeError> {
        let mut labels = Vec::new();
        let (mut partition, mut file_set) = (None, None);
        let count = (u64::from(bytes) / block_bytes).min(u64::from(DESCRIPTORS_MAX));
        for index in 0..count {
            let at = (u64::from(first) + index) * block_bytes;
            let Some(block) = peek(device, at, block_bytes as usize, size_bytes)? else { break };
            match tag(&block) {
                Some(TAG_PRIMARY) => labels.push(dstring(&block[24..56])),
                Some(TAG_PARTITION) => partition = partition.or(le32(&block, 188)),
                Some(TAG_LOGICAL) => {
                    if le32(&block, 212) != Some(block_bytes as u32) {
                        return Ok(None);
                    }
                    labels.insert(0, dstring(&block[84..212]));
                    let plain = le32(&block, 268) == Some(1) && block.get(440) == Some(&1);
                    file_set = plain.then(|| le32(&block, 252)).flatten();
                }
                Some(TAG_TERMINATING) | None => break,
                Some(_) => {}
            }
        }
        labels.retain(|label| !label.is_empty());
        labels.dedup();
        let Some((partition, file_set)) = partition.zip(file_set) else { return Ok(None) };
        let mut volume = Self { labels, block_bytes, partition: partition.into(), root: 0 };
        let at = volume.offset(file_set);
        let Some(block) = peek(device, at, block_bytes as usize, size_bytes)? else { return Ok(None) };
        let (Some(TAG_FILE_SET), Some(root)) = (tag(&block), le32(&block, 404)) else { return Ok(None) };
        volume.root = root;
        Ok(Some(volume))
    }

    /// See [`super::Volume::read`].
    ///
    /// # Errors
    /// [`VolumeError`].
    pub fn read(&self, device: &dyn ReadAt, path: &str) -> Result<Option<Vec<u8>>, VolumeError> {
        let mut node = self.node(device, self.root)?;
        for step in steps(path) {
            if !node.is_directory {
                return Ok(None);
            }
            if node.bytes > DIRECTORY_BYTES_MAX {
                return Err(damaged("a directory of many megabytes"));
            }
            let data = self.contents(device, &node)?;
            let Some(block) = find(&data, step)? else { return Ok(None) };
            node = self.node(device, block)?;
        }
        if node.is_directory {
            return Ok(None);
        }
        if node.bytes > FILE_BYTES_MAX {
            return Err(VolumeError::TooLarge { path: path.to_owned(), bytes: node.bytes });
        }
        self.contents(device, &node).map(Some)
    }

    fn offset(&self, block: u32) -> u64 {
        (self.partition + u64::from(block)) * self.block_bytes
    }

    /// Reads a file entry or an extended one (4/14.9, 4/14.17).
    fn node(&self, device: &dyn ReadAt, block: u32) -> Result<Node, VolumeError> {
        let data = read_at(device, self.offset(block), self.block_bytes as usize)?;
        let lengths_at = match tag(&data) {
            Some(TAG_ENTRY) => 168,
            Some(TAG_EXTENDED_ENTRY) => 208,
            _ => return Err(damaged("something that is no file entry")),
        };
        let short = || damaged("a file entry that is too short");
        let is_directory = data.get(27).ok_or_else(short)? == &TYPE_DIRECTORY;
        let flags = le16(&data, 34).ok_or_else(short)?;
        let bytes = le64(&data, 56).ok_or_else(short)?;
        let attributes = le32(&data, lengths_at).ok_or_else(short)? as usize;
        let length = le32(&data, lengths_at + 4).ok_or_else(short)? as usize;
        let start = (lengths_at + 8).checked_add(attributes).ok_or_else(short)?;
        let area = data.get(start..start.checked_add(length).ok_or_else(short)?).ok_or_else(short)?;
        // The low three bits tell the kind of allocation descriptor (4/14.6.8).
        let data = match flags & 7 {
            0 => Data::Extents(extents(area, 8)?),
            1 => Data::Extents(extents(area, 16)?),
            3 => Data::Inside(area.to_vec()),
            _ => {
                return Err(VolumeError::Unsupported {
                    format: FORMAT,
                    what: "extended allocation descriptors",
                });
            }
        };
        Ok(Node { is_directory, bytes, data })
    }

    fn contents(&self, device: &dyn ReadAt, node: &Node) -> Result<Vec<u8>, VolumeError> {
        let bytes = node.bytes as usize;
        let mut contents = match &node.data {
            Data::Inside(data) => data.clone(),
            Data::Extents(list) => {
                let mut contents = Vec::new();
                for (block, length) in list {
                    let wanted = (*length as usize).min(bytes.saturating_sub(contents.len()));
                    match block {
                        Some(block) => contents.extend(read_at(device, self.offset(*block), wanted)?),
                        None => contents.resize(contents.len() + wanted, 0),
                    }
                }
                contents
            }
        };
        if contents.len() < bytes {
            return Err(damaged("a file ends before its length"));
        }
        contents.truncate(bytes);
        Ok(contents)
    }
}

/// Short (8 bytes) or long (16 bytes) allocation descriptors (4/14.14.1, 4/14.14.2).
fn extents(area: &[u8], size: usize) -> Result<Vec<(Option<u32>, u32)>, VolumeError> {
    let mut list = Vec::new();
    for descriptor in area.chunks_exact(size).take(EXTENTS_MAX) {
        let (Some(length), Some(block)) = (le32(descriptor, 0), le32(descriptor, 4)) else { break };
        // The top two bits: recorded, allocated, a hole, or more descriptors elsewhere.
        let bytes = length & 0x3fff_ffff;
        match (length >> 30, bytes) {
            (_, 0) => break,
            (0, _) => list.push((Some(block), bytes)),
            (1 | 2, _) => list.push((None, bytes)),
            _ => {
                return Err(VolumeError::Unsupported { format: FORMAT, what: "a file in very many pieces" });
            }
        }
    }
    Ok(list)
}

/// The block of a name's control block in a directory (file identifier descriptors, 4/14.4).
fn find(directory: &[u8], wanted: &str) -> Result<Option<u32>, VolumeError> {
    let mut rest = directory;
    while rest.len() >= 38 {
        if tag(rest) != Some(TAG_IDENTIFIER) {
            return Err(damaged("a directory with something else in it"));
        }
        let short = || damaged("a directory entry that is too short");
        let name_length = usize::from(rest[19]);
        let private = usize::from(le16(rest, 36).ok_or_else(short)?);
        let name = rest.get(38 + private..38 + private + name_length).ok_or_else(short)?;
        if rest[18] & DELETED_OR_PARENT == 0 && compressed(name) == wanted {
            return Ok(le32(rest, 24));
        }
        let length = (38 + private + name_length).div_ceil(4) * 4;
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(None)
}

/// The identifier of a descriptor whose tag holds together (3/7.2).
fn tag(block: &[u8]) -> Option<u16> {
    let head = block.get(..16)?;
    let sum = head
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 4)
        .fold(0u8, |sum, (_, byte)| sum.wrapping_add(*byte));
    (sum == head[4]).then(|| le16(head, 0)).flatten()
}

/// A text with its length in the last byte (OSTA UDF 2.1.3).
fn dstring(field: &[u8]) -> String {
    let length = usize::from(field.last().copied().unwrap_or(0));
    compressed(field.get(..length.min(field.len().saturating_sub(1))).unwrap_or_default())
}

/// OSTA compressed unicode: a first byte of 8 or 16 tells the width of the characters.
fn compressed(bytes: &[u8]) -> String {
    match bytes.split_first() {
        Some((8, rest)) => rest.iter().map(|byte| char::from(*byte)).collect(),
        Some((16, rest)) => utf16_be(rest),
        _ => String::new(),
    }
}

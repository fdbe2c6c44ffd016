//! ISO 9660 (ECMA-119) with the names of Rock Ridge (IEEE P1282 over SUSP, IEEE P1281) and Joliet.
//!
//! A path is looked for in the primary tree by its Rock Ridge names, then in the Joliet tree, then in the primary tree
//! by the plain names without version and regardless of case: cloud tools write any of these.

use block::probe::ReadAt;

use super::parse::{le16, le32, trimmed, utf16_be};
use super::{DIRECTORY_BYTES_MAX, FILE_BYTES_MAX, VolumeError, peek, read_at, steps};

const FORMAT: &str = "iso9660";
/// Logical sectors (ECMA-119, 6.1.2).
const SECTOR_BYTES: u64 = 2048;
/// The volume descriptors begin here (6.2.1).
const DESCRIPTORS_AT: u64 = 16;
/// More descriptors than any disc has.
const DESCRIPTORS_MAX: u64 = 32;
/// Continuation areas that are followed for one entry's Rock Ridge fields.
const CONTINUATIONS_MAX: usize = 8;
/// File flags (9.1.6): a directory; more extents follow.
const FLAG_DIRECTORY: u8 = 1 << 1;
const FLAG_MORE: u8 = 1 << 7;
/// Escape sequences of Joliet's three levels in a supplementary descriptor.
const JOLIET: [&[u8; 3]; 3] = [b"%/@", b"%/C", b"%/E"];

/// A volume.
#[derive(Debug, Clone)]
pub struct Iso9660 {
    /// Volume identifiers of the primary and the Joliet descriptor.
    pub labels: Vec<String>,
    block_bytes: u64,
    primary: Extent,
    joliet: Option<Extent>,
}

/// Bytes that lie together.
#[derive(Debug, Clone, Copy)]
struct Extent {
    block: u32,
    bytes: u32,
}

/// One entry of a directory.
#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    rock_ridge: Option<String>,
    flags: u8,
    extent: Extent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    RockRidge,
    Joliet,
    Plain,
}

impl Iso9660 {
    /// Recognises a volume.
    ///
    /// # Errors
    /// Those of the device.
    pub fn open(device: &dyn ReadAt, size_bytes: u64) -> Result<Option<Self>, VolumeError> {
        let mut volume: Option<Self> = None;
        for index in 0..DESCRIPTORS_MAX {
            let at = (DESCRIPTORS_AT + index) * SECTOR_BYTES;
            let Some(sector) = peek(device, at, SECTOR_BYTES as usize, size_bytes)? else { break };
            if &sector[1..6] != b"CD001" {
                break;
            }
            let root = record(&sector[156..190]).map(|entry| entry.extent);
            match (sector[0], root) {
                (1, Some(primary)) if volume.is_none() => {
                    let label = trimmed(&String::from_utf8_lossy(&sector[40..72]));
                    let block_bytes = u64::from(le16(&sector, 128).unwrap_or(0));
                    if !matches!(block_bytes, 512 | 1024 | 2048) {
                        break;
                    }
                    volume = Some(Self { labels: vec![label], block_bytes, primary, joliet: None });
                }
                (2, Some(root)) if JOLIET.iter().any(|escape| &sector[88..91] == *escape) => {
                    if let Some(volume) = &mut volume {
                        volume.labels.push(trimmed(&utf16_be(&sector[40..72])));
                        volume.joliet = Some(root);
                    }
                }
                (255, _) => break,
                _ => {}
            }
        }
        Ok(volume)
    }

    /// See [`super::Volume::read`].
    ///
    /// # Errors
    /// [`VolumeError`].
    pub fn read(&self, device: &dyn ReadAt, path: &str) -> Result<Option<Vec<u8>>, VolumeError> {
        let trees = [
            (Some(self.primary), Names::RockRidge),
            (self.joliet, Names::Joliet),
            (Some(self.primary), Names::Plain),
        ];
        for (root, names) in trees {
            let Some(root) = root else { continue };
            if let Some(extents) = self.find(device, root, names, path)? {
                return self.contents(device, path, &extents).map(Some);
            }
        }
        Ok(None)
    }

    /// The extents of a file.
    fn find(
        &self,
        device: &dyn ReadAt,
        root: Extent,
        names: Names,
        path: &str,
    ) -> Result<Option<Vec<Extent>>, VolumeError> {
        let mut directory = root;
        let mut steps = steps(path).peekable();
        while let Some(step) = steps.next() {
            let entries = self.entries(device, directory)?;
            let Some(at) = entries.iter().position(|entry| entry.is(names, step)) else { return Ok(None) };
            let found = &entries[at];
            let is_directory = found.flags & FLAG_DIRECTORY != 0;
            match (steps.peek(), is_directory) {
                (Some(_), true) => directory = found.extent,
                (None, false) => {
                    // A large file has several entries in a row; the last lacks the flag.
                    let more = entries[at..].iter().take_while(|entry| entry.flags & FLAG_MORE != 0).count();
                    let all = entries[at..].iter().take(more + 1);
                    return Ok(Some(all.map(|entry| entry.extent).collect()));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn entries(&self, device: &dyn ReadAt, directory: Extent) -> Result<Vec<Entry>, VolumeError> {
        let bytes = u64::from(directory.bytes);
        if bytes > DIRECTORY_BYTES_MAX {
            return Err(VolumeError::Unsupported { format: FORMAT, what: "a directory of many megabytes" });
        }
        let data = read_at(device, u64::from(directory.block) * self.block_bytes, bytes as usize)?;
        let mut entries = Vec::new();
        // An entry never crosses a sector (6.8.1.1): a length of zero leads to the next one.
        for sector in data.chunks(SECTOR_BYTES as usize) {
            let mut rest = sector;
            while let Some(&length) = rest.first()
                && length > 0
            {
                let Some(bytes) = rest.get(..usize::from(length)) else { break };
                if let Some(mut entry) = record(bytes) {
                    entry.rock_ridge = self.rock_ridge(device, bytes)?;
                    entries.push(entry);
                }
                rest = &rest[usize::from(length)..];
            }
        }
        Ok(entries)
    }

    /// The name in the system use fields of a directory record (P1282, 4.1.4), with their continuations (P1281, 5.1).
    fn rock_ridge(&self, device: &dyn ReadAt, bytes: &[u8]) -> Result<Option<String>, VolumeError> {
        let name_end = 33 + usize::from(bytes[32]);
        let start = name_end + (name_end & 1);
        let mut area = bytes.get(start..).unwrap_or_default().to_vec();
        let mut name: Option<Vec<u8>> = None;
        for _ in 0..CONTINUATIONS_MAX {
            let mut next = None;
            let mut rest = area.as_slice();
            while let [first, second, length, _, ..] = *rest {
                let Some(field) = rest.get(..usize::from(length)).filter(|field| field.len() >= 4) else {
                    break;
                };
                match &[first, second] {
                    // Flags 2 and 4 stand for `.` and `..`.
                    b"NM" if field.get(4).is_some_and(|flags| flags & 6 == 0) => {
                        name.get_or_insert_default().extend(&field[5..]);
                    }
                    b"CE" => next = le32(field, 4).zip(le32(field, 12)).zip(le32(field, 20)),
                    b"ST" => break,
                    _ => {}
                }
                rest = &rest[field.len()..];
            }
            let Some(((block, offset), bytes)) = next else { break };
            let at = u64::from(block) * self.block_bytes + u64::from(offset);
            // A continuation lies within one sector.
            area = read_at(device, at, (bytes as usize).min(SECTOR_BYTES as usize))?;
        }
        Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
    }

    fn contents(&self, device: &dyn ReadAt, path: &str, extents: &[Extent]) -> Result<Vec<u8>, VolumeError> {
        let total: u64 = extents.iter().map(|extent| u64::from(extent.bytes)).sum();
        if total > FILE_BYTES_MAX {
            return Err(VolumeError::TooLarge { path: path.to_owned(), bytes: total });
        }
        let mut contents = Vec::new();
        for extent in extents {
            let at = u64::from(extent.block) * self.block_bytes;
            contents.extend(read_at(device, at, extent.bytes as usize)?);
        }
        Ok(contents)
    }
}

impl Entry {
    fn is(&self, names: Names, wanted: &str) -> bool {
        match names {
            Names::RockRidge => self.rock_ridge.as_deref() == Some(wanted),
            Names::Joliet => plain(&utf16_be(&self.name)) == wanted,
            Names::Plain => plain(&String::from_utf8_lossy(&self.name)).eq_ignore_ascii_case(wanted),
        }
    }
}

/// A name without its version, and without the dot of a missing extension.
fn plain(name: &str) -> &str {
    let name = name.split_once(';').map_or(name, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name)
}

/// A directory record (ECMA-119, 9.1), without Rock Ridge.
fn record(bytes: &[u8]) -> Option<Entry> {
    let name_length = usize::from(*bytes.get(32)?);
    let extent = Extent { block: le32(bytes, 2)?, bytes: le32(bytes, 10)? };
    let name = bytes.get(33..33 + name_length)?.to_vec();
    Some(Entry { name, rock_ridge: None, flags: *bytes.get(25)?, extent })
}

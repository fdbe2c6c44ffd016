//! FAT12, FAT16 and FAT32 ("FAT: General Overview of On-Disk Format", Microsoft 2000) with long names.

use block::probe::ReadAt;

use super::parse::{bytes, le16, le32, trimmed};
use super::{DIRECTORY_BYTES_MAX, FILE_BYTES_MAX, VolumeError, peek, read_at, steps};

const FORMAT: &str = "vfat";
const ENTRY_BYTES: usize = 32;
/// Attributes of an entry: a volume label, a directory; all of the low four: a piece of a long name.
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_LONG: u8 = 0x0f;
/// First byte of an entry that was deleted, and of the first that was never used.
const DELETED: u8 = 0xe5;
/// A long name has 255 characters at most, 13 in a piece.
const PIECES_MAX: usize = 20;

/// Which table: it follows from the number of clusters alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// A volume.
#[derive(Debug, Clone)]
pub struct Fat {
    /// The label in the root directory, else the boot sector's.
    pub labels: Vec<String>,
    width: Width,
    cluster_bytes: u64,
    table_at: u64,
    data_at: u64,
    clusters: u32,
    root: Root,
}

#[derive(Debug, Clone, Copy)]
enum Root {
    /// At an offset, of a length.
    Fixed(u64, u64),
    /// A chain.
    Cluster(u32),
}

#[derive(Debug)]
struct Entry {
    short: String,
    long: Option<String>,
    attributes: u8,
    cluster: u32,
    bytes: u32,
}

impl Fat {
    /// Recognises a volume.
    ///
    /// # Errors
    /// Those of the device.
    pub fn open(device: &dyn ReadAt, size_bytes: u64) -> Result<Option<Self>, VolumeError> {
        let Some(boot) = peek(device, 0, 512, size_bytes)? else { return Ok(None) };
        let Some((mut volume, boot_label)) = layout(&boot) else { return Ok(None) };
        let Ok(entries) = volume.directory(device, volume.root) else { return Ok(None) };
        let label = entries.iter().find(|entry| entry.attributes & ATTRIBUTE_LABEL != 0);
        volume.labels = label.map(|entry| entry.short.clone()).or(boot_label).into_iter().collect();
        Ok(Some(volume))
    }

    /// See [`super::Volume::read`].
    ///
    /// # Errors
    /// [`VolumeError`].
    pub fn read(&self, device: &dyn ReadAt, path: &str) -> Result<Option<Vec<u8>>, VolumeError> {
        let mut directory = self.root;
        let mut steps = steps(path).peekable();
        while let Some(step) = steps.next() {
            let entries = self.directory(device, directory)?;
            let Some(found) = entries.into_iter().find(|entry| entry.is(step)) else { return Ok(None) };
            match (steps.peek(), found.attributes & ATTRIBUTE_DIRECTORY != 0) {
                (Some(_), true) => directory = Root::Cluster(found.cluster),
                (None, false) => {
                    let bytes = u64::from(found.bytes);
                    if bytes > FILE_BYTES_MAX {
                        return Err(VolumeError::TooLarge { path: path.to_owned(), bytes });
                    }
                    return self.chain(device, found.cluster, bytes).map(Some);
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn directory(&self, device: &dyn ReadAt, root: Root) -> Result<Vec<Entry>, VolumeError> {
        let data = match root {
            Root::Fixed(at, length) => read_at(device, at, length as usize)?,
            Root::Cluster(cluster) => self.whole_chain(device, cluster)?,
        };
        Ok(entries(&data))
    }

    /// A directory's clusters: its length is nowhere but in the chain.
    fn whole_chain(&self, device: &dyn ReadAt, first: u32) -> Result<Vec<u8>, VolumeError> {
        let mut data = Vec::new();
        let mut cluster = first;
        while self.is_data(cluster) {
            data.extend(self.cluster(device, cluster)?);
            if data.len() as u64 > DIRECTORY_BYTES_MAX {
                return Err(VolumeError::Damaged { format: FORMAT, what: "a directory does not end" });
            }
            cluster = self.next(device, cluster)?;
        }
        Ok(data)
    }

    fn chain(&self, device: &dyn ReadAt, first: u32, bytes: u64) -> Result<Vec<u8>, VolumeError> {
        let mut data = Vec::new();
        let mut cluster = first;
        while (data.len() as u64) < bytes {
            if !self.is_data(cluster) {
                return Err(VolumeError::Damaged { format: FORMAT, what: "a file ends before its length" });
            }
            data.extend(self.cluster(device, cluster)?);
            cluster = self.next(device, cluster)?;
        }
        data.truncate(bytes as usize);
        Ok(data)
    }

    fn is_data(&self, cluster: u32) -> bool {
        (2..self.clusters + 2).contains(&cluster)
    }

    fn cluster(&self, device: &dyn ReadAt, cluster: u32) -> Result<Vec<u8>, VolumeError> {
        let at = self.data_at + u64::from(cluster - 2) * self.cluster_bytes;
        read_at(device, at, self.cluster_bytes as usize)
    }

    fn next(&self, device: &dyn ReadAt, cluster: u32) -> Result<u32, VolumeError> {
        let cluster = u64::from(cluster);
        let at = |offset: u64, bytes: usize| read_at(device, self.table_at + offset, bytes);
        Ok(match self.width {
            Width::Twelve => {
                let pair = at(cluster + cluster / 2, 2)?;
                let value = u32::from(le16(&pair, 0).unwrap_or(0));
                if cluster % 2 == 0 { value & 0xfff } else { value >> 4 }
            }
            Width::Sixteen => u32::from(le16(&at(cluster * 2, 2)?, 0).unwrap_or(0)),
            Width::ThirtyTwo => le32(&at(cluster * 4, 4)?, 0).unwrap_or(0) & 0x0fff_ffff,
        })
    }
}

/// The volume that a boot sector describes, without labels, and the label in it.
fn layout(boot: &[u8]) -> Option<(Fat, Option<String>)> {
    if bytes::<2>(boot, 510)? != [0x55, 0xaa] || !matches!(boot[0], 0xeb | 0xe9) {
        return None;
    }
    let sector_bytes = u64::from(le16(boot, 11)?);
    let cluster_sectors = u64::from(boot[13]);
    let reserved = u64::from(le16(boot, 14)?);
    let tables = u64::from(boot[16]);
    let root_entries = u64::from(le16(boot, 17)?);
    let sane = matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
        && cluster_sectors.is_power_of_two()
        && (1..=2).contains(&tables)
        && reserved > 0;
    if !sane {
        return None;
    }
    let or_large = |small: u16, large: u32| if small == 0 { u64::from(large) } else { u64::from(small) };
    let sectors = or_large(le16(boot, 19)?, le32(boot, 32)?);
    let table_sectors = or_large(le16(boot, 22)?, le32(boot, 36)?);
    let root_sectors = (root_entries * ENTRY_BYTES as u64).div_ceil(sector_bytes);
    let data_sector = reserved + tables * table_sectors + root_sectors;
    let clusters = u32::try_from(sectors.checked_sub(data_sector)? / cluster_sectors).ok()?;
    // The limits are the document's, odd as they look.
    let width = match clusters {
        0..4085 => Width::Twelve,
        4085..65525 => Width::Sixteen,
        65525..0x0fff_fff5 => Width::ThirtyTwo,
        _ => return None,
    };
    let label_at = if width == Width::ThirtyTwo { 71 } else { 43 };
    let label = trimmed(&String::from_utf8_lossy(boot.get(label_at..label_at + 11)?));
    let label = Some(label).filter(|label| !label.is_empty() && label != "NO NAME");
    let root_at = (reserved + tables * table_sectors) * sector_bytes;
    let root = match width {
        Width::ThirtyTwo => Root::Cluster(le32(boot, 44)?),
        _ => Root::Fixed(root_at, root_entries * ENTRY_BYTES as u64),
    };
    let volume = Fat {
        labels: Vec::new(),
        width,
        cluster_bytes: cluster_sectors * sector_bytes,
        table_at: reserved * sector_bytes,
        data_at: data_sector * sector_bytes,
        clusters,
        root,
    };
    Some((volume, label))
}

fn entries(data: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut pieces: Vec<[u16; 13]> = Vec::new();
    for entry in data.chunks_exact(ENTRY_BYTES) {
        match entry[0] {
            0 => break,
            DELETED => pieces.clear(),
            _ if entry[11] & ATTRIBUTE_LONG == ATTRIBUTE_LONG => {
                // The pieces come from the last to the first; bit 6 marks the last.
                if entry[0] & 0x40 != 0 {
                    pieces.clear();
                }
                if pieces.len() < PIECES_MAX {
                    pieces.push(piece(entry));
                }
            }
            _ => {
                let long = (!pieces.is_empty()).then(|| long_name(&pieces));
                pieces.clear();
                found.extend(short_entry(entry, long));
            }
        }
    }
    found
}

fn piece(entry: &[u8]) -> [u16; 13] {
    const AT: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
    AT.map(|at| le16(entry, at).unwrap_or(0))
}

fn long_name(pieces: &[[u16; 13]]) -> String {
    let units = pieces.iter().rev().flatten().copied().take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn short_entry(entry: &[u8], long: Option<String>) -> Option<Entry> {
    let attributes = entry[11];
    let text = |range: std::ops::Range<usize>| trimmed(&String::from_utf8_lossy(&entry[range]));
    let short = if attributes & ATTRIBUTE_LABEL != 0 {
        text(0..11)
    } else {
        match (text(0..8), text(8..11)) {
            (name, extension) if extension.is_empty() => name,
            (name, extension) => format!("{name}.{extension}"),
        }
    };
    let cluster = u32::from(le16(entry, 20)?) << 16 | u32::from(le16(entry, 26)?);
    Some(Entry { short, long, attributes, cluster, bytes: le32(entry, 28)? })
}

impl Entry {
    fn is(&self, wanted: &str) -> bool {
        let same = |name: &str| name.eq_ignore_ascii_case(wanted);
        self.attributes & ATTRIBUTE_LABEL == 0
            && (same(&self.short) || self.long.as_deref().is_some_and(same))
    }
}

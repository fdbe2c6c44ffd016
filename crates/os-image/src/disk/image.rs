//! The disk: partitions of DESIGN.md section 5, written into a sparse file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use block::gpt::prio::{GROW, READ_ONLY, Slot};
use block::gpt::{Copies, Partition, Table};
use block::guid::Guid;

use super::{DiskError, MIB};
use crate::manifest::Disk;

/// Bytes of a sector, of the image's table and of the disks that images are written to.
pub const SECTOR_BYTES: u32 = 512;
/// Partitions start at whole MiB.
const ALIGN_SECTORS: u64 = MIB / SECTOR_BYTES as u64;
/// Bytes that are looked at as one when holes are kept.
const HOLE_BYTES: usize = 64 * 1024;

/// One partition and the file that fills it from its beginning.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// Type.
    pub kind: Guid,
    /// Unique id.
    pub id: Guid,
    /// Label.
    pub name: String,
    /// Length, in MiB.
    pub size_mib: u32,
    /// Attributes.
    pub attributes: u64,
    /// The manifest's key of its length, for messages.
    pub key: &'static str,
    /// Its content; `None` leaves zeros.
    pub content: Option<&'a Path>,
}

/// What identifies a disk's parts.
#[derive(Debug, Clone)]
pub struct Names {
    /// `ID_VERSION`, the label of a filled slot.
    pub release: String,
    /// Unique ids of `usr-A` and its hash partition: the halves of the root hash.
    pub usr: (Guid, Guid),
    /// Makes the other ids: by purpose.
    pub id: fn(&str, &str) -> Guid,
}

/// The files that fill partitions.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// EFI system partition.
    pub esp: &'a Path,
    /// `/usr`.
    pub usr: &'a Path,
    /// Its hash tree.
    pub verity: &'a Path,
    /// Root file system.
    pub root: &'a Path,
}

/// The partitions in their order on the disk.
#[must_use]
pub fn parts<'a>(sizes: &Disk, names: &Names, files: Files<'a>) -> Vec<Part<'a>> {
    let id = |purpose: &str| (names.id)(&names.release, purpose);
    let part = |kind, id, name: &str, size_mib, key, content| Part {
        kind,
        id,
        name: name.to_owned(),
        size_mib,
        attributes: 0,
        key,
        content,
    };
    let mut slots = [Slot { priority: 2, tries: 3, successful: true }, Slot::default()].map(slot_bits);
    slots.iter_mut().for_each(|bits| *bits |= READ_ONLY);
    // systemd's rule for images with several versions: NAME_VERSION, and `_empty` for a slot without one.
    let (label, hash_label) = (names.release.as_str(), format!("{}-verity", names.release));
    let mut list = vec![
        part(Guid::ESP, id("esp"), "esp", sizes.esp_mib, "disk.esp-mib", Some(files.esp)),
        part(Guid::USR, names.usr.0, label, sizes.usr_mib, "disk.usr-mib", Some(files.usr)),
        part(
            Guid::USR_VERITY,
            names.usr.1,
            &hash_label,
            sizes.verity_mib,
            "disk.verity-mib",
            Some(files.verity),
        ),
        part(Guid::USR, id("usr-b"), "_empty", sizes.usr_mib, "disk.usr-mib", None),
        part(Guid::USR_VERITY, id("usr-b-verity"), "_empty", sizes.verity_mib, "disk.verity-mib", None),
        part(Guid::ROOT, id("root"), "root", sizes.root_mib, "disk.root-mib", Some(files.root)),
    ];
    for (index, bits) in [(1, slots[0]), (2, READ_ONLY), (3, slots[1]), (4, READ_ONLY), (5, GROW)] {
        list[index].attributes = bits;
    }
    list
}

/// A slot's attribute bits.
fn slot_bits(slot: Slot) -> u64 {
    let mut partition = Partition {
        number: 1,
        kind: Guid::USR,
        id: Guid::ZERO,
        first: 0,
        last: 0,
        attributes: 0,
        name: String::new(),
    };
    partition.set_slot(slot);
    partition.attributes
}

/// The table for the partitions, on the smallest disk that holds them.
///
/// # Errors
/// [`DiskError::Gpt`].
pub fn table(parts: &[Part<'_>], disk: Guid) -> Result<Table, DiskError> {
    let sectors = |size_mib: u32| u64::from(size_mib) * ALIGN_SECTORS;
    let used: u64 = parts.iter().map(|part| sectors(part.size_mib)).sum();
    // One MiB before for the table, one behind for its copy.
    let mut table = Table::new(disk, SECTOR_BYTES, used + 2 * ALIGN_SECTORS)?;
    let mut first = ALIGN_SECTORS;
    for (number, part) in (1..).zip(parts) {
        table.partitions.push(Partition {
            number,
            kind: part.kind,
            id: part.id,
            first,
            last: first + sectors(part.size_mib) - 1,
            attributes: part.attributes,
            name: part.name.clone(),
        });
        first += sectors(part.size_mib);
    }
    Ok(table)
}

/// Writes the whole disk into `path`; what is zero stays a hole.
///
/// # Errors
/// [`DiskError`].
pub fn write(parts: &[Part<'_>], disk: Guid, path: &Path) -> Result<(), DiskError> {
    let table = table(parts, disk)?;
    let mut out = File::create(path).map_err(DiskError::at("create", path))?;
    let bytes = table.disk_sectors * u64::from(SECTOR_BYTES);
    out.set_len(bytes).map_err(DiskError::at("size", path))?;
    for (part, place) in parts.iter().zip(&table.partitions) {
        let Some(content) = part.content else { continue };
        let partition_bytes = place.sectors() * u64::from(SECTOR_BYTES);
        let mut file = File::open(content).map_err(DiskError::at("open", content))?;
        let bytes = file.metadata().map_err(DiskError::at("read", content))?.len();
        if bytes > partition_bytes {
            let what = if part.kind == Guid::USR { "usr.erofs" } else { "a partition's content" };
            return Err(DiskError::TooLarge { what, bytes, partition_bytes, key: part.key });
        }
        copy_sparse(&mut file, &mut out, place.first * u64::from(SECTOR_BYTES))
            .map_err(DiskError::at("write", path))?;
    }
    // Not `gpt::write`, which flushes to the medium: an image that a power cut damages is built again.
    let Copies { head, tail, tail_first } = table.encode()?;
    for (bytes, sector) in [(tail, tail_first), (head, 0)] {
        out.seek(SeekFrom::Start(sector * u64::from(SECTOR_BYTES))).map_err(DiskError::at("write", path))?;
        out.write_all(&bytes).map_err(DiskError::at("write", path))?;
    }
    Ok(())
}

/// Copies a file to an offset of another, leaving zeros out.
fn copy_sparse(from: &mut File, to: &mut File, offset: u64) -> std::io::Result<()> {
    let (mut buffer, zeros) = (vec![0; HOLE_BYTES], vec![0; HOLE_BYTES]);
    let mut at = offset;
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match from.read(&mut buffer[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Ok(());
        }
        if buffer[..filled] != zeros[..filled] {
            to.seek(SeekFrom::Start(at))?;
            to.write_all(&buffer[..filled])?;
        }
        at += filled as u64;
    }
}

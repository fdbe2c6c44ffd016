//! GPT partition tables (UEFI 2.10, section 5.3): a model, its bytes both ways, and growth to a larger disk.
//!
//! [`parse`] and [`encode`](Table::encode) touch no disk; [`read`] and [`write()`] are the thin I/O around them. The
//! primary copy is preferred; a disk whose primary is damaged is read from its backup.

mod bytes;
pub mod prio;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

pub use crate::guid::{Guid, GuidError};
pub use bytes::{Copies, parse};

/// Entries that a new table has room for; every tool writes at least these 128 (16 KiB).
pub const ENTRIES: u32 = 128;
/// Most entries that are read: protects from a header that asks for gigabytes.
pub const ENTRIES_MAX: u32 = 1024;
/// Bytes of one entry as written; larger ones (a power of two) are read.
pub const ENTRY_BYTES: u32 = 128;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number from 1, as in `vda1`.
    pub number: u32,
    /// Type GUID.
    pub kind: Guid,
    /// Unique GUID (`PARTUUID`).
    pub id: Guid,
    /// First sector.
    pub first: u64,
    /// Last sector, included.
    pub last: u64,
    /// Attribute bits; 48-63 belong to the type.
    pub attributes: u64,
    /// Name (`PARTLABEL`), at most 36 UTF-16 units.
    pub name: String,
}

impl Partition {
    /// Length in sectors.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// A partition table. Sectors are logical sectors of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The disk's GUID.
    pub disk: Guid,
    /// Bytes in a logical sector: 512 or 4096.
    pub sector_bytes: u32,
    /// Sectors of the disk for which the table was written (the backup header is the last).
    pub disk_sectors: u64,
    /// First sector that partitions may use.
    pub first_usable: u64,
    /// Last sector that partitions may use.
    pub last_usable: u64,
    /// Entries that the table has room for.
    pub entries: u32,
    /// The partitions, by number.
    pub partitions: Vec<Partition>,
}

/// What is wrong with a table or its disk.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// Neither copy carries the signature: the disk has no GPT.
    #[error("no GPT partition table")]
    Missing,
    /// A header or its entries are inconsistent.
    #[error("damaged GPT ({copy}): {what}")]
    Damaged {
        /// `primary` or `backup`.
        copy: &'static str,
        /// What does not hold.
        what: String,
    },
    /// The model cannot be written.
    #[error("partition {number}: {what}")]
    Invalid {
        /// The partition's number.
        number: u32,
        /// What does not hold.
        what: String,
    },
    /// The disk is too small for the table.
    #[error("a disk of {sectors} sectors has no room for a GPT with partitions up to sector {last}")]
    TooSmall {
        /// The disk's sectors.
        sectors: u64,
        /// The last sector in use.
        last: u64,
    },
    /// The disk could not be read or written.
    #[error("cannot {verb} the partition table")]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Table {
    /// An empty table for a disk; the usable range leaves room for both copies.
    ///
    /// # Errors
    /// [`GptError::TooSmall`] when both copies do not fit.
    pub fn new(disk: Guid, sector_bytes: u32, disk_sectors: u64) -> Result<Self, GptError> {
        let entry_sectors = bytes::entry_sectors(ENTRIES, sector_bytes);
        let mut table = Self {
            disk,
            sector_bytes,
            disk_sectors: 0,
            first_usable: 2 + entry_sectors,
            last_usable: 0,
            entries: ENTRIES,
            partitions: Vec::new(),
        };
        table.set_disk_sectors(disk_sectors)?;
        Ok(table)
    }

    /// Fits the table to a disk of another size; partitions stay where they are.
    ///
    /// # Errors
    /// [`GptError::TooSmall`] when a partition or the copies would not fit.
    pub fn set_disk_sectors(&mut self, sectors: u64) -> Result<(), GptError> {
        let used = self.partitions.iter().map(|p| p.last).max().unwrap_or(self.first_usable);
        let tail = 1 + bytes::entry_sectors(self.entries, self.sector_bytes);
        match sectors.checked_sub(tail + 1) {
            Some(last) if last >= used => {
                self.disk_sectors = sectors;
                self.last_usable = last;
                Ok(())
            }
            _ => Err(GptError::TooSmall { sectors, last: used }),
        }
    }

    /// The last sector that partition `number` may grow to: before the next partition, or the end of the usable range.
    /// A whole number of MiB is kept, as every tool aligns. `None` when there is no such partition.
    #[must_use]
    pub fn room_for(&self, number: u32) -> Option<u64> {
        let partition = self.partitions.iter().find(|p| p.number == number)?;
        let next = self.partitions.iter().map(|p| p.first).filter(|&first| first > partition.last).min();
        let end = next.unwrap_or(self.last_usable.saturating_add(1));
        let align = u64::from((1 << 20) / self.sector_bytes);
        Some((end / align * align).saturating_sub(1).max(partition.last))
    }

    /// The partition with this unique GUID.
    #[must_use]
    pub fn by_id(&self, id: Guid) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.id == id)
    }
}

/// Reads a disk's table: the primary, else the backup at the disk's end.
///
/// # Errors
/// [`GptError::Missing`] when there is no GPT, [`GptError::Damaged`] when no copy is whole, [`GptError::Io`].
pub fn read(disk: &File, sector_bytes: u32, disk_sectors: u64) -> Result<Table, GptError> {
    let io = |source| GptError::Io { verb: "read", source };
    let sector = u64::from(sector_bytes);
    let at = |offset: u64, length: usize| -> Result<Vec<u8>, GptError> {
        let mut buffer = vec![0; length];
        match disk.read_exact_at(&mut buffer, offset) {
            Ok(()) => Ok(buffer),
            // A disk that ends here holds no table there; the parser says what is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            Err(error) => Err(io(error)),
        }
    };
    parse(sector_bytes, disk_sectors, &mut |lba, length| at(lba.saturating_mul(sector), length))
}

/// Writes both copies, the backup first: a cut between the two leaves a whole primary that still describes the old
/// layout. Data is flushed after each. Boot code and the partitions of a hybrid MBR are kept (see [`bytes::keep_mbr`]).
///
/// # Errors
/// [`GptError::Invalid`] for a model that cannot be written, [`GptError::Io`].
pub fn write(disk: &File, table: &Table) -> Result<(), GptError> {
    let io = |source| GptError::Io { verb: "write", source };
    let Copies { mut head, tail, tail_first } = table.encode()?;
    let mut old = [0; 512];
    // A disk shorter than a sector cannot hold a table either: what it lacks is told by the writes.
    if disk.read_exact_at(&mut old, 0).is_ok() {
        bytes::keep_mbr(&mut head, &old, table);
    }
    disk.write_all_at(&tail, tail_first * u64::from(table.sector_bytes)).map_err(io)?;
    disk.sync_data().map_err(io)?;
    disk.write_all_at(&head, 0).map_err(io)?;
    disk.sync_data().map_err(io)
}

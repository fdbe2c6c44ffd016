//! The bytes of a GPT: protective MBR, header, entries, and the backup in the opposite order.

use super::{ENTRIES_MAX, ENTRY_BYTES, GptError, Guid, Partition, Table};

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Revision 1.0, the only one there is.
const REVISION: u32 = 0x0001_0000;
/// Bytes of the header that its checksum covers, as written here.
const HEADER_BYTES: u32 = 92;
/// UTF-16 units of a name.
const NAME_UNITS: usize = 36;

/// The two copies as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copies {
    /// From sector 0: protective MBR, primary header, entries.
    pub head: Vec<u8>,
    /// Up to the last sector: entries, backup header.
    pub tail: Vec<u8>,
    /// The sector at which `tail` starts.
    pub tail_first: u64,
}

/// Sectors that `entries` entries take.
pub(super) fn entry_sectors(entries: u32, sector_bytes: u32) -> u64 {
    (u64::from(entries) * u64::from(ENTRY_BYTES)).div_ceil(u64::from(sector_bytes))
}

/// Parses the table of a disk whose bytes `at(first sector, length in bytes)` gives; fewer bytes mean the disk's end.
///
/// # Errors
/// [`GptError::Missing`] when neither copy has the signature, else the primary's damage when both are damaged, and what
/// `at` says.
pub fn parse(
    sector_bytes: u32,
    disk_sectors: u64,
    at: &mut dyn FnMut(u64, usize) -> Result<Vec<u8>, GptError>,
) -> Result<Table, GptError> {
    match copy(sector_bytes, "primary", 1, at) {
        Ok(table) => Ok(table),
        Err(GptError::Io { verb, source }) => Err(GptError::Io { verb, source }),
        Err(first) => match copy(sector_bytes, "backup", disk_sectors.saturating_sub(1), at) {
            Err(GptError::Missing) => Err(first),
            Err(second) if matches!(first, GptError::Missing) => Err(second),
            Err(_) => Err(first),
            Ok(table) => Ok(table),
        },
    }
}

fn copy(
    sector_bytes: u32,
    name: &'static str,
    lba: u64,
    at: &mut dyn FnMut(u64, usize) -> Result<Vec<u8>, GptError>,
) -> Result<Table, GptError> {
    let damaged = |what: String| GptError::Damaged { copy: name, what };
    let header = at(lba, sector_bytes as usize)?;
    if header.len() < HEADER_BYTES as usize || &header[..8] != SIGNATURE {
        return Err(GptError::Missing);
    }
    let covered = u32_at(&header, 12);
    if covered < HEADER_BYTES || covered as usize > header.len() {
        return Err(damaged(format!("header size {covered}")));
    }
    let mut summed = header[..covered as usize].to_vec();
    summed[16..20].fill(0);
    if crc32fast::hash(&summed) != u32_at(&header, 16) {
        return Err(damaged("header checksum".into()));
    }
    if u64_at(&header, 24) != lba {
        return Err(damaged(format!("header says it is at sector {}", u64_at(&header, 24))));
    }
    let (count, size) = (u32_at(&header, 80), u32_at(&header, 84));
    if count > ENTRIES_MAX || size < ENTRY_BYTES || !size.is_power_of_two() || size > 4096 {
        return Err(damaged(format!("{count} entries of {size} bytes")));
    }
    let length = count as usize * size as usize;
    let entries = at(u64_at(&header, 72), length.next_multiple_of(sector_bytes as usize))?;
    if entries.len() < length || crc32fast::hash(&entries[..length]) != u32_at(&header, 88) {
        return Err(damaged("entries checksum".into()));
    }
    let other = u64_at(&header, 32);
    Ok(Table {
        disk: guid_at(&header, 56),
        sector_bytes,
        disk_sectors: lba.max(other).saturating_add(1),
        first_usable: u64_at(&header, 40),
        last_usable: u64_at(&header, 48),
        entries: count,
        partitions: partitions(&entries[..length], size as usize).map_err(damaged)?,
    })
}

fn partitions(entries: &[u8], size: usize) -> Result<Vec<Partition>, String> {
    let mut found = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(size)) {
        let kind = guid_at(entry, 0);
        if kind == Guid::ZERO {
            continue;
        }
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        if last < first || last == u64::MAX {
            return Err(format!("partition {number} from sector {first} to {last}"));
        }
        let units: Vec<u16> = entry[56..56 + 2 * NAME_UNITS]
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .take_while(|&unit| unit != 0)
            .collect();
        found.push(Partition {
            number,
            kind,
            id: guid_at(entry, 16),
            first,
            last,
            attributes: u64_at(entry, 48),
            name: String::from_utf16_lossy(&units),
        });
    }
    Ok(found)
}

impl Table {
    /// Both copies as bytes.
    ///
    /// # Errors
    /// [`GptError::Invalid`] when a partition is outside the usable range, overlaps another, has a number that does not
    /// fit or a name that is too long.
    pub fn encode(&self) -> Result<Copies, GptError> {
        self.check()?;
        let sector = self.sector_bytes as usize;
        let entries = self.entry_bytes();
        let table_sectors = entry_sectors(self.entries, self.sector_bytes);
        let last = self.disk_sectors - 1;
        let sum = crc32fast::hash(&entries[..self.entries as usize * ENTRY_BYTES as usize]);
        let mut head = self.protective_mbr();
        head.extend(self.header(1, last, 2, sum));
        head.extend(&entries);
        let mut tail = entries;
        tail.extend(self.header(last, 1, last - table_sectors, sum));
        debug_assert_eq!(tail.len() % sector, 0);
        Ok(Copies { head, tail, tail_first: last - table_sectors })
    }

    fn check(&self) -> Result<(), GptError> {
        let mut order: Vec<&Partition> = self.partitions.iter().collect();
        order.sort_by_key(|p| p.first);
        let mut free = self.first_usable;
        let mut numbers = std::collections::BTreeSet::new();
        for p in order {
            let invalid = |what: &str| Err(GptError::Invalid { number: p.number, what: what.to_owned() });
            if p.number == 0 || p.number > self.entries || !numbers.insert(p.number) {
                return invalid("its number is outside the table or taken");
            }
            if p.kind == Guid::ZERO {
                return invalid("its type is all zeros, which marks an unused entry");
            }
            if p.last < p.first || p.first < free || p.last > self.last_usable {
                return invalid("it overlaps another partition or leaves the usable range");
            }
            if p.name.encode_utf16().count() > NAME_UNITS {
                return invalid("its name is longer than 36 UTF-16 units");
            }
            free = p.last + 1;
        }
        Ok(())
    }

    /// The entries, padded to whole sectors.
    fn entry_bytes(&self) -> Vec<u8> {
        let mut bytes =
            vec![0; (entry_sectors(self.entries, self.sector_bytes) * u64::from(self.sector_bytes)) as usize];
        for p in &self.partitions {
            let at = (p.number as usize - 1) * ENTRY_BYTES as usize;
            let entry = &mut bytes[at..at + ENTRY_BYTES as usize];
            entry[..16].copy_from_slice(&p.kind.to_disk());
            entry[16..32].copy_from_slice(&p.id.to_disk());
            entry[32..40].copy_from_slice(&p.first.to_le_bytes());
            entry[40..48].copy_from_slice(&p.last.to_le_bytes());
            entry[48..56].copy_from_slice(&p.attributes.to_le_bytes());
            for (at, unit) in p.name.encode_utf16().enumerate() {
                entry[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
            }
        }
        bytes
    }

    fn header(&self, at: u64, other: u64, entries: u64, sum: u32) -> Vec<u8> {
        let mut h = vec![0; self.sector_bytes as usize];
        h[..8].copy_from_slice(SIGNATURE);
        h[8..12].copy_from_slice(&REVISION.to_le_bytes());
        h[12..16].copy_from_slice(&HEADER_BYTES.to_le_bytes());
        h[24..32].copy_from_slice(&at.to_le_bytes());
        h[32..40].copy_from_slice(&other.to_le_bytes());
        h[40..48].copy_from_slice(&self.first_usable.to_le_bytes());
        h[48..56].copy_from_slice(&self.last_usable.to_le_bytes());
        h[56..72].copy_from_slice(&self.disk.to_disk());
        h[72..80].copy_from_slice(&entries.to_le_bytes());
        h[80..84].copy_from_slice(&self.entries.to_le_bytes());
        h[84..88].copy_from_slice(&ENTRY_BYTES.to_le_bytes());
        h[88..92].copy_from_slice(&sum.to_le_bytes());
        let crc = crc32fast::hash(&h[..HEADER_BYTES as usize]);
        h[16..20].copy_from_slice(&crc.to_le_bytes());
        h
    }

    /// One MBR partition of type 0xEE over the whole disk (UEFI 5.2.3), so that old tools leave it alone.
    fn protective_mbr(&self) -> Vec<u8> {
        let mut mbr = vec![0; self.sector_bytes as usize];
        let sectors = u32::try_from(self.disk_sectors - 1).unwrap_or(u32::MAX);
        mbr[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
        mbr[454..458].copy_from_slice(&1u32.to_le_bytes());
        mbr[458..462].copy_from_slice(&sectors.to_le_bytes());
        mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
        mbr
    }
}

/// Type of the MBR partition that stands for a GPT (UEFI 5.2.3).
const PROTECTIVE: u8 = 0xee;

/// Takes over what an old sector 0 has beside the protective partition: boot code and disk signature, and for a hybrid
/// MBR its entries (`sgdisk --hybrid`: some BIOSes and boards boot by them). An entry whose partition is no longer in
/// the table is dropped, as sgdisk drops it.
pub(super) fn keep_mbr(head: &mut [u8], old: &[u8; 512], table: &Table) {
    if old[510..] != [0x55, 0xaa] {
        return;
    }
    let entries = || (0..4).map(|n| 446 + 16 * n);
    let kind = |at: usize| old[at + 4];
    if !entries().any(|at| kind(at) == PROTECTIVE) {
        return;
    }
    head[..446].copy_from_slice(&old[..446]);
    if !entries().any(|at| !matches!(kind(at), 0 | PROTECTIVE)) {
        return;
    }
    for at in entries() {
        let (start, length) = (u32_at(old, at + 8), u32_at(old, at + 12));
        let exists = table
            .partitions
            .iter()
            .any(|part| part.first == u64::from(start) && part.last + 1 - part.first == u64::from(length));
        let keep = matches!(kind(at), 0 | PROTECTIVE) || exists;
        head[at..at + 16].copy_from_slice(if keep { &old[at..at + 16] } else { &[0; 16] });
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    Guid::from_disk(array(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn sample(sector_bytes: u32, disk_sectors: u64) -> Table {
        let mut table = Table::new(Guid([7; 16]), sector_bytes, disk_sectors).unwrap();
        let mib = u64::from((1 << 20) / sector_bytes);
        for (number, first, last, kind, name) in
            [(1, mib, 2 * mib - 1, Guid::ESP, "esp"), (3, 2 * mib, 5 * mib - 1, Guid::ROOT, "root ü")]
        {
            table.partitions.push(Partition {
                number,
                kind,
                id: Guid([u8::try_from(number).unwrap(); 16]),
                first,
                last,
                attributes: 1 << 59,
                name: name.into(),
            });
        }
        table
    }

    fn disk(table: &Table) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(table.disk_sectors * u64::from(table.sector_bytes)).unwrap();
        file.flush().unwrap();
        super::super::write(&file, table).unwrap();
        file
    }

    #[test]
    fn what_is_written_is_read_back_from_either_copy() {
        use std::os::unix::fs::FileExt as _;
        for sector_bytes in [512, 4096] {
            let sectors = (16 << 20) / u64::from(sector_bytes);
            let table = sample(sector_bytes, sectors);
            let file = disk(&table);
            assert_eq!(super::super::read(&file, sector_bytes, sectors).unwrap(), table);
            file.write_all_at(&[0xff; 8], u64::from(sector_bytes) + 56).unwrap();
            assert_eq!(super::super::read(&file, sector_bytes, sectors).unwrap(), table);
            file.write_all_at(&[0xff; 8], (sectors - 1) * u64::from(sector_bytes) + 56).unwrap();
            let error = super::super::read(&file, sector_bytes, sectors).unwrap_err();
            assert_eq!(error.to_string(), "damaged GPT (primary): header checksum");
        }
    }

    #[test]
    fn boot_code_and_hybrid_entries_stay() {
        use std::os::unix::fs::FileExt as _;
        let mut table = sample(512, 32768);
        let file = disk(&table);
        let mut mbr = [0; 512];
        file.read_exact_at(&mut mbr, 0).unwrap();
        let plain = mbr;
        mbr[..4].copy_from_slice(b"boot");
        file.write_all_at(&mbr, 0).unwrap();
        let entry = |mbr: &[u8; 512], n: usize| mbr[446 + 16 * n..462 + 16 * n].to_vec();
        let rewritten = |table: &Table| {
            super::super::write(&file, table).unwrap();
            let mut mbr = [0; 512];
            file.read_exact_at(&mut mbr, 0).unwrap();
            mbr
        };
        let kept = rewritten(&table);
        assert_eq!((&kept[..4], &kept[446..]), (&b"boot"[..], &plain[446..]));
        // A hybrid: the first partition, a protective one behind it, and one that no GPT entry stands for.
        for (n, kind, start, length) in
            [(0, 0x83, 2048_u32, 2048_u32), (1, 0xee, 1, 2047), (2, 0x07, 9000, 10)]
        {
            let at = 446 + 16 * n;
            mbr[at + 4] = kind;
            mbr[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
            mbr[at + 12..at + 16].copy_from_slice(&length.to_le_bytes());
        }
        file.write_all_at(&mbr, 0).unwrap();
        let kept = rewritten(&table);
        assert_eq!([entry(&kept, 0), entry(&kept, 1)], [entry(&mbr, 0), entry(&mbr, 1)]);
        assert_eq!(entry(&kept, 2), [0; 16], "no such partition");
        table.partitions.remove(0);
        assert_eq!(entry(&rewritten(&table), 0), [0; 16], "its partition is deleted");
        // What is no MBR with a GPT beside it is not taken over.
        file.write_all_at(&[0xff; 512], 0).unwrap();
        assert_eq!(rewritten(&table), rewritten(&sample(512, 32768)));
    }

    #[test]
    fn an_empty_disk_has_no_table() {
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(super::super::read(&file, 512, 0), Err(GptError::Missing)));
        file.set_len(1 << 20).unwrap();
        assert!(matches!(super::super::read(&file, 512, 2048), Err(GptError::Missing)));
    }

    #[test]
    fn growth_moves_the_backup_and_gives_room() {
        let mut table = sample(512, 32768);
        assert_eq!(table.room_for(1), Some(4095));
        assert_eq!(table.room_for(3), Some(15 * 2048 - 1));
        table.set_disk_sectors(1 << 20).unwrap();
        assert_eq!(table.last_usable, (1 << 20) - 34);
        assert_eq!(table.room_for(3), Some((1 << 20) - 2049));
        assert_eq!(table.room_for(2), None);
        assert!(matches!(table.set_disk_sectors(4096), Err(GptError::TooSmall { .. })));
    }

    #[test]
    fn wrong_models_are_refused() {
        let base = sample(512, 32768);
        type Spoil = fn(&mut Table);
        let cases: [(&str, Spoil); 5] = [
            ("overlap", |t| t.partitions[1].first = 3000),
            ("number", |t| t.partitions[1].number = 1),
            ("range", |t| t.partitions[1].last = t.last_usable + 1),
            ("name", |t| t.partitions[0].name = "n".repeat(37)),
            ("type", |t| t.partitions[0].kind = Guid::ZERO),
        ];
        for (name, spoil) in cases {
            let mut table = base.clone();
            spoil(&mut table);
            assert!(matches!(table.encode(), Err(GptError::Invalid { .. })), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 512), at in 0usize..92, value: u8) {
            let _ = parse(512, 32768, &mut |_, length| Ok(noise.iter().copied().cycle().take(length).collect()));
            let mut head = sample(512, 32768).encode().unwrap().head;
            head[512 + at] = value;
            let mut fixed = head[512..604].to_vec();
            fixed[16..20].fill(0);
            let crc = crc32fast::hash(&fixed);
            head[528..532].copy_from_slice(&crc.to_le_bytes());
            let _ = parse(512, 32768, &mut |lba, length| {
                let from = (usize::try_from(lba).unwrap_or(usize::MAX).saturating_mul(512)).min(head.len());
                Ok(head[from..(from + length).min(head.len())].to_vec())
            });
        }
    }
}

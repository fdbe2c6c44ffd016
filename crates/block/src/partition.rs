//! What is to become of a disk's partitions: Ignition's rules as a pure function from a table and wishes to a table.
//!
//! | present | should exist | wipe entry | |
//! |---|---|---|---|
//! | no | no | any | nothing |
//! | no | yes | any | create |
//! | yes | no | no | refused |
//! | yes | no | yes | delete |
//! | yes | yes | no | keep if it matches; else resize if asked for and only the size differs; else refused |
//! | yes | yes | yes | keep if it matches, else delete and create |
//!
//! A partition matches when every attribute that is given is equal; a start or size of 0 is compared with what a fresh
//! layout would give. Deletions come first; then the numbered partitions by number, then the others as listed. A start
//! of 0 is the start of the largest free block, a size of 0 is all of it.

use serde::{Deserialize, Serialize};

use crate::devices::{Device, DevicesError};
use crate::gpt::{self, GptError, Guid};

/// Bytes that partitions start and end on, as every tool aligns them.
const ALIGN_BYTES: u64 = 1 << 20;

/// One partition, GUIDs as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Number from 1.
    pub number: u32,
    /// First sector.
    pub first: u64,
    /// Last sector, included.
    pub last: u64,
    /// Type GUID, lower case.
    pub type_guid: String,
    /// Unique GUID, lower case; empty for one that is still to be drawn.
    pub guid: String,
    /// Label.
    pub label: String,
}

/// A partition table as far as wishes can be about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Bytes in a sector.
    pub sector_bytes: u64,
    /// First sector that partitions may use.
    pub first_usable: u64,
    /// Last sector that partitions may use.
    pub last_usable: u64,
    /// Partitions by number.
    pub partitions: Vec<Partition>,
}

/// A wish: a partition of the config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Number; 0 for the next free one.
    pub number: u32,
    /// Label.
    pub label: Option<String>,
    /// Start in MiB; 0 for the start of the largest free block.
    pub start_mib: Option<u64>,
    /// Size in MiB; 0 for all that is free behind the start.
    pub size_mib: Option<u64>,
    /// Type GUID.
    pub type_guid: Option<String>,
    /// Unique GUID.
    pub guid: Option<String>,
    /// Whether it shall not exist.
    pub absent: bool,
    /// Whether an existing one that does not match may be deleted.
    pub wipe_entry: bool,
    /// Whether an existing one of another size may be resized.
    pub resize: bool,
}

/// What becomes of the partition of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is as it shall be.
    Keep,
    /// It is made, under this number.
    Create(u32),
    /// It goes.
    Delete(u32),
    /// Its end moves.
    Resize(u32),
    /// It goes and is made anew.
    Replace(u32),
}

impl Change {
    /// Whether data of a partition may be lost.
    pub fn is_destructive(self) -> bool {
        !matches!(self, Self::Keep | Self::Create(_))
    }
}

/// Why a wish cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// It exists and shall not, and may not be deleted.
    #[error("partition {number} exists and shall not, and wipePartitionEntry is not set")]
    Unwanted {
        /// Its number.
        number: u32,
    },
    /// It exists and differs.
    #[error("partition {number} exists with another {what}, and wipePartitionEntry is not set")]
    Differs {
        /// Its number.
        number: u32,
        /// What differs: `label (root, not data)`.
        what: String,
    },
    /// The label is on a partition that the wish does not name by number.
    #[error("partition {number} has the label {label:?} already")]
    LabelTaken {
        /// Its number.
        number: u32,
        /// The label.
        label: String,
    },
    /// There is no room.
    #[error("no room for {size}{label} {place}")]
    NoRoom {
        /// Size wanted.
        size: String,
        /// Label for people, with a blank before it.
        label: String,
        /// Where it was to be.
        place: String,
    },
    /// A GUID is malformed.
    #[error("{guid:?} is not a GUID")]
    Guid {
        /// The text.
        guid: String,
    },
}

impl Table {
    /// An empty table.
    pub fn empty(sector_bytes: u64, size_bytes: u64) -> Self {
        let sectors = size_bytes / sector_bytes;
        let sector = u32::try_from(sector_bytes).unwrap_or(512);
        gpt::Table::new(Guid::ZERO, sector, sectors)
            .map_or_else(|_| Self::default(), |table| Self::from(&table))
    }

    fn align(&self) -> u64 {
        (ALIGN_BYTES / self.sector_bytes.max(1)).max(1)
    }

    fn mib(&self, mib: u64) -> u64 {
        mib.saturating_mul(self.align())
    }

    /// Free blocks of whole MiB: first and last sector.
    fn free(&self) -> Vec<(u64, u64)> {
        let align = self.align();
        let mut used: Vec<(u64, u64)> = self.partitions.iter().map(|part| (part.first, part.last)).collect();
        used.push((self.last_usable + 1, u64::MAX));
        used.sort_unstable();
        let mut blocks = Vec::new();
        let mut from = self.first_usable;
        for (first, last) in used {
            let (start, end) = (from.next_multiple_of(align), first / align * align);
            if start < end {
                blocks.push((start, end - 1));
            }
            from = from.max(last.saturating_add(1));
        }
        blocks
    }

    /// First and last sector for a wish, `None` when there is no room.
    fn lay_out(&self, start_mib: Option<u64>, size_mib: Option<u64>) -> Option<(u64, u64)> {
        let blocks = self.free();
        let (first, block_last) = match start_mib {
            None | Some(0) => {
                *blocks.iter().max_by_key(|(first, last)| (last - first, std::cmp::Reverse(*first)))?
            }
            Some(mib) => {
                let first = self.mib(mib);
                let (_, last) = *blocks.iter().find(|(from, to)| (*from..=*to).contains(&first))?;
                (first, last)
            }
        };
        let last = match size_mib {
            None | Some(0) => block_last,
            Some(mib) => first.checked_add(self.mib(mib))? - 1,
        };
        (last <= block_last).then_some((first, last))
    }

    fn without(&self, number: u32) -> Self {
        let mut table = self.clone();
        table.partitions.retain(|part| part.number != number);
        table
    }

    fn get(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|part| part.number == number)
    }

    fn next_number(&self) -> u32 {
        (1..).find(|number| self.get(*number).is_none()).unwrap_or(1)
    }
}

impl From<&gpt::Table> for Table {
    fn from(table: &gpt::Table) -> Self {
        let partition = |part: &gpt::Partition| Partition {
            number: part.number,
            first: part.first,
            last: part.last,
            type_guid: part.kind.to_string(),
            guid: part.id.to_string(),
            label: part.name.clone(),
        };
        Self {
            sector_bytes: u64::from(table.sector_bytes),
            first_usable: table.first_usable,
            last_usable: table.last_usable,
            partitions: table.partitions.iter().map(partition).collect(),
        }
    }
}

/// The new table and what becomes of each wish; or what is wrong with which wish.
pub type Decision = Result<(Table, Vec<Change>), Vec<(usize, PartitionError)>>;

/// The table that fulfils `wanted`, and what becomes of each of them, in their order.
///
/// # Errors
/// All wishes that cannot be granted, each with its index.
pub fn decide(before: &Table, wanted: &[Wanted]) -> Decision {
    let mut table = before.clone();
    let mut changes: Vec<Option<Change>> = vec![None; wanted.len()];
    let mut errors = Vec::new();
    for (index, wish) in wanted.iter().enumerate() {
        match judge(before, wish) {
            Ok(change) => {
                if let Change::Delete(number) | Change::Replace(number) = change {
                    table = table.without(number);
                }
                changes[index] = Some(change);
            }
            Err(error) => errors.push((index, error)),
        }
    }
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|index| (wanted[*index].number == 0, wanted[*index].number));
    for index in order {
        let wish = &wanted[index];
        let made = match changes[index] {
            Some(Change::Create(0)) => {
                let number = table.next_number();
                changes[index] = Some(Change::Create(number));
                create(&mut table, wish, number)
            }
            Some(Change::Create(number) | Change::Replace(number)) => create(&mut table, wish, number),
            Some(Change::Resize(number)) => resize(&mut table, wish, number),
            _ => Ok(()),
        };
        errors.extend(made.err().map(|error| (index, error)));
    }
    table.partitions.sort_by_key(|part| part.number);
    if errors.is_empty() { Ok((table, changes.into_iter().flatten().collect())) } else { Err(errors) }
}

fn judge(before: &Table, wish: &Wanted) -> Result<Change, PartitionError> {
    let number = wish.number;
    for guid in wish.guid.iter().chain(&wish.type_guid) {
        guid.parse::<Guid>().map_err(|_| PartitionError::Guid { guid: guid.clone() })?;
    }
    let Some(found) = before.get(number) else {
        let labelled = wish.label.as_ref().filter(|label| !label.is_empty());
        let taken = labelled.and_then(|label| before.partitions.iter().find(|part| part.label == *label));
        return match taken {
            Some(part) if number == 0 && !wish.absent => {
                Err(PartitionError::LabelTaken { number: part.number, label: part.label.clone() })
            }
            _ if wish.absent => Ok(Change::Keep),
            _ => Ok(Change::Create(number)),
        };
    };
    if wish.absent {
        return if wish.wipe_entry {
            Ok(Change::Delete(number))
        } else {
            Err(PartitionError::Unwanted { number })
        };
    }
    let fresh = before.without(number);
    match differences(&fresh, found, wish).as_slice() {
        [] => Ok(Change::Keep),
        [(Attribute::Size, _)] if wish.resize => Ok(Change::Resize(number)),
        _ if wish.wipe_entry => Ok(Change::Replace(number)),
        [(_, what), ..] => Err(PartitionError::Differs { number, what: what.clone() }),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Other,
    Size,
}

/// What of `found` is not as the wish has it; `fresh` is the table without it.
fn differences(fresh: &Table, found: &Partition, wish: &Wanted) -> Vec<(Attribute, String)> {
    let mut list = Vec::new();
    let mut text = |name: &str, wanted: &Option<String>, is: &str| {
        if let Some(wanted) = wanted
            && !wanted.eq_ignore_ascii_case(is)
        {
            list.push((Attribute::Other, format!("{name} ({is}, not {wanted})")));
        }
    };
    text("type GUID", &wish.type_guid, &found.type_guid);
    text("GUID", &wish.guid, &found.guid);
    if let Some(label) = wish.label.as_ref().filter(|label| **label != found.label) {
        list.push((Attribute::Other, format!("label ({:?}, not {label:?})", found.label)));
    }
    let mib = |sectors: u64| sectors / fresh.align();
    let first = match wish.start_mib {
        None => found.first,
        Some(0) => fresh.lay_out(Some(0), None).map_or(found.first, |(first, _)| first),
        Some(start) => fresh.mib(start),
    };
    if first != found.first {
        list.push((Attribute::Other, format!("start ({} MiB, not {} MiB)", mib(found.first), mib(first))));
    }
    let sectors = found.last + 1 - found.first;
    let size = match wish.size_mib {
        None => sectors,
        Some(0) => {
            fresh.lay_out(Some(mib(found.first)), None).map_or(sectors, |(first, last)| last + 1 - first)
        }
        Some(size) => fresh.mib(size),
    };
    if size != sectors {
        list.push((Attribute::Size, format!("size ({} MiB, not {} MiB)", mib(sectors), mib(size))));
    }
    list
}

fn create(table: &mut Table, wish: &Wanted, number: u32) -> Result<(), PartitionError> {
    let (first, last) = table.lay_out(wish.start_mib, wish.size_mib).ok_or_else(|| no_room(wish))?;
    let lower = |text: &Option<String>| text.as_deref().unwrap_or_default().to_ascii_lowercase();
    let type_guid = match wish.type_guid.as_deref() {
        None | Some("") => Guid::LINUX.to_string(),
        Some(guid) => guid.to_ascii_lowercase(),
    };
    let label = wish.label.clone().unwrap_or_default();
    table.partitions.push(Partition { number, first, last, type_guid, guid: lower(&wish.guid), label });
    Ok(())
}

fn resize(table: &mut Table, wish: &Wanted, number: u32) -> Result<(), PartitionError> {
    let first = table.get(number).map_or(0, |part| part.first);
    let fresh = table.without(number);
    let start = first / table.align();
    let (_, last) = fresh.lay_out(Some(start), wish.size_mib).ok_or_else(|| no_room(wish))?;
    if let Some(part) = table.partitions.iter_mut().find(|part| part.number == number) {
        part.last = last;
    }
    Ok(())
}

fn no_room(wish: &Wanted) -> PartitionError {
    let size = match wish.size_mib {
        None | Some(0) => "a partition".to_owned(),
        Some(mib) => format!("{mib} MiB"),
    };
    let place = match wish.start_mib {
        None | Some(0) => "in the largest free block".to_owned(),
        Some(mib) => format!("at {mib} MiB"),
    };
    let label = wish.label.as_ref().map(|label| format!(" for {label:?}")).unwrap_or_default();
    PartitionError::NoRoom { size, label, place }
}

/// The table on a disk, `None` when it has none.
///
/// # Errors
/// When the disk cannot be read, or its table is damaged.
pub fn read(disk: &Device) -> Result<Option<Table>, DevicesError> {
    let failed = |action, source| DevicesError { action, path: disk.node.clone(), source };
    let file = std::fs::File::open(&disk.node).map_err(|source| failed("open", source))?;
    let sector_bytes = u32::try_from(disk.sector_bytes).unwrap_or(512);
    match gpt::read(&file, sector_bytes, disk.size_bytes / disk.sector_bytes.max(1)) {
        Ok(table) => Ok(Some(Table::from(&table))),
        Err(GptError::Missing) => Ok(None),
        Err(error) => Err(failed("read the partition table of", std::io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(parts: &[(u32, u64, u64, &str)]) -> Table {
        let mut table = Table::empty(512, 100 << 20);
        for (number, start, size, label) in parts {
            let wish = Wanted {
                number: *number,
                start_mib: Some(*start),
                size_mib: Some(*size),
                label: Some((*label).into()),
                ..Wanted::default()
            };
            create(&mut table, &wish, *number).unwrap();
        }
        table
    }

    fn wish(number: u32) -> Wanted {
        Wanted { number, ..Wanted::default() }
    }

    fn mib(table: &Table, number: u32) -> (u64, u64) {
        let part = table.get(number).unwrap();
        (part.first / 2048, (part.last + 1) / 2048)
    }

    #[test]
    fn the_table_of_decisions() {
        let before = disk(&[(1, 1, 10, "a")]);
        let decide = |wish: Wanted| {
            decide(&before, &[wish]).map(|(_, changes)| changes[0]).map_err(|mut e| e.remove(0).1)
        };
        let other = || Some("b".to_owned());
        assert_eq!(decide(Wanted { absent: true, ..wish(2) }), Ok(Change::Keep));
        assert_eq!(decide(wish(2)), Ok(Change::Create(2)));
        assert_eq!(decide(Wanted { absent: true, ..wish(1) }), Err(PartitionError::Unwanted { number: 1 }));
        assert_eq!(decide(Wanted { absent: true, wipe_entry: true, ..wish(1) }), Ok(Change::Delete(1)));
        assert_eq!(decide(Wanted { label: Some("a".into()), ..wish(1) }), Ok(Change::Keep));
        assert_eq!(decide(Wanted { size_mib: Some(20), resize: true, ..wish(1) }), Ok(Change::Resize(1)));
        assert_eq!(
            decide(Wanted { size_mib: Some(20), ..wish(1) }).unwrap_err().to_string(),
            "partition 1 exists with another size (10 MiB, not 20 MiB), and wipePartitionEntry is not set"
        );
        assert!(decide(Wanted { size_mib: Some(20), label: other(), resize: true, ..wish(1) }).is_err());
        assert_eq!(decide(Wanted { label: other(), wipe_entry: true, ..wish(1) }), Ok(Change::Replace(1)));
        assert!(decide(Wanted { label: Some("a".into()), ..wish(0) }).is_err());
        assert!(decide(Wanted { guid: Some("x".into()), ..wish(3) }).is_err());
    }

    #[test]
    fn places_are_found_in_the_largest_block() {
        let before = disk(&[(1, 1, 10, "a"), (2, 40, 10, "b")]);
        let wanted =
            [Wanted { size_mib: Some(5), ..wish(0) }, Wanted { size_mib: Some(0), ..wish(3) }, wish(0)];
        let (after, changes) = decide(&before, &wanted).unwrap();
        assert_eq!(changes, [Change::Create(4), Change::Create(3), Change::Create(5)]);
        // By number first: 3 takes all of 50..99, then 4 takes 5 MiB of 11..40, 5 the rest of it.
        assert_eq!((mib(&after, 3), mib(&after, 4), mib(&after, 5)), ((50, 99), (11, 16), (16, 40)));
        let too_much = [Wanted { size_mib: Some(80), label: Some("x".into()), ..wish(0) }];
        let text = decide(&before, &too_much).unwrap_err()[0].1.to_string();
        assert_eq!(text, "no room for 80 MiB for \"x\" in the largest free block");
    }

    #[test]
    fn zero_means_what_a_fresh_layout_gives() {
        let whole = disk(&[(1, 1, 98, "a")]);
        let all = Wanted { start_mib: Some(0), size_mib: Some(0), ..wish(1) };
        assert_eq!(decide(&whole, std::slice::from_ref(&all)).unwrap().1, [Change::Keep]);
        let half = disk(&[(1, 1, 50, "a")]);
        let (after, changes) = decide(&half, &[Wanted { resize: true, ..all }]).unwrap();
        assert_eq!((changes[0], mib(&after, 1)), (Change::Resize(1), (1, 99)));
    }

    fn wishes() -> impl proptest::strategy::Strategy<Value = Vec<Wanted>> {
        use proptest::prelude::*;
        let number = prop_oneof![Just(0_u32), 1..6_u32];
        let mib = || proptest::option::of(0..60_u64);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let wish = (number, mib(), mib(), flags).prop_map(
            |(number, start_mib, size_mib, (absent, wipe, resize))| {
                let absent = absent && number != 0;
                Wanted { number, start_mib, size_mib, absent, wipe_entry: wipe, resize, ..Wanted::default() }
            },
        );
        proptest::collection::vec(wish, 1..5).prop_map(|mut wishes| {
            // The spec's own rule: numbers do not collide.
            let mut seen = std::collections::BTreeSet::new();
            wishes.retain(|wish| wish.number == 0 || seen.insert(wish.number));
            wishes
        })
    }

    proptest::proptest! {
        /// Whatever is wished, the table can be written, what is kept stays, and what was granted is granted.
        #[test]
        fn granted_tables_are_sound(wanted in wishes(), first in 1..30_u64, size in 1..30_u64) {
            let before = disk(&[(1, first, size, "a"), (2, 60, 20, "b")]);
            if let Ok((after, changes)) = decide(&before, &wanted) {
                let mut parts: Vec<(u64, u64)> = after.partitions.iter().map(|part| (part.first, part.last)).collect();
                parts.sort_unstable();
                proptest::prop_assert!(parts.iter().all(|(from, to)| from <= to && *from >= after.first_usable && *to <= after.last_usable));
                proptest::prop_assert!(parts.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", parts);
                proptest::prop_assert_eq!(changes.len(), wanted.len());
                for (wish, change) in wanted.iter().zip(changes) {
                    if change == Change::Keep && !wish.absent {
                        proptest::prop_assert_eq!(after.get(wish.number), before.get(wish.number));
                    }
                }
            }
        }
    }
}

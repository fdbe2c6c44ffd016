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
//! A partition matches when every attribute that is given is equal. Starts and sizes of 0 are compared with the **fresh
//! layout**: where all partitions of the config would come to lie if those that exist of them were taken out and all were
//! made in their order, numbered ones first. In it an unset start or size is that of the existing partition, or 0 when
//! `wipePartitionEntry` allows to replace it. A start of 0 is the start of the largest free block, aligned to 1 MiB; a
//! size of 0 reaches to the end of the free block, as `sgdisk --new` has it.

use serde::{Deserialize, Serialize};

use crate::devices::{Device, DevicesError};
use crate::gpt::{self, GptError, Guid};

/// Bytes that partitions start and end on, as every tool aligns them.
const ALIGN_BYTES: u64 = 1 << 20;

/// One partition, GUIDs as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Number of the partition that an earlier, unfinished run made for this wish: it is kept where it is.
    pub made: Option<u32>,
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
    /// The partition that changes.
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Keep => None,
            Self::Create(number) | Self::Delete(number) | Self::Resize(number) | Self::Replace(number) => {
                Some(number)
            }
        }
    }

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

    /// Free blocks: first sector, aligned to a MiB, and last sector.
    fn free(&self) -> Vec<(u64, u64)> {
        let align = self.align();
        let mut used: Vec<(u64, u64)> = self.partitions.iter().map(|part| (part.first, part.last)).collect();
        used.push((self.last_usable + 1, u64::MAX));
        used.sort_unstable();
        let mut blocks = Vec::new();
        let mut from = self.first_usable;
        for (first, last) in used {
            let start = from.next_multiple_of(align);
            if start < first {
                blocks.push((start, first - 1));
            }
            from = from.max(last.saturating_add(1));
        }
        blocks
    }

    /// First and last sector for a start and a size in sectors (0: largest free block, and to its end); `None` when
    /// there is no room.
    fn lay_out(&self, start: u64, size: u64) -> Option<(u64, u64)> {
        let blocks = self.free();
        let (first, block_last) = if start == 0 {
            *blocks.iter().max_by_key(|(first, last)| (last - first, std::cmp::Reverse(*first)))?
        } else {
            // An existing partition may start anywhere, so blocks are looked at without alignment here.
            let taken = |part: &&Partition| (part.first..=part.last).contains(&start);
            if start < self.first_usable
                || start > self.last_usable
                || self.partitions.iter().any(|p| taken(&p))
            {
                return None;
            }
            let next = self.partitions.iter().map(|part| part.first).filter(|first| *first > start).min();
            (start, next.map_or(self.last_usable, |next| next - 1))
        };
        let last = if size == 0 { block_last } else { first.checked_add(size)? - 1 };
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
    let mut errors = Vec::new();
    for (index, wish) in wanted.iter().enumerate() {
        errors.extend(check(before, wish).err().map(|error| (index, error)));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let numbers = numbers(before, wanted);
    let places = fresh_layout(before, wanted, &numbers).map_err(|error| vec![error])?;
    let mut changes = Vec::new();
    for (index, wish) in wanted.iter().enumerate() {
        match judge(before, wish, numbers[index], places[index], wanted) {
            Ok(change) => changes.push(change),
            Err(error) => errors.push((index, error)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok((change_table(before, wanted, &changes, &places), changes))
}

/// What is wrong with a wish on its own.
fn check(before: &Table, wish: &Wanted) -> Result<(), PartitionError> {
    for guid in wish.guid.iter().chain(&wish.type_guid) {
        guid.parse::<Guid>().map_err(|_| PartitionError::Guid { guid: guid.clone() })?;
    }
    let label = wish.label.as_deref().filter(|label| !label.is_empty());
    let taken = |part: &&Partition| Some(part.label.as_str()) == label;
    match before.partitions.iter().find(taken) {
        Some(part) if wish.number == 0 && wish.made.is_none() && !wish.absent => {
            Err(PartitionError::LabelTaken { number: part.number, label: part.label.clone() })
        }
        _ => Ok(()),
    }
}

/// The number of each wish: its own, or the next one that nothing has and no other wish asks for.
fn numbers(before: &Table, wanted: &[Wanted]) -> Vec<u32> {
    let mut used: std::collections::BTreeSet<u32> =
        before.partitions.iter().map(|part| part.number).collect();
    for wish in wanted.iter().filter(|wish| wish.number != 0) {
        if wish.absent {
            used.remove(&wish.number);
        } else {
            used.insert(wish.number);
        }
    }
    let own = |wish: &Wanted| if wish.number == 0 { wish.made } else { Some(wish.number) };
    let next = |wish: &Wanted| {
        own(wish).unwrap_or_else(|| {
            let number = (1..).find(|number| !used.contains(number)).unwrap_or(1);
            used.insert(number);
            number
        })
    };
    wanted.iter().map(next).collect()
}

/// The partition that a wish is about. A number that was chosen for it is nobody's, or of one that goes.
fn existing<'a>(before: &'a Table, wish: &Wanted, number: u32) -> Option<&'a Partition> {
    before.get(number).filter(|_| wish.number != 0 || wish.made.is_some())
}

type Place = Option<(u64, u64)>;

/// Where each wish would come to lie; `None` for those that shall not exist.
fn fresh_layout(
    before: &Table,
    wanted: &[Wanted],
    numbers: &[u32],
) -> Result<Vec<Place>, (usize, PartitionError)> {
    let mut table = before.clone();
    // What was made for a wish, and what does not ask for another place, stays where it is.
    table.partitions.retain(|part| !numbers.contains(&part.number));
    let mut places = vec![None; wanted.len()];
    let mut order: Vec<usize> = (0..wanted.len()).filter(|index| !wanted[*index].absent).collect();
    order.sort_by_key(|index| wanted[*index].number == 0);
    for index in order {
        let wish = &wanted[index];
        let found = existing(before, wish, numbers[index]);
        let kept = found.filter(|_| !wish.wipe_entry);
        let mib = |mib: Option<u64>| mib.map(|mib| before.mib(mib));
        let place = match found.filter(|_| wish.made.is_some()) {
            Some(found) => Some((found.first, found.last)),
            None => {
                let start = mib(wish.start_mib).or(kept.map(|part| part.first)).unwrap_or(0);
                let size = mib(wish.size_mib).or(kept.map(|part| part.last + 1 - part.first)).unwrap_or(0);
                table.lay_out(start, size)
            }
        };
        let Some((first, last)) = place else { return Err((index, no_room(wish))) };
        table.partitions.push(Partition { number: numbers[index], first, last, ..Partition::default() });
        places[index] = Some((first, last));
    }
    Ok(places)
}

/// The table of decisions.
fn judge(
    before: &Table,
    wish: &Wanted,
    number: u32,
    place: Place,
    wanted: &[Wanted],
) -> Result<Change, PartitionError> {
    let Some(found) = existing(before, wish, number) else {
        return Ok(if wish.absent { Change::Keep } else { Change::Create(number) });
    };
    let made_anew = || wanted.iter().any(|other| other.number == number && !other.absent);
    if wish.absent {
        return match wish.wipe_entry {
            // Another wish of this number says what comes in its place.
            _ if made_anew() => Ok(Change::Keep),
            true => Ok(Change::Delete(number)),
            false => Err(PartitionError::Unwanted { number }),
        };
    }
    match differences(before, found, wish, place).as_slice() {
        [] => Ok(Change::Keep),
        [(Attribute::Size, _)] if wish.resize && !wish.wipe_entry => Ok(Change::Resize(number)),
        _ if wish.wipe_entry => Ok(Change::Replace(number)),
        [(_, what), ..] => Err(PartitionError::Differs { number, what: what.clone() }),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Other,
    Size,
}

/// What of `found` is not as the wish has it; `place` is its place in the fresh layout.
fn differences(table: &Table, found: &Partition, wish: &Wanted, place: Place) -> Vec<(Attribute, String)> {
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
    let (first, last) = place.unwrap_or((found.first, found.last));
    let mib = |sectors: u64| sectors / table.align();
    if first != found.first {
        list.push((Attribute::Other, format!("start ({} MiB, not {} MiB)", mib(found.first), mib(first))));
    }
    let (is, wanted) = (found.last + 1 - found.first, last + 1 - first);
    // Tools that align ends leave up to a MiB free at the end of a block; they mean the whole block too.
    let whole = wish.size_mib.is_none_or(|mib| mib == 0) && is < wanted && wanted - is < table.align();
    if is != wanted && !whole {
        list.push((Attribute::Size, format!("size ({} MiB, not {} MiB)", mib(is), mib(wanted))));
    }
    list
}

/// Carries the changes out on a copy of the table.
fn change_table(before: &Table, wanted: &[Wanted], changes: &[Change], places: &[Place]) -> Table {
    let mut table = before.clone();
    for ((wish, change), place) in wanted.iter().zip(changes).zip(places) {
        let (number, (first, last)) = match (change, place) {
            (Change::Keep, _) => continue,
            (Change::Create(number) | Change::Replace(number) | Change::Resize(number), Some(place)) => {
                (*number, *place)
            }
            (change, _) => {
                table = table.without(change.number().unwrap_or(0));
                continue;
            }
        };
        let old = before.get(number).filter(|_| matches!(change, Change::Resize(_))).cloned();
        table = table.without(number);
        let part = old.unwrap_or_else(|| new_partition(wish, number));
        table.partitions.push(Partition { first, last, ..part });
    }
    table.partitions.sort_by_key(|part| part.number);
    table
}

fn new_partition(wish: &Wanted, number: u32) -> Partition {
    let lower = |text: &Option<String>| text.as_deref().unwrap_or_default().to_ascii_lowercase();
    let type_guid = match wish.type_guid.as_deref() {
        None | Some("") => Guid::LINUX.to_string(),
        Some(guid) => guid.to_ascii_lowercase(),
    };
    let label = wish.label.clone().unwrap_or_default();
    Partition { number, first: 0, last: 0, type_guid, guid: lower(&wish.guid), label }
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

/// Why the table of a disk cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PartitionTableError {
    /// It is inconsistent; wiping it helps.
    #[error("{0}")]
    Damaged(String),
    /// The disk cannot be read.
    #[error(transparent)]
    Devices(#[from] DevicesError),
}

/// The table on a disk, `None` when it has none.
///
/// # Errors
/// When the disk cannot be read, or its table is damaged.
pub fn read(disk: &Device) -> Result<Option<Table>, PartitionTableError> {
    let failed = |action, source| DevicesError { action, path: disk.node.clone(), source };
    let file = std::fs::File::open(&disk.node).map_err(|source| failed("open", source))?;
    let sector_bytes = u32::try_from(disk.sector_bytes).unwrap_or(512);
    match gpt::read(&file, sector_bytes, disk.size_bytes / disk.sector_bytes.max(1)) {
        Ok(table) => Ok(Some(Table::from(&table))),
        Err(GptError::Missing) => Ok(None),
        Err(error @ GptError::Damaged { .. }) => Err(PartitionTableError::Damaged(error.to_string())),
        Err(error) => Err(failed("read the partition table of", std::io::Error::other(error)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(parts: &[(u32, u64, u64, &str)]) -> Table {
        let mut table = Table::empty(512, 100 << 20);
        for (number, start, size, label) in parts {
            let wish = Wanted { label: Some((*label).into()), ..Wanted::default() };
            let (first, last) = (start * 2048, (start + size) * 2048 - 1);
            table.partitions.push(Partition { first, last, ..new_partition(&wish, *number) });
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
        // Numbered first: 3 takes all behind 50, then 4 takes 5 MiB of 11..40, 5 the rest of it.
        assert_eq!((mib(&after, 3), mib(&after, 4), mib(&after, 5)), ((50, 99), (11, 16), (16, 40)));
        assert_eq!(after.get(3).unwrap().last, after.last_usable);
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

    /// present × should exist × wipe entry × (as wished | another size | another label) × resize: the whole matrix.
    #[test]
    fn the_whole_matrix() {
        let before = disk(&[(1, 1, 10, "a")]);
        let unwanted = || Err(PartitionError::Unwanted { number: 1 });
        let differs = |what: &str| Err(PartitionError::Differs { number: 1, what: what.into() });
        for bits in 0..16_u8 {
            let [present, exist, wipe, resize] = [0, 1, 2, 3].map(|bit| bits >> bit & 1 == 1);
            for (case, size, label) in [("same", 10, "a"), ("size", 20, "a"), ("label", 10, "b")] {
                let number = if present { 1 } else { 2 };
                let (label, start) = (Some(label.to_owned()), if present { 1 } else { 40 });
                let wish = Wanted {
                    number,
                    label,
                    start_mib: Some(start),
                    size_mib: Some(size),
                    absent: !exist,
                    wipe_entry: wipe,
                    resize,
                    ..Wanted::default()
                };
                let expected = match (present, exist, wipe, case) {
                    (false, false, ..) => Ok(Change::Keep),
                    (false, true, ..) => Ok(Change::Create(2)),
                    (true, false, false, _) => unwanted(),
                    (true, false, true, _) => Ok(Change::Delete(1)),
                    (true, true, _, "same") => Ok(Change::Keep),
                    (true, true, true, _) => Ok(Change::Replace(1)),
                    (true, true, false, "size") if resize => Ok(Change::Resize(1)),
                    (true, true, false, "size") => differs("size (10 MiB, not 20 MiB)"),
                    (true, true, false, _) => differs("label (\"a\", not \"b\")"),
                };
                let found =
                    decide(&before, &[wish]).map(|(_, changes)| changes[0]).map_err(|mut e| e.remove(0).1);
                assert_eq!(
                    found, expected,
                    "present {present} exist {exist} wipe {wipe} resize {resize} {case}"
                );
            }
        }
    }

    #[test]
    fn an_unset_place_is_kept_unless_the_entry_may_go() {
        let before = disk(&[(1, 20, 10, "a")]);
        let label = || Some("a".to_owned());
        assert_eq!(decide(&before, &[Wanted { label: label(), ..wish(1) }]).unwrap().1, [Change::Keep]);
        // Allowed to go it is compared with the largest free block, from the disk's start here.
        let (after, changes) = decide(&before, &[Wanted { wipe_entry: true, ..wish(1) }]).unwrap();
        assert_eq!((changes[0], mib(&after, 1)), (Change::Replace(1), (1, 99)));
        // An end that another tool has aligned means the whole block as well.
        let whole = disk(&[(1, 1, 98, "a")]);
        let all = Wanted { start_mib: Some(0), size_mib: Some(0), ..wish(1) };
        assert_eq!(decide(&whole, &[all]).unwrap().1, [Change::Keep]);
    }

    #[test]
    fn the_fresh_layout_is_that_of_all_wishes_together() {
        let wishes = [
            Wanted { start_mib: Some(0), size_mib: Some(10), ..wish(1) },
            Wanted { start_mib: Some(0), size_mib: Some(5), ..wish(2) },
            Wanted { start_mib: Some(0), size_mib: Some(0), ..wish(3) },
        ];
        let (made, changes) = decide(&Table::empty(512, 100 << 20), &wishes).unwrap();
        assert_eq!(changes, [Change::Create(1), Change::Create(2), Change::Create(3)]);
        assert_eq!([mib(&made, 1), mib(&made, 2), mib(&made, 3)], [(1, 11), (11, 16), (16, 99)]);
        assert_eq!(decide(&made, &wishes).unwrap(), (made.clone(), vec![Change::Keep; 3]));
    }

    #[test]
    fn a_number_that_is_freed_is_used_again_and_one_wish_may_follow_another() {
        let before = disk(&[(1, 1, 10, "a"), (2, 20, 10, "b")]);
        let gone = Wanted { absent: true, wipe_entry: true, ..wish(1) };
        let (after, changes) =
            decide(&before, &[gone.clone(), Wanted { size_mib: Some(4), ..wish(0) }]).unwrap();
        assert_eq!((changes[1], mib(&after, 1)), (Change::Create(1), (30, 34)));
        let anew = Wanted { label: Some("n".into()), start_mib: Some(1), wipe_entry: true, ..wish(1) };
        let (after, changes) = decide(&before, &[gone, anew]).unwrap();
        assert_eq!(changes, [Change::Keep, Change::Replace(1)]);
        assert_eq!(after.get(1).unwrap().label, "n");
    }

    #[test]
    fn what_an_unfinished_run_made_is_kept() {
        let wishes = |made| {
            let named =
                |label: &str, made| Wanted { label: Some(label.into()), made, size_mib: Some(9), ..wish(0) };
            [named("x", made), named("y", None)]
        };
        let before = disk(&[(1, 1, 10, "a"), (2, 40, 9, "x")]);
        let text = decide(&before, &wishes(None)).unwrap_err()[0].1.to_string();
        assert_eq!(text, "partition 2 has the label \"x\" already");
        let (after, changes) = decide(&before, &wishes(Some(2))).unwrap();
        assert_eq!((changes, mib(&after, 3)), (vec![Change::Keep, Change::Create(3)], (49, 58)));
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

//! Rules of disks, partitions and RAID arrays.

use std::borrow::Cow;
use std::collections::HashSet;

use super::nodes::{self, path_fault};
use super::{Checker, non_empty};
use crate::config::{Disk, Partition, RAID_LEVELS, Raid};
pub use crate::rules::disks::*;

/// Rules of a disk.
pub fn disk(disk: &Disk, checker: &mut Checker<'_>) {
    if disk.device.is_empty() {
        return checker.error(&[&"device"], DEVICE_REQUIRED);
    }
    nodes::path(checker, "device", &disk.device);
    for (fault, rule) in [
        (second_of_a_number(&disk.partitions), NUMBERS_COLLIDE),
        (overlapping(&disk.partitions), OVERLAP),
        (second_of_a_label(&disk.partitions), DUPLICATE_LABELS),
    ] {
        if let Some(index) = fault {
            checker.error(&[&"partitions", &index], rule);
        }
    }
}

fn second_of_a_number(partitions: &[Partition]) -> Option<usize> {
    let mut seen = HashSet::new();
    partitions.iter().position(|partition| partition.number != 0 && !seen.insert(partition.number))
}

fn second_of_a_label(partitions: &[Partition]) -> Option<usize> {
    let mut seen = HashSet::new();
    partitions.iter().position(|partition| partition.label.as_ref().is_some_and(|label| !seen.insert(label)))
}

/// The first partition that another one reaches into. Start 0 is placed later and takes no part; size 0 counts as its
/// start only.
fn overlapping(partitions: &[Partition]) -> Option<usize> {
    let extent = |partition: &Partition| match (partition.start_mib, partition.size_mib) {
        (Some(start), Some(0)) if start != 0 => Some((start, start)),
        (Some(start), Some(size)) if start != 0 => Some((start, start.wrapping_add(size).wrapping_sub(1))),
        _ => None,
    };
    let extents: Vec<_> = partitions.iter().map(extent).collect();
    for (index, own) in extents.iter().enumerate() {
        let Some((start, end)) = *own else { continue };
        for (other, extent) in extents.iter().enumerate() {
            let Some((from, to)) = *extent else { continue };
            let touches = |point| from <= point && point <= to;
            if other != index && (touches(start) || touches(end) || (start < from && end > to)) {
                return Some(other);
            }
        }
    }
    None
}

/// What identifies a partition: its number, else its label.
pub fn partition_key(partition: &Partition) -> Cow<'_, str> {
    match (&partition.label, partition.number) {
        (None, 0) => Cow::Borrowed(""),
        (Some(label), 0) => Cow::Owned(format!("label:{label}")),
        (_, number) => Cow::Owned(format!("number:{number}")),
    }
}

/// Rules of a partition.
pub fn partition(partition: &Partition, checker: &mut Checker<'_>) {
    let attributes = partition.label.is_some()
        || non_empty(&partition.type_guid).is_some()
        || non_empty(&partition.guid).is_some()
        || partition.start_mib.is_some()
        || partition.size_mib.is_some();
    if partition.should_exist == Some(false) && attributes {
        checker.error(&[], SHOULD_NOT_EXIST);
    }
    if partition.number == 0 && partition.label.is_none() {
        checker.error(&[], LABEL_OR_NUMBER);
    }
    match &partition.label {
        Some(label) if label.len() > 36 => checker.error(&[&"label"], LABEL_TOO_LONG),
        Some(label) if label.contains(':') => checker.error(&[&"label"], LABEL_COLON),
        _ => {}
    }
    for (key, guid) in [("guid", &partition.guid), ("typeGuid", &partition.type_guid)] {
        if guid.as_deref().is_some_and(|guid| !guid.is_empty() && !is_guid(guid)) {
            checker.error(&[&key], GUID);
        }
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Rules of a RAID array.
pub fn raid(raid: &Raid, checker: &mut Checker<'_>) {
    match non_empty(&raid.level) {
        None if checker.since(3) => checker.error(&[&"level"], RAID_LEVEL_REQUIRED),
        None => checker.error(&[&"level"], RAID_LEVEL),
        Some("linear" | "raid0" | "0" | "stripe") => {
            if raid.spares.is_some_and(|spares| spares != 0) {
                checker.error(&[&"level"], RAID_SPARES);
            }
        }
        Some(level) if !checker.offers(&RAID_LEVELS, level) => checker.error(&[&"level"], RAID_LEVEL),
        Some(_) => {}
    }
    if raid.devices.is_empty() {
        checker.error(&[&"devices"], RAID_DEVICES);
    }
    for (index, device) in raid.devices.iter().enumerate() {
        if let Some(rule) = path_fault(device) {
            checker.error(&[&"devices", &index], rule);
        }
    }
}

//! Which partitions hold the `/usr` that the root hash names: a pure choice over what the disks show.
//!
//! The Discoverable Partitions Specification takes the partition GUIDs of a slot from its root hash: the data partition
//! has the first 128 bits, the hash partition the last 128. So the hash alone names the slot, whatever its label.

use std::fmt;
use std::path::PathBuf;

use block::gpt::{Guid, Table};

use crate::cmdline::RootHash;

/// A disk as seen in sysfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Kernel name, e.g. `vda`.
    pub(crate) name: String,
    /// Its size in logical sectors.
    pub(crate) sectors: u64,
    /// Its partition table, or why there is none.
    pub(crate) table: Result<Table, String>,
    /// The nodes of the partitions that the kernel knows, by number.
    pub(crate) nodes: Vec<(u32, PathBuf)>,
}

/// A partition with its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Number from 1.
    pub(crate) number: u32,
    /// Device node.
    pub(crate) node: PathBuf,
    /// Label, for people.
    pub(crate) label: String,
}

/// What is opened and mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Kernel name of the disk.
    pub(crate) disk: String,
    /// The EROFS image.
    pub(crate) data: Part,
    /// Its hash tree.
    pub(crate) hashes: Part,
    /// The root partition of the same disk, if it has one.
    pub(crate) root: Option<Part>,
}

/// Why no slot was found yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlotError {
    /// No disk at all has a `/usr` partition.
    #[error("no disk with a /usr partition was found ({seen})")]
    Diskless {
        /// What was seen instead.
        seen: Seen,
    },
    /// There are slots, and none has this hash.
    #[error("no /usr slot matches usrhash={hash} ({seen})")]
    Mismatch {
        /// What the command line asks for.
        hash: String,
        /// The slots that are there.
        seen: Seen,
    },
    /// The data partition is there and its hash partition is not.
    #[error("{disk}: the slot of usrhash={hash} has no verity partition with PARTUUID {wanted}")]
    Hashless {
        /// Kernel name of the disk.
        disk: String,
        /// What the command line asks for.
        hash: String,
        /// PARTUUID of the missing partition.
        wanted: Guid,
    },
    /// The table names a partition for which the kernel has no node (yet).
    #[error("{disk}: the kernel does not show partition {number} yet")]
    Pending {
        /// Kernel name of the disk.
        disk: String,
        /// Partition number.
        number: u32,
    },
}

impl SlotError {
    /// Whether disks with slots are there, so that a long wait for more disks is pointless.
    pub(crate) fn saw_slots(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::Hashless { .. })
    }
}

/// A short list for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen(pub(crate) Vec<String>);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no disks seen"),
            items => write!(f, "seen: {}", items.join(", ")),
        }
    }
}

/// PARTUUIDs of the data and hash partitions for a root hash.
pub(crate) fn partition_ids(hash: &RootHash) -> (Guid, Guid) {
    let (mut data, mut hashes) = ([0; 16], [0; 16]);
    data.copy_from_slice(&hash.0[..16]);
    hashes.copy_from_slice(&hash.0[16..]);
    (Guid(data), Guid(hashes))
}

/// Finds the slot.
pub(crate) fn choose(disks: &[Disk], hash: &RootHash) -> Result<Slot, SlotError> {
    let (data_id, hashes_id) = partition_ids(hash);
    for disk in disks {
        let Ok(table) = &disk.table else { continue };
        let Some(data) = table.partitions.iter().find(|p| p.id == data_id && p.kind == Guid::USR) else {
            continue;
        };
        let hashes =
            table.partitions.iter().find(|p| p.id == hashes_id && p.kind == Guid::USR_VERITY).ok_or_else(
                || SlotError::Hashless { disk: disk.name.clone(), hash: hash.to_string(), wanted: hashes_id },
            )?;
        let root = table.partitions.iter().find(|p| p.kind == Guid::ROOT);
        return Ok(Slot {
            disk: disk.name.clone(),
            data: part(disk, data)?,
            hashes: part(disk, hashes)?,
            root: root.map(|root| part(disk, root)).transpose()?,
        });
    }
    Err(explain(disks, hash))
}

fn part(disk: &Disk, partition: &block::gpt::Partition) -> Result<Part, SlotError> {
    let node = disk.nodes.iter().find(|(number, _)| *number == partition.number);
    let (_, node) =
        node.ok_or_else(|| SlotError::Pending { disk: disk.name.clone(), number: partition.number })?;
    Ok(Part { number: partition.number, node: node.clone(), label: partition.name.clone() })
}

fn explain(disks: &[Disk], hash: &RootHash) -> SlotError {
    let tables = || disks.iter().filter_map(|disk| Some((disk, disk.table.as_ref().ok()?)));
    let slots: Vec<String> = tables()
        .flat_map(|(disk, table)| {
            let usr = table.partitions.iter().filter(|p| p.kind == Guid::USR);
            usr.map(|p| format!("{} partition {} `{}` PARTUUID {}", disk.name, p.number, p.name, p.id))
        })
        .collect();
    if slots.is_empty() {
        let disks = disks.iter().map(|disk| match &disk.table {
            Ok(_) => format!("{} without /usr", disk.name),
            Err(why) => format!("{}: {why}", disk.name),
        });
        return SlotError::Diskless { seen: Seen(disks.collect()) };
    }
    SlotError::Mismatch { hash: hash.to_string(), seen: Seen(slots) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use block::gpt::Partition;

    fn hash() -> RootHash {
        "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef".parse().unwrap()
    }

    fn partition(number: u32, kind: Guid, id: Guid) -> Partition {
        let first = 2048 * u64::from(number);
        Partition { number, kind, id, first, last: first + 2047, attributes: 0, name: format!("p{number}") }
    }

    fn disk(name: &str, partitions: Vec<Partition>) -> Disk {
        let mut table = Table::new(Guid([1; 16]), 512, 1 << 20).unwrap();
        let nodes =
            partitions.iter().map(|p| (p.number, format!("/dev/{name}{}", p.number).into())).collect();
        table.partitions = partitions;
        Disk { name: name.into(), sectors: 1 << 20, table: Ok(table), nodes }
    }

    fn blank() -> Disk {
        Disk { name: "vdb".into(), sectors: 8, table: Err("no GPT partition table".into()), nodes: vec![] }
    }

    fn slots() -> Vec<Partition> {
        let (data, hashes) = partition_ids(&hash());
        vec![
            partition(2, Guid::USR, Guid([9; 16])),
            partition(3, Guid::USR_VERITY, Guid([8; 16])),
            partition(4, Guid::USR, data),
            partition(5, Guid::USR_VERITY, hashes),
            partition(6, Guid::ROOT, Guid([7; 16])),
        ]
    }

    #[test]
    fn the_hash_names_both_partitions() {
        let (data, hashes) = partition_ids(&hash());
        assert_eq!(data.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(hashes.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
    }

    #[test]
    fn the_slot_is_found_whichever_disk_and_place() {
        let slot = choose(&[blank(), disk("vda", slots())], &hash()).unwrap();
        assert_eq!(slot.disk, "vda");
        assert_eq!(slot.data.node, std::path::Path::new("/dev/vda4"));
        assert_eq!(slot.hashes.number, 5);
        assert_eq!(slot.root.unwrap().number, 6);
        let mut without_root = slots();
        without_root.pop();
        assert_eq!(choose(&[disk("sda", without_root)], &hash()).unwrap().root, None);
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut no_hashes = slots();
        no_hashes.remove(3);
        let mut wrong_type = slots();
        wrong_type[2].kind = Guid::LINUX;
        let mut no_node = disk("vda", slots());
        no_node.nodes.retain(|(number, _)| *number != 5);
        let cases = [
            (vec![], "no disk with a /usr partition was found (no disks seen)", false),
            (
                vec![blank(), disk("vda", vec![])],
                "no disk with a /usr partition was found (seen: vdb: no GPT partition table, vda without /usr)",
                false,
            ),
            (vec![no_node], "vda: the kernel does not show partition 5 yet", false),
            (
                vec![disk("vda", no_hashes)],
                "vda: the slot of usrhash=00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef has no verity \
                 partition with PARTUUID 01234567-89ab-cdef-0123-456789abcdef",
                true,
            ),
            (
                vec![disk("vda", wrong_type)],
                "no /usr slot matches usrhash=00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef (seen: vda \
                 partition 2 `p2` PARTUUID 09090909-0909-0909-0909-090909090909)",
                true,
            ),
        ];
        for (disks, expected, saw_slots) in cases {
            let error = choose(&disks, &hash()).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.saw_slots(), saw_slots, "{expected}");
        }
    }
}

//! Disks, partitions, RAID arrays, filesystems.

use std::borrow::Cow;

use crate::check::{disks, volumes};
use crate::schema::Choice;
use crate::section;

/// What a RAID array may be; the words and numbers are mdadm's.
pub const RAID_LEVELS: [Choice; 15] = [
    Choice::new("linear", 0),
    Choice::new("raid0", 0),
    Choice::new("0", 0),
    Choice::new("stripe", 0),
    Choice::new("raid1", 0),
    Choice::new("1", 0),
    Choice::new("mirror", 0),
    Choice::new("raid4", 0),
    Choice::new("4", 0),
    Choice::new("raid5", 0),
    Choice::new("5", 0),
    Choice::new("raid6", 0),
    Choice::new("6", 0),
    Choice::new("raid10", 0),
    Choice::new("10", 0),
];

/// What a filesystem may be.
pub const FORMATS: [Choice; 8] = [
    Choice::new("ext4", 0),
    Choice::new("btrfs", 0),
    Choice::new("xfs", 0),
    Choice::new("vfat", 0),
    Choice::new("swap", 0),
    Choice::new("none", 3),
    Choice::new("virtiofs", 7),
    Choice::new("", 0),
];

section! {
    /// A disk.
    Disk [key |d| Cow::Borrowed(&d.device)] [check disks::disk] {
        /// Absolute path of the device.
        device: String = "device",
        /// Partitions.
        partitions: Vec<Partition> = "partitions",
        /// Makes a new partition table first.
        wipe_table: Option<bool> = "wipeTable",
    }
}

section! {
    /// A partition.
    Partition [key disks::partition_key] [check disks::partition] {
        /// GUID of the partition.
        guid: Option<String> = "guid",
        /// Label, at most 36 bytes.
        label: Option<String> = "label",
        /// Number; 0 for the next free one.
        number: i64 = "number",
        /// Resizes an existing partition if only its size differs.
        resize: Option<bool> = "resize" since 2,
        /// False to delete the partition.
        should_exist: Option<bool> = "shouldExist",
        /// Size in MiB; 0 for all that is free.
        size_mib: Option<i64> = "sizeMiB",
        /// Start in MiB; 0 for the start of the largest free block.
        start_mib: Option<i64> = "startMiB",
        /// GUID of the type.
        type_guid: Option<String> = "typeGuid",
        /// Deletes an existing partition that does not match.
        wipe_partition_entry: Option<bool> = "wipePartitionEntry",
    }
}

section! {
    /// A RAID array.
    Raid [key |r| Cow::Borrowed(&r.name)] [check disks::raid] {
        /// Absolute paths of the devices.
        devices: Vec<String> = "devices",
        /// Level, such as `raid1`.
        level: Option<String> = "level" of RAID_LEVELS,
        /// Name under /dev/md.
        name: String = "name",
        /// Options for mdadm.
        options: Vec<String> = "options" list Appended,
        /// How many of the devices are spares.
        spares: Option<i64> = "spares",
    }
}

section! {
    /// A filesystem.
    Filesystem [key |f| Cow::Borrowed(&f.device)] [check volumes::filesystem] {
        /// Absolute path of the device.
        device: String = "device",
        /// `ext4`, `btrfs`, `xfs`, `vfat`, `swap` or `none`.
        format: Option<String> = "format" of FORMATS,
        /// Label.
        label: Option<String> = "label",
        /// Options for mounting it while provisioning.
        mount_options: Vec<String> = "mountOptions" since 1 list Appended,
        /// Options for mkfs.
        options: Vec<String> = "options" list Appended,
        /// Where it is mounted while provisioning.
        path: Option<String> = "path",
        /// UUID.
        uuid: Option<String> = "uuid",
        /// Makes a new filesystem whatever is there.
        wipe_filesystem: Option<bool> = "wipeFilesystem",
    }
}

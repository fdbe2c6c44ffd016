//! Rules of disks, partitions and RAID arrays.

use crate::rule_pages;

rule_pages! {
    /// The device of a disk or of an encrypted volume is missing.
    DEVICE_REQUIRED = "device-missing", "disk device is required";
    why "Name the device, by a path that is the same at every boot: /dev/disk/by-id/…, /dev/disk/by-partlabel/….";
    allowed "an absolute path";
    wrong top r#""storage": {"disks": [{"wipeTable": true}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "wipeTable": true}]}"#;

    /// Two partitions of a disk have one number.
    NUMBERS_COLLIDE = "partition-numbers", "partition numbers collide";
    why "A number is a slot of the table. Use number 0 (or none) with a label for the next free slot.";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "label": "a"}, {"number": 2, "label": "b"}, {"number": 2, "label": "c"}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "label": "a"}, {"number": 2, "label": "b"}, {"number": 3, "label": "c"}]}]}"#;

    /// Two partitions share space.
    OVERLAP = "partitions-overlap", "partitions overlap";
    why "A partition reaches from its start over its size, both in MiB. Leave the start out (or 0) to have it placed in the largest free block.";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "startMiB": 1, "sizeMiB": 100}, {"number": 2, "startMiB": 100, "sizeMiB": 100}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "startMiB": 1, "sizeMiB": 100}, {"number": 2, "startMiB": 101, "sizeMiB": 100}]}]}"#;

    /// Two partitions of a disk have one label.
    DUPLICATE_LABELS = "partition-labels", "cannot use the same partition label twice";
    why "/dev/disk/by-partlabel/… could then be either of them.";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "label": "data"}, {"number": 2, "label": "data"}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "label": "data"}, {"number": 2, "label": "logs"}]}]}"#;

    /// A partition is to be absent and has attributes.
    SHOULD_NOT_EXIST = "partition-absent-with-options", "shouldExist specified false with other options also specified";
    why "A partition that shall not exist is named by its number alone.";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "shouldExist": false, "sizeMiB": 10}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "shouldExist": false}]}]}"#;

    /// Nothing identifies the partition.
    LABEL_OR_NUMBER = "partition-unnamed", "a partition number >= 1 or a label must be specified";
    why "Partitions are matched with those on the disk by number, else by label.";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"sizeMiB": 100}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"label": "data", "sizeMiB": 100}]}]}"#;

    /// The label of a partition is too long.
    LABEL_TOO_LONG = "partition-label-long", "partition labels may not exceed 36 characters";
    why "A GPT entry has room for 36.";
    allowed "at most 36 bytes";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"label": "a-label-that-goes-on-for-quite-a-while"}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"label": "a-short-label"}]}]}"#;

    /// The label of a partition has a colon.
    LABEL_COLON = "partition-label-colon", "partition label will be truncated to text before the colon";
    why "sgdisk, by which upstream makes partitions, separates its arguments by colons.";
    allowed "any text without `:`";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"label": "data:1"}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"label": "data-1"}]}]}"#;

    /// The text is no GUID.
    GUID = "guid", "doesn't match the form \"01234567-89AB-CDEF-EDCB-A98765432101\"";
    why "GUIDs of partitions and of their types are 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.";
    allowed "8-4-4-4-12 hexadecimal digits";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "typeGuid": "linux"}]}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1, "typeGuid": "0FC63DAF-8483-4772-8E79-3D69D8477DE4"}]}]}"#;

    /// The level of a RAID array is missing.
    RAID_LEVEL_REQUIRED = "raid-level-missing", "raid level is required";
    why "There is no default: the levels differ in what they survive.";
    allowed "linear, raid0, raid1, raid4, raid5, raid6, raid10 and their short forms";
    wrong top r#""storage": {"raid": [{"name": "data", "devices": ["/dev/vdb", "/dev/vdc"]}]}"#;
    mended top r#""storage": {"raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vdb", "/dev/vdc"]}]}"#;

    /// The level of a RAID array is not known.
    RAID_LEVEL = "raid-level", "unrecognized raid level";
    why "Levels are spelt as below.";
    allowed "linear, raid0 (0, stripe), raid1 (1, mirror), raid4 (4), raid5 (5), raid6 (6), raid10 (10)";
    wrong top r#""storage": {"raid": [{"name": "data", "level": "raid-1", "devices": ["/dev/vdb", "/dev/vdc"]}]}"#;
    mended top r#""storage": {"raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vdb", "/dev/vdc"]}]}"#;

    /// An array without redundancy has spares.
    RAID_SPARES = "raid-spares", "spares unsupported for linear and raid0 arrays";
    why "Such an array is lost with its first disk; a spare could replace nothing.";
    wrong top r#""storage": {"raid": [{"name": "data", "level": "raid0", "devices": ["/dev/vdb", "/dev/vdc"], "spares": 1}]}"#;
    mended top r#""storage": {"raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vdb", "/dev/vdc", "/dev/vdd"], "spares": 1}]}"#;

    /// A RAID array has no devices.
    RAID_DEVICES = "raid-devices-missing", "raid devices required";
    why "List the disks or partitions of the array.";
    wrong top r#""storage": {"raid": [{"name": "data", "level": "raid1"}]}"#;
    mended top r#""storage": {"raid": [{"name": "data", "level": "raid1", "devices": ["/dev/vdb", "/dev/vdc"]}]}"#;
}

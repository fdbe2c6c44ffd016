//! Rules of filesystems and encrypted volumes.

use crate::rule_pages;

rule_pages! {
    /// The format of a filesystem is not known.
    FORMAT = "filesystem-format", "invalid filesystem format";
    why "Filesystems are made and recognised by their format. `ext3` and `fat32` are among those that are often tried.";
    allowed "ext4, btrfs, xfs, vfat, swap; none since spec 3.3.0; virtiofs in 3.7.0-experimental";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "ext5", "path": "/var"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "ext4", "path": "/var"}]}"#;

    /// A label is given without format.
    LABEL_NEEDS_FORMAT = "filesystem-label-format", "filesystem must specify format if label is specified";
    why "How long a label may be depends on the format.";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "label": "data"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "label": "data", "format": "xfs"}]}"#;

    /// A filesystem has attributes and no format.
    FORMAT_REQUIRED = "filesystem-format-missing",
        "format cannot be empty when path, label, uuid, wipeFilesystem, options, or mountOptions is specified";
    why "Name the format, also of a filesystem that exists and is to be reused.";
    allowed "ext4, btrfs, xfs, vfat, swap, none";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "path": "/var"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "path": "/var", "format": "xfs"}]}"#;

    /// The label is too long for ext4.
    EXT4_LABEL = "label-ext4", "filesystem labels cannot be longer than 16 characters when using ext4";
    why "The superblock has room for 16 bytes.";
    allowed "at most 16 bytes";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "ext4", "label": "seventeen-letters"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "ext4", "label": "sixteen-letters"}]}"#;

    /// The label is too long for btrfs.
    BTRFS_LABEL = "label-btrfs", "filesystem labels cannot be longer than 256 characters when using btrfs";
    why "The superblock has room for 256 bytes.";
    allowed "at most 256 bytes";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "btrfs", "label": "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "btrfs", "label": "data"}]}"#;

    /// The label is too long for XFS.
    XFS_LABEL = "label-xfs", "filesystem labels cannot be longer than 12 characters when using xfs";
    why "The superblock has room for 12 bytes.";
    allowed "at most 12 bytes";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "xfs", "label": "container-data"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "xfs", "label": "containers"}]}"#;

    /// The label is too long for swap space.
    SWAP_LABEL = "label-swap", "filesystem labels cannot be longer than 15 characters when using swap";
    why "The header has room for 16 bytes with a closing zero.";
    allowed "at most 15 bytes";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "swap", "label": "sixteen-letters-"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "swap", "label": "swap"}]}"#;

    /// The label is too long for FAT.
    VFAT_LABEL = "label-vfat", "filesystem labels cannot be longer than 11 characters when using vfat";
    why "A FAT label is a short file name: 8 and 3.";
    allowed "at most 11 bytes";
    wrong top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "vfat", "label": "EFI-SYSTEM-1"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "vfat", "label": "EFI-SYSTEM"}]}"#;

    /// A virtiofs has a label.
    VIRTIOFS_LABEL = "label-virtiofs", "filesystem labels cannot be set when using virtiofs";
    why "It is a folder of the host, named by its tag.";
    wrong "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs", "label": "shared"}]}"#;
    mended "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs"}]}"#;

    /// A virtiofs has no tag.
    NO_DEVICE = "virtiofs-tag-missing", "device not specified";
    why "`device` is the tag under which the host offers the folder.";
    allowed "a tag of 1 to 36 bytes";
    wrong "3.7.0-experimental" r#""storage": {"filesystems": [{"format": "virtiofs", "path": "/srv"}]}"#;
    mended "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs", "path": "/srv"}]}"#;

    /// The tag of a virtiofs is too long.
    VIRTIOFS_TAG = "virtiofs-tag-long", "virtiofs device tag cannot be longer than 36 bytes";
    why "The device's configuration space has room for 36 bytes.";
    allowed "a tag of 1 to 36 bytes";
    wrong "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "a-tag-that-goes-on-for-quite-a-while-", "format": "virtiofs"}]}"#;
    mended "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs"}]}"#;

    /// A virtiofs has a UUID.
    NO_UUID = "virtiofs-uuid", "filesystem uuid cannot be set for non-block-device filesystems";
    why "Nothing is made, so nothing gets a UUID.";
    wrong "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs", "uuid": "01234567-89ab-cdef-0123-456789abcdef"}]}"#;
    mended "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs"}]}"#;

    /// A virtiofs is to be wiped.
    NO_WIPE = "virtiofs-wipe", "wipeFilesystem cannot be set for non-block-device filesystems";
    why "The folder is the host's; it is mounted, not made.";
    wrong "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs", "wipeFilesystem": true}]}"#;
    mended "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs"}]}"#;

    /// A virtiofs has options for mkfs.
    NO_OPTIONS = "virtiofs-options", "filesystem options (mkfs) cannot be set for non-block-device filesystems";
    why "There is no mkfs for it. Options for mounting go to `mountOptions`.";
    wrong "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs", "options": ["-v"]}]}"#;
    mended "3.7.0-experimental" r#""storage": {"filesystems": [{"device": "shared", "format": "virtiofs"}]}"#;

    /// The name of an encrypted volume has a slash.
    NAME_SLASH = "luks-name-slash", "device names cannot contain slashes";
    why "The name becomes one file below /dev/mapper.";
    wrong top r#""storage": {"luks": [{"name": "disks/data", "device": "/dev/vdb"}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb"}]}"#;

    /// The label of an encrypted volume is too long.
    LUKS_LABEL = "luks-label-long", "luks device labels cannot be longer than 47 characters";
    why "The LUKS2 header has room for 48 bytes with a closing zero.";
    allowed "at most 47 bytes";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "label": "a-label-that-goes-on-and-on-for-much-of-the-line"}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "label": "data"}]}"#;

    /// A custom clevis pin stands beside tang, tpm2 or a threshold.
    CUSTOM_WITH_OTHERS = "clevis-custom-others", "cannot use custom clevis config with tpm2, tang, or threshold";
    why "The custom configuration is the whole of it. Combine several ways with the pin `sss`, or without `custom`.";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"tpm2": true, "custom": {"pin": "tpm2", "config": "{}"}}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"custom": {"pin": "tpm2", "config": "{}"}}}]}"#;

    /// A custom clevis configuration names no pin.
    PIN_REQUIRED = "clevis-pin-missing", "missing required custom clevis pin";
    why "The pin is the way of unlocking that the configuration is for.";
    allowed "tpm2, tang, sss; any since spec 3.6.0";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"custom": {"config": "{}"}}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"custom": {"pin": "tpm2", "config": "{}"}}}]}"#;

    /// The clevis pin is not known.
    PIN = "clevis-pin", "unsupported clevis pin";
    why "Before spec 3.6.0 only the pins below are accepted.";
    allowed "tpm2, tang, sss";
    wrong "3.5.0" r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"custom": {"pin": "pkcs11", "config": "{}"}}}]}"#;
    mended "3.6.0" r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"custom": {"pin": "pkcs11", "config": "{}"}}}]}"#;

    /// A custom clevis pin has no configuration.
    CUSTOM_CONFIG = "clevis-config-missing", "missing required custom clevis config";
    why "clevis takes a configuration in JSON for each pin; the smallest is `{}`.";
    allowed "JSON as a string";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"custom": {"pin": "tpm2"}}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"custom": {"pin": "tpm2", "config": "{}"}}}]}"#;

    /// The source of a key file cannot be fetched.
    KEY_FILE = "luks-key-file", "invalid key-file source";
    why "The source itself is wrong: an entry beside this one says how.";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "keyFile": {"source": "ftp://h/key"}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "keyFile": {"source": "https://h/key"}}]}"#;

    /// IBM Crypto Express stands beside clevis.
    CEX_CLEVIS = "cex-clevis", "cannot use cex with clevis";
    why "A volume is unlocked by the one or by the other.";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/dasda1", "cex": {"enabled": true}, "clevis": {"tpm2": true}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/dasda1", "cex": {"enabled": true}}]}"#;

    /// IBM Crypto Express stands beside a key file.
    CEX_KEY_FILE = "cex-key-file", "cannot use key file with cex";
    why "The key is in the hardware.";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/dasda1", "cex": {"enabled": true}, "keyFile": {"source": "data:,k"}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/dasda1", "cex": {"enabled": true}}]}"#;

    /// A tang server has no thumbprint.
    THUMBPRINT = "tang-thumbprint", "thumbprint is required";
    why "Without it any server that answers at the address would be trusted. `tang-show-keys PORT` on the server prints it.";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"tang": [{"url": "http://tang"}]}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"tang": [{"url": "http://tang", "thumbprint": "UZ8TGqBnXlAJoCDnSvOYnVbp4wc"}]}}]}"#;

    /// The advertisement of a tang server is no JSON.
    ADVERTISEMENT = "tang-advertisement", "advertisement is not valid JSON";
    why "It is what the server answers at /adv, as one string.";
    allowed "JSON as a string";
    wrong top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"tang": [{"url": "http://tang", "thumbprint": "UZ8T", "advertisement": "{payload}"}]}}]}"#;
    mended top r#""storage": {"luks": [{"name": "data", "device": "/dev/vdb", "clevis": {"tang": [{"url": "http://tang", "thumbprint": "UZ8T", "advertisement": "{\"payload\": \"e30\"}"}]}}]}"#;
}

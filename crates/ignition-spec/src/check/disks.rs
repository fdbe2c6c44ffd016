//! Rules of disks, partitions, RAID arrays, LUKS volumes and filesystems.

use std::borrow::Cow;
use std::collections::HashSet;

use super::nodes::{self, path_fault};
use super::resource::{INVALID_SCHEME, INVALID_URL};
use super::{Checker, is_true, non_empty};
use crate::config::{ClevisCustom, Disk, Filesystem, Luks, Partition, Raid, Tang};
use crate::json;
use crate::report::Rule;
use crate::url::{self, Url};

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Rule = Rule { code: $code, text: $text };)*
    };
}
pub(crate) use rules;

rules! {
    /// A device is missing.
    DEVICE_REQUIRED = "device-missing", "disk device is required";
    /// One number for two partitions.
    NUMBERS_COLLIDE = "partition-numbers", "partition numbers collide";
    /// Two partitions share space.
    OVERLAP = "partitions-overlap", "partitions overlap";
    /// One label for two partitions.
    DUPLICATE_LABELS = "partition-labels", "cannot use the same partition label twice";
    /// `shouldExist: false` with attributes.
    SHOULD_NOT_EXIST = "partition-absent-with-options", "shouldExist specified false with other options also specified";
    /// Nothing identifies the partition.
    LABEL_OR_NUMBER = "partition-unnamed", "a partition number >= 1 or a label must be specified";
    /// Label too long for GPT.
    LABEL_TOO_LONG = "partition-label-long", "partition labels may not exceed 36 characters";
    /// A colon in a label.
    LABEL_COLON = "partition-label-colon", "partition label will be truncated to text before the colon";
    /// No GUID.
    GUID = "guid", "doesn't match the form \"01234567-89AB-CDEF-EDCB-A98765432101\"";
    /// No RAID level.
    RAID_LEVEL_REQUIRED = "raid-level-missing", "raid level is required";
    /// Unknown RAID level.
    RAID_LEVEL = "raid-level", "unrecognized raid level";
    /// Spares where there can be none.
    RAID_SPARES = "raid-spares", "spares unsupported for linear and raid0 arrays";
    /// No RAID devices.
    RAID_DEVICES = "raid-devices-missing", "raid devices required";
    /// Unknown filesystem.
    FORMAT = "filesystem-format", "invalid filesystem format";
    /// A label without format.
    LABEL_NEEDS_FORMAT = "filesystem-label-format", "filesystem must specify format if label is specified";
    /// Attributes without format.
    FORMAT_REQUIRED = "filesystem-format-missing",
        "format cannot be empty when path, label, uuid, wipeFilesystem, options, or mountOptions is specified";
    /// Label limit of ext4.
    EXT4_LABEL = "label-ext4", "filesystem labels cannot be longer than 16 characters when using ext4";
    /// Label limit of btrfs.
    BTRFS_LABEL = "label-btrfs", "filesystem labels cannot be longer than 256 characters when using btrfs";
    /// Label limit of xfs.
    XFS_LABEL = "label-xfs", "filesystem labels cannot be longer than 12 characters when using xfs";
    /// Label limit of swap.
    SWAP_LABEL = "label-swap", "filesystem labels cannot be longer than 15 characters when using swap";
    /// Label limit of vfat.
    VFAT_LABEL = "label-vfat", "filesystem labels cannot be longer than 11 characters when using vfat";
    /// virtiofs has no label.
    VIRTIOFS_LABEL = "label-virtiofs", "filesystem labels cannot be set when using virtiofs";
    /// virtiofs needs a tag.
    NO_DEVICE = "virtiofs-tag-missing", "device not specified";
    /// virtiofs limits the tag.
    VIRTIOFS_TAG = "virtiofs-tag-long", "virtiofs device tag cannot be longer than 36 bytes";
    /// virtiofs has no UUID.
    NO_UUID = "virtiofs-uuid", "filesystem uuid cannot be set for non-block-device filesystems";
    /// virtiofs cannot be wiped.
    NO_WIPE = "virtiofs-wipe", "wipeFilesystem cannot be set for non-block-device filesystems";
    /// virtiofs has no mkfs.
    NO_OPTIONS = "virtiofs-options", "filesystem options (mkfs) cannot be set for non-block-device filesystems";
    /// A slash in a name.
    NAME_SLASH = "luks-name-slash", "device names cannot contain slashes";
    /// Label limit of LUKS2.
    LUKS_LABEL = "luks-label-long", "luks device labels cannot be longer than 47 characters";
    /// Custom pin beside others.
    CUSTOM_WITH_OTHERS = "clevis-custom-others", "cannot use custom clevis config with tpm2, tang, or threshold";
    /// No pin.
    PIN_REQUIRED = "clevis-pin-missing", "missing required custom clevis pin";
    /// Unknown pin.
    PIN = "clevis-pin", "unsupported clevis pin";
    /// No configuration.
    CUSTOM_CONFIG = "clevis-config-missing", "missing required custom clevis config";
    /// Key file of an unusable source.
    KEY_FILE = "luks-key-file", "invalid key-file source";
    /// Cex beside clevis.
    CEX_CLEVIS = "cex-clevis", "cannot use cex with clevis";
    /// Cex beside a key file.
    CEX_KEY_FILE = "cex-key-file", "cannot use key file with cex";
    /// No thumbprint.
    THUMBPRINT = "tang-thumbprint", "thumbprint is required";
    /// Advertisement is no JSON.
    ADVERTISEMENT = "tang-advertisement", "advertisement is not valid JSON";
}

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
        Some("raid1" | "1" | "mirror" | "raid4" | "4" | "raid5" | "5" | "raid6" | "6" | "raid10" | "10") => {}
        Some(_) => checker.error(&[&"level"], RAID_LEVEL),
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

/// Rules of a filesystem.
pub fn filesystem(filesystem: &Filesystem, checker: &mut Checker<'_>) {
    if let Some(path) = non_empty(&filesystem.path) {
        nodes::path(checker, "path", path);
    }
    let format = non_empty(&filesystem.format);
    let virtiofs = format == Some("virtiofs") && checker.since(7);
    match (virtiofs, filesystem.device.len()) {
        (true, 0) => checker.error(&[&"device"], NO_DEVICE),
        (true, 37..) => checker.error(&[&"device"], VIRTIOFS_TAG),
        (true, _) => {}
        (false, _) => nodes::path(checker, "device", &filesystem.device),
    }
    let known = match format {
        None if has_attributes(filesystem) => {
            checker.error(&[&"format"], FORMAT_REQUIRED);
            true
        }
        None | Some("ext4" | "btrfs" | "xfs" | "swap" | "vfat") => true,
        Some("none") => checker.since(3),
        Some(_) => virtiofs,
    };
    if !known {
        checker.error(&[&"format"], FORMAT);
    }
    if let Some(rule) = label_fault(filesystem, format, virtiofs) {
        checker.error(&[&"label"], rule);
    }
    if virtiofs {
        virtiofs_rules(filesystem, checker);
    }
}

fn has_attributes(filesystem: &Filesystem) -> bool {
    non_empty(&filesystem.path).is_some()
        || non_empty(&filesystem.label).is_some()
        || non_empty(&filesystem.uuid).is_some()
        || is_true(filesystem.wipe_filesystem)
        || !filesystem.mount_options.is_empty()
        || !filesystem.options.is_empty()
}

fn label_fault(filesystem: &Filesystem, format: Option<&str>, virtiofs: bool) -> Option<Rule> {
    let label = non_empty(&filesystem.label)?;
    let (limit, rule) = match format {
        None => return Some(LABEL_NEEDS_FORMAT),
        Some("ext4") => (16, EXT4_LABEL),
        Some("btrfs") => (256, BTRFS_LABEL),
        Some("xfs") => (12, XFS_LABEL),
        Some("swap") => (15, SWAP_LABEL),
        Some("vfat") => (11, VFAT_LABEL),
        Some(_) if virtiofs => (0, VIRTIOFS_LABEL),
        Some(_) => return None,
    };
    (label.len() > limit).then_some(rule)
}

fn virtiofs_rules(filesystem: &Filesystem, checker: &mut Checker<'_>) {
    if non_empty(&filesystem.uuid).is_some() {
        checker.error(&[&"uuid"], NO_UUID);
    }
    if is_true(filesystem.wipe_filesystem) {
        checker.error(&[&"wipeFilesystem"], NO_WIPE);
    }
    if !filesystem.options.is_empty() {
        checker.error(&[&"options"], NO_OPTIONS);
    }
}

/// Rules of a LUKS volume.
pub fn luks(luks: &Luks, checker: &mut Checker<'_>) {
    if luks.name.contains('/') {
        checker.error(&[&"name"], NAME_SLASH);
    }
    if luks.label.as_ref().is_some_and(|label| label.len() > 47) {
        checker.error(&[&"label"], LUKS_LABEL);
    }
    match non_empty(&luks.device) {
        None => checker.error(&[&"device"], DEVICE_REQUIRED),
        Some(device) => nodes::path(checker, "device", device),
    }
    let clevis = &luks.clevis;
    let pieces = !clevis.tang.is_empty()
        || is_true(clevis.tpm2)
        || clevis.threshold.is_some_and(|threshold| threshold != 0);
    let pin = non_empty(&clevis.custom.pin).is_some();
    // Before 3.3 the section itself counted, whatever was in it; an empty one is not told from none here.
    let custom = if checker.since(3) { pin } else { clevis.custom != ClevisCustom::default() };
    if custom && pieces {
        checker.error(&[&"clevis"], CUSTOM_WITH_OTHERS);
    }
    if non_empty(&luks.key_file.source)
        .is_some_and(|source| url::resource_fault(source, checker.spec).is_some())
    {
        checker.error(&[&"keys"], KEY_FILE);
    }
    if is_true(luks.cex.enabled) && (pin || pieces) {
        checker.error(&[&"cex"], CEX_CLEVIS);
    }
    if is_true(luks.cex.enabled) && non_empty(&luks.key_file.source).is_some() {
        checker.error(&[&"cex"], CEX_KEY_FILE);
    }
}

/// Rules of a custom clevis pin.
pub fn clevis_custom(custom: &ClevisCustom, checker: &mut Checker<'_>) {
    let (pin, config) = (non_empty(&custom.pin), non_empty(&custom.config));
    let network = is_true(custom.needs_network) && checker.since(3);
    if pin.is_none() && config.is_none() && !network {
        return;
    }
    match pin {
        None if checker.since(3) => checker.error(&[&"pin"], PIN_REQUIRED),
        Some("tpm2" | "tang" | "sss") => {}
        _ if checker.since(6) => {}
        _ => checker.error(&[&"pin"], PIN),
    }
    if config.is_none() {
        checker.error(&[&"config"], CUSTOM_CONFIG);
    }
}

/// Rules of a Tang server.
pub fn tang(tang: &Tang, checker: &mut Checker<'_>) {
    match Url::parse(&tang.url) {
        None => checker.error(&[&"url"], INVALID_URL),
        Some(url) if !matches!(url.scheme.as_str(), "http" | "https") => {
            checker.error(&[&"url"], INVALID_SCHEME);
        }
        Some(_) => {}
    }
    if non_empty(&tang.thumbprint).is_none() {
        checker.error(&[&"thumbprint"], THUMBPRINT);
    }
    if non_empty(&tang.advertisement).is_some_and(|text| json::parse(text.as_bytes()).is_err()) {
        checker.error(&[&"advertisement"], ADVERTISEMENT);
    }
}

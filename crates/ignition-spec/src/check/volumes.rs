//! Rules of filesystems and encrypted volumes.

use super::disks::DEVICE_REQUIRED;
use super::nodes;
use super::resource::{INVALID_SCHEME, INVALID_URL};
use super::{Checker, is_true, non_empty};
use crate::config::{ClevisCustom, FORMATS, Filesystem, Luks, Tang};
use crate::json;
use crate::report::Rule;
pub use crate::rules::volumes::*;
use crate::url::{self, Url};

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
        None => true,
        Some(format) => checker.offers(&FORMATS, format),
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

//! Butane's own rules, on the source; Ignition's are checked on the output.

use std::collections::HashSet;

use ignition_spec::check::{Checker, is_true, non_empty};
use ignition_spec::config as ignition;
use ignition_spec::path::Naming;
use ignition_spec::read::{Reader, document};
use ignition_spec::report::{Entry, Report, Rule};
use ignition_spec::version::{Spec, VersionError};
use ignition_spec::{check, json};

use crate::mode;
use crate::source::{
    BootDevice, BootDeviceLuks, BootDeviceMirror, Config, Dropin, File, Filesystem, GrubUser, Resource,
    Storage, Tree, Unit,
};

macro_rules! rules {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        $(pub(crate) const $name: Rule = Rule { code: $code, text: $text };)*
    };
}

rules! {
    TOO_MANY_SOURCES = "sources", "only one of the following can be set: inline, local, source";
    INLINE_CONFIG = "inline-config", "config is not valid";
    INLINE_VERSION = "inline-config-version",
        "skipping validation for the merge/replace ignition config due to an unkown version";
    TOO_MANY_UNIT_SOURCES = "unit-sources", "only one of the following can be set: contents, contents_local";
    DECIMAL_MODE = "mode-decimal",
        "unreasonable mode would be reasonable if specified in octal; remember to add a leading zero";
    MOUNT_NO_PATH = "mount-unit-path", "path is required if with_mount_unit is true and format is not swap";
    MOUNT_NO_FORMAT = "mount-unit-format", "format is required if with_mount_unit is true";
    MOUNT_FORBIDDEN = "mount-unit-place", "path must be under /etc or /var if with_mount_unit is true";
    TREE_NO_LOCAL = "tree-local", "local is required";
    REUSE_BY_LABEL = "partition-reuse",
        "partitions cannot be reused by label; number must be specified except on boot disk (/dev/disk/by-id/coreos-boot-disk) or when wipe_table is true";
    LAYOUT = "boot-layout", "layout must be one of: aarch64, ppc64le, s390x-eckd, s390x-virt, s390x-zfcp, x86_64";
    LAYOUT_LEGACY = "boot-layout", "layout must be one of: aarch64, ppc64le, x86_64";
    MIRROR_LAYOUT = "boot-mirror-layout", "boot_device.layout should be specified when boot_device.mirror is specified";
    MIRROR_ONE = "boot-mirror-devices", "mirroring requires at least two devices";
    MIRROR_S390X = "boot-mirror-s390x", "mirroring not supported on layouts: s390x-eckd, s390x-zfcp, s390x-virt";
    LUKS_DEVICE = "boot-luks-device", "device is required for layouts: s390x-eckd, s390x-zfcp";
    LUKS_DEVICE_NAME = "boot-luks-device-name",
        "device name must start with /dev/dasd on s390x-eckd layout or /dev/sd on s390x-zfcp layout";
    LUKS_METHOD = "boot-luks-method", "no method specified for luks";
    CEX_LAYOUT = "boot-cex-layout", "when using cex the targeted architecture must match s390x";
    GRUB_NAME = "grub-name", "field \"name\" is required";
    GRUB_PASSWORD = "grub-password", "field \"password_hash\" is required";
}

/// The boot disk as FCOS names it.
const BOOT_DISK: &str = "/dev/disk/by-id/coreos-boot-disk";

/// Rules that look across sections; all came with fcos 1.6.
pub(crate) fn config(config: &Config, checker: &mut Checker<'_>) {
    if !checker.since(5) {
        return;
    }
    let mirrored: HashSet<&str> = config.boot_device.mirror.devices.iter().map(String::as_str).collect();
    for (at, disk) in config.storage.disks.iter().enumerate() {
        if disk.device == BOOT_DISK || is_true(disk.wipe_table) || mirrored.contains(disk.device.as_str()) {
            continue;
        }
        for (number, partition) in disk.partitions.iter().enumerate() {
            if partition.number == 0 && partition.label.is_some() {
                checker
                    .warning(&[&"storage", &"disks", &at, &"partitions", &number, &"number"], REUSE_BY_LABEL);
            }
        }
    }
    for (at, filesystem) in config.storage.filesystems.iter().enumerate() {
        let forbidden = |path: &String| {
            let inside = |top: &str| {
                path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            !inside("/etc") && !inside("/var")
        };
        if is_true(filesystem.with_mount_unit) && filesystem.path.as_ref().is_some_and(forbidden) {
            checker.error(&[&"storage", &"filesystems", &at, &"path"], MOUNT_FORBIDDEN);
        }
    }
}

/// A resource has one source.
pub(crate) fn resource(resource: &Resource, checker: &mut Checker<'_>) {
    let given: Vec<&'static str> = [
        ("local", resource.local.is_some()),
        ("inline", resource.inline.is_some()),
        ("source", resource.source.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    if given.len() > 1 {
        let last = if checker.since(1) { given[given.len() - 1] } else { "inline" };
        return checker.error(&[&last], TOO_MANY_SOURCES);
    }
    let of_config = checker.path.to_string().starts_with("$.ignition.config");
    if let Some(text) = resource.inline.as_deref().filter(|_| of_config && checker.since(1)) {
        inline_config(text, checker);
    }
}

/// An inline config that is merged must be valid, unless it is of another version.
fn inline_config(text: &str, checker: &mut Checker<'_>) {
    let spec = checker.spec;
    match judge(text, spec) {
        Err(inner) => {
            pass_on(inner, checker);
            checker.error(&[&"inline"], INLINE_CONFIG);
        }
        Ok(None) => checker.warning(&[&"version"], INLINE_VERSION),
        Ok(Some(inner)) => pass_on(inner, checker),
    }
}

/// What is wrong with the Ignition config `text` by the rules of `spec`; nothing when it is of another version.
fn judge(text: &str, spec: Spec) -> Result<Option<Report>, Report> {
    let tree = json::parse(text.as_bytes())?;
    let mut reader = Reader::new(Naming::Camel, spec, &[]);
    let config: ignition::Config = document(&tree, &mut reader);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let version = Spec::parse(&config.ignition.version);
    if version == Err(VersionError::Unsupported) || version.is_ok_and(|version| version != spec) {
        return Ok(None);
    }
    let mut report = check::validate(&config, spec);
    report.entries.append(&mut reader.warnings.entries);
    ignition_spec::Positions::of(&tree, true).locate(&mut report);
    Ok(Some(report))
}

/// Reports the entries about an inline config at the place of the inline text.
fn pass_on(inner: Report, checker: &mut Checker<'_>) {
    let path = checker.path.join(&[&"inline"]);
    for entry in inner.entries {
        let message = format!("in the inline config: {entry}");
        checker.push(Entry { path: path.clone(), position: None, message: message.into(), ..entry });
    }
}

/// Directories are Ignition's own section, so their modes are looked at from here.
pub(crate) fn storage(storage: &Storage, checker: &mut Checker<'_>) {
    for (at, directory) in storage.directories.iter().enumerate() {
        if directory.mode.is_some_and(|mode| mode::looks_decimal(mode, true)) {
            checker.warning(&[&"directories", &at, &"mode"], DECIMAL_MODE);
        }
    }
}

/// A mode is in octal.
pub(crate) fn file(file: &File, checker: &mut Checker<'_>) {
    if file.mode.is_some_and(|mode| mode::looks_decimal(mode, false)) {
        checker.warning(&[&"mode"], DECIMAL_MODE);
    }
}

/// What a mount unit needs. Swap units came with 3.3.
pub(crate) fn filesystem(filesystem: &Filesystem, checker: &mut Checker<'_>) {
    if !is_true(filesystem.with_mount_unit) {
        return;
    }
    let no_path = non_empty(&filesystem.path).is_none();
    let format = non_empty(&filesystem.format);
    let needs_path = if checker.since(3) { format.is_some_and(|format| format != "swap") } else { true };
    if no_path && needs_path {
        checker.error(&[&"path"], MOUNT_NO_PATH);
    }
    if format.is_none() {
        checker.error(&[&"format"], MOUNT_NO_FORMAT);
    }
}

/// A tree has a folder.
pub(crate) fn tree(tree: &Tree, checker: &mut Checker<'_>) {
    if tree.local.is_empty() {
        checker.error(&[], TREE_NO_LOCAL);
    }
}

/// A unit has one source.
pub(crate) fn unit(unit: &Unit, checker: &mut Checker<'_>) {
    if unit.contents.is_some() && unit.contents_local.is_some() {
        checker.error(&[&"contents_local"], TOO_MANY_UNIT_SOURCES);
    }
}

/// A drop-in has one source.
pub(crate) fn dropin(dropin: &Dropin, checker: &mut Checker<'_>) {
    if dropin.contents.is_some() && dropin.contents_local.is_some() {
        checker.error(&[&"contents_local"], TOO_MANY_UNIT_SOURCES);
    }
}

/// Layouts, and what goes with which.
pub(crate) fn boot_device(device: &BootDevice, checker: &mut Checker<'_>) {
    let mirror = !device.mirror.devices.is_empty();
    if mirror && device.layout.is_none() {
        match checker.since(6) {
            true => checker.error(&[&"mirror"], MIRROR_LAYOUT),
            false => checker.warning(&[&"mirror"], MIRROR_LAYOUT),
        }
    }
    if let Some(layout) = &device.layout {
        boot_layout(layout, device, checker);
        if layout.starts_with("s390x") && mirror && checker.since(5) {
            checker.error(&[&"layout"], MIRROR_S390X);
        }
    }
    let luks = &device.luks;
    if is_true(luks.cex.enabled) {
        match &device.layout {
            None => checker.error(&[&"luks", &"cex"], CEX_LAYOUT),
            Some(layout) if !layout.starts_with("s390x") => checker.error(&[&"layout"], CEX_LAYOUT),
            Some(_) => {}
        }
        if !luks.tang.is_empty() || is_true(luks.tpm2) {
            checker.error(&[&"luks"], check::volumes::CEX_CLEVIS);
        }
    }
    // Upstream calls this rule here, and its walk calls it again.
    if device.mirror.devices.len() == 1 {
        checker.error(&[&"mirror", &"devices"], MIRROR_ONE);
    }
}

fn boot_layout(layout: &str, device: &BootDevice, checker: &mut Checker<'_>) {
    let disk_stem = match layout {
        "aarch64" | "ppc64le" | "x86_64" => return,
        _ if !checker.since(5) => return checker.error(&[&"layout"], LAYOUT_LEGACY),
        "s390x-virt" => return,
        "s390x-eckd" => "/dev/dasd",
        "s390x-zfcp" => "/dev/sd",
        _ => return checker.error(&[&"layout"], LAYOUT),
    };
    match non_empty(&device.luks.device) {
        None => checker.error(&[&"layout"], LUKS_DEVICE),
        Some(disk) => {
            // The name may stand anywhere before its letter, as upstream's pattern has it.
            let letter = disk.ends_with(|char: char| char.is_ascii_lowercase());
            if !letter || !disk[..disk.len() - 1].ends_with(disk_stem) {
                checker.error(&[&"layout"], LUKS_DEVICE_NAME);
            }
        }
    }
}

/// A LUKS device needs a way to unlock it.
pub(crate) fn boot_device_luks(luks: &BootDeviceLuks, checker: &mut Checker<'_>) {
    if non_empty(&luks.device).is_none() || !checker.since(6) {
        return;
    }
    let tang = luks.tang.iter().any(|tang| *tang != ignition::Tang::default());
    if !tang && !is_true(luks.tpm2) && !is_true(luks.cex.enabled) {
        checker.error(&[&"luks"], LUKS_METHOD);
    }
}

/// A mirror has two sides.
pub(crate) fn boot_device_mirror(mirror: &BootDeviceMirror, checker: &mut Checker<'_>) {
    if mirror.devices.len() == 1 {
        checker.error(&[&"devices"], MIRROR_ONE);
    }
}

/// A user of the boot loader has a name and a password.
pub(crate) fn grub_user(user: &GrubUser, checker: &mut Checker<'_>) {
    if user.name.is_empty() {
        checker.error(&[&"name"], GRUB_NAME);
    }
    if non_empty(&user.password_hash).is_none() {
        checker.error(&[&"password_hash"], GRUB_PASSWORD);
    }
}

//! `boot_device` (mirrored or encrypted boot disk), `grub`, and the warnings about partitions of the boot disk.

use ignition_spec::Config;
use ignition_spec::check::is_true;
use ignition_spec::config::{Clevis, Disk, File, Filesystem, Luks, Partition, Raid, Resource};
use ignition_spec::report::{Entry, Rule};

use crate::dataurl;
use crate::fields::{BootDevice, Grub};
use crate::origins::Origins;
use crate::rules::{ROOT_CONSTRAINED, ROOT_SMALL, WRONG_NUMBER};
use crate::translate::Translator;

const RESERVED_TYPE: &str = "8DA63339-0007-60C0-C436-083AC8230908";
const BIOS_TYPE: &str = "21686148-6449-6E6F-744E-656564454649";
const PREP_TYPE: &str = "9E1A2D38-C612-4316-AA26-8B49521E5A8B";
const ESP_TYPE: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/// Sizes of the partitions that FCOS images have before root; a mirror must not make them smaller.
const BIOS_MIB: i64 = 1;
const RESERVED_MIB: i64 = 1;
const PREP_MIB: i64 = 4;
const ESP_MIB: i64 = 127;
const BOOT_MIB: i64 = 384;

/// Adds what the boot device and the boot loader need.
pub(crate) fn add(translator: &mut Translator<'_>, config: &mut Config, device: &BootDevice, grub: &Grub) {
    let text = translator.text;
    if let Some((generated, origins)) = boot_device(device, text) {
        *config = translator.merge_over(&generated, origins, config);
    }
    partition_warnings(translator, config);
    if !grub.users.is_empty() {
        let (generated, origins) = grub_config(grub, translator.compress, text);
        *config = translator.merge_over(&generated, origins, config);
    }
}

fn boot_device(device: &BootDevice, text: usize) -> Option<(Config, Origins)> {
    let luks = &device.luks;
    let encrypted = is_true(luks.tpm2) || !luks.tang.is_empty() || is_true(luks.cex.enabled);
    let mirrored = !device.mirror.devices.is_empty();
    if !encrypted && !mirrored {
        return None;
    }
    let mut config = Config::default();
    let mut origins = Origins::of(text);
    origins.whole("$.storage", "$.boot_device");
    if mirrored {
        mirror(device, &mut config, &mut origins);
    }
    if encrypted {
        config.storage.luks.push(root_luks(device, mirrored));
        origins.whole("$.storage.luks", "$.boot_device.luks");
        origins.moved("$.storage.luks.0.clevis", "$.boot_device.luks");
        origins.moved("$.storage.luks.0.discard", "$.boot_device.luks.discard");
        origins.moved("$.storage.luks.0.cex", "$.boot_device.luks.cex");
    }
    let root = if encrypted { "/dev/mapper/root" } else { "/dev/md/md-root" };
    config.storage.filesystems.push(filesystem(root, "xfs", "root"));
    Some((config, origins))
}

/// Equal partitions on each disk, boot and root as RAID 1.
fn mirror(device: &BootDevice, config: &mut Config, origins: &mut Origins) {
    let storage = &mut config.storage;
    let layout = device.layout.as_deref().unwrap_or("x86_64");
    for (at, disk) in device.mirror.devices.iter().enumerate() {
        let number = at + 1;
        let source = format!("$.boot_device.mirror.devices.{at}");
        origins.whole(format!("$.storage.disks.{}", storage.disks.len()), &source);
        storage.disks.push(Disk {
            device: disk.clone(),
            partitions: mirror_partitions(layout, number),
            wipe_table: Some(true),
        });
        if has_esp(layout) {
            origins.whole(format!("$.storage.filesystems.{}", storage.filesystems.len()), &source);
            let label = format!("esp-{number}");
            storage.filesystems.push(filesystem(&format!("/dev/disk/by-partlabel/{label}"), "vfat", &label));
        }
    }
    origins.whole("$.storage.disks", "$.boot_device.mirror.devices");
    origins.whole("$.storage.raid", "$.boot_device.mirror");
    let members = |label: &str| {
        (1..=device.mirror.devices.len())
            .map(|number| format!("/dev/disk/by-partlabel/{label}-{number}"))
            .collect()
    };
    let raid = |name: &str, label: &str, options| Raid {
        name: name.into(),
        level: Some("raid1".into()),
        devices: members(label),
        options,
        spares: None,
    };
    // Metadata 1.0 is at the end, so that a BIOS boot loader sees a plain filesystem.
    storage.raid =
        vec![raid("md-boot", "boot", vec!["--metadata=1.0".into()]), raid("md-root", "root", Vec::new())];
    origins.whole(format!("$.storage.filesystems.{}", storage.filesystems.len()), "$.boot_device.mirror");
    storage.filesystems.push(filesystem("/dev/md/md-boot", "ext4", "boot"));
}

fn has_esp(layout: &str) -> bool {
    matches!(layout, "x86_64" | "aarch64")
}

fn mirror_partitions(layout: &str, number: usize) -> Vec<Partition> {
    let partition = |label: &str, size: Option<i64>, kind: Option<&str>| Partition {
        label: Some(format!("{label}-{number}")),
        size_mib: size,
        type_guid: kind.map(Into::into),
        ..Partition::default()
    };
    let reserved = || partition("reserved", Some(RESERVED_MIB), Some(RESERVED_TYPE));
    let first = match layout {
        "x86_64" => partition("bios", Some(BIOS_MIB), Some(BIOS_TYPE)),
        "ppc64le" => partition("prep", Some(PREP_MIB), Some(PREP_TYPE)),
        _ => reserved(),
    };
    let second = if has_esp(layout) { partition("esp", Some(ESP_MIB), Some(ESP_TYPE)) } else { reserved() };
    vec![first, second, partition("boot", Some(BOOT_MIB), None), partition("root", None, None)]
}

fn filesystem(device: &str, format: &str, label: &str) -> Filesystem {
    Filesystem {
        device: device.into(),
        format: Some(format.into()),
        label: Some(label.into()),
        wipe_filesystem: Some(true),
        ..Filesystem::default()
    }
}

fn root_luks(device: &BootDevice, mirrored: bool) -> Luks {
    let luks = &device.luks;
    let disk = luks.device.as_deref().unwrap_or_default();
    let backing = match device.layout.as_deref() {
        Some("s390x-eckd") => format!("{disk}2"),
        Some("s390x-zfcp") => format!("{disk}4"),
        _ if mirrored => "/dev/md/md-root".into(),
        _ => "/dev/disk/by-partlabel/root".into(),
    };
    let mut root = Luks {
        device: Some(backing),
        discard: luks.discard,
        label: Some("luks-root".into()),
        name: "root".into(),
        wipe_volume: Some(true),
        ..Luks::default()
    };
    if is_true(luks.cex.enabled) {
        root.cex = luks.cex.clone();
    } else {
        root.clevis = Clevis {
            tang: luks.tang.clone(),
            threshold: luks.threshold,
            tpm2: luks.tpm2,
            ..Clevis::default()
        };
    }
    root
}

/// Warnings about partitions that carry the labels of the image's own.
fn partition_warnings(translator: &mut Translator<'_>, config: &Config) {
    let mut found = Vec::new();
    for (at, disk) in config.storage.disks.iter().enumerate() {
        for (number, partition) in disk.partitions.iter().enumerate() {
            let Some(label) = partition.label.as_deref() else { continue };
            let path = format!("$.storage.disks.{at}.partitions.{number}");
            // These came with fcos 1.3.
            if label == "root" && translator.dialect.fcos() >= Some(3) {
                found.extend(root_size(disk, number).map(|(rule, key)| (rule, format!("{path}.{key}"))));
            }
            let own = match label {
                "BIOS-BOOT" | "PowerPC-PReP-boot" => 1,
                "EFI-SYSTEM" => 2,
                "boot" => 3,
                "root" => 4,
                _ => continue,
            };
            if !is_true(disk.wipe_table) && partition.number != own {
                found.push((WRONG_NUMBER, format!("{path}.label")));
            }
        }
    }
    for (rule, path) in found {
        translator.report_output(Entry::warning(rule, path));
    }
}

fn root_size(disk: &Disk, root: usize) -> Option<(Rule, &'static str)> {
    match disk.partitions[root].size_mib.unwrap_or(0) {
        0 => {
            let automatic = |other: &Partition| other.start_mib.unwrap_or(0) == 0;
            let followed =
                disk.partitions.iter().enumerate().any(|(at, other)| at != root && automatic(other));
            followed.then_some((ROOT_CONSTRAINED, "label"))
        }
        size if size < 8192 => Some((ROOT_SMALL, "sizeMiB")),
        _ => None,
    }
}

/// Users of the boot loader, appended to its configuration.
fn grub_config(grub: &Grub, compress: bool, text: usize) -> (Config, Origins) {
    let names: Vec<&str> = grub.users.iter().map(|user| user.name.as_str()).collect();
    let commands: Vec<String> = grub
        .users
        .iter()
        .map(|user| {
            format!("password_pbkdf2 {} {}", user.name, user.password_hash.as_deref().unwrap_or_default())
        })
        .collect();
    let commands =
        format!("# Generated by Butane\n\nset superusers=\"{}\"\n{}\n", names.join(" "), commands.join("\n"));
    let (url, compression) = dataurl::encode(commands.as_bytes(), None, compress);
    let mut config = Config::default();
    config.storage.filesystems.push(Filesystem {
        device: "/dev/disk/by-label/boot".into(),
        format: Some("ext4".into()),
        path: Some("/boot".into()),
        ..Filesystem::default()
    });
    let append =
        Resource { source: Some(url), compression: compression.map(Into::into), ..Resource::default() };
    config.storage.files.push(File {
        path: "/boot/grub2/user.cfg".into(),
        append: vec![append],
        ..File::default()
    });
    let mut origins = Origins::of(text);
    origins.whole("$.storage", "$.grub.users");
    (config, origins)
}

//! The machine's block devices, and the names that configs use for them.
//!
//! `/dev/disk/by-*` links are udev's work. Where no udev runs (initramfs, tests) or it has not come that far, the
//! same names are worked out from sysfs and superblocks: by-label, by-uuid, by-partlabel, by-partuuid, and by-id for
//! virtio disks with a serial.

use std::io;
use std::path::{Path, PathBuf};

use crate::gpt;
use crate::probe::{self, Signature};

/// A device cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct DevicesError {
    /// What was tried.
    pub action: &'static str,
    /// The file of sysfs or the device node.
    pub path: PathBuf,
    /// The kernel's answer.
    #[source]
    pub source: io::Error,
}

/// One block device as sysfs tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The kernel's name, `vda1`.
    pub name: String,
    /// Its node, `/dev/vda1`.
    pub node: PathBuf,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Logical sector size of the disk in bytes.
    pub sector_bytes: u64,
    /// For a partition: the kernel's name of the disk, and the partition's number.
    pub part_of: Option<(String, u32)>,
    /// For a partition: first byte on the disk.
    pub start_bytes: u64,
    /// Label of the partition in a GPT.
    pub part_label: Option<String>,
    /// UUID of the partition, lower case, where the kernel tells it.
    pub part_uuid: Option<String>,
    /// Serial number of the disk.
    pub serial: Option<String>,
    /// Whether the kernel refuses writes.
    pub read_only: bool,
    /// Names of devices that are built on this one.
    pub holders: Vec<String>,
    /// For a device of the device mapper: its name below `/dev/mapper`.
    pub mapper_name: Option<String>,
}

/// Where devices and what sysfs says of them are found.
#[derive(Debug, Clone)]
pub struct Devices {
    /// `/dev`.
    pub dev: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
}

impl Default for Devices {
    fn default() -> Self {
        Self { dev: "/dev".into(), sys: "/sys".into() }
    }
}

impl Devices {
    /// All block devices with a size, by name.
    ///
    /// # Errors
    /// When sysfs cannot be read.
    pub fn list(&self) -> Result<Vec<Device>, DevicesError> {
        let class = self.sys.join("class/block");
        let failed = |source| DevicesError { action: "list", path: class.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&class).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        // A device may go away while the list is read.
        Ok(names.iter().filter_map(|name| self.device(name)).filter(|device| device.size_bytes > 0).collect())
    }

    /// The device of a node or a link to one: `/dev/vda1`, `/dev/disk/by-label/data`. `None` when there is none (yet).
    ///
    /// # Errors
    /// When sysfs cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Device>, DevicesError> {
        let below_dev = name.strip_prefix("/dev/").map(|rest| self.dev.join(rest));
        let path = below_dev.clone().unwrap_or_else(|| PathBuf::from(name));
        if let Ok(node) = path.canonicalize()
            && let Some(device) = self.of_node(&node)
        {
            return Ok(Some(device));
        }
        if let Some(name) = name.strip_prefix("/dev/mapper/") {
            return Ok(self.list()?.into_iter().find(|device| device.mapper_name.as_deref() == Some(name)));
        }
        let Some((kind, value)) = name.strip_prefix("/dev/disk/").and_then(|rest| rest.split_once('/'))
        else {
            return Ok(None);
        };
        let value = unescape(value);
        let devices = self.list()?;
        Ok(devices.into_iter().find(|device| self.matches(device, kind, &value)))
    }

    /// The node of partition `number` of a disk.
    pub fn partition_node(&self, disk: &Device, number: u32) -> PathBuf {
        let digit = disk.name.ends_with(|last: char| last.is_ascii_digit());
        self.dev.join(format!("{}{}{number}", disk.name, if digit { "p" } else { "" }))
    }

    /// Signatures on a device.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub fn probe(&self, device: &Device) -> Result<Vec<Signature>, DevicesError> {
        let failed = |action| move |source| DevicesError { action, path: device.node.clone(), source };
        let file = std::fs::File::open(&device.node).map_err(failed("open"))?;
        probe::probe(&file, device.size_bytes).map_err(failed("read"))
    }

    /// The device of a node by the node's name, or by its number where libdevmapper has made it without udev.
    fn of_node(&self, node: &Path) -> Option<Device> {
        use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
        if let Some(device) = node.file_name().and_then(|kernel| self.device(&kernel.to_string_lossy())) {
            return Some(device);
        }
        let status = node.metadata().ok().filter(|status| status.file_type().is_block_device())?;
        let (major, minor) = (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
        let link = self.sys.join(format!("dev/block/{major}:{minor}")).canonicalize().ok()?;
        self.device(&link.file_name()?.to_string_lossy())
    }

    fn matches(&self, device: &Device, kind: &str, value: &str) -> bool {
        match kind {
            "by-partlabel" => match &device.part_label {
                Some(label) => label == value,
                None => self.gpt_entry(device).is_some_and(|entry| entry.name == value),
            },
            "by-partuuid" => match &device.part_uuid {
                Some(uuid) => uuid.eq_ignore_ascii_case(value),
                None => self
                    .gpt_entry(device)
                    .is_some_and(|entry| entry.id.to_string().eq_ignore_ascii_case(value)),
            },
            "by-label" | "by-uuid" => self.probe(device).is_ok_and(|found| {
                found.iter().any(|signature| match kind {
                    "by-label" => signature.label.as_deref() == Some(value),
                    _ => signature.uuid.as_deref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(value)),
                })
            }),
            "by-id" => self.has_id(device, value),
            _ => false,
        }
    }

    /// The partition's entry in its disk's table, for kernels that do not tell what is in it.
    fn gpt_entry(&self, device: &Device) -> Option<gpt::Partition> {
        let (disk, number) = device.part_of.as_ref()?;
        let disk = self.device(disk)?;
        let file = std::fs::File::open(&disk.node).ok()?;
        let sector_bytes = u32::try_from(disk.sector_bytes).ok()?;
        let table = gpt::read(&file, sector_bytes, disk.size_bytes / disk.sector_bytes).ok()?;
        table.partitions.into_iter().find(|entry| entry.number == *number)
    }

    /// `virtio-SERIAL` and `virtio-SERIAL-partN`, as udev's 60-persistent-storage.rules makes them.
    fn has_id(&self, device: &Device, value: &str) -> bool {
        let (disk, suffix) = match &device.part_of {
            Some((disk, number)) => (self.device(disk), format!("-part{number}")),
            None => (Some(device.clone()), String::new()),
        };
        disk.and_then(|disk| disk.serial).is_some_and(|serial| value == format!("virtio-{serial}{suffix}"))
    }

    fn device(&self, name: &str) -> Option<Device> {
        let dir = self.sys.join("class/block").join(name);
        let read =
            |file: &str| std::fs::read_to_string(dir.join(file)).ok().map(|text| text.trim().to_owned());
        let number = |file: &str| read(file).and_then(|text| text.parse::<u64>().ok());
        let size_bytes = number("size")? * 512;
        let partition = number("partition").and_then(|number| u32::try_from(number).ok());
        // The links of sysfs are the tree: a partition's folder lies in its disk's.
        let disk_dir =
            if partition.is_some() { dir.canonicalize().ok()?.parent()?.to_owned() } else { dir.clone() };
        let disk_name = disk_dir.file_name()?.to_string_lossy().into_owned();
        let uevent = read("uevent").unwrap_or_default();
        let told = |key: &str| {
            uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
        };
        let of_disk = |file: &str| trimmed(&disk_dir.join(file));
        Some(Device {
            name: name.to_owned(),
            node: self.dev.join(told("DEVNAME").unwrap_or_else(|| name.to_owned())),
            size_bytes,
            sector_bytes: of_disk("queue/logical_block_size")
                .and_then(|text| text.parse().ok())
                .unwrap_or(512),
            part_of: partition.map(|number| (disk_name, number)),
            start_bytes: number("start").unwrap_or(0) * 512,
            part_label: told("PARTNAME"),
            part_uuid: told("PARTUUID"),
            serial: of_disk("serial")
                .or_else(|| of_disk("device/serial"))
                .filter(|serial| !serial.is_empty()),
            read_only: number("ro") == Some(1),
            holders: names_in(&dir.join("holders")),
            mapper_name: read("dm/name"),
        })
    }
}

fn trimmed(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Undoes udev's `\x20` form in link names.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'\\' && tail.first() == Some(&b'x'))
            .then(|| tail.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok()))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udev_names() {
        assert_eq!(unescape("EFI\\x20System"), "EFI System");
        assert_eq!(unescape("a\\xzz\\"), "a\\xzz\\");
    }
}

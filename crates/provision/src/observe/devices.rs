//! Block devices that the config names.

use std::path::Path;

use block::devices::Devices;
use ignition_spec::Config;

use super::{Content, Device, ObserveError, Observed};

pub(super) fn observe(
    config: &Config,
    devices: &Devices,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    let storage = &config.storage;
    if storage.disks.is_empty() && storage.filesystems.is_empty() {
        return Ok(());
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let of_disks = storage.disks.iter().map(|disk| (&disk.device, true));
    for (name, is_disk) in of_disks.chain(storage.filesystems.iter().map(|fs| (&fs.device, false))) {
        let Some(found) = devices.find(name)? else { continue };
        let contents = devices.probe(&found)?.into_iter().map(|signature| Content {
            kind: signature.kind.name().to_owned(),
            label: signature.label,
            uuid: signature.uuid,
        });
        let mut used_by: Vec<String> = found.holders.iter().map(|holder| format!("/dev/{holder}")).collect();
        let whole_and_parts = devices.list()?.into_iter().filter(|device| {
            device.name == found.name
                || is_disk && device.part_of.as_ref().is_some_and(|(disk, _)| *disk == found.name)
        });
        for part in whole_and_parts {
            used_by.extend(mounted_at(&mounts, &part.node));
            used_by.extend(is_swap(&swaps, &part.node).then(|| "swap".to_owned()));
        }
        let device = Device {
            node: found.node.display().to_string(),
            size_bytes: found.size_bytes,
            contents: contents.collect(),
            used_by,
            read_only: found.read_only,
            table: if is_disk { block::partition::read(&found)? } else { None },
            sector_bytes: found.sector_bytes,
        };
        observed.devices.insert(name.clone(), device);
    }
    Ok(())
}

/// Mount points of a node in a proc_pid_mountinfo(5).
fn mounted_at(mountinfo: &str, node: &Path) -> Vec<String> {
    let mount = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let source = tail.split(' ').nth(1)?;
        let target = head.split(' ').nth(4)?;
        (Path::new(source) == node).then(|| target.to_owned())
    };
    mountinfo.lines().filter_map(mount).collect()
}

fn is_swap(swaps: &str, node: &Path) -> bool {
    swaps.lines().any(|line| line.split_whitespace().next().is_some_and(|first| Path::new(first) == node))
}

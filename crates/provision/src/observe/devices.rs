//! Block devices that the config names.

use std::path::Path;

use block::devices::Devices;
use block::partition::PartitionTableError;
use ignition_spec::Config;

use super::{Content, Device, LuksHeader, ObserveError, Observed};

pub(super) fn observe(
    config: &Config,
    devices: &Devices,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    let names = crate::plan::device_names(config);
    if names.is_empty() {
        return Ok(());
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    for (name, is_disk) in names {
        let Some(found) = devices.find(name)? else { continue };
        if observed.devices.contains_key(name) && !is_disk {
            continue;
        }
        let device = look(&found, is_disk, devices, (&mounts, &swaps))?;
        observed.devices.insert(name.to_owned(), device);
    }
    Ok(())
}

fn look(
    found: &block::devices::Device,
    is_disk: bool,
    devices: &Devices,
    (mounts, swaps): (&str, &str),
) -> Result<Device, ObserveError> {
    let users = |device: &block::devices::Device| {
        let mut users: Vec<String> = device.holders.iter().map(|holder| format!("/dev/{holder}")).collect();
        users.extend(mounted_at(mounts, &device.node));
        users.extend(is_swap(swaps, &device.node).then(|| "swap".to_owned()));
        users
    };
    let contents: Vec<Content> = devices
        .probe(found)?
        .into_iter()
        .map(|signature| Content {
            kind: signature.kind.name().to_owned(),
            label: signature.label,
            uuid: signature.uuid,
        })
        .collect();
    let mut device = Device {
        node: found.node.display().to_string(),
        size_bytes: found.size_bytes,
        used_by: users(found),
        read_only: found.read_only,
        sector_bytes: found.sector_bytes,
        luks: contents.iter().any(|content| content.kind == "crypto_LUKS").then(|| luks_header(&found.node)),
        contents,
        ..Device::default()
    };
    if is_disk {
        for part in devices.list()? {
            if let Some((disk, number)) = &part.part_of
                && *disk == found.name
                && let users = users(&part)
                && !users.is_empty()
            {
                device.parts_in_use.insert(*number, users);
            }
        }
        match block::partition::read(found) {
            Ok(table) => device.table = table,
            Err(PartitionTableError::Damaged(damage)) => device.table_damage = Some(damage),
            Err(PartitionTableError::Devices(error)) => return Err(error.into()),
        }
    }
    Ok(device)
}

/// Length of the binary header before the JSON of LUKS2 (LUKS2 on-disk format, section 2.1).
const LUKS_HEADER_BYTES: usize = 4096;
/// The default and smallest metadata area; the flags come early in it.
const LUKS_AREA_BYTES: usize = 16 * 1024;

fn luks_header(node: &Path) -> LuksHeader {
    let mut area = vec![0; LUKS_AREA_BYTES];
    let read = std::fs::File::open(node)
        .and_then(|file| std::os::unix::fs::FileExt::read_exact_at(&file, &mut area, 0));
    match read {
        Ok(()) => parse_luks(&area),
        Err(_) => LuksHeader::default(),
    }
}

/// Version and flags from the start of a LUKS device. Metadata that cannot be read has no flags.
pub(crate) fn parse_luks(area: &[u8]) -> LuksHeader {
    let version = area.get(6..8).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let json = area.get(LUKS_HEADER_BYTES..).unwrap_or_default();
    let end = json.iter().position(|byte| *byte == 0).unwrap_or(json.len());
    let value: serde_json::Value = serde_json::from_slice(&json[..end]).unwrap_or_default();
    let flags = value["config"]["flags"].as_array().into_iter().flatten();
    LuksHeader { version, flags: flags.filter_map(|flag| flag.as_str()).map(str::to_owned).collect() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_luks_header() {
        let mut area = vec![0; LUKS_AREA_BYTES];
        area[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
        let json = br#"{"segments":{"0":{"flags":["x"]}},"config":{"json_size":"12288","flags":["allow-discards"]}}"#;
        area[4096..4096 + json.len()].copy_from_slice(json);
        assert_eq!(parse_luks(&area), LuksHeader { version: 2, flags: vec!["allow-discards".into()] });
        area[7] = 1;
        area[4096] = b'!';
        assert_eq!(parse_luks(&area), LuksHeader { version: 1, flags: Vec::new() });
        assert_eq!(parse_luks(b"LUKS"), LuksHeader::default());
    }
}

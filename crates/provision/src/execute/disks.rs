//! Partition tables, file systems, mounts.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use block::devices::Device;
use block::gpt::{self, GptError, Guid};
use block::partition::Table;
use linux::disk::{Change, change_partition, reread_partitions};
use rustix::mount::{MountFlags, UnmountFlags};

use super::{Env, StepError};
use crate::root::Attributes;

/// How often a device is looked for while it is waited for.
const POLL: Duration = Duration::from_millis(50);

/// Number, first byte and length in bytes of a partition.
type Extent = (u32, u64, u64);

/// Waits for a device of the config.
pub(crate) fn wait_for(name: &str, env: &Env<'_>) -> Result<Device, StepError> {
    let clock = env.net.clock;
    let until = clock.elapsed() + env.device_timeout;
    loop {
        if let Some(device) = env.devices.find(name)? {
            return Ok(device);
        }
        if clock.elapsed() >= until {
            return Err(StepError::NoDevice { device: name.to_owned() });
        }
        clock.sleep(POLL);
    }
}

pub(super) fn partition(node: &str, after: &Table, env: &Env<'_>) -> Result<(), StepError> {
    let failed = |action| move |source| StepError::Device { action, device: node.to_owned(), source };
    let disk = wait_for(node, env)?;
    let file = OpenOptions::new().read(true).write(true).open(&disk.node).map_err(failed("open"))?;
    let sector_bytes = u32::try_from(disk.sector_bytes).unwrap_or(512);
    let sectors = disk.size_bytes / disk.sector_bytes;
    let table = match gpt::read(&file, sector_bytes, sectors) {
        Ok(table) => table,
        Err(GptError::Missing) => gpt::Table::new(random_guid()?, sector_bytes, sectors)?,
        Err(error) => return Err(error.into()),
    };
    let table = with_partitions(table, after, sectors)?;
    gpt::write(&file, &table)?;
    tell_kernel(&file, &disk, after, env).map_err(failed("make the kernel read the partition table of"))?;
    Ok(())
}

/// The model to write: what stays keeps its GUID and attributes, what is new gets a random GUID.
fn with_partitions(mut table: gpt::Table, after: &Table, sectors: u64) -> Result<gpt::Table, StepError> {
    let guid = |text: &str| text.parse::<Guid>();
    let mut parts = Vec::new();
    for part in &after.partitions {
        let old =
            table.partitions.iter().find(|old| old.number == part.number && old.id.to_string() == part.guid);
        let id = match guid(&part.guid) {
            Ok(id) => id,
            Err(_) => random_guid()?,
        };
        parts.push(gpt::Partition {
            number: part.number,
            kind: guid(&part.type_guid).unwrap_or(Guid::LINUX),
            id,
            first: part.first,
            last: part.last,
            attributes: old.map_or(0, |old| old.attributes),
            name: part.label.clone(),
        });
    }
    table.partitions = parts;
    table.set_disk_sectors(sectors)?;
    Ok(table)
}

/// A GUID of version 4, variant 1 (RFC 9562 section 5.4).
fn random_guid() -> Result<Guid, StepError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|errno| {
        StepError::Device {
            action: "draw random numbers for",
            device: "a partition".into(),
            source: errno.into(),
        }
    })?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(Guid(bytes))
}

/// Has the kernel know exactly the partitions of the table: by reading it, or one by one where it does not read
/// (loop devices without partition scan, kernels without GPT) or where a partition is in use. What only got another
/// length is resized in place.
fn tell_kernel(file: &File, disk: &Device, after: &Table, env: &Env<'_>) -> io::Result<()> {
    let _ = reread_partitions(file);
    let known = known_partitions(disk, env)?;
    let wanted: Vec<Extent> = after
        .partitions
        .iter()
        .map(|part| {
            let length = (part.last + 1 - part.first) * after.sector_bytes;
            (part.number, part.first * after.sector_bytes, length)
        })
        .collect();
    let resized =
        |part: &Extent| known.iter().any(|old| (old.0, old.1) == (part.0, part.1) && old.2 != part.2);
    let stays = |old: &Extent| wanted.iter().any(|part| (part.0, part.1) == (old.0, old.1));
    for (number, start, length) in known.iter().filter(|old| !stays(old)) {
        change_partition(file, Change::Delete, *number, *start, *length)?;
    }
    // Smaller ones first: they make room for others.
    let shrinks = |part: &&Extent| known.iter().any(|old| old.0 == part.0 && old.2 > part.2);
    let (smaller, larger): (Vec<&Extent>, Vec<&Extent>) =
        wanted.iter().filter(|part| resized(part)).partition(shrinks);
    for (number, start, length) in smaller.into_iter().chain(larger) {
        change_partition(file, Change::Resize, *number, *start, *length)?;
    }
    for (number, start, length) in
        wanted.iter().filter(|part| !known.iter().any(|old| old.0 == part.0 && old.1 == part.1))
    {
        change_partition(file, Change::Add, *number, *start, *length)?;
    }
    let mut now = known_partitions(disk, env)?;
    let mut wanted = wanted;
    now.sort_unstable();
    wanted.sort_unstable();
    if now == wanted { Ok(()) } else { Err(io::Error::other("the kernel still sees other partitions")) }
}

fn known_partitions(disk: &Device, env: &Env<'_>) -> io::Result<Vec<Extent>> {
    let devices = env.devices.list().map_err(io::Error::other)?;
    let of_disk = devices.into_iter().filter_map(|device| match device.part_of {
        Some((of, number)) if of == disk.name => Some((number, device.start_bytes, device.size_bytes)),
        _ => None,
    });
    Ok(of_disk.collect())
}

/// Makes an array and waits for its node.
pub(super) fn make_raid(
    name: &str,
    args: &[String],
    members: &[String],
    env: &Env<'_>,
) -> Result<(), StepError> {
    let mut all = args.to_vec();
    for member in members {
        all.push(wait_for(member, env)?.node.display().to_string());
    }
    env.programs.run("mdadm", &all)?;
    wait_for(&crate::plan::volumes::raid_node(name), env).map(drop)
}

pub(super) fn wipe(name: &str, env: &Env<'_>) -> Result<(), StepError> {
    let device = wait_for(name, env)?;
    Ok(env.programs.run("wipefs", &["--all".into(), "--force".into(), device.node.display().to_string()])?)
}

pub(super) fn make_filesystem(name: &str, command: &[String], env: &Env<'_>) -> Result<(), StepError> {
    let device = wait_for(name, env)?;
    let Some((program, args)) = command.split_first() else { return Ok(()) };
    let mut args = args.to_vec();
    args.push(device.node.display().to_string());
    Ok(env.programs.run(program, &args)?)
}

pub(super) fn mount(
    name: &str,
    path: &str,
    format: &str,
    options: &[String],
    env: &mut Env<'_>,
) -> Result<(), StepError> {
    // The source of a virtiofs is a tag of the hypervisor's, no device.
    let source = if format == "virtiofs" { PathBuf::from(name) } else { wait_for(name, env)?.node };
    let missing = missing_directories(path, env)?;
    if !missing.is_empty() {
        env.root.make_dir(path, Attributes { mode: 0o755, uid: 0, gid: 0 })?;
        env.mount_points_made.extend(missing);
    }
    if !kernel_knows(format) && env.programs.has("modprobe") {
        // When it fails the mount says so better.
        let _ = env.programs.run("modprobe", &["-q".into(), format.to_owned()]);
    }
    let (flags, data) = mount_options(options);
    let data = (!data.is_empty()).then(|| std::ffi::CString::new(data).unwrap_or_default());
    rustix::mount::mount(&source, target(path, env), format, flags, data.as_deref()).map_err(|errno| {
        StepError::Device { action: "mount", device: source.display().to_string(), source: errno.into() }
    })
}

/// What does not exist of a true path, topmost first.
fn missing_directories(path: &str, env: &Env<'_>) -> Result<Vec<String>, StepError> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    let mut missing = Vec::new();
    for end in ends {
        if env.root.stat(&path[..end])?.is_none() {
            missing.push(path[..end].to_owned());
        }
    }
    Ok(missing)
}

pub(super) fn unmount(path: &str, env: &Env<'_>) -> Result<(), StepError> {
    rustix::mount::unmount(target(path, env), UnmountFlags::NOFOLLOW).map_err(|errno| StepError::Device {
        action: "unmount",
        device: path.to_owned(),
        source: errno.into(),
    })
}

/// The path in our own namespace; true paths have no symlinks, so nothing leads out of the root.
fn target(path: &str, env: &Env<'_>) -> PathBuf {
    env.root.path().join(path.trim_start_matches('/'))
}

fn kernel_knows(format: &str) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().any(|line| line.split_whitespace().next_back() == Some(format))
}

/// Options of mount(8) as flags and the file system's own data; those for other programs are dropped.
fn mount_options(options: &[String]) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data: Vec<&str> = Vec::new();
    for option in options.iter().flat_map(|options| options.split(',')).filter(|option| !option.is_empty()) {
        match option {
            "ro" => flags |= MountFlags::RDONLY,
            "rw" => flags &= !MountFlags::RDONLY,
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "sync" => flags |= MountFlags::SYNCHRONOUS,
            "dirsync" => flags |= MountFlags::DIRSYNC,
            "noatime" => flags |= MountFlags::NOATIME,
            "nodiratime" => flags |= MountFlags::NODIRATIME,
            "relatime" => flags |= MountFlags::RELATIME,
            "strictatime" => flags |= MountFlags::STRICTATIME,
            "lazytime" => flags |= MountFlags::LAZYTIME,
            "defaults" | "suid" | "dev" | "exec" | "async" | "atime" | "auto" | "noauto" | "nofail"
            | "user" | "nouser" | "users" | "_netdev" => {}
            other if other.starts_with("x-") || other.starts_with("comment=") => {}
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_mount() {
        let (flags, data) =
            mount_options(&["noatime,nofail".into(), "compress=zstd".into(), "x-systemd.a".into()]);
        assert_eq!((flags, data.as_str()), (MountFlags::NOATIME, "compress=zstd"));
    }
}

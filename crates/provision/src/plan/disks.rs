//! Partitions, file systems and mounts.

use std::collections::BTreeSet;

use block::partition::{self, Change, Table, Wanted};
use ignition_spec::config::{Disk, Filesystem, Partition};

use super::nodes::{describe as describe_node, place_of};
use super::volumes;
use super::{Action, Draft, Progress};
use crate::error::Problem;
use crate::event::Phase;
use crate::observe::{Content, Device};
use crate::resolve::Kind;

/// Mounts of a plan.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Origin and true path, in the order of mounting.
    list: Vec<(String, String)>,
    /// Those that are made and so hold nothing.
    fresh: Vec<String>,
}

impl Mounts {
    /// Mount points below which nothing will be.
    pub(super) fn fresh(&self) -> &[String] {
        &self.fresh
    }
}

/// Devices that steps of the plan will make, by every name that a config may use for them.
#[derive(Debug, Default)]
pub(super) struct Coming(BTreeSet<String>);

impl Coming {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(super) fn add(&mut self, name: String) {
        self.0.insert(name);
    }
}

/// What is known of a file system's device when the plan is made.
enum Target<'a> {
    Known(&'a Device),
    /// Made by a partition step before; what is on it is told when it is there.
    Coming,
}

pub(super) fn plan(draft: &mut Draft<'_>) -> Mounts {
    let wanted = draft.wanted;
    let mut coming = Coming::default();
    let makes = draft.phases.contains(&Phase::Disks);
    if makes && draft.progress < Progress::Partitioned {
        for (index, disk) in wanted.config.storage.disks.iter().enumerate() {
            plan_disk(draft, &format!("$.storage.disks.{index}"), disk, &mut coming);
        }
    }
    if makes {
        volumes::plan_raid(draft, &mut coming);
        volumes::plan_luks(draft, &mut coming);
    }
    let mut mounts = Vec::new();
    for (index, fs) in wanted.config.storage.filesystems.iter().enumerate() {
        let origin = format!("$.storage.filesystems.{index}");
        // Run on its own the mount stage finds what the disks stage has made.
        let fresh = if makes { plan_filesystem(draft, &origin, fs, &coming) } else { Some(false) };
        if let Some(fresh) = fresh {
            mounts.extend(
                fs.path.as_ref().filter(|path| !path.is_empty()).map(|path| (origin, path, fs, fresh)),
            );
        }
    }
    draft.now = Phase::Mount;
    plan_mounts(draft, mounts)
}

fn plan_disk(draft: &mut Draft<'_>, origin: &str, disk: &Disk, coming: &mut Coming) {
    let name = &disk.device;
    let Some(device) = draft.observed.devices.get(name) else {
        return missing(draft, &format!("{origin}.device"), name);
    };
    let wipe = disk.wipe_table == Some(true);
    if let Some(damage) = device.table_damage.as_ref().filter(|_| !wipe) {
        let message = format!("the partition table of {name} cannot be used: {damage}");
        return draft.refuse(origin, message, "set wipeTable: true to lose it");
    }
    if device.table.is_none() && !wipe && !device.contents.is_empty() {
        let message = format!("{name} has no GPT but holds {}", list(&device.contents));
        return draft.refuse(origin, message, "set wipeTable: true to lose it");
    }
    let before = if wipe { None } else { device.table.clone() };
    let start =
        before.clone().unwrap_or_else(|| Table::empty(device.sector_bytes.max(512), device.size_bytes));
    let made = |part: &Partition| {
        let number = u32::try_from(part.number).unwrap_or(0);
        draft.observed.unfinished.made(name, number, part.label.as_deref(), &start.partitions)
    };
    let wishes: Vec<Wanted> =
        disk.partitions.iter().map(|part| Wanted { made: made(part), ..wish(part) }).collect();
    let (after, changes) = match partition::decide(&start, &wishes) {
        Ok(decided) => decided,
        Err(errors) => {
            for (index, error) in errors {
                draft.problem(&format!("{origin}.partitions.{index}"), Problem::of(&error));
            }
            return;
        }
    };
    if !wipe && changes.iter().all(|change| *change == Change::Keep) {
        return;
    }
    // Partitions can be added to a disk in use; what is in use cannot be taken away.
    let taken = |number: &u32| {
        wipe || changes.iter().any(|change| change.is_destructive() && change.number() == Some(*number))
    };
    let in_use = device.parts_in_use.iter().filter(|(number, _)| taken(number)).flat_map(|(_, users)| users);
    let used_by: Vec<String> = device.used_by.iter().chain(in_use).cloned().collect();
    if !guard(draft, &format!("{origin}.device"), name, &Device { used_by, ..device.clone() }) {
        return;
    }
    for (wish, change) in disk.partitions.iter().zip(&changes) {
        if let Change::Create(number) | Change::Replace(number) = change {
            coming.0.extend(names_of(name, &device.node, *number, wish.label.as_deref()));
        }
    }
    if wipe {
        // The old table's own contents are what is lost; what the partitions hold cannot be listed here.
        let lost =
            device.table.as_ref().map(|table| format!("a table of {} partitions", table.partitions.len()));
        let contents = lost.into_iter().chain(device.contents.iter().map(describe)).collect();
        draft.step(
            Phase::Disks,
            format!("{origin}.wipeTable"),
            Action::Wipe { device: name.clone(), contents },
        );
        draft.need_program(&format!("{origin}.wipeTable"), "wipefs");
    }
    let node = device.node.clone();
    draft.step(Phase::Disks, origin, Action::Partition { disk: name.clone(), node, before, after, changes });
}

/// Every device that a config names, and whether it is named as a disk.
pub fn device_names(config: &ignition_spec::Config) -> Vec<(&str, bool)> {
    let storage = &config.storage;
    let mut names: Vec<(&str, bool)> =
        storage.disks.iter().map(|disk| (disk.device.as_str(), true)).collect();
    names.extend(storage.raid.iter().flat_map(|raid| &raid.devices).map(|name| (name.as_str(), false)));
    names.extend(storage.luks.iter().filter_map(|luks| luks.device.as_deref()).map(|name| (name, false)));
    // The device of a virtiofs is a tag of the hypervisor's.
    let on_devices = storage.filesystems.iter().filter(|fs| fs.format.as_deref() != Some("virtiofs"));
    names.extend(on_devices.map(|fs| (fs.device.as_str(), false)));
    names
}

/// The names of the devices that a config may make, as far as its text tells.
pub(crate) fn coming(config: &ignition_spec::Config) -> BTreeSet<String> {
    let storage = &config.storage;
    let mut names: BTreeSet<String> = storage.disks.iter().flat_map(coming_parts).collect();
    names.extend(storage.raid.iter().map(|raid| volumes::raid_node(&raid.name)));
    names.extend(storage.luks.iter().map(|luks| format!("/dev/mapper/{}", luks.name)));
    names
}

/// The names of the partitions that a config may make on a disk, as far as its text tells.
fn coming_parts(disk: &Disk) -> Vec<String> {
    let name = |part: &Partition| {
        names_of(&disk.device, &disk.device, u32::try_from(part.number).unwrap_or(0), part.label.as_deref())
    };
    disk.partitions.iter().flat_map(name).collect()
}

/// The names under which a config may mean a partition that is being made.
fn names_of(disk: &str, node: &str, number: u32, label: Option<&str>) -> Vec<String> {
    let numbered = |disk: &str| {
        let separator = match disk.strip_prefix("/dev/disk/") {
            Some(_) => "-part",
            None if disk.ends_with(|last: char| last.is_ascii_digit()) => "p",
            None => "",
        };
        format!("{disk}{separator}{number}")
    };
    let by_label =
        label.filter(|label| !label.is_empty()).map(|label| format!("/dev/disk/by-partlabel/{label}"));
    [numbered(disk), numbered(node)].into_iter().chain(by_label).collect()
}

fn wish(part: &Partition) -> Wanted {
    let unsigned = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    Wanted {
        number: u32::try_from(part.number).unwrap_or(0),
        label: part.label.clone(),
        start_mib: unsigned(part.start_mib),
        size_mib: unsigned(part.size_mib),
        type_guid: given(&part.type_guid),
        guid: given(&part.guid),
        absent: part.should_exist == Some(false),
        wipe_entry: part.wipe_partition_entry == Some(true),
        resize: part.resize == Some(true),
        made: None,
    }
}

/// Plans a file system. `Some(true)`: it will be new and empty; `Some(false)`: it is used as it is; `None`: a problem.
fn plan_filesystem(draft: &mut Draft<'_>, origin: &str, fs: &Filesystem, coming: &Coming) -> Option<bool> {
    let format = match fs.format.as_deref() {
        // A tag of the hypervisor's is mounted as it is.
        None | Some("" | "virtiofs") => return Some(false),
        Some(format) => format.to_owned(),
    };
    let name = &fs.device;
    let target = match draft.observed.devices.get(name) {
        _ if coming.contains(name) => Target::Coming,
        Some(device) => Target::Known(device),
        None => {
            missing(draft, &format!("{origin}.device"), name);
            return None;
        }
    };
    let wipe = fs.wipe_filesystem == Some(true);
    if let Target::Known(device) = &target {
        if !wipe && !device.contents.is_empty() {
            if format == "none" {
                let message =
                    format!("{name} holds {}, the config wants nothing on it", list(&device.contents));
                draft.refuse(origin, message, "set wipeFilesystem: true to lose what is there");
                return None;
            }
            return reuse(draft, origin, fs, &format, device).then_some(false);
        }
        if !guard(draft, &format!("{origin}.device"), name, device) {
            return None;
        }
        if wipe {
            draft.need_program(&format!("{origin}.wipeFilesystem"), "wipefs");
            let contents = device.contents.iter().map(describe).collect();
            draft.step(
                Phase::Disks,
                format!("{origin}.wipeFilesystem"),
                Action::Wipe { device: name.clone(), contents },
            );
        }
    }
    if format == "none" {
        return Some(false);
    }
    let Some(command) = mkfs(&format, fs) else {
        draft.refuse(
            &format!("{origin}.format"),
            format!("{format} cannot be made"),
            "use ext4, xfs, btrfs, vfat or swap",
        );
        return None;
    };
    draft.need_program(&format!("{origin}.format"), &command[0]);
    draft.step(Phase::Disks, origin, Action::MakeFilesystem { device: name.clone(), format, command });
    Some(true)
}

/// Keeps what is on a device, or refuses.
fn reuse(draft: &mut Draft<'_>, origin: &str, fs: &Filesystem, format: &str, device: &Device) -> bool {
    let name = &fs.device;
    let label = fs.label.as_deref().filter(|label| !label.is_empty());
    let uuid = fs.uuid.as_deref().filter(|uuid| !uuid.is_empty());
    let fits = |found: &Content| {
        let plain = |uuid: &str| uuid.to_ascii_lowercase().replace('-', "");
        found.kind == format
            && label.is_none_or(|label| found.label.as_deref() == Some(label))
            && uuid.is_none_or(|uuid| found.uuid.as_deref().map(plain) == Some(plain(uuid)))
    };
    if let [found] = device.contents.as_slice()
        && fits(found)
    {
        let why = match (label, uuid) {
            (None, None) => "it is there".to_owned(),
            _ => format!("it is there ({})", describe(found)),
        };
        let action = Action::ReuseFilesystem { device: name.clone(), format: format.to_owned(), why };
        draft.step(Phase::Disks, origin, action);
        return true;
    }
    let mut wanted = format.to_owned();
    wanted.extend(label.map(|label| format!(" labelled {label:?}")));
    wanted.extend(uuid.map(|uuid| format!(" with UUID {uuid}")));
    let message = format!("{name} holds {}, the config wants {wanted}", list(&device.contents));
    draft.refuse(origin, message, "set wipeFilesystem: true to lose what is there");
    false
}

pub(super) fn missing(draft: &mut Draft<'_>, origin: &str, name: &str) {
    let hint = "the machine's disks are listed by `lsblk`; a partition needs its disk under storage.disks";
    draft.refuse(origin, format!("there is no device {name}"), hint);
}

/// Refuses devices that are in use or cannot be written.
pub(super) fn guard(draft: &mut Draft<'_>, origin: &str, name: &str, device: &Device) -> bool {
    if device.read_only {
        draft.refuse(origin, format!("{name} is read-only"), "attach it writable");
        return false;
    }
    if let Some(user) = device.used_by.first() {
        let hint = "the disk of the system itself cannot be changed by a config yet: use another";
        draft.refuse(origin, format!("{name} is in use: {user}"), hint);
        return false;
    }
    true
}

pub(super) fn describe(found: &Content) -> String {
    match &found.label {
        Some(label) => format!("{} {label:?}", found.kind),
        None => found.kind.clone(),
    }
}

pub(super) fn list(contents: &[Content]) -> String {
    contents.iter().map(describe).collect::<Vec<_>>().join(" and ")
}

/// Program and arguments that make a file system; the device comes behind them. The config's own options come first, so
/// that its label and UUID hold.
fn mkfs(format: &str, fs: &Filesystem) -> Option<Vec<String>> {
    let label = fs.label.clone().filter(|label| !label.is_empty());
    let uuid = fs.uuid.clone().filter(|uuid| !uuid.is_empty()).map(|uuid| uuid.to_ascii_lowercase());
    let option = |flag: &str, value: Option<String>| value.map(|value| vec![flag.to_owned(), value]);
    let (program, force, uuid, label): (_, Option<&str>, _, _) = match format {
        "ext4" => ("mkfs.ext4", Some("-F"), option("-U", uuid), option("-L", label)),
        "btrfs" => ("mkfs.btrfs", Some("--force"), option("-U", uuid), option("-L", label)),
        "xfs" => {
            let uuid = uuid.map(|uuid| format!("uuid={uuid}"));
            ("mkfs.xfs", Some("-f"), option("-m", uuid), option("-L", label))
        }
        "swap" => ("mkswap", Some("-f"), option("-U", uuid), option("-L", label)),
        // mkfs.fat takes the serial number as eight hexadecimal digits, and needs no force.
        "vfat" => {
            let serial = uuid.map(|uuid| uuid.replace('-', ""));
            ("mkfs.vfat", None, option("-i", serial), option("-n", label))
        }
        _ => return None,
    };
    let mut command = vec![program.to_owned()];
    command.extend(fs.options.iter().cloned());
    command.extend(force.map(str::to_owned));
    command.extend(uuid.into_iter().chain(label).flatten());
    Some(command)
}

fn plan_mounts(draft: &mut Draft<'_>, mut wanted: Vec<(String, &String, &Filesystem, bool)>) -> Mounts {
    wanted.sort_by_key(|(_, path, ..)| path.matches('/').count());
    let mut mounts = Mounts::default();
    for (origin, path, fs, fresh) in wanted {
        let format = fs.format.clone().unwrap_or_default();
        if matches!(format.as_str(), "swap" | "none" | "") {
            continue;
        }
        let place = format!("{origin}.path");
        if path == "/" {
            let hint = "give further file systems a path such as /var/lib/data";
            draft.refuse(&place, "the root file system cannot be replaced by a config yet", hint);
            continue;
        }
        let Some(target) = place_of(draft, &draft.observed.nodes, &place, path) else { continue };
        if target != *path {
            let message = format!("{path} cannot be a mount point: a link leads to {target}");
            draft.refuse(&place, message, "mount at the place that the link leads to");
            continue;
        }
        if let Some(found) = draft.observed.nodes.get(&target).filter(|node| node.kind != Kind::Directory) {
            let message = format!("{path} cannot be a mount point: it is {}", describe_node(&found.kind));
            draft.refuse(&place, message, "name a directory, or a path where nothing is");
            continue;
        }
        let options = fs.mount_options.clone();
        mounts.list.push((place.clone(), target.clone()));
        if fresh {
            mounts.fresh.push(target.clone());
        }
        draft.step(
            Phase::Mount,
            place,
            Action::Mount { device: fs.device.clone(), path: target, format, options },
        );
    }
    mounts
}

pub(super) fn unmount(draft: &mut Draft<'_>, mounts: &Mounts) {
    for (origin, path) in mounts.list.iter().rev() {
        draft.step(Phase::Umount, origin.clone(), Action::Unmount { path: path.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_mkfs() {
        let given = |text: &str| Some(text.to_owned());
        for (format, uuid, expected) in [
            ("ext4", "AB", "mkfs.ext4 -x 1 -F -U ab -L L"),
            ("btrfs", "AB", "mkfs.btrfs -x 1 --force -U ab -L L"),
            ("xfs", "AB", "mkfs.xfs -x 1 -f -m uuid=ab -L L"),
            ("swap", "AB", "mkswap -x 1 -f -U ab -L L"),
            ("vfat", "1234-ABCD", "mkfs.vfat -x 1 -i 1234abcd -n L"),
        ] {
            let options = vec!["-x".into(), "1".into()];
            let fs = Filesystem { label: given("L"), uuid: given(uuid), options, ..Filesystem::default() };
            assert_eq!(mkfs(format, &fs).unwrap().join(" "), expected);
            let plain = Filesystem { label: given(""), ..Filesystem::default() };
            assert!(mkfs(format, &plain).unwrap().len() <= 2);
        }
        assert_eq!(mkfs("zfs", &Filesystem::default()), None);
    }
}

//! The steps that a plan can have. Each says by itself what to do: the executor looks nothing up in the config.

use std::fmt;

use block::partition::{Change, Table};
use serde::{Deserialize, Serialize};

use super::kargs::Arguments;
use super::volumes::Volume;
use crate::fetch::resource::{Resource, shorten};

/// A user or group, by id or by the name it will have when the step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Mode and owner of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub user: Id,
    /// Group.
    pub group: Id,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o} {}:{}", self.mode, self.user, self.group)
    }
}

/// What a file begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// Nothing.
    Empty,
    /// What is in it.
    Existing,
    /// What was in it before a first boot that was cut short: the path of the copy.
    Original(String),
    /// Text of the config.
    Text(String),
    /// What is in another file of the tree: an OS default, or what was saved before it was replaced.
    Copy(String),
    /// A resource.
    Resource(Resource),
}

/// What systemd is asked about a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitVerb {
    /// Read all unit files again.
    DaemonReload,
    /// Stop it.
    Stop,
    /// Start it.
    Start,
    /// Restart it if it runs.
    TryRestart,
    /// Have it read its configuration again if it can, else restart it, if it runs.
    TryReloadOrRestart,
}

impl UnitVerb {
    /// The word of systemctl(1).
    pub fn word(self) -> &'static str {
        match self {
            Self::DaemonReload => "daemon-reload",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::TryRestart => "try-restart",
            Self::TryReloadOrRestart => "try-reload-or-restart",
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Give the kernel other arguments from its next start on.
    KernelArguments {
        /// What and how.
        #[serde(flatten)]
        arguments: Arguments,
    },
    /// Write a partition table.
    Partition {
        /// Disk as the config names it.
        disk: String,
        /// Its node.
        node: String,
        /// The table that is there; `None` when there is none or it is wiped.
        before: Option<Table>,
        /// The table to write.
        after: Table,
        /// What becomes of each partition of the config.
        changes: Vec<Change>,
    },
    /// Remove all signatures from a device.
    Wipe {
        /// Device as the config names it.
        device: String,
        /// What is lost.
        contents: Vec<String>,
    },
    /// Make a RAID array.
    MakeRaid {
        /// Its name.
        name: String,
        /// Arguments of mdadm; the members' nodes come last.
        args: Vec<String>,
        /// Members as the config names them.
        members: Vec<String>,
        /// What is lost.
        contents: Vec<String>,
    },
    /// Make a LUKS volume and open it.
    MakeLuks {
        /// The volume.
        volume: Box<Volume>,
    },
    /// Open the LUKS volume that is there.
    OpenLuks {
        /// The volume.
        volume: Box<Volume>,
    },
    /// Keep a volume's key for later boots.
    KeepKey {
        /// The volume's name.
        name: String,
        /// True path.
        path: String,
        /// Mode and owner.
        access: Access,
    },
    /// Make a file system.
    MakeFilesystem {
        /// Device as the config names it.
        device: String,
        /// Its type.
        format: String,
        /// Program and arguments; the device's node comes last.
        command: Vec<String>,
    },
    /// Use the file system that is there.
    ReuseFilesystem {
        /// Device as the config names it.
        device: String,
        /// Its type.
        format: String,
        /// Why it fits.
        why: String,
    },
    /// Mount a file system in the machine's root.
    Mount {
        /// Device as the config names it.
        device: String,
        /// True path in the root.
        path: String,
        /// Type.
        format: String,
        /// Mount options.
        options: Vec<String>,
    },
    /// Unmount it again.
    Unmount {
        /// True path in the root.
        path: String,
    },
    /// Run an account program (`useradd` …) on the machine's root.
    Account {
        /// Program.
        program: String,
        /// Arguments after `--root`.
        args: Vec<String>,
        /// What it does, without the password's hash.
        what: String,
    },
    /// Give a user the directories in their home that were made for mount points: 0700.
    OwnHome {
        /// User.
        user: String,
        /// True paths.
        paths: Vec<String>,
    },
    /// Let keys log in.
    AuthorizeKeys {
        /// User.
        user: String,
        /// Public keys.
        keys: Vec<String>,
    },
    /// Remove a node, a directory with all that is in it.
    Remove {
        /// True path.
        path: String,
        /// Why.
        why: String,
    },
    /// Make a directory, or give an existing one mode and owner.
    Directory {
        /// True path.
        path: String,
        /// Mode and owner.
        access: Access,
        /// Whether it is there.
        exists: bool,
    },
    /// Write a file.
    File {
        /// True path.
        path: String,
        /// Mode and owner.
        access: Access,
        /// What it begins with.
        base: Base,
        /// What follows, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        append: Vec<Resource>,
        /// Whether a file is there.
        exists: bool,
    },
    /// Leave the content of a file and give it mode and owner.
    KeepFile {
        /// True path.
        path: String,
        /// Mode and owner.
        access: Access,
        /// Why.
        why: String,
    },
    /// Make a symlink.
    Link {
        /// True path.
        path: String,
        /// Target as written.
        target: String,
        /// Owner.
        user: Id,
        /// Group.
        group: Id,
    },
    /// Give SELinux labels to what was written.
    Relabel {
        /// `file_contexts` of the policy, in the root.
        contexts: String,
        /// True paths.
        paths: Vec<String>,
    },
    /// Make a hard link.
    HardLink {
        /// True path.
        path: String,
        /// True path of the file.
        target: String,
    },
    /// Ask systemd something; only on a running machine.
    Unit {
        /// What.
        verb: UnitVerb,
        /// Of which unit; empty for the manager itself.
        unit: String,
        /// Why.
        why: String,
    },
}

impl Action {
    /// The true path of the node that it is about.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Directory { path, .. }
            | Self::File { path, .. }
            | Self::KeepFile { path, .. }
            | Self::Link { path, .. }
            | Self::HardLink { path, .. }
            | Self::Remove { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Whether data of the machine may be lost by it.
    pub fn is_destructive(&self) -> bool {
        match self {
            Self::Partition { before, changes, .. } => {
                before.is_some() && changes.iter().any(|c| c.is_destructive())
            }
            Self::Wipe { contents, .. } | Self::MakeRaid { contents, .. } => !contents.is_empty(),
            Self::Remove { .. } => true,
            Self::Account { program, .. } => program == "userdel" || program == "groupdel",
            _ => false,
        }
    }
}

/// One line for people.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { disk, before, after, changes, .. } => {
                partition(f, disk, before.as_ref(), after, changes)
            }
            Self::KernelArguments { arguments } => write!(f, "{arguments}"),
            Self::MakeRaid { name, members, contents, .. } => {
                write!(f, "make RAID array {name} of {}", members.join(", "))?;
                if contents.is_empty() { Ok(()) } else { write!(f, ": loses {}", contents.join(", ")) }
            }
            Self::MakeLuks { volume } => luks(f, volume),
            Self::OpenLuks { volume } => {
                write!(f, "open LUKS volume {} on {}: it is there", volume.name, volume.device)
            }
            Self::KeepKey { name, path, .. } => write!(f, "keep the key of LUKS volume {name} in {path}"),
            Self::Relabel { paths, .. } => write!(f, "give SELinux labels to {} paths", paths.len()),
            Self::Wipe { device, contents } if contents.is_empty() => {
                write!(f, "wipe {device} (nothing found on it)")
            }
            Self::Wipe { device, contents } => write!(f, "wipe {device}: loses {}", contents.join(", ")),
            Self::MakeFilesystem { device, format, .. } => write!(f, "make {format} on {device}"),
            Self::ReuseFilesystem { device, format, why } => write!(f, "keep {format} on {device}: {why}"),
            Self::Mount { device, path, .. } => write!(f, "mount {device} at {path}"),
            Self::Unmount { path } => write!(f, "unmount {path}"),
            Self::Account { what, .. } => f.write_str(what),
            Self::OwnHome { user, paths } => write!(f, "give {} to {user} (0700)", paths.join(", ")),
            Self::AuthorizeKeys { user, keys } => write!(f, "let {} key(s) log in as {user}", keys.len()),
            Self::Remove { path, why } => write!(f, "remove {path}: {why}"),
            Self::Directory { path, access, exists } => {
                write!(f, "{} directory {path} ({access})", if *exists { "set" } else { "create" })
            }
            Self::File { path, access, base, append, exists } => file(f, path, access, base, append, *exists),
            Self::KeepFile { path, access, why } => write!(f, "keep file {path} ({access}): {why}"),
            Self::Link { path, target, .. } => write!(f, "link {path} -> {target}"),
            Self::HardLink { path, target } => write!(f, "hard link {path} = {target}"),
            Self::Unit { verb: UnitVerb::DaemonReload, why, .. } => write!(f, "reload systemd: {why}"),
            Self::Unit { verb, unit, why } => write!(f, "{} {unit}: {why}", verb.word()),
        }
    }
}

fn luks(f: &mut fmt::Formatter<'_>, volume: &Volume) -> fmt::Result {
    write!(f, "make LUKS volume {} on {}", volume.name, volume.device)?;
    match &volume.pin {
        Some(pin) => write!(f, ", bound to {}", pin.name),
        None if volume.key.is_some() => f.write_str(", opened by the config's key"),
        None => f.write_str(", opened by a key drawn now"),
    }
}

fn partition(
    f: &mut fmt::Formatter<'_>,
    disk: &str,
    before: Option<&Table>,
    after: &Table,
    changes: &[Change],
) -> fmt::Result {
    write!(f, "{} partition table on {disk}:", if before.is_some() { "change" } else { "write new" })?;
    let mut first = true;
    for change in changes {
        let (verb, number) = match change {
            Change::Keep => continue,
            Change::Create(number) => ("create", number),
            Change::Delete(number) => ("delete", number),
            Change::Resize(number) => ("resize", number),
            Change::Replace(number) => ("replace", number),
        };
        write!(f, "{} {verb} {number}", if first { "" } else { "," })?;
        first = false;
        if let Some(part) = after.partitions.iter().find(|part| part.number == *number) {
            let mib = |sectors: u64| sectors * after.sector_bytes / (1 << 20);
            let label = if part.label.is_empty() { String::new() } else { format!(" {:?}", part.label) };
            write!(f, "{label} ({}+{} MiB)", mib(part.first), mib(part.last + 1 - part.first))?;
        }
    }
    if first { f.write_str(" no partitions") } else { Ok(()) }
}

fn file(
    f: &mut fmt::Formatter<'_>,
    path: &str,
    access: &Access,
    base: &Base,
    append: &[Resource],
    exists: bool,
) -> fmt::Result {
    match base {
        Base::Existing => write!(f, "append to file {path} ({access})")?,
        Base::Original(_) => {
            write!(f, "append to file {path} ({access}) as it was before the first boot that was cut short")?;
        }
        _ => write!(f, "{} file {path} ({access})", if exists { "replace" } else { "create" })?,
    }
    let remote = |resource: &Resource| resource.is_remote().then(|| shorten(&resource.source));
    let mut from: Vec<String> = append.iter().filter_map(remote).collect();
    match base {
        Base::Text(text) => write!(f, ", {} bytes", text.len())?,
        Base::Copy(from) => write!(f, " as {from}")?,
        Base::Resource(resource) => from.splice(0..0, remote(resource)).for_each(drop),
        _ => {}
    }
    if from.is_empty() { Ok(()) } else { write!(f, " from {}", from.join(", ")) }
}

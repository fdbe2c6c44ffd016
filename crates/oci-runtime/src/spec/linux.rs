//! `linux`: namespaces, devices, paths, and what the other modules read.

use serde_json::Value;

use super::error::SpecError;
use super::resources::{self, Resources};
use super::seccomp::{self, Seccomp};
use super::{json, mount};

/// `linux` of config.json.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Linux {
    /// `namespaces`.
    pub namespaces: Vec<Namespace>,
    /// `uidMappings`.
    pub uid_mappings: Vec<IdMapping>,
    /// `gidMappings`.
    pub gid_mappings: Vec<IdMapping>,
    /// `timeOffsets`: clock name, seconds, nanoseconds.
    pub time_offsets: Vec<(String, i64, u32)>,
    /// `devices`.
    pub devices: Vec<Device>,
    /// `cgroupsPath`.
    pub cgroups_path: Option<String>,
    /// `resources`.
    pub resources: Resources,
    /// `rootfsPropagation`: type and whether the whole tree.
    pub rootfs_propagation: Option<(u64, bool)>,
    /// `maskedPaths`.
    pub masked_paths: Vec<String>,
    /// `readonlyPaths`.
    pub readonly_paths: Vec<String>,
    /// `sysctl`.
    pub sysctl: Vec<(String, String)>,
    /// `seccomp`.
    pub seccomp: Option<Seccomp>,
    /// `personality.domain`: 0 for LINUX, 8 for LINUX32.
    pub personality: Option<u64>,
}

/// The kinds of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `pid`
    Pid,
    /// `network`
    Network,
    /// `mount`
    Mount,
    /// `ipc`
    Ipc,
    /// `uts`
    Uts,
    /// `user`
    User,
    /// `cgroup`
    Cgroup,
    /// `time`
    Time,
}

impl Kind {
    /// All, with their names in config.json, their file under `/proc/PID/ns/` and their bit.
    pub const ALL: [(Self, &'static str, &'static str, linux::clone::Namespaces); 8] = [
        (Self::User, "user", "user", linux::clone::Namespaces::USER),
        (Self::Cgroup, "cgroup", "cgroup", linux::clone::Namespaces::CGROUP),
        (Self::Ipc, "ipc", "ipc", linux::clone::Namespaces::IPC),
        (Self::Uts, "uts", "uts", linux::clone::Namespaces::UTS),
        (Self::Network, "network", "net", linux::clone::Namespaces::NET),
        (Self::Pid, "pid", "pid", linux::clone::Namespaces::PID),
        (Self::Time, "time", "time", linux::clone::Namespaces::TIME),
        (Self::Mount, "mount", "mnt", linux::clone::Namespaces::MOUNT),
    ];

    /// Name in config.json.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, ..)| name)
    }

    /// The kernel's bit.
    #[must_use]
    pub fn bit(self) -> linux::clone::Namespaces {
        Self::ALL
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map_or(linux::clone::Namespaces::empty(), |(.., bit)| *bit)
    }
}

/// One entry of `namespaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its kind.
    pub kind: Kind,
    /// The namespace to join; `None` makes a new one.
    pub path: Option<String>,
}

/// One line of a uid_map or gid_map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapping {
    /// First id in the container.
    pub container: u32,
    /// First id outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// One device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Path in the container.
    pub path: String,
    /// `c`, `b` or `p`.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Linux {
    /// The entry of this kind, if any.
    #[must_use]
    pub fn namespace(&self, kind: Kind) -> Option<&Namespace> {
        self.namespaces.iter().find(|n| n.kind == kind)
    }

    /// True if a namespace of this kind is made for the container.
    #[must_use]
    pub fn makes(&self, kind: Kind) -> bool {
        self.namespace(kind).is_some_and(|n| n.path.is_none())
    }
}

fn namespace(value: &Value) -> json::Result<Namespace> {
    let kind = json::required(value, "type", |v| {
        let name = json::string(v)?;
        let found = Kind::ALL.iter().find(|(_, known, ..)| *known == name);
        found.map(|(kind, ..)| *kind).ok_or_else(|| SpecError::unknown("namespace type", &name))
    })?;
    let path = json::optional(value, "path", json::string)?.filter(|p| !p.is_empty());
    if let Some(relative) = path.as_ref().filter(|p| !p.starts_with('/')) {
        return Err(SpecError::invalid(relative, "must be absolute").under("path"));
    }
    Ok(Namespace { kind, path })
}

fn id_mapping(value: &Value) -> json::Result<IdMapping> {
    Ok(IdMapping {
        container: json::or_default(value, "containerID", json::unsigned32)?,
        host: json::or_default(value, "hostID", json::unsigned32)?,
        size: json::required(value, "size", json::unsigned32)?,
    })
}

fn device(value: &Value) -> json::Result<Device> {
    let kind = json::required(value, "type", |v| match json::string(v)?.as_str() {
        "c" | "u" => Ok('c'),
        "b" => Ok('b'),
        "p" => Ok('p'),
        other => Err(SpecError::unknown("device type", other)),
    })?;
    let number = |key| match kind {
        'p' => Ok(0),
        _ => json::required(value, key, json::unsigned32),
    };
    Ok(Device {
        path: json::required(value, "path", |v| {
            let path = json::string(v)?;
            if path.starts_with('/') { Ok(path) } else { Err(SpecError::invalid(path, "must be absolute")) }
        })?,
        kind,
        major: number("major")?,
        minor: number("minor")?,
        mode: json::optional(value, "fileMode", json::unsigned32)?.unwrap_or(0o666) & 0o7777,
        uid: json::or_default(value, "uid", json::unsigned32)?,
        gid: json::or_default(value, "gid", json::unsigned32)?,
    })
}

fn personality(value: &Value) -> json::Result<u64> {
    json::refuse(value, "flags", "the spec defines no flags")?;
    json::required(value, "domain", |v| match json::string(v)?.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        other => Err(SpecError::unknown("personality", other)),
    })
}

fn time_offset(value: &Value) -> json::Result<(i64, u32)> {
    Ok((
        json::or_default(value, "secs", json::signed)?,
        json::or_default(value, "nanosecs", json::unsigned32)?,
    ))
}

pub(super) fn read(value: &Value) -> json::Result<Linux> {
    json::refuse(value, "intelRdt", "resctrl groups come later; set them outside the container")?;
    json::refuse(value, "memoryPolicy", "start the program under numactl")?;
    json::refuse(value, "netDevices", "move devices into the network namespace by a createRuntime hook")?;
    json::refuse(value, "mountLabel", "SELinux labels come later")?;
    let paths = |key| json::or_default(value, key, |v| json::list(v, absolute));
    let offsets = json::or_default(value, "timeOffsets", |v| json::pairs(v, time_offset))?;
    Ok(Linux {
        namespaces: json::or_default(value, "namespaces", |v| json::list(v, namespace))?,
        uid_mappings: json::or_default(value, "uidMappings", |v| json::list(v, id_mapping))?,
        gid_mappings: json::or_default(value, "gidMappings", |v| json::list(v, id_mapping))?,
        time_offsets: offsets.into_iter().map(|(clock, (s, ns))| (clock, s, ns)).collect(),
        devices: json::or_default(value, "devices", |v| json::list(v, device))?,
        cgroups_path: json::optional(value, "cgroupsPath", json::string)?.filter(|p| !p.is_empty()),
        resources: json::or_default(value, "resources", resources::read)?,
        rootfs_propagation: json::optional(value, "rootfsPropagation", rootfs_propagation)?.flatten(),
        masked_paths: paths("maskedPaths")?,
        readonly_paths: paths("readonlyPaths")?,
        sysctl: json::or_default(value, "sysctl", |v| json::pairs(v, json::string))?,
        seccomp: json::optional(value, "seccomp", seccomp::read)?,
        personality: json::optional(value, "personality", personality)?,
    })
}

fn rootfs_propagation(value: &Value) -> json::Result<Option<(u64, bool)>> {
    let word = json::string(value)?;
    if word.is_empty() {
        return Ok(None);
    }
    mount::propagation_word(&word).map(Some).ok_or_else(|| SpecError::unknown("propagation", &word))
}

fn absolute(value: &Value) -> json::Result<String> {
    let path = json::string(value)?;
    if path.starts_with('/') { Ok(path) } else { Err(SpecError::invalid(path, "must be absolute")) }
}

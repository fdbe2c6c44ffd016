//! What the container's process does, in order: a pure function of the config.
//!
//! Everything about the file system is done through a descriptor of the new root before `pivot_root`, so that no
//! path is ever resolved in a half-made container, and the host's nodes can still be reached.

use std::fmt;

use crate::spec::Spec;
use crate::spec::linux::{Device, Kind};
use crate::spec::mount::Mount;
use crate::spec::{Hook, Process};

/// One step. Its [`fmt::Display`] is the name in error messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Wait until the runtime has written the id maps, then become root in them.
    TakeMappings,
    /// A session of its own.
    Session,
    /// A session keyring of its own.
    Keyring,
    /// A cgroup namespace with the container's cgroup as its root.
    CgroupNamespace,
    /// A time namespace with these offsets.
    TimeNamespace(&'a [(String, i64, u32)]),
    /// The loopback device of a new network namespace.
    Loopback,
    /// Host name.
    Hostname(&'a str),
    /// NIS domain name.
    Domainname(&'a str),
    /// Cut the new mount namespace off from the host's.
    Propagation(u64, bool),
    /// The root file system as a mount of its own.
    Rootfs,
    /// One of `mounts`.
    Mount(&'a Mount),
    /// A node of `linux.devices`.
    Device(&'a Device),
    /// The nodes and links that every container has.
    DefaultDevices,
    /// The directory that the program starts in.
    WorkingDirectory(&'a str),
    /// A terminal, its master side sent away.
    Terminal,
    /// Hooks that run in the runtime's namespaces; the runtime is asked.
    RuntimeHooks,
    /// Hooks that run here.
    ContainerHooks(&'a [Hook]),
    /// A kernel parameter.
    Sysctl(&'a str, &'a str),
    /// Hide a path.
    Mask(&'a str),
    /// Make a path read-only.
    ReadOnly(&'a str),
    /// Make the root read-only.
    RootReadOnly,
    /// Make the new root the root.
    Pivot,
    /// The propagation that the container's root shall have.
    RootPropagation(u64, bool),
    /// Execution domain.
    Personality(u64),
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeMappings => f.write_str("take user and group ids"),
            Self::Session => f.write_str("make session"),
            Self::Keyring => f.write_str("join session keyring"),
            Self::CgroupNamespace => f.write_str("make cgroup namespace"),
            Self::TimeNamespace(_) => f.write_str("make time namespace"),
            Self::Loopback => f.write_str("bring up loopback device"),
            Self::Hostname(name) => write!(f, "set host name {name}"),
            Self::Domainname(name) => write!(f, "set domain name {name}"),
            Self::Propagation(..) | Self::RootPropagation(..) => f.write_str("change mount propagation"),
            Self::Rootfs => f.write_str("mount root file system"),
            Self::Mount(mount) => write!(f, "mount {}", mount.destination),
            Self::Device(device) => write!(f, "make device {}", device.path),
            Self::DefaultDevices => f.write_str("make default devices"),
            Self::WorkingDirectory(path) => write!(f, "make directory {path}"),
            Self::Terminal => f.write_str("open terminal"),
            Self::RuntimeHooks | Self::ContainerHooks(_) => f.write_str("run hooks"),
            Self::Sysctl(key, value) => write!(f, "set {key} to {value:?}"),
            Self::Mask(path) => write!(f, "mask {path}"),
            Self::ReadOnly(path) => write!(f, "make {path} read-only"),
            Self::RootReadOnly => f.write_str("make root read-only"),
            Self::Pivot => f.write_str("change root"),
            Self::Personality(_) => f.write_str("set personality"),
        }
    }
}

/// Where in the config a step comes from; made into text only for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A field.
    Field(&'static str),
    /// An element of a list.
    Item(&'static str, usize),
    /// A member of a map.
    Key(&'static str, &'a str),
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(field),
            Self::Item(field, index) => write!(f, "{field}[{index}]"),
            Self::Key(field, key) => write!(f, "{field}.{key}"),
        }
    }
}

/// One step with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// What to do.
    pub action: Action<'a>,
    /// Who asked.
    pub origin: Origin<'a>,
}

/// What the command line adds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
}

/// The steps from birth to the point where only identity and program are missing.
#[must_use]
pub fn steps<'a>(spec: &'a Spec, process: &'a Process, options: Options) -> Vec<Step<'a>> {
    let mut steps = Vec::with_capacity(64);
    let mut add = |action, origin| steps.push(Step { action, origin });
    let linux = &spec.linux;
    if linux.makes(Kind::User) {
        add(Action::TakeMappings, Origin::Field("linux.uidMappings"));
    }
    add(Action::Session, Origin::Field("process"));
    if !options.no_new_keyring {
        add(Action::Keyring, Origin::Field("process"));
    }
    if linux.makes(Kind::Cgroup) {
        add(Action::CgroupNamespace, Origin::Field("linux.namespaces"));
    }
    if linux.makes(Kind::Time) {
        add(Action::TimeNamespace(&linux.time_offsets), Origin::Field("linux.timeOffsets"));
    }
    if linux.makes(Kind::Network) {
        add(Action::Loopback, Origin::Field("linux.namespaces"));
    }
    if let Some(name) = &spec.hostname {
        add(Action::Hostname(name), Origin::Field("hostname"));
    }
    if let Some(name) = &spec.domainname {
        add(Action::Domainname(name), Origin::Field("domainname"));
    }
    file_system(spec, process, &mut add);
    for (key, value) in &linux.sysctl {
        add(Action::Sysctl(key, value), Origin::Key("linux.sysctl", key));
    }
    seal(spec, &mut add);
    if let Some(domain) = linux.personality {
        add(Action::Personality(domain), Origin::Field("linux.personality"));
    }
    steps
}

/// From the host's mounts to a filled root.
fn file_system<'a>(spec: &'a Spec, process: &'a Process, add: &mut impl FnMut(Action<'a>, Origin<'a>)) {
    let linux = &spec.linux;
    // Slave unless told otherwise: unmounts inside must not reach the host, the host's mounts may reach binds.
    let slave = (linux::mount_attr::propagation::SLAVE, true);
    let (kind, tree) = linux.rootfs_propagation.unwrap_or(slave);
    add(Action::Propagation(kind, tree), Origin::Field("linux.rootfsPropagation"));
    add(Action::Rootfs, Origin::Field("root.path"));
    for (i, mount) in spec.mounts.iter().enumerate() {
        add(Action::Mount(mount), Origin::Item("mounts", i));
    }
    if makes_devices(spec) {
        add(Action::DefaultDevices, Origin::Field("linux.devices"));
        for (i, device) in linux.devices.iter().enumerate() {
            add(Action::Device(device), Origin::Item("linux.devices", i));
        }
    }
    add(Action::WorkingDirectory(&process.cwd), Origin::Field("process.cwd"));
    if process.terminal {
        add(Action::Terminal, Origin::Field("process.terminal"));
    }
    if !spec.hooks.prestart.is_empty() || !spec.hooks.create_runtime.is_empty() {
        add(Action::RuntimeHooks, Origin::Field("hooks"));
    }
    if !spec.hooks.create_container.is_empty() {
        add(Action::ContainerHooks(&spec.hooks.create_container), Origin::Field("hooks.createContainer"));
    }
}

/// What makes the filled root the container's root.
fn seal<'a>(spec: &'a Spec, add: &mut impl FnMut(Action<'a>, Origin<'a>)) {
    let linux = &spec.linux;
    for (i, path) in linux.readonly_paths.iter().enumerate() {
        add(Action::ReadOnly(path), Origin::Item("linux.readonlyPaths", i));
    }
    for (i, path) in linux.masked_paths.iter().enumerate() {
        add(Action::Mask(path), Origin::Item("linux.maskedPaths", i));
    }
    if spec.root_readonly {
        add(Action::RootReadOnly, Origin::Field("root.readonly"));
    }
    add(Action::Pivot, Origin::Field("root.path"));
    if let Some((kind, tree)) = linux.rootfs_propagation {
        add(Action::RootPropagation(kind, tree), Origin::Field("linux.rootfsPropagation"));
    }
}

/// A `/dev` bound from elsewhere has its nodes already, and they are not the container's to change.
#[must_use]
pub fn makes_devices(spec: &Spec) -> bool {
    let is_dev = |m: &&Mount| m.destination.trim_matches('/') == "dev";
    spec.mounts.iter().rfind(is_dev).is_none_or(|m| m.bind.is_none())
}

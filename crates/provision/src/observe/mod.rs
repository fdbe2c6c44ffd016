//! What there is: the other input of the planner.
//!
//! Only what the config is about is looked at, so that observing a big machine is as quick as a small one. The types
//! are plain and serialisable: a plan can be made offline from a recorded state.

mod devices;
mod nodes;
pub mod state;
mod units;

pub(crate) use nodes::{default_path, group, look_with_digest, passwd};
pub use nodes::{more, texts};
pub(crate) use units::vendor;

use std::collections::{BTreeMap, BTreeSet};

use block::devices::Devices;
use ignition_spec::Config;
use serde::{Deserialize, Serialize};

use crate::execute::Programs;
use crate::notes::Notes;
use crate::plan::kargs::Kernel;
use crate::plan::volumes::Volume;
use crate::resolve::Nodes;
use crate::root::{Root, RootError};

/// Programs that a plan may call for; which of them are there is observed.
pub const PROGRAMS: [&str; 18] = [
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "mkfs.vfat",
    "mkswap",
    "wipefs",
    "useradd",
    "usermod",
    "userdel",
    "groupadd",
    "groupmod",
    "groupdel",
    "modprobe",
    "mdadm",
    "cryptsetup",
    "clevis",
    "setfiles",
    crate::plan::kargs::HELPER,
];

/// Something could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// In the machine's tree.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Among its devices.
    #[error(transparent)]
    Devices(#[from] block::devices::DevicesError),
}

/// A user of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group's id.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

/// A signature on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Type as blkid(8) names it: `ext4`, `crypto_LUKS`, `gpt`.
    pub kind: String,
    /// Label.
    pub label: Option<String>,
    /// UUID.
    pub uuid: Option<String>,
}

/// A block device that the config names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its node.
    pub node: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// What is on it.
    pub contents: Vec<Content>,
    /// Where it is mounted, or what is built on it.
    pub used_by: Vec<String>,
    /// The same of its partitions, by number, for those that are used.
    #[serde(default)]
    pub parts_in_use: BTreeMap<u32, Vec<String>>,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Its partition table, when the config has partitions for it; `None` when it holds none.
    pub table: Option<block::partition::Table>,
    /// What is wrong with its partition table, when there is one that cannot be used.
    #[serde(default)]
    pub table_damage: Option<String>,
    /// Its LUKS header, when it has one.
    #[serde(default)]
    pub luks: Option<LuksHeader>,
    /// Its sector size in bytes.
    pub sector_bytes: u64,
}

/// What a LUKS header says of how its volume is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuksHeader {
    /// 1 or 2.
    pub version: u16,
    /// Flags that were made persistent: `allow-discards` …
    pub flags: Vec<String>,
}

/// A unit file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFile {
    /// Where it is.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Nodes on the paths of the config.
    pub nodes: Nodes,
    /// Directories whose content cannot be changed, by true path.
    pub read_only: BTreeSet<String>,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Group ids by name.
    pub groups: BTreeMap<String, u32>,
    /// Unit files by name, of those that the config enables or that these name with `Also=`.
    pub units: BTreeMap<String, UnitFile>,
    /// Symlinks below `/etc/systemd/system`: path and target.
    pub unit_links: BTreeMap<String, String>,
    /// Text of the preset file that units are added to.
    pub preset: String,
    /// Devices by the name that the config uses.
    pub devices: BTreeMap<String, Device>,
    /// Programs that are there, of [`PROGRAMS`].
    pub programs: BTreeSet<String>,
    /// The OS's default of a path below `/etc`: what is at the same path below `/usr/etc`.
    #[serde(default)]
    pub defaults: Nodes,
    /// Texts of files by true path, where [`texts`] was asked for them.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
    /// Unit files by name as they would be found without the machine's own in `/etc`.
    #[serde(default)]
    pub vendor_units: BTreeMap<String, UnitFile>,
    /// Names in directories that a change may remove.
    #[serde(default)]
    pub children: BTreeMap<String, Vec<String>>,
    /// The kernel's arguments.
    #[serde(default)]
    pub kernel: Kernel,
    /// Text of `/etc/crypttab`, when the config has volumes and it is there.
    #[serde(default)]
    pub crypttab: Option<String>,
    /// `file_contexts` of the SELinux policy that the machine has, by its path in the root.
    #[serde(default)]
    pub selinux_contexts: Option<String>,
    /// Directories that the mount phase made, by true path.
    #[serde(default)]
    pub mount_points_made: Vec<String>,
    /// What a first boot that was cut short has made.
    #[serde(default, skip_serializing_if = "Notes::is_empty")]
    pub unfinished: Notes,
}

impl Observed {
    /// Whether the volume on a device was made by a first boot that was cut short: its key may be lost with that boot.
    pub(crate) fn made_volume(&self, volume: &Volume, device: &Device) -> bool {
        let made = self.unfinished.volumes.get(&volume.name);
        let header = device.contents.iter().find(|found| found.kind == "crypto_LUKS");
        made.is_some() && header.and_then(|found| found.uuid.as_ref()) == made && device.contents.len() == 1
    }
}

impl Observed {
    /// Adds another look at the same machine.
    pub fn merge(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.read_only.extend(other.read_only);
        self.users.extend(other.users);
        self.groups.extend(other.groups);
        self.units.extend(other.units);
        self.unit_links.extend(other.unit_links);
        self.devices.extend(other.devices);
        self.programs.extend(other.programs);
        self.defaults.extend(other.defaults);
        self.texts.extend(other.texts);
        self.vendor_units.extend(other.vendor_units);
        self.children.extend(other.children);
        if self.preset.is_empty() {
            self.preset = other.preset;
        }
        if self.crypttab.is_none() {
            self.crypttab = other.crypttab;
        }
    }
}

/// See [`crate::fuzz::luks_header`].
pub(crate) fn fuzz_luks(bytes: &[u8]) {
    let _ = devices::parse_luks(bytes);
}

/// Looks at the machine as far as `config` is about it.
///
/// # Errors
/// [`ObserveError`] when something exists and cannot be looked at.
pub fn observe(
    config: &Config,
    root: &Root,
    devices: &Devices,
    programs: &dyn Programs,
) -> Result<Observed, ObserveError> {
    let mut observed = Observed {
        // The OS: a dm-verity device. It says so even where a test's tree is on a writable disk.
        read_only: BTreeSet::from(["/usr".to_owned()]),
        programs: PROGRAMS.iter().filter(|name| programs.has(name)).map(|name| (*name).to_owned()).collect(),
        ..Observed::default()
    };
    nodes::observe(config, root, &mut observed)?;
    nodes::observe_accounts(root, &mut observed)?;
    units::observe(config, root, &mut observed)?;
    nodes::observe_security(config, root, &mut observed)?;
    devices::observe(config, devices, &mut observed)?;
    Ok(observed)
}

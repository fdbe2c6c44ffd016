//! The sections of the newest spec, as plain structs with public fields, in the order of upstream's types.
//!
//! Sizes named `*_mib` are MiB, times are seconds, modes are the number that the JSON has (decimal there).
//! An `Option` tells "not given" from "given, and empty".

mod disks;
mod ignition;
mod luks;
mod nodes;
mod passwd;
mod systemd;

use crate::check::{nodes as node_rules, systemd as unit_rules};
use crate::section;
use crate::write;

pub use disks::{Disk, FORMATS, Filesystem, Partition, RAID_LEVELS, Raid};
pub use ignition::{
    COMPRESSIONS, HttpHeader, Ignition, IgnitionConfig, Proxy, Resource, Security, Timeouts, Tls,
    Verification,
};
pub use luks::{Cex, Clevis, ClevisCustom, Luks, Tang};
pub use nodes::{Directory, File, Link, NodeGroup, NodeUser};
pub use passwd::{Passwd, PasswdGroup, PasswdUser};
pub use systemd::{Dropin, Systemd, Unit};

/// The module whose sections have Ignition's rules; see [`Checker::new`](crate::check::Checker::new).
pub const OWNER: &str = module_path!();

impl Config {
    /// The config as compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        write::to_json(self, false)
    }

    /// The config as JSON for people: two spaces per level.
    pub fn to_json_pretty(&self) -> Vec<u8> {
        write::to_json(self, true)
    }
}

section! {
    /// An Ignition config.
    Config [check unit_rules::conflicts] {
        /// Metadata about the config itself, and how to fetch what it refers to.
        ignition: Ignition = "ignition",
        /// Kernel arguments of the machine.
        kernel_arguments: KernelArguments = "kernelArguments" since 3,
        /// Users and groups.
        passwd: Passwd = "passwd",
        /// Disks, filesystems, files.
        storage: Storage = "storage",
        /// systemd units.
        systemd: Systemd = "systemd",
    }
}

section! {
    /// Kernel arguments.
    KernelArguments {
        /// Arguments that must be on the command line.
        should_exist: Vec<String> = "shouldExist" since 3 list Shared,
        /// Arguments that must not be there.
        should_not_exist: Vec<String> = "shouldNotExist" since 3 list Shared,
    }
}

section! {
    /// Disks, filesystems, files.
    Storage [check node_rules::storage] {
        /// Directories.
        directories: Vec<Directory> = "directories" list Shared,
        /// Disks and their partitions.
        disks: Vec<Disk> = "disks",
        /// Files.
        files: Vec<File> = "files" list Shared,
        /// Filesystems.
        filesystems: Vec<Filesystem> = "filesystems",
        /// Links.
        links: Vec<Link> = "links" list Shared,
        /// LUKS volumes.
        luks: Vec<Luks> = "luks" since 2,
        /// RAID arrays.
        raid: Vec<Raid> = "raid",
    }
}

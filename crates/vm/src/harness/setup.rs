//! What a machine under test is made of, before there are files for it.

use crate::config::{Additions, CONFIG_ITEM, KERNEL_ARGS, SOURCE_MAP_ITEM};
use crate::spec::Fault;

/// A machine under test. Equal setups of one image share a saved machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// RAM in MiB.
    pub memory_mib: u32,
    /// Through the firmware and the boot loader rather than straight into the kernel.
    pub uefi: bool,
    /// The user's config as Ignition JSON; the guest agent is added to it.
    pub config: Option<Vec<u8>>,
    /// The source map that goes with the config.
    pub source_map: Option<Vec<u8>>,
    /// Size of the system disk in MiB; sparse.
    pub disk_mib: u64,
    /// Further empty disks: serial number and size in MiB.
    pub disks: Vec<(String, u64)>,
    /// More words for the kernel.
    pub kernel_args: Vec<String>,
    /// Faults of the last disk from the start.
    pub faults: Vec<Fault>,
    /// Guest ports to be reached from the workstation.
    pub ports: Vec<u16>,
    /// The clock at start, `YYYY-MM-DDThh:mm:ss`.
    pub clock: Option<String>,
    /// The port of 127.0.0.1 where a registry serves `localhost/…` images to the machine.
    pub registry_port: Option<u16>,
    /// A shell line that succeeds once the machine is ready, beyond being up.
    pub ready: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            memory_mib: 512,
            uefi: false,
            config: None,
            source_map: None,
            disk_mib: 8 * 1024,
            disks: Vec::new(),
            kernel_args: KERNEL_ARGS.iter().map(ToString::to_string).collect(),
            faults: Vec::new(),
            ports: Vec::new(),
            clock: None,
            registry_port: None,
            ready: None,
        }
    }
}

impl Setup {
    /// A machine with this Ignition config.
    #[must_use]
    pub fn with_config(config: impl Into<Vec<u8>>) -> Self {
        Self { config: Some(config.into()), ..Self::default() }
    }

    /// The fw_cfg items: name, file name in the machine's folder, contents.
    pub(super) fn items(&self) -> Vec<(&'static str, &'static str, Vec<u8>)> {
        let additions = Additions { registry_port: self.registry_port, ..Additions::default() };
        let mut items = vec![(CONFIG_ITEM, "config.ign", additions.merged(self.config.as_deref()))];
        if let Some(map) = &self.source_map {
            items.push((SOURCE_MAP_ITEM, "source-map.json", map.clone()));
        }
        items
    }

    /// Text that is equal for setups whose machines are. The registry's port is another each time, but what is
    /// fetched from there is not.
    pub(super) fn identity(&self) -> String {
        format!("{:?}", Self { registry_port: self.registry_port.map(|_| 0), ..self.clone() })
    }
}

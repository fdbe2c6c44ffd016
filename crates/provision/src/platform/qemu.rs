//! QEMU: its configuration device, or a disk with the serial `ignition` where there is none.

use std::time::Duration;

use super::{Env, Needs, PlatformError, Provider, UserData};

/// The key that upstream's documentation tells QEMU users.
const KEY: &str = "opt/com.coreos/config";
const SERIAL: &str = "ignition";
/// Upstream's patience with the disk, on machines that have no configuration device.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Qemu;

impl Provider for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn needs(&self) -> Needs {
        Needs { modules: &["qemu_fw_cfg"], ..super::NOTHING }
    }

    fn source(&self) -> String {
        format!("fw_cfg {KEY}; without fw_cfg, a disk with the serial {SERIAL}")
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let device = env.sysfs.join("firmware/qemu_fw_cfg");
        if device.exists() {
            let path = device.join("by_name").join(KEY).join("raw");
            let Some(bytes) = super::local::read(&path)? else { return Ok(None) };
            return env.user_data(format!("fw_cfg {KEY}"), bytes);
        }
        // x86 and arm64 have the device; elsewhere the disk is the way and worth waiting for.
        let disk_only = !cfg!(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"));
        if disk_only {
            env.wake_devices()?;
        }
        let limit = if disk_only { LIMIT } else { Duration::ZERO };
        let found = env.await_some(&format!("the disk with the serial {SERIAL}"), Some(limit), |env| {
            let devices = env.devices().unwrap_or_default();
            let ours = |disk: &block::devices::Device| {
                disk.part_of.is_none() && disk.serial.as_deref() == Some(SERIAL)
            };
            Ok(devices.into_iter().find(ours))
        })?;
        let Some(disk) = found else { return Ok(None) };
        let mut bytes = super::local::read(&disk.node)?.unwrap_or_default();
        // A disk is whole sectors; what is behind the text is zeros.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(end);
        env.user_data(disk.node.display().to_string(), bytes)
    }
}

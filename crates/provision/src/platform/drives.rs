//! Platforms whose config is a file on a drive with a known label.
//!
//! Labels are compared without regard to case: tools that write FAT drives put them in capitals, and platforms have
//! been seen with either (`config-2`, `CONFIG-2`).

use std::time::Duration;

use super::env::Drive;
use super::{DEVICES, Env, Needs, PlatformError, Provider, UserData};
use crate::drive::Volume;

/// OpenStack's config drive (<https://docs.openstack.org/nova/latest/user/metadata.html>).
pub(super) const CONFIG_2: Place = Place { label: "config-2", paths: &["/openstack/latest/user_data"] };
/// cloud-init's NoCloud.
pub(super) const CIDATA: Place = Place { label: "cidata", paths: &["/user-data"] };
/// The head of a config for cloud-init, which Proxmox VE generates by itself.
const CLOUD_CONFIG: &[u8] = b"#cloud-config\n";

/// A label and the files to look at, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) label: &'static str,
    pub(super) paths: &'static [&'static str],
}

/// A platform with such a drive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drives {
    name: &'static str,
    places: &'static [Place],
    /// After this the machine goes on without a config; `None` waits for ever.
    limit: Option<Duration>,
    /// Whether a config for cloud-init counts as none.
    skip_cloud_config: bool,
    limit_bytes: Option<u64>,
}

const PLAIN: Drives =
    Drives { name: "", places: &[CONFIG_2], limit: None, skip_cloud_config: false, limit_bytes: None };
/// Upstream's limit for drives that may be missing.
const MAY_BE_MISSING: Option<Duration> = Some(Duration::from_secs(30));

/// IBM Cloud VPC.
pub(super) const IBMCLOUD: Drives =
    Drives { name: "ibmcloud", places: &[CIDATA], limit: MAY_BE_MISSING, ..PLAIN };
/// KubeVirt, by either kind of volume.
pub(super) const KUBEVIRT: Drives = Drives { name: "kubevirt", places: &[CIDATA, CONFIG_2], ..PLAIN };
/// Nutanix AHV.
pub(super) const NUTANIX: Drives = Drives { name: "nutanix", ..PLAIN };
/// IBM Power Virtual Server.
pub(super) const POWERVS: Drives = Drives { name: "powervs", ..PLAIN };
/// Proxmox VE, whose own user data are made for cloud-init.
pub(super) const PROXMOXVE: Drives = Drives {
    name: "proxmoxve",
    places: &[Place { label: "cidata", paths: &["/user-data", "/vendor-data"] }],
    limit: MAY_BE_MISSING,
    skip_cloud_config: true,
    ..PLAIN
};

impl Place {
    /// The drive, if it is there.
    pub(super) fn find(&self, env: &Env<'_, '_, '_>) -> Result<Option<Drive>, PlatformError> {
        let wanted =
            |volume: &Volume| volume.labels().iter().any(|label| label.eq_ignore_ascii_case(self.label));
        Ok(env.drives(&wanted)?.into_iter().next())
    }

    /// The first of the files with something in it that `accept` takes.
    pub(super) fn read(
        &self,
        env: &Env<'_, '_, '_>,
        drive: &Drive,
        accept: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<UserData>, PlatformError> {
        for path in self.paths {
            let Some(bytes) = drive.read(path)?.filter(|bytes| accept(bytes)) else { continue };
            if let Some(data) = env.user_data(drive.name(path), bytes)? {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Provider for Drives {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Needs {
        DEVICES
    }

    fn source(&self) -> String {
        let places = self.places.iter();
        let places = places.map(|place| format!("drive {}, {}", place.label, place.paths.join(" then ")));
        places.collect::<Vec<_>>().join("; or ")
    }

    fn limit_bytes(&self) -> Option<u64> {
        self.limit_bytes
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let what: Vec<String> =
            self.places.iter().map(|place| format!("the drive {}", place.label)).collect();
        let found = env.await_some(&what.join(" or "), self.limit, |env| {
            for place in self.places {
                if let Some(drive) = place.find(env)? {
                    return Ok(Some((place, drive)));
                }
            }
            Ok(None)
        })?;
        let Some((place, drive)) = found else {
            env.warn(format!("{} did not appear; going on without a config", what.join(" or ")));
            return Ok(None);
        };
        let skip = self.skip_cloud_config;
        place.read(env, &drive, &|bytes| !(skip && bytes.starts_with(CLOUD_CONFIG)))
    }
}

/// The file of `ignition.config.device=LABEL` and `ignition.config.path=PATH`: upstream gives the drive 30 seconds.
pub(crate) fn by_label(
    env: &mut Env<'_, '_, '_>,
    label: &str,
    path: &str,
) -> Result<UserData, PlatformError> {
    let limit = Duration::from_secs(30);
    env.wake_devices()?;
    let found = env.await_some(&format!("the drive {label}"), Some(limit), |env| {
        Ok(env.drives(&|volume| volume.labels().iter().any(|found| found == label))?.into_iter().next())
    })?;
    let Some(drive) = found else {
        return Err(PlatformError::NoDrive { label: label.to_owned(), seconds: limit.as_secs() });
    };
    let bytes = drive.read(path)?.ok_or_else(|| PlatformError::NoFile {
        label: label.to_owned(),
        device: drive.device.node.display().to_string(),
        path: path.to_owned(),
    })?;
    let from = drive.name(path);
    Ok(env.user_data(from.clone(), bytes)?.unwrap_or(UserData { from, ..UserData::default() }))
}

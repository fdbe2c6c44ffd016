//! The platforms that a machine may run on, and how each hands over the user's config.
//!
//! The platform is named by `ignition.platform.id=` of the kernel's command line and never guessed: a config taken from
//! the wrong place is somebody else's. A [`Provider`] knows one platform; [`PROVIDERS`] are all of upstream's.
//!
//! Rules of all providers:
//! - A service that says 404 has no config. Anything else that is not an answer is tried again for as long as it takes,
//!   and said each time.
//! - User data that begin as gzip do are unpacked, whatever the platform: JSON and YAML never begin so.
//! - A provider reaches the machine through [`Env`] only, so that each is tested against a server or device that
//!   speaks its protocol.

mod azure;
mod decode;
mod drives;
mod env;
mod http;
mod hyperv;
mod local;
mod openstack;
mod ovf;
mod packet;
mod qemu;
mod refused;
mod virtualbox;
pub mod vmware;

use std::io;
use std::path::PathBuf;

pub(crate) use drives::by_label;
pub use env::{Env, LoadModule, Machine};
pub use hyperv::{KVP_MESSAGE_BYTES, fuzz_kvp};
pub use ovf::fuzz_ovf;

use crate::drive::VolumeError;
use crate::net::http::HttpError;

/// Largest user data that are taken from a service: the largest limit of any cloud is 64 KiB of them; this stops a
/// server that does not end.
pub const USER_DATA_BYTES_MAX: u64 = 64 << 20;

/// What a provider needs before it is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// An address.
    pub network: bool,
    /// All drivers of disks, and the disks.
    pub devices: bool,
    /// Kernel modules, by name.
    pub modules: &'static [&'static str],
}

/// Needs nothing.
pub const NOTHING: Needs = Needs { network: false, devices: false, modules: &[] };
/// Needs an address.
pub const NETWORK: Needs = Needs { network: true, ..NOTHING };
/// Needs disks.
pub const DEVICES: Needs = Needs { devices: true, ..NOTHING };

/// A file that a provider wants on the machine beside the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Absolute path.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// Content.
    pub bytes: Vec<u8>,
}

/// User data as a provider found them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserData {
    /// The config, decoded; empty when only files were found.
    pub bytes: Vec<u8>,
    /// Where it was, for people.
    pub from: String,
    /// Files of the platform.
    pub files: Vec<OutputFile>,
}

/// Whether the user data were removed from the platform after provisioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// They were removed.
    Yes,
    /// There were none.
    Nothing,
    /// The platform has no way to.
    NotPossible,
}

/// How the machine's first boot went, for a platform that wants to hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Stage that ended.
    pub stage: &'a str,
    /// Why it failed, if it did.
    pub error: Option<&'a str>,
}

/// One platform.
pub trait Provider: std::fmt::Debug + Sync {
    /// Its `ignition.platform.id`.
    fn name(&self) -> &'static str;

    /// What it needs.
    fn needs(&self) -> Needs;

    /// Where the config is, for the documentation: a URL, a drive and its file, a property.
    fn source(&self) -> String;

    /// Largest user data that the platform itself accepts, in bytes, where it is known.
    fn limit_bytes(&self) -> Option<u64> {
        None
    }

    /// Gets the user data. `None` when the platform answers that there are none.
    ///
    /// # Errors
    /// [`PlatformError`] when it can never be had.
    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError>;

    /// Removes the user data from the platform, where secrets in them would stay readable.
    ///
    /// # Errors
    /// [`PlatformError`] when the platform could and did not.
    fn delete(&self, _: &mut Env<'_, '_, '_>) -> Result<Deleted, PlatformError> {
        Ok(Deleted::NotPossible)
    }

    /// Tells the platform how a stage ended. Most do not want to know.
    ///
    /// # Errors
    /// [`PlatformError`]; not worth failing a boot for.
    fn tell(&self, _: &mut Env<'_, '_, '_>, _: Status<'_>) -> Result<(), PlatformError> {
        Ok(())
    }
}

/// All platforms, by name.
pub static PROVIDERS: &[&dyn Provider] = &[
    &http::AKAMAI,
    &http::ALIYUN,
    &local::AppleHv,
    &http::AWS,
    &azure::Azure,
    &azure::AzureStack,
    &openstack::OpenStack { name: "brightbox" },
    &openstack::CloudStack,
    &http::DIGITALOCEAN,
    &http::EXOSCALE,
    &local::File,
    &http::GCP,
    &http::HETZNER,
    &hyperv::HyperV,
    &drives::IBMCLOUD,
    &drives::KUBEVIRT,
    &local::Metal,
    &drives::NUTANIX,
    &local::BlueField,
    &openstack::OpenStack { name: "openstack" },
    &http::ORACLECLOUD,
    &packet::Packet,
    &drives::POWERVS,
    &drives::PROXMOXVE,
    &qemu::Qemu,
    &http::SCALEWAY,
    &http::UPCLOUD,
    &virtualbox::VirtualBox,
    &vmware::VmWare,
    &http::VULTR,
    &refused::ZVM,
];

/// The provider of a platform.
///
/// # Errors
/// [`PlatformError::Unknown`], which names what is known.
pub fn find(name: &str) -> Result<&'static dyn Provider, PlatformError> {
    let found = PROVIDERS.iter().copied().find(|provider| provider.name() == name);
    found.ok_or_else(|| PlatformError::Unknown { name: name.to_owned() })
}

/// Gets what `provider` needs ready and asks it.
///
/// # Errors
/// [`PlatformError`].
pub fn fetch(provider: &dyn Provider, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
    let needs = provider.needs();
    for module in needs.modules {
        env.load_module(module);
    }
    if needs.devices {
        env.wake_devices()?;
    }
    if needs.network {
        env.bring_up(&provider.source())?;
    }
    provider.fetch(env)
}

/// Why a platform gave no config and never will.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// No such platform.
    #[error("there is no platform {name:?}")]
    Unknown {
        /// The name on the command line.
        name: String,
    },
    /// A platform that is known and cannot be served here.
    #[error("the platform {name} is not supported: {why}")]
    Refused {
        /// Its name.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// A service's final word.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No address.
    #[error("{url}: no network: {why}")]
    Network {
        /// What was wanted.
        url: String,
        /// Why.
        why: String,
    },
    /// The machine's disks cannot be looked at.
    #[error("cannot look at the machine's devices: {why}")]
    Devices {
        /// Why.
        why: String,
    },
    /// A drive did not come.
    #[error("no drive with the label {label:?} appeared within {seconds} s")]
    NoDrive {
        /// The label.
        label: String,
        /// Time that it had.
        seconds: u64,
    },
    /// A drive lacks the file that the command line names.
    #[error("the drive {label:?} ({device}) has no file {path}")]
    NoFile {
        /// The label.
        label: String,
        /// The device.
        device: String,
        /// The path.
        path: String,
    },
    /// A drive that cannot be read.
    #[error("cannot read the drive {device}")]
    Volume {
        /// The device.
        device: String,
        /// What is wrong with it.
        #[source]
        source: VolumeError,
    },
    /// A file of the machine that cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// User data that are not what their encoding says.
    #[error("the user data of {from} are not {what}")]
    Decode {
        /// Where they are from.
        from: String,
        /// The encoding.
        what: &'static str,
    },
    /// An answer that makes no sense.
    #[error("{from}: {what}")]
    Answer {
        /// Who answered.
        from: String,
        /// What is wrong with it.
        what: String,
    },
    /// Arguments of the kernel's command line that belong together.
    #[error("the kernel arguments ignition.config.device= and ignition.config.path= need each other")]
    HalfADevice,
}

impl PlatformError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => {
                let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name()).collect();
                Some(format!("ignition.platform.id= is one of {}", names.join(", ")))
            }
            Self::Refused { .. } => {
                Some("give the config by ignition.config.url= and ignition.platform.id=metal".into())
            }
            Self::NoDrive { .. } => Some("is the drive attached, and is its label spelt so?".into()),
            _ => None,
        }
    }
}

//! What tests run in: a QEMU, an image, places for files.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sdk::Sdk;

use super::Failure;
use super::session::Session;
use super::setup::Setup;
use crate::image::{ImageDir, ImageError};
use crate::machine::{Disks, Lifetime, Machine, MachineError};
use crate::qemu::{Qemu, QemuError};
use crate::spec::{Boot, Forward, FwCfg, Spec};

/// From being up to being ready: a container is fetched and started.
const READY: Duration = Duration::from_secs(40);

/// Why there is no lab, or a machine could not be made in it.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Nothing was built yet; tests are skipped.
    #[error("no image to test")]
    NoImage {
        /// What is missing.
        #[source]
        source: ImageError,
    },
    /// The toolbox is missing.
    #[error("no SDK tree")]
    NoSdk {
        /// The tree's reason.
        #[source]
        source: sdk::Error,
    },
    /// QEMU is of no use.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// A machine is of no use.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A file of the lab cannot be made.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl LabError {
    /// A file error's maker.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// What tests run in.
#[derive(Debug)]
pub struct Lab {
    /// What runs machines.
    pub qemu: Qemu,
    /// What they boot.
    pub image: ImageDir,
    /// Where saved machines are kept.
    pub cache: PathBuf,
    /// Where console, journal and screen of failed tests are kept, by test.
    pub results: PathBuf,
}

impl Lab {
    /// A lab for the image in `image_dir`, with the SDK tree at `sdk` or in the cache.
    ///
    /// # Errors
    /// When there is no image, no tree, or no usable QEMU.
    pub fn open(image_dir: &Path, sdk: Option<&Path>, results: &Path) -> Result<Self, LabError> {
        let image = ImageDir::open(image_dir).map_err(|source| LabError::NoImage { source })?;
        let cache = sdk::cache_dir().map_err(|source| LabError::NoSdk { source })?;
        let tree = match sdk {
            Some(path) => Sdk::open(path),
            None => sdk::ensure(&cache, &mut |_| ()),
        };
        let qemu = Qemu::find(&tree.map_err(|source| LabError::NoSdk { source })?)?;
        Ok(Self { qemu, image, cache: cache.join("saved"), results: results.to_owned() })
    }

    /// How much longer things take here than on an idle machine with KVM.
    #[must_use]
    pub fn patience(&self) -> u32 {
        self.qemu.accelerator.patience()
    }

    /// Starts a machine and does not wait for it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, setup: &Setup) -> Result<Session<'_>, LabError> {
        let folder =
            tempfile::tempdir().map_err(LabError::file("make a folder in", &std::env::temp_dir()))?;
        let spec = self.prepare(setup, folder.path())?;
        let machine = Machine::start(&self.qemu, folder.path(), &spec, Lifetime::Owned, None)?;
        Ok(Session::new(self, machine, folder))
    }

    /// Boots a machine and waits until it is up and its agent answers.
    ///
    /// # Errors
    /// When it does not come up; its console is in the message.
    pub fn boot(&self, setup: &Setup) -> Result<Session<'_>, Failure> {
        let mut session = self.start(setup)?;
        session.wait_until_up()?;
        if let Some(line) = &setup.ready {
            session.wait_until(line, READY)?;
        }
        Ok(session)
    }

    /// Makes the files of a machine in `folder`.
    pub(super) fn prepare(&self, setup: &Setup, folder: &Path) -> Result<Spec, LabError> {
        let disks = Disks { qemu: &self.qemu, folder };
        let mut spec = Spec {
            memory_mib: setup.memory_mib,
            boot: if setup.uefi { Boot::Uefi } else { self.image.direct_boot() },
            kernel_args: setup.kernel_args.clone(),
            clock: setup.clock.clone(),
            forwards: self.forwards(setup)?,
            ..Spec::default()
        };
        spec.disks.push(disks.overlay("system", &self.image.disk(), "raw", setup.disk_mib)?);
        for (serial, size_mib) in &setup.disks {
            spec.disks.push(disks.empty(serial, *size_mib)?);
        }
        if let Some(last) = spec.disks.last_mut() {
            last.faults.clone_from(&setup.faults);
        }
        for (name, file, contents) in setup.items() {
            let path = folder.join(file);
            fs::write(&path, contents).map_err(LabError::file("write", &path))?;
            spec.fw_cfg.push(FwCfg { name: name.into(), file: file.into() });
        }
        Ok(spec)
    }

    /// A free port of 127.0.0.1 for each guest port.
    pub(super) fn forwards(&self, setup: &Setup) -> Result<Vec<Forward>, LabError> {
        setup.ports.iter().map(|port| Ok(Forward { host_port: free_port()?, guest_port: *port })).collect()
    }
}

/// A TCP port of 127.0.0.1 that nobody listens on at this moment.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16, LabError> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(LabError::file("listen on", Path::new("127.0.0.1")))
}

//! Platforms that need no service: none at all, a file, a FIFO of the firmware, the host over vsock.

use std::fs::File as Handle;
use std::io;
use std::path::Path;

use super::{Env, NOTHING, Needs, PlatformError, Provider, USER_DATA_BYTES_MAX, UserData};
use crate::net::dial::Dial;
use crate::net::http::{Request, read_limited};

/// What is in a file; `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, PlatformError> {
    let failed = |source| PlatformError::Read { path: path.to_owned(), source };
    match Handle::open(path) {
        Ok(mut file) => read_limited(&mut file, USER_DATA_BYTES_MAX).map(Some).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Bare metal: only what the kernel's command line names.
#[derive(Debug)]
pub(super) struct Metal;

impl Provider for Metal {
    fn name(&self) -> &'static str {
        "metal"
    }

    fn needs(&self) -> Needs {
        NOTHING
    }

    fn source(&self) -> String {
        "none: ignition.config.url= or ignition.config.device= of the kernel's command line".into()
    }

    fn fetch(&self, _: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        Ok(None)
    }
}

/// A file of the machine, for tests and image builders.
#[derive(Debug)]
pub(super) struct File;

impl Provider for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn needs(&self) -> Needs {
        NOTHING
    }

    fn source(&self) -> String {
        "the file that IGNITION_CONFIG_FILE names, else config.ign in the working directory".into()
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let path = env.machine.config_file.clone();
        let missing = || PlatformError::Read { path: path.clone(), source: io::ErrorKind::NotFound.into() };
        let bytes = read(&path)?.ok_or_else(missing)?;
        env.user_data(path.display().to_string(), bytes)
    }
}

/// NVIDIA BlueField: what the host pushed through the boot FIFO.
#[derive(Debug)]
pub(super) struct BlueField;

/// Where its driver `mlxbf_bootctl` shows the FIFO (`Documentation/ABI/testing/sysfs-platform-mellanox-bootctl`).
const BOOT_FIFO: &str = "bus/platform/devices/MLNXBF04:00/bootfifo";

impl Provider for BlueField {
    fn name(&self) -> &'static str {
        "nvidiabluefield"
    }

    fn needs(&self) -> Needs {
        Needs { modules: &["mlxbf_bootctl"], ..NOTHING }
    }

    fn source(&self) -> String {
        format!("/sys/{BOOT_FIFO}")
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let path = env.sysfs.join(BOOT_FIFO);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(start, |last| last + 1);
        env.user_data(path.display().to_string(), bytes[start..end].to_vec())
    }
}

/// Apple's hypervisor: the host's program serves the config by HTTP over vsock.
#[derive(Debug)]
pub(super) struct AppleHv;

const APPLE_PORT: u32 = 1024;

impl Provider for AppleHv {
    fn name(&self) -> &'static str {
        "applehv"
    }

    fn needs(&self) -> Needs {
        Needs { modules: &["vmw_vsock_virtio_transport"], ..NOTHING }
    }

    fn source(&self) -> String {
        format!("HTTP over vsock, port {APPLE_PORT} of the host")
    }

    fn fetch(&self, env: &mut Env<'_, '_, '_>) -> Result<Option<UserData>, PlatformError> {
        let request = Request {
            url: "http://d/".into(),
            accept: Some("application/json"),
            dial: Dial::Vsock { cid: linux::vsock::CID_HOST, port: APPLE_PORT },
            ..Request::default()
        };
        match env.ask(&request)? {
            Some(bytes) => env.user_data(self.source(), bytes),
            None => Ok(None),
        }
    }
}

//! The port: found by its name in sysfs (no udev needed), written frame by frame.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use agent_spec::Reply;
use anyhow::Context as _;

/// Where the kernel names its virtio-serial ports (drivers/char/virtio_console.c, attribute `name`).
const PORTS: &str = "/sys/class/virtio-ports";

/// The device of the port called [`agent_spec::PORT`], if there is one.
pub(super) fn find() -> anyhow::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(PORTS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("cannot list {PORTS}"))?,
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {PORTS}"))?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == agent_spec::PORT {
            return Ok(Some(Path::new("/dev").join(entry.file_name())));
        }
    }
    Ok(None)
}

/// Opens the port for both directions; the kernel allows one opener at a time.
pub(super) fn open(device: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
        .with_context(|| format!("cannot open the port {}", device.display()))
}

/// The way back, shared by the threads that answer.
pub(super) struct Replies {
    port: Mutex<File>,
}

impl Replies {
    pub(super) fn new(port: File) -> Self {
        Self { port: Mutex::new(port) }
    }

    /// Writes one reply whole. While no workstation is connected the kernel holds the writer back; a reply
    /// that cannot be written has nobody to read it, and the next `sync` starts afresh.
    pub(super) fn send(&self, reply: &Reply) {
        let frame = agent_spec::encode(&reply.encode());
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = port.write_all(&frame);
    }
}

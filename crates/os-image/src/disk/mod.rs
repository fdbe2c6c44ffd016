//! Disk images: file systems made by the toolbox in plain files, partitions and GPT written by us. No root, no loop
//! devices.

pub mod esp;
pub mod image;
pub mod root;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes of a MiB.
pub const MIB: u64 = 1 << 20;

/// Why a disk image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Path {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program of the SDK is missing.
    #[error(transparent)]
    Sdk(#[from] sdk::Error),
    /// A program of the SDK failed.
    #[error("{program} ended with {status}: {said}")]
    Tool {
        /// Its name.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed.
        said: String,
    },
    /// The partition table cannot be written.
    #[error("cannot make the partition table")]
    Gpt(#[from] block::gpt::GptError),
    /// A file does not fit its partition.
    #[error("{what} has {bytes} bytes, its partition {partition_bytes} (raise {key} in the manifest)")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its length.
        bytes: u64,
        /// The partition's.
        partition_bytes: u64,
        /// The manifest's key.
        key: &'static str,
    },
}

impl DiskError {
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Path { action, path, source }
    }
}

/// Runs a program of the SDK to its end, with the build's time as its clock.
pub(crate) fn run(name: &str, command: &mut Command, time_secs: u64) -> Result<(), DiskError> {
    command.stdin(Stdio::null()).env("SOURCE_DATE_EPOCH", time_secs.to_string()).env("TZ", "UTC");
    let output = command.output().map_err(DiskError::at("run", Path::new(name)))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(DiskError::Tool { program: name.to_owned(), status: output.status, said: said.trim().to_owned() })
}

//! `config.json` as types: parsed and checked, no I/O.
//!
//! The types are ours, not generated: a field that is missing here is a field the runtime refuses by name or ignores
//! because the spec says so. [`parse`] gives the first fault with its JSON path.

mod error;
mod hooks;
mod json;
pub mod linux;
pub mod mount;
pub mod process;
pub mod resources;
pub mod seccomp;
mod validate;

use serde_json::Value;

pub use error::{Problem, SpecError};
pub use hooks::{Hook, Hooks};
pub use linux::Linux;
pub use mount::Mount;
pub use process::Process;

/// The newest runtime-spec version that is read.
pub const VERSION_MAX: &str = "1.3.0";

/// A container's whole configuration (runtime-spec config.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// `ociVersion`, major 1.
    pub oci_version: String,
    /// `root.path`, absolute or relative to the bundle.
    pub root_path: String,
    /// `root.readonly`.
    pub root_readonly: bool,
    /// `mounts`, in order.
    pub mounts: Vec<Mount>,
    /// `process`; needed from `start` on.
    pub process: Option<Process>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `domainname`.
    pub domainname: Option<String>,
    /// `hooks`.
    pub hooks: Hooks,
    /// `annotations`, in order.
    pub annotations: Vec<(String, String)>,
    /// `linux`.
    pub linux: Linux,
}

/// Reads and checks a `config.json`.
///
/// # Errors
/// The first fault, with its path. Never panics, whatever the bytes (fuzzed).
pub fn parse(bytes: &[u8]) -> Result<Spec, SpecError> {
    let spec = read(&document(bytes)?)?;
    validate::spec(&spec)?;
    Ok(spec)
}

/// Reads and checks a `process.json` as `exec --process` takes it.
///
/// # Errors
/// The first fault, with its path.
pub fn parse_process(bytes: &[u8]) -> Result<Process, SpecError> {
    let process = process::read(&document(bytes)?)?;
    validate::process(&process)?;
    Ok(process)
}

fn document(bytes: &[u8]) -> Result<Value, SpecError> {
    serde_json::from_slice(bytes).map_err(|e| {
        let message = e.to_string();
        // serde_json appends its own position, which is given apart here.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        SpecError::new(Problem::Json { message, line: e.line(), column: e.column() })
    })
}

fn read(value: &Value) -> json::Result<Spec> {
    for platform in ["windows", "solaris", "freebsd", "zos", "vm"] {
        json::refuse(value, platform, "only Linux containers run here")?;
    }
    let root = json::required(value, "root", |root| {
        Ok((json::required(root, "path", json::string)?, json::or_default(root, "readonly", json::boolean)?))
    })?;
    Ok(Spec {
        oci_version: json::required(value, "ociVersion", json::string)?,
        root_path: root.0,
        root_readonly: root.1,
        mounts: json::or_default(value, "mounts", |v| json::list(v, mount::read))?,
        process: json::optional(value, "process", process::read)?,
        hostname: json::optional(value, "hostname", json::string)?.filter(|s| !s.is_empty()),
        domainname: json::optional(value, "domainname", json::string)?.filter(|s| !s.is_empty()),
        hooks: json::or_default(value, "hooks", hooks::read)?,
        annotations: json::or_default(value, "annotations", |v| json::pairs(v, json::string))?,
        linux: json::or_default(value, "linux", linux::read)?,
    })
}

//! A machine's folder and its `machine.json`, by which later commands find it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::Process;
use crate::qemu::{Accelerator, Version};
use crate::spec::Spec;

/// Version of `machine.json`; another one is refused, not guessed at.
pub const VERSION: u32 = 1;

const RECORD: &str = "machine.json";

/// Why a machine's folder is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither of the variables that lead to the user's state is set.
    #[error("no folder for machines: none of ORLOP_STATE, XDG_STATE_HOME and HOME is set")]
    NoHome,
    /// The name cannot be a folder's.
    #[error("{name:?} is no name for a machine: letters, digits, '-', '_' and '.' are")]
    Name {
        /// The name given.
        name: String,
    },
    /// There is no such machine.
    #[error("there is no machine {name}")]
    NotFound {
        /// The name given.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// `machine.json` is broken.
    #[error("cannot make sense of {}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// `machine.json` is of another release.
    #[error("{} has version {found}, this program knows {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
    },
}

/// What is known of a machine that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The machine's name, which is its folder's.
    pub name: String,
    /// What it is made of.
    pub spec: Spec,
    /// Which QEMU runs it.
    pub qemu: Version,
    /// How its instructions are run.
    pub accelerator: Accelerator,
    /// QEMU.
    pub process: Process,
    /// Seconds since 1970 when it was started.
    pub started_unix_secs: u64,
    /// Programs that serve it and end with it, as the registry of `--images`.
    #[serde(default)]
    pub companions: Vec<Process>,
    /// The port of 127.0.0.1 that leads to its sshd.
    #[serde(default)]
    pub ssh_port: Option<u16>,
    /// Where its containers answer.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// The folder of all machines: `$ORLOP_STATE/machines`, else below `$XDG_STATE_HOME/orlop` or
/// `~/.local/state/orlop`.
///
/// # Errors
/// When the environment leads nowhere.
pub fn machines_folder(env: impl Fn(&str) -> Option<String>) -> Result<PathBuf, StateError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("ORLOP_STATE")
        .or_else(|| set("XDG_STATE_HOME").map(|folder| folder.join("orlop")))
        .or_else(|| set("HOME").map(|folder| folder.join(".local/state/orlop")))
        .ok_or(StateError::NoHome)?;
    Ok(base.join("machines"))
}

/// The name, if it can be a folder's.
///
/// # Errors
/// When it is empty, begins with a dot, or has other characters than letters, digits, `-`, `_` and `.`.
pub fn check_name(name: &str) -> Result<&str, StateError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 60 || name.starts_with(['.', '-']) || !name.bytes().all(fits) {
        return Err(StateError::Name { name: name.to_owned() });
    }
    Ok(name)
}

/// Reads a machine's record.
///
/// # Errors
/// When there is none, or it is broken or of another version.
pub fn read(folder: &Path) -> Result<Record, StateError> {
    let path = folder.join(RECORD);
    let text = fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StateError::NotFound {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        },
        _ => StateError::File { action: "read", path: path.clone(), source },
    })?;
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let broken = |source| StateError::Record { path: path.clone(), source };
    let Versioned { version: found } = serde_json::from_slice(&text).map_err(broken)?;
    if found != VERSION {
        return Err(StateError::Version { path, found });
    }
    serde_json::from_slice(&text).map_err(broken)
}

/// Writes a machine's record; a reader sees the old one or the new one.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, record: &Record) -> Result<(), StateError> {
    let path = folder.join(RECORD);
    let new = folder.join("machine.json.new");
    let text = serde_json::to_vec_pretty(record).expect("a record holds only text, numbers and lists");
    fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(|source| StateError::File {
        action: "write",
        path,
        source,
    })
}

/// Records of all machines, by name; folders without one are skipped.
///
/// # Errors
/// When the folder cannot be listed.
pub fn list(machines: &Path) -> Result<Vec<Record>, StateError> {
    let entries = match fs::read_dir(machines) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => {
            other.map_err(|source| StateError::File { action: "list", path: machines.to_owned(), source })?
        }
    };
    let mut records: Vec<Record> = entries.filter_map(|entry| read(&entry.ok()?.path()).ok()).collect();
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            version: VERSION,
            name: "web".into(),
            spec: Spec::default(),
            qemu: Version { major: 10, minor: 0, micro: 13 },
            accelerator: Accelerator::Tcg,
            process: Process { pid: 4, start_ticks: 5 },
            started_unix_secs: 6,
            companions: vec![],
            ssh_port: Some(7),
            addresses: vec!["http://127.0.0.1:8080/".into()],
        }
    }

    #[test]
    fn records_come_back() {
        let machines = tempfile::tempdir().unwrap();
        let folder = machines.path().join("web");
        fs::create_dir(&folder).unwrap();
        assert!(matches!(read(&folder), Err(StateError::NotFound { name }) if name == "web"));
        write(&folder, &record()).unwrap();
        assert_eq!(read(&folder).unwrap(), record());
        assert_eq!(list(machines.path()).unwrap(), [record()]);
    }

    #[test]
    fn another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(RECORD), r#"{"version":2,"name":"x"}"#).unwrap();
        assert!(matches!(read(folder.path()), Err(StateError::Version { found: 2, .. })));
    }

    #[test]
    fn names_stay_inside_the_folder() {
        assert!(check_name("web-1.a_B").is_ok());
        for name in ["", ".", "..", "a/b", "-x", "ä", "a b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_environment_leads_to_the_folder() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let folder = |pairs| machines_folder(env(pairs)).ok();
        assert_eq!(folder(&[("HOME", "/h")]), Some("/h/.local/state/orlop/machines".into()));
        assert_eq!(folder(&[("HOME", "/h"), ("ORLOP_STATE", "/s")]), Some("/s/machines".into()));
        assert_eq!(folder(&[("HOME", "")]), None);
    }
}

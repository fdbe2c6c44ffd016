//! The state directory: one directory for each container under the runtime's root.
//!
//! ```text
//! /run/orun/ID/state.json    what is known of the container, written atomically
//! /run/orun/ID/config.json   the config as it was at create; later edits of the bundle's have no effect
//! /run/orun/ID/lock          held (fcntl) by the one `orun` that changes the container
//! /run/orun/ID/start.sock    there until the container is started; its listener is the waiting process
//! ```
//! The status is derived, never stored: it follows from the process being alive (id and start time, so that a reused
//! id does not deceive) and from whether somebody listens on the socket. Nothing has to be rewritten at `start`, so
//! no crash can leave a wrong status behind.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// Version of `state.json`'s format.
const FORMAT: u64 = 1;
const STATE: &str = "state.json";
const CONFIG: &str = "config.json";
const LOCK: &str = "lock";
/// Name of the socket that a created container waits on.
pub(crate) const START_SOCKET: &str = "start.sock";

/// runtime.md, State.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// `create` has not finished.
    Creating,
    /// Made, the user's program not run yet.
    Created,
    /// The user's program runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// The process is gone.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// A process, told apart from a later one of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`, clock ticks since boot.
    pub start_time: u64,
}

/// What `state.json` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The container's id.
    pub id: String,
    /// `ociVersion` of its config.
    pub oci_version: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root file system.
    pub rootfs: PathBuf,
    /// Its init process; `None` while `create` is at work.
    pub process: Option<Process>,
    /// Directory of its cgroup v2, and whether `create` made it.
    pub cgroup: Option<(PathBuf, bool)>,
    /// Seconds since 1970.
    pub created: u64,
    /// From the config.
    pub annotations: Vec<(String, String)>,
}

impl Record {
    /// As written; stable member order.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "format": FORMAT,
            "id": self.id,
            "ociVersion": self.oci_version,
            "bundle": self.bundle.to_string_lossy(),
            "rootfs": self.rootfs.to_string_lossy(),
            "process": self.process.map(|p| json!({"pid": p.pid, "startTime": p.start_time})),
            "cgroup": self.cgroup.as_ref().map(|(p, made)| json!({"path": p.to_string_lossy(), "made": made})),
            "created": self.created,
            "annotations": annotations(&self.annotations),
        })
    }

    /// Reads what [`Self::to_json`] gave.
    ///
    /// # Errors
    /// In words, what is wrong. Never panics (fuzzed).
    pub fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        match value["format"].as_u64() {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("format {other}, this program knows {FORMAT}")),
            None => return Err("no format".to_owned()),
        }
        let text = |key: &str| value[key].as_str().map(str::to_owned).ok_or_else(|| format!("no {key}"));
        let process = match &value["process"] {
            Value::Null => None,
            p => {
                let pid = p["pid"].as_i64().and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 0);
                let start_time = p["startTime"].as_u64();
                let (Some(pid), Some(start_time)) = (pid, start_time) else {
                    return Err("bad process".to_owned());
                };
                Some(Process { pid, start_time })
            }
        };
        let cgroup = match &value["cgroup"] {
            Value::Null => None,
            c => {
                let path = c["path"].as_str().filter(|p| p.starts_with('/')).ok_or("bad cgroup")?;
                Some((PathBuf::from(path), c["made"].as_bool().ok_or("bad cgroup")?))
            }
        };
        let members = value["annotations"].as_object().ok_or("no annotations")?;
        Ok(Self {
            id: text("id")?,
            oci_version: text("ociVersion")?,
            bundle: text("bundle")?.into(),
            rootfs: text("rootfs")?.into(),
            process,
            cgroup,
            created: value["created"].as_u64().ok_or("no created")?,
            annotations: members
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()))
                .collect(),
        })
    }

    /// The state of runtime.md, as `state` prints it and hooks get it.
    #[must_use]
    pub fn to_oci(&self, status: Status, pid: Option<i32>) -> Value {
        let mut state = json!({
            "ociVersion": self.oci_version,
            "id": self.id,
            "status": status.to_string(),
        });
        if let (Some(pid), Value::Object(members)) = (pid, &mut state) {
            members.insert("pid".to_owned(), pid.into());
        }
        state["bundle"] = self.bundle.to_string_lossy().into();
        state["annotations"] = annotations(&self.annotations);
        state
    }
}

fn annotations(pairs: &[(String, String)]) -> Value {
    Value::Object(pairs.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect::<Map<_, _>>())
}

/// The start time of a process, from the text of `/proc/PID/stat`; `None` for a zombie or a malformed text.
#[must_use]
pub fn start_time(stat: &str) -> Option<u64> {
    // The name (field 2) is in parentheses and may hold anything, so fields are counted from the last one.
    let after = &stat[stat.rfind(')')? + 1..];
    let mut fields = after.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

impl Process {
    /// The process of this id as it is now; `None` if it is gone or a zombie.
    #[must_use]
    pub fn observe(pid: Pid) -> Option<Self> {
        let pid = pid.as_raw_nonzero().get();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, start_time: start_time(&stat)? })
    }

    /// A pidfd on exactly this process, or `None` if it is gone.
    #[must_use]
    pub fn open(self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(self.pid)?;
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
        // The descriptor holds whatever has the id now; only if that is still ours is it the right one.
        (Self::observe(pid) == Some(self)).then_some(fd)
    }
}

/// The directory of all containers.
#[derive(Debug, Clone)]
pub struct Root(pub PathBuf);

/// One container's directory, locked for as long as this lives.
#[derive(Debug)]
pub struct Dir {
    /// Its path.
    pub path: PathBuf,
    fd: OwnedFd,
    /// Held open for its lock, which is this process's alone: unlike flock(2)'s it does not pass to the container's
    /// process, which outlives us with a copy of all descriptors.
    _lock: Option<OwnedFd>,
}

/// True if `id` can be a container's name.
#[must_use]
pub fn valid_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    !id.is_empty() && id.len() <= 1024 && id.chars().all(allowed) && id != "." && id != ".."
}

impl Root {
    /// Where containers are kept if nothing else is said: `/run/orun`, or the user's own runtime directory.
    #[must_use]
    pub fn default_for(uid: u32, xdg_runtime_dir: Option<&str>) -> Self {
        match xdg_runtime_dir {
            Some(dir) if uid != 0 && dir.starts_with('/') => Self(Path::new(dir).join("orun")),
            _ => Self("/run/orun".into()),
        }
    }

    fn path(&self, id: &str) -> Result<PathBuf> {
        if valid_id(id) { Ok(self.0.join(id)) } else { Err(Error::BadId { id: id.to_owned() }) }
    }

    /// Makes the directory of a new container and locks it.
    ///
    /// # Errors
    /// [`Error::Exists`]; file errors.
    pub fn make(&self, id: &str) -> Result<Dir> {
        let path = self.path(id)?;
        let made = match rustix::fs::mkdir(&path, Mode::from(0o711)) {
            Err(Errno::NOENT) => {
                std::fs::create_dir_all(&self.0).map_err(|e| Error::file("make directory", &self.0, e))?;
                rustix::fs::mkdir(&path, Mode::from(0o711))
            }
            other => other,
        };
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Error::Exists { id: id.to_owned() }),
            Err(e) => return Err(Error::file("make directory", path, e)),
        }
        self.open(id)
    }

    /// Opens and locks a container's directory; waits while another `orun` works on it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; file errors.
    pub fn open(&self, id: &str) -> Result<Dir> {
        let dir = self.open_unlocked(id)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = match rustix::fs::openat(&dir.fd, LOCK, flags, Mode::from(0o600)) {
            Err(Errno::NOENT) => return Err(Error::NotFound { id: id.to_owned() }),
            other => other.map_err(|e| Error::file("open", dir.path.join(LOCK), e))?,
        };
        let locked = rustix::fs::fcntl_lock(&lock, FlockOperation::LockExclusive);
        locked.map_err(|e| Error::file("lock", dir.path.join(LOCK), e))?;
        // Whoever held the lock may have removed the container.
        if rustix::fs::fstat(&dir.fd).map_or(0, |s| s.st_nlink) == 0 {
            return Err(Error::NotFound { id: id.to_owned() });
        }
        Ok(Dir { _lock: Some(lock), ..dir })
    }

    /// Opens a container's directory to read only.
    ///
    /// # Errors
    /// [`Error::NotFound`]; file errors.
    pub fn open_unlocked(&self, id: &str) -> Result<Dir> {
        let path = self.path(id)?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NOFOLLOW;
        match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Ok(fd) => Ok(Dir { path, fd, _lock: None }),
            Err(Errno::NOENT) => Err(Error::NotFound { id: id.to_owned() }),
            Err(e) => Err(Error::file("open", path, e)),
        }
    }

    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// If the directory is there and cannot be read.
    pub fn list(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::file("read", &self.0, e)),
        };
        let names = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        let mut ids: Vec<String> = names.filter_map(|e| e.file_name().into_string().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

impl Dir {
    /// Writes a file whole: a reader sees the old one or the new one.
    fn write(&self, name: &'static str, bytes: &[u8]) -> Result<()> {
        let failed = |e: io::Error| Error::file("write", self.path.join(name), e);
        let temporary = format!(".{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, &temporary, flags, Mode::from(0o600))
            .map_err(|e| failed(e.into()))?;
        let written = File::from(fd).write_all(bytes).and_then(|()| {
            rustix::fs::renameat(&self.fd, &temporary, &self.fd, name).map_err(io::Error::from)
        });
        written.map_err(|e| {
            // The old file, if any, stays; a half-written new one must not.
            let _ = rustix::fs::unlinkat(&self.fd, &temporary, rustix::fs::AtFlags::empty());
            failed(e)
        })
    }

    /// Writes `state.json`.
    ///
    /// # Errors
    /// File errors.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        self.write(STATE, record.to_json().to_string().as_bytes())
    }

    /// Keeps the config as it is now.
    ///
    /// # Errors
    /// File errors.
    pub fn write_config(&self, bytes: &[u8]) -> Result<()> {
        self.write(CONFIG, bytes)
    }

    /// The kept config's bytes.
    ///
    /// # Errors
    /// File errors.
    pub fn read_config(&self) -> Result<Vec<u8>> {
        let path = self.config_path();
        std::fs::read(&path).map_err(|e| Error::file("read", path, e))
    }

    /// Where the kept config is, for messages.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Reads `state.json`; `None` if there is none (a `create` that died at its first step).
    ///
    /// # Errors
    /// File errors, [`Error::State`].
    pub fn read_record(&self) -> Result<Option<Record>> {
        let path = self.path.join(STATE);
        match std::fs::read(&path) {
            Ok(bytes) => Record::parse(&bytes).map(Some).map_err(|why| Error::State { path, why }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::file("read", path, e)),
        }
    }

    /// Removes the directory. Succeeds if it is gone already.
    ///
    /// # Errors
    /// File errors.
    pub fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", &self.path, e)),
            _ => Ok(()),
        }
    }

    /// True if another `orun` holds the lock.
    #[must_use]
    pub fn busy(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(lock) = rustix::fs::openat(&self.fd, LOCK, flags, Mode::empty()) else { return false };
        let tried = rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockShared);
        matches!(tried, Err(Errno::AGAIN | Errno::ACCESS))
    }

    /// The directory itself, through `/proc`: short enough for a socket's address whatever the root's path.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}/{START_SOCKET}", self.fd.as_raw_fd()))
    }

    /// The directory itself.
    #[must_use]
    pub fn fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

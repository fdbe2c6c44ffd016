//! The container's cgroup, version 2 only.
//!
//! Terms: the *host's tree* is the cgroup2 mount this runtime uses; on a hybrid machine that is
//! `/sys/fs/cgroup/unified`, which has few or no controllers. What the core of v2 gives (processes, freeze, kill,
//! device programs) works on both; a limit whose controller is not there is refused by name.

pub mod devices;
pub mod limits;

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::spec::resources::Resources;

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// How the machine mounts its cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// cgroup v2 alone, at this directory.
    Unified(PathBuf),
    /// v1 controllers beside a v2 tree at this directory.
    Hybrid(PathBuf),
    /// No v2 tree.
    None,
}

impl Host {
    /// Looks at `/sys/fs/cgroup`.
    #[must_use]
    pub fn detect() -> Self {
        let is_v2 =
            |path: &str| rustix::fs::statfs(path).is_ok_and(|s| s.f_type.cast_unsigned() == CGROUP2_MAGIC);
        if is_v2("/sys/fs/cgroup") {
            Self::Unified("/sys/fs/cgroup".into())
        } else if is_v2("/sys/fs/cgroup/unified") {
            Self::Hybrid("/sys/fs/cgroup/unified".into())
        } else {
            Self::None
        }
    }

    /// The v2 tree, if there is one.
    #[must_use]
    pub fn tree(&self) -> Option<&Path> {
        match self {
            Self::Unified(path) | Self::Hybrid(path) => Some(path),
            Self::None => None,
        }
    }
}

/// Where a container's cgroup is, relative to the tree: an absolute `cgroupsPath` as it is; a relative one, or the id,
/// beside the runtime's own cgroup, which has processes and so may not have children with controllers.
///
/// # Errors
/// The path climbs (`..`).
pub fn place(cgroups_path: Option<&str>, id: &str, own: &str) -> std::result::Result<PathBuf, &'static str> {
    let wanted = Path::new(cgroups_path.unwrap_or(id));
    if wanted.components().any(|c| c == std::path::Component::ParentDir) {
        return Err("may not hold ..");
    }
    if cgroups_path.is_some_and(|p| p.contains(':')) {
        return Err("has systemd's form (slice:prefix:name); orun has no systemd driver yet, give a path");
    }
    let parent = Path::new(own).parent().unwrap_or(Path::new("/"));
    let joined = if wanted.is_absolute() { wanted.to_owned() } else { parent.join(wanted) };
    let relative = joined.strip_prefix("/").unwrap_or(&joined).to_owned();
    if relative.as_os_str().is_empty() {
        Err("the root cgroup cannot hold a container")
    } else {
        Ok(relative)
    }
}

/// The v2 line of `/proc/PID/cgroup`: the process's cgroup.
#[must_use]
pub fn own_path(proc_cgroup: &str) -> &str {
    proc_cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/")
}

/// A cgroup directory of a container.
#[derive(Debug)]
pub struct Cgroup {
    /// Its directory.
    pub path: PathBuf,
    /// True if this run made it, so that `delete` may remove it.
    pub made: bool,
    fd: OwnedFd,
}

impl Cgroup {
    /// Makes the cgroup (and its parents, with the controllers that the limits need).
    ///
    /// # Errors
    /// [`Error::Limit`] naming a limit whose controller is not there; file errors.
    pub fn make(host: &Host, relative: &Path, resources: &Resources) -> Result<Option<Self>> {
        let needed = limits::writes(resources);
        let Some(tree) = host.tree() else {
            return match needed.first() {
                Some(write) => Err(no_controller(write)),
                None => Ok(None),
            };
        };
        let path = tree.join(relative);
        if !needed.is_empty() {
            enable(tree, relative, &needed)?;
        }
        let made = make_directory(&path)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, &path, flags, Mode::empty())
            .map_err(|e| Error::file("open", &path, e))?;
        let cgroup = Self { path, made, fd };
        cgroup.apply(&needed).inspect_err(|_| cgroup.undo())?;
        Ok(Some(cgroup))
    }

    fn apply(&self, writes: &[limits::Write]) -> Result<()> {
        for write in writes {
            let path = self.path.join(&write.file);
            match write_file(&path, &write.value) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound && write.optional => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(no_controller(write)),
                Err(e) => {
                    let source = Errno::from_io_error(&e).unwrap_or(Errno::IO);
                    let doing = format!("write {:?} to {}", write.value, path.display());
                    return Err(Error::Field { field: write.field.clone(), doing, source });
                }
            }
        }
        Ok(())
    }

    /// Removes what [`Self::make`] made, after a failure.
    pub fn undo(&self) {
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn no_controller(write: &limits::Write) -> Error {
    let why = format!("the {} controller is not available in this machine's cgroup v2", write.controller);
    Error::Limit { field: write.field.clone(), why }
}

/// Writes to a file that must exist: cgroupfs answers the wish to create one with EACCES.
fn write_file(path: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// Makes a directory and its parents; true if the last one is new.
fn make_directory(path: &Path) -> Result<bool> {
    match rustix::fs::mkdir(path, Mode::from(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) => {
            if let Some(parent) = path.parent() {
                make_directory(parent)?;
            }
            rustix::fs::mkdir(path, Mode::from(0o755)).map_err(|e| Error::file("make cgroup", path, e))?;
            Ok(true)
        }
        Err(e) => Err(Error::file("make cgroup", path, e)),
    }
}

/// Turns the needed controllers on in every directory above `relative`.
fn enable(tree: &Path, relative: &Path, needed: &[limits::Write]) -> Result<()> {
    let mut directory = tree.to_owned();
    let mut steps = vec![directory.clone()];
    for part in relative.parent().into_iter().flat_map(Path::components) {
        directory.push(part);
        steps.push(directory.clone());
    }
    for step in steps {
        make_directory(&step)?;
        let read = |name: &str| fs::read_to_string(step.join(name)).unwrap_or_default();
        let (there, on) = (read("cgroup.controllers"), read("cgroup.subtree_control"));
        let has = |list: &str, name: &str| list.split_ascii_whitespace().any(|word| word == name);
        for write in needed.iter().filter(|w| !w.controller.is_empty() && !w.optional) {
            if !has(&there, write.controller) {
                return Err(no_controller(write));
            }
            if !has(&on, write.controller) {
                let path = step.join("cgroup.subtree_control");
                let command = format!("+{}", write.controller);
                write_file(&path, &command).map_err(|e| Error::file("turn a controller on in", path, e))?;
            }
        }
    }
    Ok(())
}

/// Kills every process in the cgroup and below (`cgroup.kill`, Linux 5.14).
///
/// # Errors
/// File errors; a cgroup that is gone is no error.
pub fn kill(path: &Path) -> Result<()> {
    match write_file(&path.join("cgroup.kill"), "1") {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("write", path.join("cgroup.kill"), e))
        }
        _ => Ok(()),
    }
}

/// True if the cgroup is frozen.
#[must_use]
pub fn frozen(path: &Path) -> bool {
    fs::read_to_string(path.join("cgroup.events")).is_ok_and(|events| events.contains("frozen 1"))
}

/// Removes the cgroup and those below it, waiting for dying processes at most `patience`.
///
/// # Errors
/// If it is still in use then.
pub fn remove(path: &Path, patience: Duration) -> Result<()> {
    let end = Instant::now() + patience;
    loop {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) if Instant::now() < end => {}
            Err(e) => return Err(Error::file("remove cgroup", path, e)),
        }
        let below = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            remove(&entry.path(), end.saturating_duration_since(Instant::now()))?;
        }
        wait_empty(path, end);
    }
}

/// Sleeps until the kernel says that `cgroup.events` changed, 10 ms at most: the notification may come before we ask.
fn wait_empty(path: &Path, end: Instant) {
    let populated = fs::read_to_string(path.join("cgroup.events")).is_ok_and(|e| e.contains("populated 1"));
    let left = end.saturating_duration_since(Instant::now()).min(Duration::from_millis(10));
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
    if populated && let Ok(events) = fs::File::open(path.join("cgroup.events")) {
        let _ = rustix::event::poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout));
    } else {
        std::thread::sleep(left.min(Duration::from_millis(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let cases = [
            (Some("/machine/a"), "/user/me", Ok("machine/a")),
            (Some("a/b"), "/user/me", Ok("user/a/b")),
            (None, "/user/me", Ok("user/box")),
            (None, "/", Ok("box")),
            (Some("/"), "/", Err(())),
            (Some("/a/../b"), "/", Err(())),
            (Some("system.slice:orun:box"), "/", Err(())),
        ];
        for (wanted, own, expected) in cases {
            let got = place(wanted, "box", own).map_err(drop);
            assert_eq!(got, expected.map(PathBuf::from), "{wanted:?} from {own}");
        }
    }

    #[test]
    fn own_cgroup() {
        assert_eq!(own_path("12:pids:/x\n0::/user/me\n"), "/user/me");
        assert_eq!(own_path("12:pids:/x\n"), "/");
    }
}

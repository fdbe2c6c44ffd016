//! A directory tree as a capability.
//!
//! Every path given to a [`Root`] is resolved inside its directory by the kernel (`openat2(2)` with
//! `RESOLVE_IN_ROOT`): an absolute symlink or a `..` in the tree cannot lead out of it. Files appear whole: they
//! are written beside their place under a temporary name and renamed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

/// Mode of directories made on the way to a node (`storage.files` of the Ignition spec: parents are 0755, root).
pub const PARENT_MODE: u32 = 0o755;

/// As many symlinks as the kernel follows in one path (`MAXSYMLINKS`, linux/namei.h).
const SYMLINKS_MAX: u32 = 40;

/// Names tried for a temporary file before giving up; a collision needs leftovers of an interrupted run.
const TEMP_NAMES_MAX: u32 = 1000;

/// An operation inside the tree that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct RootError {
    /// What was tried, as a verb phrase: `create file`.
    pub action: &'static str,
    /// The path inside the tree.
    pub path: String,
    /// The kernel's answer.
    #[source]
    pub source: io::Error,
}

impl RootError {
    fn new(action: &'static str, path: &str, errno: Errno) -> Self {
        Self { action, path: path.to_owned(), source: errno.into() }
    }

    fn io(action: &'static str, path: &str, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// Whether the path did not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

type Result<T> = std::result::Result<T, RootError>;

/// Mode and owner that a node gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// When written data must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Each file is synced before its rename: for a running machine, where every step may be the last.
    Each,
    /// Nothing is synced until [`Root::sync`]: for a first boot, which starts again when it did not finish.
    AtEnd,
}

/// What is at a path; the last symlink is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Kind of node.
    pub kind: FileType,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub len: u64,
    /// Device and inode, to tell hard links of one file.
    pub id: (u64, u64),
}

/// Is told of every system call that changes the disk: fault injection cuts the power at any of them.
pub trait Watch: std::fmt::Debug + Send + Sync {
    /// A call is about to be made; an error is the caller's answer in its place.
    ///
    /// # Errors
    /// Whatever the kernel is to have said.
    fn before(&self, call: &'static str) -> io::Result<()>;

    /// A file has content that is not on the disk.
    fn wrote(&self, file: &File);

    /// A file is on the disk; without one, all of the file system is.
    fn synced(&self, file: Option<&File>);
}

/// An open directory that is the `/` of everything done through it.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
    durability: Durability,
    watch: Option<Arc<dyn Watch>>,
}

impl Root {
    /// Opens `path` as a root.
    ///
    /// # Errors
    /// When it is not a directory that can be opened.
    pub fn open(path: &Path, durability: Durability) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| RootError::new("open root", &path.display().to_string(), errno))?;
        Ok(Self { fd, path: path.to_owned(), durability, watch: None })
    }

    /// The same with somebody who is told of every change.
    #[must_use]
    pub fn watched(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Stands before every system call that changes the disk.
    fn call<T>(
        &self,
        call: &'static str,
        make: impl FnOnce() -> std::result::Result<T, Errno>,
    ) -> std::result::Result<T, Errno> {
        if let Some(watch) = &self.watch {
            watch.before(call).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        make()
    }

    /// The same tree with another durability.
    ///
    /// # Errors
    /// When there are no more file descriptors.
    pub fn with_durability(&self, durability: Durability) -> Result<Self> {
        let fd = self.fd.try_clone().map_err(|source| RootError::io("open root", "/", source))?;
        Ok(Self { fd, path: self.path.clone(), durability, watch: self.watch.clone() })
    }

    /// Where the tree is in the caller's own namespace; for programs that take a `--root`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes everything of the tree's file system to its disk (`syncfs(2)`).
    ///
    /// # Errors
    /// When the kernel reports a write error.
    pub fn sync(&self) -> Result<()> {
        self.sync_at("/")
    }

    /// [`Root::sync`] of the file system that a directory is on.
    ///
    /// # Errors
    /// When the kernel reports a write error.
    pub fn sync_at(&self, path: &str) -> Result<()> {
        let dir = self.open_dir(path)?;
        self.call("syncfs", || rustix::fs::syncfs(dir))
            .map_err(|errno| RootError::new("sync", path, errno))?;
        if let Some(watch) = &self.watch {
            watch.synced(None);
        }
        Ok(())
    }

    /// Writes the names in a directory to the disk (`fsync(2)`).
    ///
    /// # Errors
    /// When the kernel reports a write error.
    pub fn sync_dir(&self, path: &str) -> Result<()> {
        let dir = self.open_dir(path)?;
        self.call("fsync", || rustix::fs::fsync(dir)).map_err(|errno| RootError::new("sync", path, errno))
    }

    /// Gives what is at `from` the name `to`, in place of what non-directory has it (`rename(2)`).
    ///
    /// # Errors
    /// When nothing is at `from` or the kernel refuses.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from_parent, from_name) = self.parent_of(from)?;
        let (to_parent, to_name) = self.parent_of(to)?;
        self.call("rename", || {
            rustix::fs::renameat(&from_parent, from_name.as_str(), &to_parent, to_name.as_str())
        })
        .map_err(|errno| RootError::new("rename", from, errno))
    }

    /// Removes the temporary files that a cut left in a directory while it wrote files of these names.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn remove_leftovers(&self, dir: &str, names: &BTreeSet<&str>) -> Result<()> {
        if self.stat_true(dir)?.is_none_or(|stat| stat.kind != FileType::Directory) {
            return Ok(());
        }
        let stems: BTreeSet<String> = names.iter().map(|name| temp_stem(name)).collect();
        for found in self.list(dir)? {
            let ours = found.rsplit_once('-').is_some_and(|(stem, serial)| {
                stems.contains(stem) && !serial.is_empty() && serial.bytes().all(|b| b.is_ascii_digit())
            });
            if ours {
                self.remove(&format!("{}/{found}", dir.trim_end_matches('/')))?;
            }
        }
        Ok(())
    }

    /// What is at `path`, `None` when nothing is. Symlinks on the way are followed inside the root, the last is not.
    ///
    /// # Errors
    /// When a component is not a directory or cannot be searched.
    pub fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self.openat2(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(stat_fd(fd.as_fd()).map_err(|errno| RootError::new("stat", path, errno))?)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(RootError::new("stat", path, errno)),
        }
    }

    /// What is at `path` when no symlink is followed at all: nothing, where one is on the way.
    ///
    /// # Errors
    /// When a component cannot be searched.
    pub fn stat_true(&self, path: &str) -> Result<Option<Stat>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        match self.openat2_by(path, flags, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(stat_fd(fd.as_fd()).map_err(|errno| RootError::new("stat", path, errno))?)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(RootError::new("stat", path, errno)),
        }
    }

    /// Target of the symlink at `path`.
    ///
    /// # Errors
    /// When there is no symlink at `path` or its target is not UTF-8.
    pub fn read_link(&self, path: &str) -> Result<String> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            self.openat2(path, flags, Mode::empty()).map_err(|e| RootError::new("read link", path, e))?;
        let target = rustix::fs::readlinkat(&fd, "", Vec::new())
            .map_err(|errno| RootError::new("read link", path, errno))?;
        target.into_string().map_err(|_| RootError::new("read link", path, Errno::ILSEQ))
    }

    /// Opens a regular file for reading, symlinks followed inside the root.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub fn open_file(&self, path: &str) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = self.openat2(path, flags, Mode::empty()).map_err(|e| RootError::new("open", path, e))?;
        Ok(File::from(fd))
    }

    /// The whole content of a file, symlinks followed inside the root.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut file = self.open_file(path)?;
        io::Read::read_to_end(&mut file, &mut data).map_err(|e| RootError::io("read", path, e))?;
        Ok(data)
    }

    /// Names in a directory, sorted; empty when it does not exist.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        let dir = match self.open_dir(path) {
            Ok(dir) => dir,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        let entries = rustix::fs::Dir::read_from(&dir).map_err(|e| RootError::new("list", path, e))?;
        for entry in entries {
            let entry = entry.map_err(|errno| RootError::new("list", path, errno))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Writes a file in one piece: `fill` writes the content of a temporary file, which then takes its place.
    /// Missing parents are made. Whatever non-directory was at `path` is replaced.
    ///
    /// # Errors
    /// The first failure of `fill` or of the kernel; nothing is changed at `path` then.
    pub fn write_with<E: From<RootError>>(
        &self,
        path: &str,
        attributes: Attributes,
        fill: impl FnOnce(&mut File) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let (parent, name) = self.parent_of(path)?;
        let (temp, mut file) =
            self.temp_file(parent.as_fd(), &name).map_err(|e| RootError::new("create", path, e))?;
        let written = self
            .call("write", || Ok(()))
            .map_err(|errno| E::from(RootError::new("write", path, errno)))
            .and_then(|()| fill(&mut file))
            .and_then(|()| {
                if let Some(watch) = &self.watch {
                    watch.wrote(&file);
                }
                Ok(self.publish(&parent, &temp, &name, &file, attributes, path)?)
            });
        if written.is_err() {
            // Leave no temporary file behind; the first error is the one to report.
            let _ = self.call("unlink", || rustix::fs::unlinkat(&parent, temp.as_str(), AtFlags::empty()));
        }
        written
    }

    /// [`Root::write_with`] of bytes at hand.
    ///
    /// # Errors
    /// When the kernel refuses; nothing is changed at `path` then.
    pub fn write(&self, path: &str, attributes: Attributes, data: &[u8]) -> Result<()> {
        self.write_with(path, attributes, |file| {
            io::Write::write_all(file, data).map_err(|e| RootError::io("write", path, e))
        })
    }

    fn publish(
        &self,
        parent: &OwnedFd,
        temp: &str,
        name: &str,
        file: &File,
        attributes: Attributes,
        path: &str,
    ) -> Result<()> {
        let refused = |errno| RootError::new("write", path, errno);
        // The owner first: chown clears setuid and setgid.
        let owner = (Some(uid(attributes.uid)), Some(gid(attributes.gid)));
        self.call("fchown", || rustix::fs::fchown(file, owner.0, owner.1)).map_err(refused)?;
        self.call("fchmod", || rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode)))
            .map_err(refused)?;
        if self.durability == Durability::Each {
            self.call("fsync", || rustix::fs::fsync(file)).map_err(refused)?;
            if let Some(watch) = &self.watch {
                watch.synced(Some(file));
            }
        }
        self.call("rename", || rustix::fs::renameat(parent, temp, parent, name)).map_err(refused)?;
        if self.durability == Durability::Each {
            let dir = rustix::fs::openat(
                parent,
                ".",
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(refused)?;
            self.call("fsync", || rustix::fs::fsync(dir)).map_err(refused)?;
        }
        Ok(())
    }

    /// Sets mode and owner of what is at `path`; the last symlink is not followed, and a symlink gets an owner only.
    ///
    /// # Errors
    /// When nothing is there or the kernel refuses.
    pub fn set_attributes(&self, path: &str, attributes: Attributes) -> Result<()> {
        let refused = |errno| RootError::new("set mode and owner of", path, errno);
        let (parent, name) = self.parent_of(path)?;
        let (owner, group) = (uid(attributes.uid), gid(attributes.gid));
        self.call("chown", || {
            rustix::fs::chownat(&parent, name.as_str(), Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
        })
        .map_err(refused)?;
        let stat = self.stat(path)?.ok_or_else(|| refused(Errno::NOENT))?;
        if stat.kind == FileType::Symlink {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name.as_str(), flags, Mode::empty()).map_err(refused)?;
        // fchmod(2) refuses O_PATH descriptors; the magic link names the very node that was opened.
        let node = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        self.call("chmod", || rustix::fs::chmod(node, Mode::from_raw_mode(attributes.mode))).map_err(refused)
    }

    /// Makes a directory with these attributes, and its missing parents. An existing directory only gets the
    /// attributes.
    ///
    /// # Errors
    /// When something else is at `path` or the kernel refuses.
    pub fn make_dir(&self, path: &str, attributes: Attributes) -> Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let made =
            self.call("mkdir", || rustix::fs::mkdirat(&parent, name.as_str(), Mode::from_raw_mode(0o700)));
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) if self.stat(path)?.is_some_and(|stat| stat.kind == FileType::Directory) => {}
            Err(errno) => return Err(RootError::new("create directory", path, errno)),
        }
        self.set_attributes(path, attributes)
    }

    /// Makes a symlink to `target` (kept as it is written), and its missing parents.
    ///
    /// # Errors
    /// When something is at `path` or the kernel refuses.
    pub fn make_symlink(&self, path: &str, target: &str, owner: u32, group: u32) -> Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let refused = |errno| RootError::new("create link", path, errno);
        self.call("symlink", || rustix::fs::symlinkat(target, &parent, name.as_str())).map_err(refused)?;
        let owner = (Some(uid(owner)), Some(gid(group)));
        self.call("chown", || {
            rustix::fs::chownat(&parent, name.as_str(), owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
        })
        .map_err(refused)
    }

    /// Makes `path` another name of the file at `target` (both in the root), and its missing parents.
    ///
    /// # Errors
    /// When something is at `path`, nothing is at `target`, or they are on different file systems.
    pub fn make_hard_link(&self, path: &str, target: &str) -> Result<()> {
        let (target_parent, target_name) = self.parent_of(target)?;
        let (parent, name) = self.parent_of(path)?;
        self.call("link", || {
            rustix::fs::linkat(&target_parent, target_name.as_str(), &parent, name.as_str(), AtFlags::empty())
        })
        .map_err(|errno| RootError::new("create hard link", path, errno))
    }

    /// Removes what is at `path`: a directory with everything in it, or a single node. Nothing there is fine.
    ///
    /// # Errors
    /// When the kernel refuses, for example for a mount point.
    pub fn remove(&self, path: &str) -> Result<()> {
        let Some(stat) = self.stat(path)? else { return Ok(()) };
        let (parent, name) = self.parent_of(path)?;
        let removed = if stat.kind == FileType::Directory {
            self.remove_tree(parent.as_fd(), &name)
        } else {
            self.call("unlink", || rustix::fs::unlinkat(&parent, name.as_str(), AtFlags::empty()))
        };
        removed.map_err(|errno| RootError::new("remove", path, errno))
    }

    /// A directory of the tree as a root of its own.
    ///
    /// # Errors
    /// When it does not exist or is not a directory.
    pub fn below(&self, path: &str) -> Result<Self> {
        let fd = self.open_dir(path)?;
        let path = self.path.join(path.trim_start_matches('/'));
        Ok(Self { fd, path, durability: self.durability, watch: self.watch.clone() })
    }

    /// Opens a directory, symlinks followed inside the root.
    ///
    /// # Errors
    /// When it does not exist or is not a directory.
    pub fn open_dir(&self, path: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.openat2(path, flags, Mode::empty())
            .map_err(|errno| RootError::new("open directory", path, errno))
    }

    /// Opens the directory that holds `path` (made when missing) and gives the last component.
    fn parent_of(&self, path: &str) -> Result<(OwnedFd, String)> {
        let trimmed = path.trim_end_matches('/');
        let (parent, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
        if name.is_empty() || name == "." || name == ".." {
            return Err(RootError::new("use", path, Errno::INVAL));
        }
        Ok((self.ensure_dir(parent, SYMLINKS_MAX)?, name.to_owned()))
    }

    /// Opens a directory and makes what is missing of it, also where a symlink of the tree points to nothing.
    fn ensure_dir(&self, path: &str, links_left: u32) -> Result<OwnedFd> {
        match self.openat2(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(dir) => return Ok(dir),
            Err(Errno::NOENT) if links_left > 0 && !path.is_empty() => {}
            Err(errno) => return Err(RootError::new("open directory", path, errno)),
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if matches!(name, "" | "." | "..") {
            return self.ensure_dir(parent, links_left - 1);
        }
        let dir = self.ensure_dir(parent, links_left)?;
        let mode = Mode::from_raw_mode(PARENT_MODE);
        match self.call("mkdir", || rustix::fs::mkdirat(&dir, name, mode)) {
            Ok(()) => {
                // The umask of PID 1 is not ours to trust.
                self.call("chmod", || rustix::fs::chmodat(&dir, name, mode, AtFlags::empty()))
                    .map_err(|errno| RootError::new("create directory", path, errno))?;
                self.ensure_dir(path, 0)
            }
            Err(Errno::EXIST) => self.ensure_dir(&self.link_in(parent, path)?, links_left - 1),
            Err(errno) => Err(RootError::new("create directory", path, errno)),
        }
    }

    /// The path that the dangling symlink at `path`, in the directory `parent`, stands for.
    fn link_in(&self, parent: &str, path: &str) -> Result<String> {
        let target = self.read_link(path)?;
        Ok(if target.starts_with('/') { target } else { format!("{parent}/{target}") })
    }

    fn openat2(&self, path: &str, flags: OFlags, mode: Mode) -> std::result::Result<OwnedFd, Errno> {
        self.openat2_by(path, flags, mode, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    fn openat2_by(
        &self,
        path: &str,
        flags: OFlags,
        mode: Mode,
        resolve: ResolveFlags,
    ) -> std::result::Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "/" } else { path };
        // A rename in a parallel process makes the kernel answer EAGAIN (openat2(2)); trying again is the remedy.
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                answer => return answer,
            }
        }
    }
}

fn uid(id: u32) -> rustix::fs::Uid {
    rustix::fs::Uid::from_raw(id)
}

fn gid(id: u32) -> rustix::fs::Gid {
    rustix::fs::Gid::from_raw(id)
}

fn stat_fd(fd: BorrowedFd<'_>) -> std::result::Result<Stat, Errno> {
    let stat: Statx = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    Ok(Stat {
        kind: FileType::from_raw_mode(u32::from(stat.stx_mode)),
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        len: stat.stx_size,
        id: ((u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor), stat.stx_ino),
    })
}

/// What the temporary names of a file begin with. Long names must leave room: a name has at most 255 bytes (NAME_MAX),
/// a letter at most four.
fn temp_stem(name: &str) -> String {
    format!(".{}.orlop", name.chars().take(50).collect::<String>())
}

impl Root {
    fn temp_file(&self, parent: BorrowedFd<'_>, name: &str) -> std::result::Result<(String, File), Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let stem = temp_stem(name);
        for serial in 0..TEMP_NAMES_MAX {
            let temp = format!("{stem}-{serial}");
            let mode = Mode::from_raw_mode(0o600);
            match self.call("create", || rustix::fs::openat(parent, temp.as_str(), flags, mode)) {
                Ok(fd) => return Ok((temp, File::from(fd))),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }

    fn remove_tree(&self, parent: BorrowedFd<'_>, name: &str) -> std::result::Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        for entry in rustix::fs::Dir::read_from(&dir)? {
            let entry = entry?;
            let child = entry.file_name();
            if child == c"." || child == c".." {
                continue;
            }
            match self.call("unlink", || rustix::fs::unlinkat(&dir, child, AtFlags::empty())) {
                Ok(()) => {}
                Err(Errno::ISDIR) => self.remove_tree(dir.as_fd(), &child.to_string_lossy())?,
                Err(errno) => return Err(errno),
            }
        }
        self.call("rmdir", || rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
    }
}

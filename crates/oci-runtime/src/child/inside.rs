//! Paths inside the container's root: never followed out of it, whatever links the image holds.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

/// How a path is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Links are followed, but stay inside.
    Follow,
    /// A link anywhere in the path is an error: for `/proc` and `/sys`, whose content later steps trust.
    Refuse,
}

/// A new entry where nothing is yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// A directory, parents too.
    Directory,
    /// An empty file, parents as directories.
    File,
}

fn relative(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        rest => rest,
    }
}

fn open_with(root: impl AsFd, path: &str, links: Links, flags: OFlags) -> Result<OwnedFd> {
    let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    if links == Links::Refuse {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    loop {
        // EAGAIN: something was renamed during the walk, and the kernel could not be sure that `..` stayed inside.
        match rustix::fs::openat2(&root, relative(path), flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// An `O_PATH` descriptor on what is at `path`.
pub(crate) fn open(root: impl AsFd, path: &str, links: Links) -> Result<OwnedFd> {
    open_with(root, path, links, OFlags::PATH)
}

/// The directory that holds `path`'s last component, made if need be, and that component.
pub(crate) fn parent(root: impl AsFd, path: &str, links: Links) -> Result<(OwnedFd, &str)> {
    let path = path.trim_end_matches('/');
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "" | "." | "..") {
        return Err(Errno::INVAL);
    }
    Ok((ensure(root, directory, Make::Directory, links)?, name))
}

/// Opens `path` (`O_PATH`), making it and its parents where missing.
pub(crate) fn ensure(root: impl AsFd, path: &str, make: Make, links: Links) -> Result<OwnedFd> {
    match open(&root, path, links) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let root = root.as_fd();
    let names: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let mut walked = String::new();
    let mut here = open(root, "/", links)?;
    for (i, name) in names.iter().enumerate() {
        walked.push('/');
        walked.push_str(name);
        here = match open(root, &walked, links) {
            Err(Errno::NOENT) if *name != ".." => {
                let last = i + 1 == names.len();
                let made = if last && make == Make::File {
                    rustix::fs::mknodat(&here, *name, FileType::RegularFile, Mode::from(0o644), 0)
                } else {
                    rustix::fs::mkdirat(&here, *name, Mode::from(0o755))
                };
                match made {
                    // A link that points to nothing, or another process was quicker; the next open tells.
                    Ok(()) | Err(Errno::EXIST) => open(root, &walked, links)?,
                    Err(e) => return Err(e),
                }
            }
            other => other?,
        };
    }
    Ok(here)
}

/// True if the descriptor is on a directory.
pub(crate) fn is_directory(fd: impl AsFd) -> Result<bool> {
    let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

//! Device nodes and links in `/dev`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;

use super::error::{Result, What};
use super::inside::{self, Links, Make};
use super::mounts;
use crate::spec::linux::Device;

/// Nodes of config-linux.md, Default Devices: name, major, minor.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links of runtime-linux.md, Dev symbolic links, and ptmx.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The nodes and links that every container has. `named` are the paths that the config gives itself.
pub(crate) fn defaults(rootfs: BorrowedFd<'_>, bind: bool, named: &[Device]) -> Result<()> {
    let dev = inside::ensure(rootfs, "/dev", Make::Directory, Links::Follow).what("/dev")?;
    for (name, major, minor) in NODES {
        if !named.iter().any(|d| d.path.strip_prefix("/dev/") == Some(name)) {
            node(&dev, name, 'c', (major, minor), 0o666, bind).map_err(|f| super::error::fault(name, f))?;
        }
    }
    for (name, target) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Err(Errno::EXIST) if name == "ptmx" => replace_ptmx(&dev)?,
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e).what(format_args!("link /dev/{name}")),
        }
    }
    Ok(())
}

/// An image's own ptmx would be the host's terminals.
fn replace_ptmx(dev: &OwnedFd) -> Result<()> {
    rustix::fs::unlinkat(dev, "ptmx", AtFlags::empty()).what("remove /dev/ptmx")?;
    rustix::fs::symlinkat("pts/ptmx", dev, "ptmx").what("link /dev/ptmx")
}

/// One of `linux.devices`.
pub(crate) fn device(rootfs: BorrowedFd<'_>, device: &Device, bind: bool) -> Result<()> {
    let (parent, name) = inside::parent(rootfs, &device.path, Links::Follow).what("parent directory")?;
    node(&parent, name, device.kind, (device.major, device.minor), device.mode, bind)?;
    if device.uid != 0 || device.gid != 0 {
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).what("chown")?;
    }
    Ok(())
}

/// Makes a node, or, in a user namespace where that is not allowed, binds the host's.
fn node(parent: &OwnedFd, name: &str, kind: char, number: (u32, u32), mode: u32, bind: bool) -> Result<()> {
    let file_type = match kind {
        'b' => FileType::BlockDevice,
        'p' => FileType::Fifo,
        _ => FileType::CharacterDevice,
    };
    if bind && kind != 'p' {
        return bind_node(parent, name, number);
    }
    let rdev = if kind == 'p' { 0 } else { makedev(number.0, number.1) };
    match rustix::fs::mknodat(parent, name, file_type, Mode::from(mode), rdev) {
        // The same node from the image, or from an entry before this one, will do; anything else would not.
        Err(Errno::EXIST) => {
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).what("stat")?;
            let same =
                FileType::from_raw_mode(stat.st_mode) == file_type && (kind == 'p' || stat.st_rdev == rdev);
            if same { Ok(()) } else { Err(super::error::fault("mknod", "something else is there already")) }
        }
        // A user namespace made by somebody above us looks like none to the config.
        Err(Errno::PERM) if kind != 'p' => bind_node(parent, name, number),
        other => other.what("mknod"),
    }
}

fn bind_node(parent: &OwnedFd, name: &str, number: (u32, u32)) -> Result<()> {
    let path = format!("/dev/{name}");
    let host = rustix::fs::openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).what(&path)?;
    let stat = rustix::fs::fstat(&host).what(&path)?;
    if stat.st_rdev != makedev(number.0, number.1) {
        return Err(super::error::fault(path, "is another device on the host"));
    }
    match rustix::fs::mknodat(parent, name, FileType::RegularFile, Mode::from(0o666), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e).what("make mount point"),
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let target = rustix::fs::openat(parent, name, flags, Mode::empty()).what("open mount point")?;
    mounts::move_onto(mounts::clone_mount(host.as_fd())?.as_fd(), target.as_fd()).what("bind")
}

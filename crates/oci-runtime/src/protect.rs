//! The runtime's own binary, kept from what it starts (CVE-2019-5736).
//!
//! A process that enters a container is seen there, and `/proc/PID/exe` leads to the binary on the host whatever the
//! mounts say. A container's root that gets the runtime to execute it (by `#!/proc/self/exe`, say) can hold it open,
//! wait, and write to it. So a binary that could be written is never the one that enters:
//! - on a file system that takes no writes at all (our `/usr`: EROFS under dm-verity), or sealed by fs-verity or the
//!   immutable flag, nothing has to be done;
//! - else this program executes itself once more through a detached read-only bind mount of its file: writing through
//!   that link fails with EROFS, and no page is copied;
//! - without the right to mount, through a sealed copy in memory.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use linux::mount_attr::{MountAttr, attr, mount_setattr};
use rustix::fs::{AtFlags, CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, StatxFlags};
use rustix::mount::OpenTreeFlags;

use crate::error::{Doing, Result};

/// Says to the second run that it is the second; worthless to an attacker, who does not set our environment.
const MARK: &str = "_ORUN_PROTECTED";
const EXE: &str = "/proc/self/exe";

/// File systems that are never written: EROFS and squashfs (`linux/magic.h`).
const READ_ONLY_TYPES: [u64; 2] = [0xe0f5_e1e2, 0x7371_7368];

/// How the binary is safe, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Safe {
    /// The file cannot change.
    ByItself,
    /// This is the second run.
    ByUs,
    No,
}

fn judge(exe: &OwnedFd) -> Safe {
    let kind = rustix::fs::fstatfs(exe).map_or(0, |s| s.f_type.cast_unsigned());
    if READ_ONLY_TYPES.contains(&kind) {
        return Safe::ByItself;
    }
    // STATX_ATTR_IMMUTABLE and STATX_ATTR_VERITY of linux/stat.h
    let sealed = rustix::fs::statx(exe, "", AtFlags::EMPTY_PATH, StatxFlags::empty())
        .is_ok_and(|s| s.stx_attributes.bits() & (0x10 | 0x10_0000) != 0);
    if sealed {
        return Safe::ByItself;
    }
    let marked = std::env::var_os(MARK).is_some();
    let read_only = rustix::fs::fstatvfs(exe).is_ok_and(|s| s.f_flag.contains(StatVfsMountFlags::RDONLY));
    let sealed = || {
        let file = rustix::fs::open(EXE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        file.and_then(rustix::fs::fcntl_get_seals).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
    };
    if marked && (read_only || sealed()) { Safe::ByUs } else { Safe::No }
}

/// Returns when the running binary is out of a container's reach; may execute this program anew to get there, with the
/// same arguments and environment. To be called first, before anything is open or running.
///
/// # Errors
/// If no way to protect it works.
pub fn protect_binary() -> Result<()> {
    let exe =
        rustix::fs::open(EXE, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).doing("open /proc/self/exe")?;
    if judge(&exe) != Safe::No {
        return Ok(());
    }
    let safe = bind(&exe).or_else(|_| copy()).doing("protect the runtime's binary from containers")?;
    let strings =
        |words: Vec<Vec<u8>>| words.into_iter().filter_map(|w| CString::new(w).ok()).collect::<Vec<_>>();
    let args = strings(std::env::args_os().map(OsStringExt::into_vec).collect());
    let mut env: Vec<Vec<u8>> = std::env::vars_os()
        .filter(|(name, _)| name != MARK)
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .collect();
    env.push(format!("{MARK}=1").into_bytes());
    Err(linux::exec::execve_fd(safe.as_fd(), &args, &strings(env))).doing("run the protected binary")
}

fn bind(exe: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(exe, "", flags)?;
    let change = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    mount_setattr(tree.as_fd(), false, &change)?;
    Ok(tree)
}

fn copy() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("orun", flags)?;
    let source = rustix::fs::openat(CWD, EXE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let (mut from, mut to) = (File::from(source), File::from(memory));
    let copied = io::copy(&mut from, &mut to);
    copied.map_err(|e| rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO))?;
    rustix::fs::fchmod(&to, Mode::from(0o555))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&to, seals)?;
    // Executing a descriptor that is open for writing is refused (ETXTBSY), so it is opened anew to read.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&to));
    rustix::fs::open(&*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

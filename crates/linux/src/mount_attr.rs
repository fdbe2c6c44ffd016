//! `mount_setattr(2)` (Linux 5.12): attributes and propagation of a mount or a whole tree of mounts.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Result;

use crate::clone::last_errno;

/// `MOUNT_ATTR_*` of `linux/mount.h`.
pub mod attr {
    /// `MOUNT_ATTR_RDONLY`
    pub const RDONLY: u64 = 0x1;
    /// `MOUNT_ATTR_NOSUID`
    pub const NOSUID: u64 = 0x2;
    /// `MOUNT_ATTR_NODEV`
    pub const NODEV: u64 = 0x4;
    /// `MOUNT_ATTR_NOEXEC`
    pub const NOEXEC: u64 = 0x8;
    /// Mask of the access-time modes, `MOUNT_ATTR__ATIME`; a mode is set by clearing this first.
    pub const ATIME: u64 = 0x70;
    /// `MOUNT_ATTR_RELATIME`
    pub const RELATIME: u64 = 0x0;
    /// `MOUNT_ATTR_NOATIME`
    pub const NOATIME: u64 = 0x10;
    /// `MOUNT_ATTR_STRICTATIME`
    pub const STRICTATIME: u64 = 0x20;
    /// `MOUNT_ATTR_NODIRATIME`
    pub const NODIRATIME: u64 = 0x80;
    /// `MOUNT_ATTR_IDMAP`
    pub const IDMAP: u64 = 0x10_0000;
    /// `MOUNT_ATTR_NOSYMFOLLOW`
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// Propagation types of `linux/mount.h`.
pub mod propagation {
    /// `MS_UNBINDABLE`
    pub const UNBINDABLE: u64 = 1 << 17;
    /// `MS_PRIVATE`
    pub const PRIVATE: u64 = 1 << 18;
    /// `MS_SLAVE`
    pub const SLAVE: u64 = 1 << 19;
    /// `MS_SHARED`
    pub const SHARED: u64 = 1 << 20;
}

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// Attributes to set ([`attr`]).
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// Propagation ([`propagation`]); 0 leaves it.
    pub propagation: u64,
    /// User namespace of an id-mapped mount, with [`attr::IDMAP`].
    pub userns_fd: u64,
}

/// Changes the mount that `mount` (any descriptor on its root) stands for; with `recursive` all mounts below too.
///
/// # Errors
/// As mount_setattr(2).
pub fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<()> {
    const AT_RECURSIVE: libc::c_int = 0x8000;
    let flags = libc::AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a static string and `attr` is read only, of the size given.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}

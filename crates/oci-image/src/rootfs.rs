//! A container's root filesystem: unpacked layers below, a writable directory above, by overlayfs.

use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags};

/// Why a root filesystem cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount the layers at {target:?}: {step}{}", if .kernel.is_empty() { String::new() } else { format!(" ({})", .kernel) })]
pub struct RootfsError {
    /// Where.
    pub target: PathBuf,
    /// Which step.
    pub step: &'static str,
    /// What the kernel says about it (its log of the mount context).
    pub kernel: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Mounts `layers` (the lowest first) with `upper` above them at `target`. `work` is overlayfs' own; it must be on
/// the filesystem of `upper`. The new mount API takes layers one by one, so their number is not bound by a page.
///
/// # Errors
/// [`RootfsError`].
pub fn mount_overlay(
    layers: &[PathBuf],
    upper: &Path,
    work: &Path,
    target: &Path,
) -> Result<(), RootfsError> {
    let context = mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC);
    let context = context.map_err(|errno| fail(target, "open overlayfs", None, errno))?;
    let set = |step, key: &str, value: &Path| {
        mount::fsconfig_set_string(&context, key, value)
            .map_err(|errno| fail(target, step, Some(&context), errno))
    };
    set("set its name", "source", Path::new("orlop"))?;
    for layer in layers.iter().rev() {
        set("add a layer", "lowerdir+", layer)?;
    }
    set("set the writable directory", "upperdir", upper)?;
    set("set the work directory", "workdir", work)?;
    mount::fsconfig_create(&context).map_err(|errno| fail(target, "create it", Some(&context), errno))?;
    let tree = mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(|errno| fail(target, "make the mount", Some(&context), errno))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    mount::move_mount(&tree, "", rustix::fs::CWD, target, flags)
        .map_err(|errno| fail(target, "attach it", Some(&context), errno))
}

/// Unmounts what [`mount_overlay`] mounted; nothing there is no error.
///
/// # Errors
/// The kernel's.
pub fn unmount(target: &Path) -> io::Result<()> {
    match mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn fail(
    target: &Path,
    step: &'static str,
    context: Option<&rustix::fd::OwnedFd>,
    errno: rustix::io::Errno,
) -> RootfsError {
    let mut kernel = Vec::new();
    // Each read gives one message of the kernel about this context, `e TEXT`, until there are none (ENODATA).
    let mut buffer = [0u8; 512];
    while let Some(context) = context
        && let Ok(count @ 1..) = rustix::io::read(context, &mut buffer)
    {
        let text = String::from_utf8_lossy(&buffer[..count]);
        kernel.push(text.get(2..).unwrap_or_default().trim().to_owned());
    }
    RootfsError { target: target.to_owned(), step, kernel: kernel.join("; "), source: errno.into() }
}

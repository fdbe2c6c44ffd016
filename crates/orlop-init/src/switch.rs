//! Into the machine's own root: the initramfs is emptied and systemd takes over.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::mount::UnmountFlags;

use crate::root::SYSROOT;

/// PID 1 of the machine.
const SYSTEMD: &str = "/usr/lib/systemd/systemd";
/// Mounts that go along.
const MOVED: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];
/// `RAMFS_MAGIC` and `TMPFS_MAGIC` (linux/magic.h): what an initramfs lives in.
const MEMORY_FILE_SYSTEMS: [u64; 2] = [0x8584_58f6, 0x0102_1994];

/// A step of the switch that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub(crate) struct SwitchError {
    what: String,
    #[source]
    source: io::Error,
}

fn step<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> SwitchError {
    move |source| SwitchError { what: what.into(), source: source.into() }
}

/// Switches. Returns only when it failed, and then before anything was removed, except for the last two steps.
pub(crate) fn switch() -> Result<Infallible, SwitchError> {
    let systemd = Path::new(SYSROOT).join(SYSTEMD.trim_start_matches('/'));
    fs::metadata(&systemd).map_err(step(format!("find {}", systemd.display())))?;
    rustix::process::chdir(SYSROOT).map_err(step("enter the machine's root"))?;
    // The image stays mounted in the machine's root; here nothing uses it any more.
    rustix::mount::unmount("/usr", UnmountFlags::DETACH).map_err(step("detach /usr"))?;
    for path in MOVED {
        let to = format!("{SYSROOT}{path}");
        rustix::mount::mount_move(path, &to).map_err(step(format!("move {path}")))?;
    }
    empty_initramfs();
    rustix::mount::mount_move(".", "/").map_err(step("move the machine's root to /"))?;
    rustix::process::chroot(".").map_err(step("enter the new /"))?;
    rustix::process::chdir("/").map_err(step("enter the new /"))?;
    Err(step(format!("start {SYSTEMD}"))(Command::new(SYSTEMD).exec()))
}

/// Gives the memory of the initramfs back. Only what is in memory and on the very device of `/` is removed.
fn empty_initramfs() {
    let in_memory = rustix::fs::statfs("/")
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|magic| MEMORY_FILE_SYSTEMS.contains(&magic)));
    if let (true, Ok(root)) = (in_memory, fs::metadata("/")) {
        empty(Path::new("/"), root.dev());
    }
}

fn empty(directory: &Path, device: u64) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.dev() != device {
            continue;
        }
        // What cannot be removed costs memory, nothing else.
        if meta.is_dir() {
            empty(&path, device);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

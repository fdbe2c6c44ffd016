//! A terminal of the container's own: master to the caller, slave for the program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::error::{Result, What, fault};
use super::inside::{self, Links};
use super::mounts;

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// Both sides of a terminal.
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

/// Opens a new terminal of the devpts instance at `/dev/pts` in the root.
pub(crate) fn open(rootfs: BorrowedFd<'_>, size: Option<(u16, u16)>) -> Result<Terminal> {
    let directory = inside::open(rootfs, "/dev/pts", Links::Refuse).what("/dev/pts")?;
    let magic = rustix::fs::fstatfs(&directory).what("/dev/pts")?.f_type.cast_unsigned();
    if magic != DEVPTS_MAGIC {
        return Err(fault("/dev/pts", "a terminal needs a mount of type devpts there"));
    }
    // In devpts this name is the multiplexer of that instance and nothing else.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = rustix::fs::openat(&directory, "ptmx", flags, Mode::empty()).what("open /dev/pts/ptmx")?;
    rustix::pty::unlockpt(&master).what("unlock terminal")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).what("open terminal")?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&slave, size).what("set terminal size")?;
    }
    Ok(Terminal { master, slave })
}

/// Shows the slave as `/dev/console` too.
pub(crate) fn show_as_console(rootfs: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<()> {
    let target =
        inside::ensure(rootfs, "/dev/console", inside::Make::File, Links::Refuse).what("/dev/console")?;
    mounts::move_onto(mounts::clone_mount(slave)?.as_fd(), target.as_fd()).what("bind /dev/console")
}

/// Makes the slave the process's terminal and standard streams.
pub(crate) fn take(slave: &OwnedFd) -> Result<()> {
    rustix::process::ioctl_tiocsctty(slave).what("take terminal")?;
    rustix::stdio::dup2_stdin(slave).what("dup2")?;
    rustix::stdio::dup2_stdout(slave).what("dup2")?;
    rustix::stdio::dup2_stderr(slave).what("dup2")
}

/// Gives the standard streams to the user, who may have to reopen them through `/proc/self/fd`.
pub(crate) fn own_streams(uid: u32) {
    let streams: [BorrowedFd<'_>; 3] =
        [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for stream in streams {
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        let null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == rustix::fs::makedev(1, 3);
        if stat.st_uid != uid && !null {
            // Files on read-only or foreign file systems stay as they are; the open descriptor works all the same.
            let _ = rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(uid)), None);
        }
    }
}

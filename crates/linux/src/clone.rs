//! Processes by `clone3(2)`: new namespaces, a cgroup and a pidfd in one call.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};
use rustix::process::Pid;

/// Namespace bits as in `linux/sched.h` (`CLONE_NEW*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces(u64);

impl Namespaces {
    /// `CLONE_NEWTIME`; not for [`spawn`]: offsets must be written before the first process enters.
    pub const TIME: Self = Self(0x0000_0080);
    /// `CLONE_NEWNS`
    pub const MOUNT: Self = Self(0x0002_0000);
    /// `CLONE_NEWCGROUP`; with a target cgroup the new root is still the caller's: unshare it in the child.
    pub const CGROUP: Self = Self(0x0200_0000);
    /// `CLONE_NEWUTS`
    pub const UTS: Self = Self(0x0400_0000);
    /// `CLONE_NEWIPC`
    pub const IPC: Self = Self(0x0800_0000);
    /// `CLONE_NEWUSER`
    pub const USER: Self = Self(0x1000_0000);
    /// `CLONE_NEWPID`
    pub const PID: Self = Self(0x2000_0000);
    /// `CLONE_NEWNET`
    pub const NET: Self = Self(0x4000_0000);

    /// No namespace.
    #[must_use]
    pub const fn empty() -> Self {
        Self(0)
    }
    /// The bits as the kernel takes them.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
    /// True if every bit of `other` is here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// True if no bit is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What [`spawn`] shall make.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Namespaces the child starts in.
    pub namespaces: Namespaces,
    /// Directory of the cgroup v2 that the child is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The child becomes a child of the caller's parent (`CLONE_PARENT`).
    pub sibling: bool,
}

/// A process made by [`spawn`].
#[derive(Debug)]
pub struct Child {
    /// Its id in the caller's pid namespace.
    pub pid: Pid,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
}

/// `struct clone_args` of `linux/sched.h`, version 2 (88 bytes).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x0000_1000;
const CLONE_PARENT: u64 = 0x0000_8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Ends the process without unwinding if the closure panics: a child must never return into its parent's code.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Runs `child` in a new process, which ends with the closure's value as its exit code (no `atexit` handlers).
///
/// # Errors
/// `EDEADLK` if the caller has more than one thread: a lock held by another thread (the allocator's, say) would
/// never be released in the child. Otherwise as clone3(2).
pub fn spawn(options: Options<'_>, child: impl FnOnce() -> i32) -> Result<Child> {
    // Directories in procfs count one link for each subdirectory plus two: one thread means three.
    if rustix::fs::stat("/proc/self/task").map_or(3, |s| s.st_nlink) != 3 {
        return Err(Errno::DEADLK);
    }
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: options.namespaces.bits() | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = options.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    if options.sibling {
        // The exit signal is the one of the parent whose child it becomes; clone3 wants zero here.
        args.flags |= CLONE_PARENT;
        args.exit_signal = 0;
    }
    // SAFETY: `args` is a valid clone_args of the size given, and `pidfd` outlives the call. Without CLONE_VM and
    // with a zero stack the child goes on as a copy of this only thread, with its own copy of all memory.
    let rc = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match rc {
        -1 => Err(last_errno()),
        0 => {
            let guard = AbortOnUnwind;
            let code = child();
            std::mem::forget(guard);
            exit_now(code)
        }
        pid => {
            // SAFETY: the kernel stored a fresh descriptor there, owned by nobody else.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
            Ok(Child { pid, pidfd })
        }
    }
}

/// `_exit(2)`: ends the process at once, without `atexit` handlers or flushing.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any value and does not return.
    unsafe { libc::_exit(code) }
}

/// The calling thread's last error.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// `unshare(2)` for namespaces only.
///
/// # Errors
/// As unshare(2).
pub fn unshare(namespaces: Namespaces) -> Result<()> {
    // SAFETY: only CLONE_NEW* bits can be in `Namespaces`, never CLONE_FILES, so no descriptor table is split.
    let rc = unsafe { libc::syscall(libc::SYS_unshare, namespaces.bits()) };
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}

/// `setns(2)` with a pidfd (several namespaces at once, Linux 5.8) or a namespace file (one or no bit).
///
/// # Errors
/// As setns(2).
pub fn setns(fd: BorrowedFd<'_>, namespaces: Namespaces) -> Result<()> {
    // SAFETY: setns takes a descriptor and flags; no memory is passed.
    let rc = unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), namespaces.bits()) };
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}

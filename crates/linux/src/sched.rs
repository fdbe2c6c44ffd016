//! Scheduling class, I/O priority and execution domain of the calling thread.

use rustix::io::Result;

use crate::clone::last_errno;

/// `struct sched_attr` of `linux/sched/types.h`, first version (48 bytes).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SchedAttr {
    /// Size of this struct, set by [`set`].
    size: u32,
    /// `SCHED_OTHER` 0, `FIFO` 1, `RR` 2, `BATCH` 3, `ISO` 4, `IDLE` 5, `DEADLINE` 6.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value for OTHER and BATCH.
    pub nice: i32,
    /// Static priority for FIFO and RR, 1 to 99.
    pub priority: u32,
    /// Nanoseconds, DEADLINE only.
    pub runtime: u64,
    /// Nanoseconds, DEADLINE only.
    pub deadline: u64,
    /// Nanoseconds, DEADLINE only.
    pub period: u64,
}

/// `sched_setattr(2)` on the calling thread.
///
/// # Errors
/// As sched_setattr(2).
pub fn set(attr: SchedAttr) -> Result<()> {
    let attr = SchedAttr { size: 48, ..attr };
    // SAFETY: the kernel reads `size` bytes of `attr`, which is that long.
    let rc = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}

/// `ioprio_set(2)` on the calling process: `class` 1 real time, 2 best effort, 3 idle; `priority` 0 to 7.
///
/// # Errors
/// As ioprio_set(2).
pub fn set_io_priority(class: u32, priority: u32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    // SAFETY: no memory is passed.
    let rc = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, class << 13 | priority) };
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}

/// `personality(2)`.
///
/// # Errors
/// As personality(2).
pub fn set_personality(domain: u64) -> Result<()> {
    // SAFETY: no memory is passed.
    let rc = unsafe { libc::syscall(libc::SYS_personality, domain) };
    if rc < 0 { Err(last_errno()) } else { Ok(()) }
}

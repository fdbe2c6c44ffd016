//! Loading a seccomp filter: `seccomp(2)`, classic BPF.

use rustix::io::{Errno, Result};

use crate::clone::last_errno;

/// `struct sock_filter` of `linux/filter.h`: one classic BPF instruction.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation (`BPF_LD | BPF_W | BPF_ABS`, …).
    pub code: u16,
    /// Instructions to skip if a jump's test is true.
    pub jt: u8,
    /// Instructions to skip if it is false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

/// `SECCOMP_FILTER_FLAG_TSYNC`
pub const FLAG_TSYNC: u32 = 1;
/// `SECCOMP_FILTER_FLAG_LOG`
pub const FLAG_LOG: u32 = 2;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`
pub const FLAG_SPEC_ALLOW: u32 = 4;

/// Most instructions the kernel takes (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;

/// Installs `filter` on the calling thread. Needs no_new_privs or CAP_SYS_ADMIN.
///
/// # Errors
/// `EINVAL` if there are more than [`INSTRUCTIONS_MAX`] instructions or the kernel's checker refuses them;
/// otherwise as seccomp(2).
pub fn load(filter: &[Instruction], flags: u32) -> Result<()> {
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    if filter.len() > INSTRUCTIONS_MAX {
        return Err(Errno::INVAL);
    }
    let len = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = Program { len, filter: filter.as_ptr() };
    // SAFETY: `program` describes `filter`, both outlive the call, and the kernel only reads them.
    let rc = unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}

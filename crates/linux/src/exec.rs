//! Replacing the program: `execve(2)`, `execveat(2)` and what must be tidied before.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::{Errno, Result};

use crate::clone::last_errno;

/// Pointers to the strings, ended by a null pointer as exec wants it.
fn vector(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

/// `execve(2)` with exactly these arguments and environment (order and duplicates kept). Returns only on failure.
#[must_use]
pub fn execve(path: &CStr, args: &[CString], env: &[CString]) -> Errno {
    let (args, env) = (vector(args), vector(env));
    // SAFETY: `path` and both null-ended vectors point to nul-ended strings that live until the call returns.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    last_errno()
}

/// `execveat(fd, "", …, AT_EMPTY_PATH)`: runs the program that `fd` is open on. Returns only on failure.
#[must_use]
pub fn execve_fd(fd: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> Errno {
    let (args, env) = (vector(args), vector(env));
    // SAFETY: as in `execve`; the empty path is a static string.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

/// Marks every descriptor from `first` upwards close-on-exec (`close_range(2)`, Linux 5.11).
///
/// # Errors
/// As close_range(2).
pub fn cloexec_from(first: u32) -> Result<()> {
    // SAFETY: CLOSE_RANGE_CLOEXEC (1 << 2) only sets a flag on descriptors; none is closed here.
    let rc = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 4) };
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}

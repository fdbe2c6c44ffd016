//! Session keyrings: `keyctl(2)`.

use std::ffi::CStr;

use rustix::io::Result;

use crate::clone::last_errno;

/// Joins (makes, if need be) the session keyring `name`, so that the caller's keys are not seen any more.
///
/// # Errors
/// As keyctl(2); `ENOSYS` in kernels without keys.
pub fn join_session(name: &CStr) -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the kernel reads the nul-ended name only.
    let rc = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    if rc < 0 { Err(last_errno()) } else { Ok(()) }
}

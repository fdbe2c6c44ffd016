//! Network devices by `ioctl(2)` (`netdevice(7)`): flags only.

use std::ffi::CStr;
use std::os::fd::AsRawFd;

use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::clone::last_errno;

/// Brings a device of the caller's network namespace up.
///
/// # Errors
/// `ENODEV` if there is none of this name, `EINVAL` for a name too long; otherwise as netdevice(7).
pub fn up(name: &CStr) -> Result<()> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: ifreq is plain data, for which zero bytes are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = name.to_bytes();
    if bytes.len() >= request.ifr_name.len() {
        return Err(Errno::INVAL);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    // SAFETY: the request outlives both calls; the first fills the flags that the second reads.
    unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) < 0 {
            return Err(last_errno());
        }
        #[expect(clippy::cast_possible_truncation, reason = "IFF_UP is 1")]
        let up = libc::IFF_UP as libc::c_short;
        request.ifr_ifru.ifru_flags |= up;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) < 0 {
            return Err(last_errno());
        }
    }
    Ok(())
}

//! Stream sockets between a virtual machine and its host: `vsock(7)`.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::clone::last_errno;

/// The host, seen from a machine (`VMADDR_CID_HOST` of `linux/vm_sockets.h`).
pub const CID_HOST: u32 = 2;

/// Connects to a port of a context.
///
/// # Errors
/// As vsock(7) and connect(2); `EAFNOSUPPORT` in kernels without vsock, `ENODEV` in machines without a device.
pub fn connect(cid: u32, port: u32) -> Result<OwnedFd> {
    let socket =
        rustix::net::socket_with(AddressFamily::VSOCK, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: `sockaddr_vm` is a C structure of numbers, for which all zeros is a value.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_cid = cid;
    address.svm_port = port;
    let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of an address that lives until the call returns.
    let rc = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if rc < 0 { Err(last_errno()) } else { Ok(socket) }
}

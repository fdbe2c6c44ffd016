//! Words to the service manager (sd_notify(3)): one datagram to the socket in `NOTIFY_SOCKET`.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// Tells the service manager `state` (`READY=1`, `STATUS=…`); without one there is nothing to do.
///
/// # Errors
/// The socket's.
pub fn notify(state: &str) -> io::Result<()> {
    let Some(name) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

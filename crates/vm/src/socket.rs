//! Unix sockets whose path may be long.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// `sizeof(sun_path)` (unix(7)), with its closing zero.
const PATH_MAX_BYTES: usize = 108;

/// Connects to the socket at `path`; one too long for `sun_path` is reached through its opened folder.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() < PATH_MAX_BYTES {
        return UnixStream::connect(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    UnixStream::connect(Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

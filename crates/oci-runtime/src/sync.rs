//! The talk between the runtime and the container's process: one socket pair, whole messages.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::error::{Doing, Result};

/// Longest message, bytes; longer texts are cut.
const MESSAGE_MAX: usize = 8192;

/// What the container's process says.
#[derive(Debug)]
pub(crate) enum FromChild {
    /// It lives, with this process id (only when a helper made it).
    Born(i32),
    /// The machine has less than the config asks for.
    Warning(String),
    /// It waits for its id mappings.
    NeedsMappings,
    /// The environment is made: time for the hooks of the runtime's namespaces.
    NeedsHooks,
    /// The terminal's master side.
    Console(OwnedFd),
    /// All is done but the program itself.
    Ready,
    /// A step failed.
    Failed {
        /// The step's name.
        step: String,
        /// JSON path.
        field: String,
        /// Words.
        message: String,
    },
}

/// One end of the pair.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// Both ends: the runtime's and the child's.
pub(crate) fn pair() -> Result<(Channel, Channel)> {
    let (a, b) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .doing("make a socket pair")?;
    Ok((Channel(a), Channel(b)))
}

impl FromChild {
    fn encode(&self) -> Vec<u8> {
        let (kind, parts): (u8, Vec<&str>) = match self {
            Self::Born(pid) => return format!("B{pid}").into_bytes(),
            Self::Warning(text) => (b'W', vec![text]),
            Self::NeedsMappings => (b'M', vec![]),
            Self::NeedsHooks => (b'H', vec![]),
            Self::Console(_) => (b'C', vec![]),
            Self::Ready => (b'R', vec![]),
            Self::Failed { step, field, message } => (b'F', vec![step, field, message]),
        };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(parts.join("\0").as_bytes());
        bytes.truncate(MESSAGE_MAX);
        bytes
    }

    /// `None` for bytes that no child of ours sends.
    fn decode(bytes: &[u8], fd: Option<OwnedFd>) -> Option<Self> {
        let (kind, text) = bytes.split_first()?;
        let text = String::from_utf8_lossy(text).into_owned();
        Some(match kind {
            b'B' => Self::Born(text.parse().ok()?),
            b'W' => Self::Warning(text),
            b'M' => Self::NeedsMappings,
            b'H' => Self::NeedsHooks,
            b'C' => Self::Console(fd?),
            b'R' => Self::Ready,
            b'F' => {
                let mut parts = text.splitn(3, '\0').map(str::to_owned);
                Self::Failed { step: parts.next()?, field: parts.next()?, message: parts.next()? }
            }
            _ => return None,
        })
    }
}

impl Channel {
    /// The child's side: sends one message.
    pub(crate) fn send(&self, message: &FromChild) -> Result<()> {
        let fd = match message {
            FromChild::Console(fd) => Some(fd.as_fd()),
            _ => None,
        };
        send_with_fd(self.0.as_fd(), &message.encode(), fd).doing("tell the runtime")
    }

    /// The runtime's side: the next message, or `None` when the child's end is closed (it ended, or its program runs).
    pub(crate) fn receive(&self) -> Result<Option<FromChild>> {
        let mut buffer = vec![0; MESSAGE_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let flags = RecvFlags::CMSG_CLOEXEC;
            match rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags) {
                Err(Errno::INTR) => {}
                // A child that is killed with unread messages of ours resets the connection.
                Err(Errno::CONNRESET) => return Ok(None),
                other => break other.doing("listen to the container's process")?,
            }
        };
        let fd = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        if received.bytes == 0 {
            return Ok(None);
        }
        Ok(FromChild::decode(&buffer[..received.bytes], fd))
    }

    /// The runtime's side: lets the child go on.
    pub(crate) fn go(&self) -> Result<()> {
        rustix::net::send(&self.0, b"G", SendFlags::NOSIGNAL)
            .doing("let the container's process go on")
            .map(drop)
    }

    /// The child's side: waits for [`Self::go`]; false if the runtime is gone.
    pub(crate) fn wait(&self) -> bool {
        loop {
            let mut byte = [0_u8; 1];
            match rustix::net::recv(&self.0, &mut byte[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                Ok((_, n)) => return n == 1,
                Err(_) => return false,
            }
        }
    }
}

/// Sends bytes and perhaps a descriptor over a Unix socket.
pub(crate) fn send_with_fd(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = fd.map(|fd| [fd]);
    if let Some(fds) = &fds {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_survives_the_socket() {
        let (ours, theirs) = pair().unwrap();
        let failed =
            FromChild::Failed { step: "mount".into(), field: "mounts[2]".into(), message: "no\0such".into() };
        theirs.send(&failed).unwrap();
        theirs.send(&FromChild::Ready).unwrap();
        drop(theirs);
        let Some(FromChild::Failed { step, field, message }) = ours.receive().unwrap() else { panic!() };
        assert_eq!((step.as_str(), field.as_str(), message.as_str()), ("mount", "mounts[2]", "no\0such"));
        assert!(matches!(ours.receive().unwrap(), Some(FromChild::Ready)));
        assert!(ours.receive().unwrap().is_none());
    }

    #[test]
    fn descriptors_travel() {
        let (ours, theirs) = pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        theirs.send(&FromChild::Console(null.into())).unwrap();
        assert!(matches!(ours.receive().unwrap(), Some(FromChild::Console(_))));
    }

    #[test]
    fn strange_bytes_are_no_message() {
        for bytes in [&b"X"[..], b"Bx", b"C", b"F", b"Fa\0b", b""] {
            assert!(FromChild::decode(bytes, None).is_none(), "{bytes:?}");
        }
    }
}

//! Terminals: over a console socket, and relayed.

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::harness::bundle;

/// Accepts one connection and takes the descriptor that comes over it.
fn receive(listener: &UnixListener) -> OwnedFd {
    let (stream, _) = listener.accept().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0_u8; 64];
    rustix::net::recvmsg(&stream, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .unwrap();
    let fd = control.drain().find_map(|m| match m {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fd.expect("no descriptor came")
}

/// Everything the terminal says until its last user is gone.
fn read_all(master: OwnedFd) -> String {
    let mut text = Vec::new();
    let mut file = std::fs::File::from(master);
    let mut buffer = [0_u8; 1024];
    while let Ok(n @ 1..) = file.read(&mut buffer) {
        text.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn root_console_socket() {
    let Some(b) =
        bundle("console socket", &["sh", "-c", "tty; stty size; test -c /dev/console && echo console"])
    else {
        return;
    };
    let b = b.with(|c| {
        c["process"]["terminal"] = true.into();
        c["process"]["consoleSize"] = serde_json::json!({"height": 11, "width": 77});
    });
    assert!(b.fails(&["create", "box"]).contains("process.terminal: needs --console-socket"));
    let listener = UnixListener::bind(b.path().join("console.sock")).unwrap();
    b.ok(&["create", "--console-socket", "console.sock", "box"]);
    let master = receive(&listener);
    b.ok(&["start", "box"]);
    assert_eq!(read_all(master), "/dev/pts/0\r\n11 77\r\nconsole\r\n");
    b.wait_status("box", "stopped");
    b.ok(&["delete", "box"]);
}

#[test]
fn root_exec_with_a_terminal() {
    let Some(b) = bundle("exec terminal", &["sleep", "100"]) else { return };
    b.ok(&["run", "-d", "box"]);
    let listener = UnixListener::bind(b.path().join("console.sock")).unwrap();
    b.ok(&["exec", "-td", "--console-socket", "console.sock", "box", "tty"]);
    assert_eq!(read_all(receive(&listener)), "/dev/pts/0\r\n");
    // Without a socket the terminal is relayed to standard output.
    assert_eq!(b.ok(&["exec", "-t", "box", "sh", "-c", "tty; echo two"]), "/dev/pts/0\r\ntwo\r\n");
}

#[test]
fn root_run_relays_a_terminal() {
    let Some(b) = bundle("relay", &["sh", "-c", "tty; exit 4"]) else { return };
    let b = b.with(|c| c["process"]["terminal"] = true.into());
    let output = b.orun(&["run", "box"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/dev/pts/0\r\n");
    assert_eq!(output.status.code(), Some(4));
}

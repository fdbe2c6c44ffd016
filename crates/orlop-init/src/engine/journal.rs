//! The journal's own protocol (systemd-journald documentation, "Native Journal Protocol"): one datagram an entry, fields
//! as `NAME=value` lines; a value with a line break as name, line break, length in 64 bits little-endian, value.

use std::os::unix::net::UnixDatagram;

/// journald's socket.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Upstream's id of the entry that says which configs were used; programs look for it.
pub(crate) const FETCHED_CONFIG: &str = "57124006b5c94805b77ce473e92a8aeb";

/// Upstream's id of the entry that says whose keys were written.
pub(crate) const AUTHORIZED_KEYS: &str = "225067b87bbd4a0cb6ab151f82fa364b";

/// One entry. An entry that is not taken is lost: no boot fails for its log.
pub(crate) fn send(message: &str, priority: u8, fields: &[(&str, &str)]) {
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.send_to(&entry(message, priority, fields), SOCKET);
    }
}

/// Whether there is a journal.
pub(crate) fn is_there() -> bool {
    std::path::Path::new(SOCKET).exists()
}

fn entry(message: &str, priority: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let priority = priority.to_string();
    let own = [("MESSAGE", message), ("PRIORITY", &priority), ("SYSLOG_IDENTIFIER", "ignition")];
    for (name, value) in own.iter().chain(fields) {
        bytes.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            bytes.push(b'\n');
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_protocol() {
        let plain = entry("hello", 6, &[("MESSAGE_ID", FETCHED_CONFIG)]);
        let text = "MESSAGE=hello\nPRIORITY=6\nSYSLOG_IDENTIFIER=ignition\nMESSAGE_ID=57124006b5c94805b77ce473e92a8aeb\n";
        assert_eq!(plain, text.as_bytes());
        let lines = entry("a\nb", 3, &[]);
        assert!(lines.starts_with(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=3\n"), "{lines:?}");
    }

    #[test]
    fn a_journal_takes_an_entry() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        UnixDatagram::unbound().unwrap().send_to(&entry("x", 6, &[]), &path).unwrap();
        let mut buffer = [0; 256];
        let length = journald.recv(&mut buffer).unwrap();
        assert!(buffer[..length].starts_with(b"MESSAGE=x\n"));
    }
}

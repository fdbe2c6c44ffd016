//! TFTP (RFC 1350), reading only, with options (RFC 2347): a larger block (RFC 2348) and the server's time-out and the
//! file's size (RFC 2349). Servers that know none of them are read in blocks of 512 bytes.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::Names;
use super::retry::Failed;

/// Port of servers.
const PORT: u16 = 69;
/// Block without options (RFC 1350, 2).
const BLOCK_BYTES: u16 = 512;
/// Block that is asked for: what an Ethernet frame holds without fragments (1500 less IPv6 or IPv4, UDP, TFTP).
const WISHED_BYTES: u16 = 1428;
/// Largest block of RFC 2348.
const BLOCK_BYTES_MAX: u16 = 65_464;
/// A packet that stays without answer is sent again after these waits; then the attempt has failed.
const WAITS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(4),
];
/// Error codes (RFC 1350, 5; RFC 2347).
const CODE_UNKNOWN_TRANSFER: u16 = 5;
const CODE_OPTIONS: u16 = 8;
/// Other errors that may pass: not defined, disk full.
const CODES_TRANSIENT: [u16; 2] = [0, 3];

/// The server's final word.
#[derive(Debug, thiserror::Error)]
pub enum TftpError {
    /// It refused.
    #[error("{url}: the server answers with error {code}: {text}")]
    Refused {
        /// The URL.
        url: String,
        /// Code of RFC 1350, section 5.
        code: u16,
        /// The server's words.
        text: String,
    },
    /// The URL has no host or no path.
    #[error("{url}: not a URL of a file: tftp://HOST[:PORT]/PATH")]
    Url {
        /// The URL.
        url: String,
    },
    /// `timeouts.httpTotal` passed.
    #[error("{url}: nothing after {attempts} attempts in {seconds} s: {why}")]
    TimedOut {
        /// The URL.
        url: String,
        /// Attempts made.
        attempts: u32,
        /// Seconds allowed by the config.
        seconds: u64,
        /// Why the last attempt failed.
        why: String,
    },
    /// The content came but could not be used.
    #[error("{url}: the content cannot be stored")]
    Content {
        /// The URL.
        url: String,
        /// What went wrong with it.
        #[source]
        source: io::Error,
    },
}

/// A packet of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A block.
    Data(u16, &'a [u8]),
    /// The options that the server takes, names in lower case.
    Options(Vec<(String, String)>),
    /// An error.
    Error(u16, String),
}

/// Reads a packet of a server; `None` for what a server does not send.
pub fn decode(bytes: &[u8]) -> Option<Packet<'_>> {
    let number = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    match number(0)? {
        3 => Some(Packet::Data(number(2)?, bytes.get(4..)?)),
        5 => {
            let text = bytes.get(4..)?.split(|byte| *byte == 0).next().unwrap_or_default();
            Some(Packet::Error(number(2)?, String::from_utf8_lossy(text).into_owned()))
        }
        6 => {
            let texts: Vec<String> = bytes[2..]
                .split(|byte| *byte == 0)
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect();
            let pairs = texts.chunks_exact(2).filter(|pair| !pair[0].is_empty());
            Some(Packet::Options(pairs.map(|pair| (pair[0].to_ascii_lowercase(), pair[1].clone())).collect()))
        }
        _ => None,
    }
}

fn request(file: &str, options: bool) -> Vec<u8> {
    let mut packet = vec![0, 1];
    let mut texts = vec![file.to_owned(), "octet".into()];
    if options {
        let wishes = [("blksize", WISHED_BYTES.to_string()), ("timeout", "1".into()), ("tsize", "0".into())];
        texts.extend(wishes.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    }
    for text in texts {
        packet.extend(text.into_bytes());
        packet.push(0);
    }
    packet
}

fn acknowledgement(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

fn error(code: u16, text: &str) -> Vec<u8> {
    [&[0, 5], &code.to_be_bytes()[..], text.as_bytes(), &[0]].concat()
}

/// Host, port and file of a URL.
fn parts(url: &str) -> Option<(&str, u16, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, PORT),
    };
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let file = percent_encoding::percent_decode_str(path).decode_utf8().ok()?.into_owned();
    let good =
        scheme.eq_ignore_ascii_case("tftp") && !host.is_empty() && file.len() > 1 && !file.contains('\0');
    good.then_some((host, port, file))
}

/// A file on its way.
#[derive(Debug)]
pub struct Transfer {
    socket: UdpSocket,
    /// Where the server answers from: a port of its own for each transfer.
    server: SocketAddr,
    /// What is sent again when nothing comes.
    last: Vec<u8>,
    block_bytes: u16,
    block: u16,
    data: Vec<u8>,
    read: usize,
    ended: bool,
    deadline: Option<Instant>,
}

/// Asks for a file. `left` is the time for all of it.
pub(crate) fn open(url: &str, names: &Names, left: Option<Duration>) -> Result<Transfer, Failed<TftpError>> {
    let bad = || Failed::Final(TftpError::Url { url: url.to_owned() });
    let (host, port, file) = parts(url).ok_or_else(bad)?;
    let addresses = names.addresses(host).map_err(|error| Failed::Again(error.to_string()))?;
    let mut last = Failed::Again(format!("{host} has no address"));
    for address in addresses {
        for options in [true, false] {
            match ask(SocketAddr::new(address, port), &file, options, left) {
                Ok(transfer) => return Ok(transfer),
                // Some servers refuse options instead of leaving them out.
                Err(Refusal::Error(CODE_OPTIONS, _)) if options => {}
                Err(Refusal::Error(code, text)) if CODES_TRANSIENT.contains(&code) => {
                    last = Failed::Again(format!("the server answers with error {code}: {text}"));
                    break;
                }
                Err(Refusal::Error(code, text)) => {
                    return Err(Failed::Final(TftpError::Refused { url: url.to_owned(), code, text }));
                }
                Err(Refusal::Io(error)) => {
                    last = Failed::Again(error.to_string());
                    break;
                }
            }
        }
    }
    Err(last)
}

enum Refusal {
    Io(io::Error),
    Error(u16, String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn ask(server: SocketAddr, file: &str, options: bool, left: Option<Duration>) -> Result<Transfer, Refusal> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let mut transfer = Transfer {
        socket: UdpSocket::bind((any, 0))?,
        server,
        last: request(file, options),
        block_bytes: BLOCK_BYTES,
        block: 0,
        data: Vec::new(),
        read: 0,
        ended: false,
        deadline: left.map(|left| Instant::now() + left),
    };
    transfer.socket.send_to(&transfer.last, server)?;
    loop {
        let answer = transfer.receive(true)?;
        match decode(&answer) {
            Some(Packet::Error(code, text)) => return Err(Refusal::Error(code, text)),
            Some(Packet::Options(taken)) if options => {
                let block = taken.iter().find(|(name, _)| name == "blksize");
                match block.map(|(_, value)| value.parse::<u16>()) {
                    None => {}
                    Some(Ok(bytes)) if (8..=WISHED_BYTES.min(BLOCK_BYTES_MAX)).contains(&bytes) => {
                        transfer.block_bytes = bytes;
                    }
                    Some(_) => {
                        let _ = transfer.socket.send_to(&error(CODE_OPTIONS, "bad blksize"), transfer.server);
                        return Err(Refusal::Error(CODE_OPTIONS, "the server's block size is bad".into()));
                    }
                }
                transfer.send(acknowledgement(0).to_vec())?;
                return Ok(transfer);
            }
            Some(Packet::Data(1, data)) => {
                let data = data.to_vec();
                transfer.accept(data)?;
                return Ok(transfer);
            }
            _ => {}
        }
    }
}

impl Transfer {
    fn send(&mut self, packet: Vec<u8>) -> io::Result<()> {
        self.last = packet;
        self.socket.send_to(&self.last, self.server).map(drop)
    }

    /// The next packet of the server; what was sent last is sent again while there is none. The first packet tells
    /// the server's port for this transfer.
    fn receive(&mut self, first: bool) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; usize::from(self.block_bytes.max(BLOCK_BYTES)) + 4];
        for wait in WAITS {
            let until = Instant::now() + wait;
            loop {
                let now = Instant::now();
                if self.deadline.is_some_and(|deadline| now >= deadline) {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no time is left"));
                }
                let Some(left) = until.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                    break;
                };
                self.socket.set_read_timeout(Some(left))?;
                match self.socket.recv_from(&mut buffer) {
                    Ok((length, from)) if from.ip() == self.server.ip() && (first || from == self.server) => {
                        self.server = from;
                        return Ok(buffer[..length].to_vec());
                    }
                    // RFC 1350, 4: a stranger is told so, and the transfer goes on.
                    Ok((_, from)) => {
                        let _ = self.socket.send_to(&error(CODE_UNKNOWN_TRANSFER, "unknown transfer"), from);
                    }
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
                    {
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.socket.send_to(&self.last, self.server)?;
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} does not answer", self.server)))
    }

    fn accept(&mut self, data: Vec<u8>) -> io::Result<()> {
        self.block = self.block.wrapping_add(1);
        self.ended = data.len() < usize::from(self.block_bytes);
        (self.data, self.read) = (data, 0);
        self.send(acknowledgement(self.block).to_vec())
    }

    fn next_block(&mut self) -> io::Result<()> {
        loop {
            let packet = self.receive(false)?;
            match decode(&packet) {
                Some(Packet::Data(block, data)) if block == self.block.wrapping_add(1) => {
                    let data = data.to_vec();
                    return self.accept(data);
                }
                Some(Packet::Error(code, text)) => {
                    return Err(io::Error::other(format!("the server gives up with error {code}: {text}")));
                }
                // A block that came twice is not answered again, or both sides would double every packet from here.
                _ => {}
            }
        }
    }
}

impl Read for Transfer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.data.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_block()?;
        }
        let left = &self.data[self.read..];
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets() {
        assert_eq!(decode(b"\0\x03\x01\x02abc"), Some(Packet::Data(0x102, b"abc")));
        assert_eq!(decode(b"\0\x05\0\x01File not found\0"), Some(Packet::Error(1, "File not found".into())));
        let options = vec![("blksize".to_owned(), "1428".to_owned()), ("tsize".to_owned(), "9".to_owned())];
        assert_eq!(decode(b"\0\x06BlkSize\x001428\0tsize\x009\0"), Some(Packet::Options(options)));
        for none in [&b""[..], b"\0", b"\0\x03\0", b"\0\x05\0", b"\0\x01x\0", b"\0\x04\0\x01"] {
            assert_eq!(decode(none), None, "{none:?}");
        }
        assert_eq!(request("/a", false), b"\0\x01/a\0octet\0");
        assert_eq!(request("/a", true), b"\0\x01/a\0octet\0blksize\x001428\0timeout\x001\0tsize\x000\0");
    }

    #[test]
    fn urls() {
        assert_eq!(parts("tftp://h/a/b%20c?x"), Some(("h", 69, "/a/b c".into())));
        assert_eq!(parts("TFTP://[::1]:6969/a"), Some(("[::1]", 6969, "/a".into())));
        assert_eq!(parts("tftp://[::1]/a"), Some(("[::1]", 69, "/a".into())));
        for bad in ["tftp://h", "tftp://h/", "tftp:///a", "tftp://h:x/a", "http://h/a", "tftp://h/%00"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}

//! Look-ups: numbers, loopback, hosts, then the name servers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::conf::{self, Conf};
use crate::message::{self, Answer, Kind, MessageError};

/// An answer over UDP without EDNS has at most 512 bytes; servers that send more are read too.
const UDP_BYTES_MAX: usize = 4096;

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every server that answered says that there is no such name, or that it has no address.
    #[error("there is no address for the name {name:?}")]
    NotFound {
        /// The name as asked for.
        name: String,
    },
    /// No server gave a usable answer; it may be worth trying again.
    #[error("no name server answered for {name:?}, last asked {server}")]
    NoAnswer {
        /// The name as asked for.
        name: String,
        /// The server that was asked last.
        server: SocketAddr,
        /// What went wrong with it.
        #[source]
        source: Trouble,
    },
    /// The name cannot be asked for.
    #[error("cannot ask for {name:?}")]
    BadName {
        /// The name as asked for.
        name: String,
        /// Why.
        #[source]
        source: MessageError,
    },
}

/// What went wrong with one server.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No connection, no answer in time.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An answer that is none.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Finds the addresses of names. Cheap to clone; the files are read at each look-up.
#[derive(Debug, Clone)]
pub struct Resolver {
    resolv_conf: PathBuf,
    hosts: PathBuf,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

impl Resolver {
    /// A resolver by `etc/resolv.conf` and `etc/hosts` below `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { resolv_conf: root.join("etc/resolv.conf"), hosts: root.join("etc/hosts") }
    }

    /// A resolver by two files.
    #[must_use]
    pub fn by_files(resolv_conf: &Path, hosts: &Path) -> Self {
        Self { resolv_conf: resolv_conf.to_owned(), hosts: hosts.to_owned() }
    }

    /// The addresses of `name`, IPv4 first, within `limit` if one is given.
    ///
    /// # Errors
    /// [`Error`]: there is no such name, or nobody could say.
    pub fn lookup(&self, name: &str, limit: Option<Duration>) -> Result<Vec<IpAddr>, Error> {
        if let Some(address) = number(name) {
            return Ok(vec![address]);
        }
        let from_hosts = read(&self.hosts).map(|text| conf::hosts(&text, name.trim_end_matches('.')));
        if let Some(addresses) = from_hosts.filter(|found| !found.is_empty()) {
            return Ok(addresses);
        }
        if let Some(addresses) = conf::loopback(name) {
            return Ok(addresses);
        }
        let conf = Conf::parse(&read(&self.resolv_conf).unwrap_or_default());
        ask_all(&conf, name, limit.map(|limit| Instant::now() + limit))
    }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// An address written as a number, in brackets or not.
fn number(name: &str) -> Option<IpAddr> {
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    inner.parse::<Ipv4Addr>().map(IpAddr::from).or_else(|_| inner.parse::<Ipv6Addr>().map(IpAddr::from)).ok()
}

/// Asks for each candidate name until one has an address.
fn ask_all(conf: &Conf, name: &str, deadline: Option<Instant>) -> Result<Vec<IpAddr>, Error> {
    for candidate in conf.candidates(name) {
        let mut addresses = Vec::new();
        for kind in [Kind::A, Kind::Aaaa] {
            match ask(conf, &candidate, kind, deadline) {
                Ok(Answer::Addresses(found)) => addresses.extend(found),
                Ok(Answer::NoName | Answer::Truncated) => break,
                // Half an answer is better than none: some servers never answer for AAAA.
                Err(_) if !addresses.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        if !addresses.is_empty() {
            return Ok(addresses);
        }
    }
    Err(Error::NotFound { name: name.to_owned() })
}

/// Asks the servers in order, as often as the conf says, for one name and kind.
fn ask(conf: &Conf, name: &str, kind: Kind, deadline: Option<Instant>) -> Result<Answer, Error> {
    let bad_name = |source| Error::BadName { name: name.to_owned(), source };
    let mut last = None;
    for _ in 0..conf.attempts {
        for server in &conf.servers {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let wait = left.map_or(conf.timeout, |left| left.min(conf.timeout));
            if wait.is_zero() {
                break;
            }
            let id = random_id();
            let question = message::question(id, name, kind).map_err(bad_name)?;
            match ask_one(*server, &question, wait, |bytes| message::parse_answer(bytes, id, name, kind)) {
                Ok(answer) => return Ok(answer),
                Err(trouble) => last = Some((*server, trouble)),
            }
        }
    }
    let (server, source) =
        last.unwrap_or_else(|| (conf.servers[0], io::Error::from(io::ErrorKind::TimedOut).into()));
    Err(Error::NoAnswer { name: name.to_owned(), server, source })
}

/// Ids are random so that a stranger cannot answer before the server (RFC 5452); the port is the kernel's choice.
fn random_id() -> u16 {
    let mut bytes = [0u8; 2];
    // Early in boot the pool may not be ready: a fixed id then still works, behind the random port.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u16::from_ne_bytes(bytes)
}

type Parsed = Result<Answer, MessageError>;

fn ask_one(
    server: SocketAddr,
    question: &[u8],
    wait: Duration,
    parse: impl Fn(&[u8]) -> Parsed,
) -> Result<Answer, Trouble> {
    match ask_udp(server, question, wait, &parse)? {
        Answer::Truncated => ask_tcp(server, question, wait, &parse),
        answer => Ok(answer),
    }
}

fn ask_udp(
    server: SocketAddr,
    question: &[u8],
    wait: Duration,
    parse: &impl Fn(&[u8]) -> Parsed,
) -> Result<Answer, Trouble> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(question)?;
    let deadline = Instant::now() + wait;
    let mut buffer = [0u8; UDP_BYTES_MAX];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        socket.set_read_timeout(Some(left))?;
        let count = match socket.recv(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        match parse(&buffer[..count]) {
            // A late answer to an earlier question, or a forged one: wait on for ours.
            Err(MessageError::Unrelated) => {}
            parsed => return Ok(parsed?),
        }
    }
}

/// The same over TCP: a length of two bytes before each message (RFC 1035, 4.2.2).
fn ask_tcp(
    server: SocketAddr,
    question: &[u8],
    wait: Duration,
    parse: &impl Fn(&[u8]) -> Parsed,
) -> Result<Answer, Trouble> {
    let mut stream = TcpStream::connect_timeout(&server, wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0u8; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0u8; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    Ok(parse(&bytes)?)
}

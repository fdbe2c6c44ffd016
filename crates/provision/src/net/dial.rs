//! Other ways to a server than a plain TCP connection: from a port that only root may use, and by vsock to the host.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::Names;

/// How a server is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dial {
    /// TCP from any port.
    #[default]
    Tcp,
    /// TCP from a port below 1024, which proves to the server that root asks.
    LowPort,
    /// TCP to a link-local IPv6 address on the link of this index (ipv6(7), `sin6_scope_id`).
    Link(u32),
    /// vsock(7); the URL's host means nothing.
    Vsock {
        /// Context id; 2 is the host.
        cid: u32,
        /// Port.
        port: u32,
    },
}

/// First port that needs no privilege (ip(7)).
const LOW_PORTS_END: u16 = 1024;

impl Dial {
    /// What stands for an origin where the URL does not tell it.
    pub(crate) fn origin(&self) -> Option<String> {
        match self {
            Self::Tcp | Self::LowPort | Self::Link(_) => None,
            Self::Vsock { cid, port } => Some(format!("vsock:{cid}:{port}")),
        }
    }
}

/// Connects as a [`Dial`] says.
#[derive(Debug, Default)]
pub(crate) struct Dialer {
    pub(crate) dial: Dial,
    /// What is put before the path of the request: a proxy wants whole URLs (RFC 9112, 3.2.2).
    pub(crate) before_path: Option<String>,
}

/// Looks up one host whatever is asked for: the proxy's.
#[derive(Debug, Clone)]
pub(crate) struct Always {
    pub(crate) names: Names,
    pub(crate) uri: Uri,
}

impl Resolver for Always {
    fn resolve(
        &self,
        _: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.names.resolve(&self.uri, config, timeout)
    }
}

impl Connector<()> for Dialer {
    type Out = Stream;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Stream>, Error> {
        if details.needs_tls() {
            return Err(Error::Tls("TLS is not spoken on this kind of connection"));
        }
        let timeout = details.timeout.not_zero().map(|time| *time);
        let stream = match self.dial {
            Dial::Tcp => plain(&details.addrs, timeout)?,
            Dial::Link(index) => on_link(index, &details.addrs, timeout)?,
            Dial::LowPort => from_low_port(&details.addrs, timeout)?,
            Dial::Vsock { cid, port } => {
                TcpStream::from(linux::vsock::connect(cid, port).map_err(io::Error::from)?)
            }
        };
        let config = &details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Stream { stream, buffers, before_path: self.before_path.clone() }))
    }
}

fn plain(addresses: &[SocketAddr], timeout: Option<Duration>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let stream = match timeout {
            Some(timeout) => TcpStream::connect_timeout(address, timeout),
            None => TcpStream::connect(address),
        };
        match stream {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn on_link(index: u32, addresses: &[SocketAddr], timeout: Option<Duration>) -> io::Result<TcpStream> {
    let scoped = addresses.iter().map(|address| {
        let mut address = *address;
        if let SocketAddr::V6(address) = &mut address {
            address.set_scope_id(index);
        }
        address
    });
    plain(&scoped.collect::<Vec<_>>(), timeout)
}

/// Tries the low ports from the highest down; those below 512 are left to the services that are known by them.
fn from_low_port(addresses: &[SocketAddr], timeout: Option<Duration>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for address in addresses {
        for port in (512..LOW_PORTS_END).rev() {
            match connect_from(port, *address, timeout) {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let taken =
                        matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable);
                    last = error;
                    if !taken {
                        break;
                    }
                }
            }
        }
    }
    Err(last)
}

fn connect_from(port: u16, address: SocketAddr, timeout: Option<Duration>) -> io::Result<TcpStream> {
    let (family, local): (_, SocketAddr) = match address {
        SocketAddr::V4(_) => (AddressFamily::INET, (std::net::Ipv4Addr::UNSPECIFIED, port).into()),
        SocketAddr::V6(_) => (AddressFamily::INET6, (std::net::Ipv6Addr::UNSPECIFIED, port).into()),
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &local)?;
    // The kernel applies the timeout of sending to connect(2) too (socket(7)).
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Send, timeout)?;
    rustix::net::connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

/// A connected stream socket of any family: `TcpStream` asks the kernel for nothing that only TCP has.
pub(crate) struct Stream {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// Until the first line of the request is sent.
    before_path: Option<String>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

fn timed(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_write_timeout(timeout.not_zero().map(|time| *time))?;
        let mut output = &self.buffers.output()[..amount];
        let whole;
        // The first line begins with the method and a blank; the path follows.
        if let Some(blank) = output.iter().position(|byte| *byte == b' ')
            && let Some(before) = self.before_path.take()
        {
            whole = [&output[..=blank], before.as_bytes(), &output[blank + 1..]].concat();
            output = &whole;
        }
        (&self.stream).write_all(output).map_err(|error| timed(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|time| *time))?;
        let input = self.buffers.input_append_buf();
        let length = (&self.stream).read(input).map_err(|error| timed(error, timeout))?;
        self.buffers.input_appended(length);
        Ok(length > 0)
    }

    fn is_open(&mut self) -> bool {
        // Each request has a connection of its own.
        false
    }
}

//! The resolver that ureq's agent is given: `Agent::with_parts(config, DefaultConnector::default(), HttpResolver)`.

use std::net::SocketAddr;

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::NextTimeout;

use crate::lookup::{Error, Resolver};

/// Addresses handed to ureq at most (the capacity of its array).
const ADDRESSES_MAX: usize = 16;

/// [`Resolver`] in the shape that ureq wants.
#[derive(Debug, Clone, Default)]
pub struct HttpResolver {
    /// Who is asked.
    pub resolver: Resolver,
}

impl UreqResolver for HttpResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or_else(|| ureq::Error::BadUri(format!("{uri} names no host")))?;
        let fallback = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(fallback);
        let limit = (!timeout.after.is_not_happening()).then(|| *timeout.after);
        // Kept as an I/O error with its text: ureq's own variant would lose which server was asked and why.
        let addresses = self.resolver.lookup(host, limit).map_err(|error| {
            let kind = match error {
                Error::NoAnswer { .. } => std::io::ErrorKind::TimedOut,
                Error::NotFound { .. } | Error::BadName { .. } => std::io::ErrorKind::NotFound,
            };
            ureq::Error::Io(std::io::Error::new(kind, error))
        })?;
        let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, port));
        let mut result = self.empty();
        for socket in config.ip_family().keep_wanted(sockets).take(ADDRESSES_MAX) {
            result.push(socket);
        }
        if result.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(result) }
    }
}

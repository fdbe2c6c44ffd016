//! The network as provisioning needs it: names, one HTTP client that does not give up, proxies.

pub mod dial;
pub mod dns;
pub mod http;
pub mod proxy;
pub mod retry;
pub mod tftp;
mod tls;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use dns::DnsConfig;

/// Time as a capability, so that tests of back-off take none.
pub trait Clock {
    /// Time since some fixed moment.
    fn elapsed(&self) -> Duration;
    /// Wall time.
    fn now(&self) -> SystemTime;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The kernel's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Where names are looked up. The files are read at each look-up: DHCP may fill them while a fetch is retried.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// resolv.conf(5) files or networkd's `/run/systemd/netif/state`; the first that names a server counts.
    pub servers: Vec<PathBuf>,
    /// hosts(5) files.
    pub hosts: Vec<PathBuf>,
}

impl Names {
    fn load(&self) -> DnsConfig {
        let mut config = DnsConfig::default();
        for path in &self.servers {
            if let Ok(text) = std::fs::read_to_string(path) {
                config.add_servers(&text);
            }
            if !config.servers.is_empty() {
                break;
            }
        }
        for path in &self.hosts {
            if let Ok(text) = std::fs::read_to_string(path) {
                config.add_hosts(&text);
            }
        }
        config
    }
}

impl Names {
    /// The addresses of a host.
    ///
    /// # Errors
    /// As [`DnsConfig::lookup`].
    pub fn addresses(&self, host: &str) -> Result<Vec<std::net::IpAddr>, dns::DnsError> {
        self.load().lookup(host)
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default_port);
        let addresses =
            self.load().lookup(host).map_err(|error| ureq::Error::Io(std::io::Error::other(error)))?;
        let mut answer = self.empty();
        for address in addresses.into_iter().take(16) {
            answer.push((address, port).into());
        }
        Ok(answer)
    }
}

//! `resolv.conf(5)` and `hosts(5)`, parsed from text. Lines that make no sense are passed over, as libc does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Servers that are tried at most (`MAXNS` of resolv.h).
const SERVERS_MAX: usize = 3;

/// The port of DNS (RFC 1035, 4.2).
const DNS_PORT: u16 = 53;

/// What `resolv.conf` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// Name servers in order, at most three.
    pub servers: Vec<SocketAddr>,
    /// Domains that are appended to short names.
    pub search: Vec<String>,
    /// A name with at least so many dots is tried as it is first.
    pub ndots: usize,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How often the whole list of servers is tried.
    pub attempts: u32,
}

impl Default for Conf {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        }
    }
}

impl Conf {
    /// Reads the text of a `resolv.conf`. Without a server, the one on loopback is asked, as resolv.conf(5) has it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                Some("domain") => conf.search = words.next().into_iter().map(plain).collect(),
                Some("search") => conf.search = words.map(plain).collect(),
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf.servers.truncate(SERVERS_MAX);
        if conf.servers.is_empty() {
            conf.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DNS_PORT));
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = word.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The full names to ask for, in order, when a person wrote `name`.
    #[must_use]
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().filter(|domain| !domain.is_empty());
        let mut names: Vec<String> = searched.map(|domain| format!("{name}.{domain}")).collect();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let at = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(at, name.to_owned());
        names
    }
}

fn plain(word: &str) -> String {
    word.trim_end_matches('.').to_owned()
}

/// A server's address; the scope of a link-local one (`fe80::1%eth0`) is given only as a number here.
fn server(word: &str) -> Option<SocketAddr> {
    if let Some((address, scope)) = word.split_once('%') {
        let address: Ipv6Addr = address.parse().ok()?;
        let scope: u32 = scope.parse().ok()?;
        return Some(std::net::SocketAddrV6::new(address, DNS_PORT, 0, scope).into());
    }
    Some(SocketAddr::new(word.parse().ok()?, DNS_PORT))
}

/// The addresses that the text of a `hosts` file gives to `name` (case does not matter).
#[must_use]
pub fn hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect()
}

/// The addresses of `localhost` and all below it, which never leave the machine (RFC 6761, 6.3).
#[must_use]
pub fn loopback(name: &str) -> Option<Vec<IpAddr>> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_read() {
        let conf = Conf::parse(
            "# made by hand\nnameserver 10.0.2.3\nnameserver fe80::1%2 ; link\nnameserver nonsense\n\
             search example.org. corp.example\noptions ndots:2 timeout:1 attempts:9 edns0 rotate\n",
        );
        assert_eq!(conf.servers, ["10.0.2.3:53".parse().unwrap(), "[fe80::1%2]:53".parse().unwrap()]);
        assert_eq!(conf.search, ["example.org", "corp.example"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (2, Duration::from_secs(1), 5));
    }

    #[test]
    fn an_empty_file_asks_loopback() {
        assert_eq!(Conf::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn dots_decide_whether_the_search_list_comes_first() {
        let conf = Conf::parse("search a.example b.example");
        assert_eq!(conf.candidates("web"), ["web.a.example", "web.b.example", "web"]);
        assert_eq!(conf.candidates("web.x"), ["web.x", "web.x.a.example", "web.x.b.example"]);
        assert_eq!(conf.candidates("web."), ["web"]);
    }

    #[test]
    fn hosts_gives_every_address_of_a_name() {
        let text = "127.0.0.1 localhost\n10.0.0.7 db DB.example # the base\nbad line\nfd00::7 db\n";
        assert_eq!(hosts(text, "Db"), ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
        assert!(hosts(text, "base").is_empty());
    }

    #[test]
    fn localhost_needs_no_file() {
        assert_eq!(loopback("Localhost.").unwrap().len(), 2);
        assert_eq!(loopback("a.localhost").unwrap().len(), 2);
        assert!(loopback("localhost.example").is_none());
    }
}

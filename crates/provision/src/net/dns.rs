//! A stub resolver: A and AAAA records over UDP, the answer of one of the configured servers.
//!
//! Our programs are static and so have no `getaddrinfo` that could load the machine's NSS modules; on first boot there
//! is only what DHCP told. Message format: RFC 1035 sections 4.1 and 4.2, AAAA: RFC 3596.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Port of DNS servers.
const DNS_PORT: u16 = 53;
/// One server's time to answer; resolv.conf(5) has 5 s, but a first boot asks again anyway.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest UDP answer without EDNS (RFC 1035 section 2.3.4); longer ones are asked again over TCP.
const UDP_BYTES_MAX: usize = 512;
/// More than any chain of CNAMEs inside one answer needs; stops loops.
const CNAMES_MAX: usize = 16;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// Flags of a standard query with recursion desired.
const FLAGS_QUERY: u16 = 0x0100;
const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_TRUNCATED: u16 = 0x0200;
const RCODE_MASK: u16 = 0x000f;
const RCODE_NO_SUCH_NAME: u16 = 3;

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// No server is configured (yet).
    #[error("no DNS server is known, so {name} cannot be looked up")]
    NoServer {
        /// The name asked for.
        name: String,
    },
    /// The server says that there is no such name.
    #[error("{server} knows no host {name}")]
    NoSuchName {
        /// The name asked for.
        name: String,
        /// Who answered.
        server: SocketAddr,
    },
    /// The server answered with an error.
    #[error("{server} answers with error {code} for {name}")]
    Refused {
        /// The name asked for.
        name: String,
        /// Who answered.
        server: SocketAddr,
        /// RCODE of RFC 1035 section 4.1.1.
        code: u16,
    },
    /// The name exists and has no address.
    #[error("{name} has no address")]
    NoAddress {
        /// The name asked for.
        name: String,
    },
    /// The name cannot be put in a query.
    #[error("{name} is not a host name")]
    BadName {
        /// The name asked for.
        name: String,
    },
    /// The server did not answer or answered nonsense.
    #[error("{server} does not answer for {name}")]
    NoAnswer {
        /// The name asked for.
        name: String,
        /// Who was asked.
        server: SocketAddr,
        /// The socket's error.
        #[source]
        source: std::io::Error,
    },
}

/// Servers and fixed names to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// Servers, asked in order.
    pub servers: Vec<SocketAddr>,
    /// Domains to try after a name without a dot.
    pub search: Vec<String>,
    /// Names with fixed addresses (`/etc/hosts`).
    pub hosts: Vec<(String, IpAddr)>,
}

impl DnsConfig {
    /// Takes `nameserver`, `search` and `domain` lines of a resolv.conf(5), and the `DNS=` and `DOMAINS=` lines that
    /// systemd-networkd keeps in `/run/systemd/netif/state`. Unknown lines are of no concern to a resolver.
    pub fn add_servers(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default().trim();
            let (key, rest) = line.split_once(['=', ' ', '\t']).unwrap_or((line, ""));
            match key {
                "nameserver" | "DNS" => self.servers.extend(rest.split_whitespace().filter_map(server)),
                "search" | "domain" | "DOMAINS" => {
                    self.search = rest
                        .split_whitespace()
                        .map(|domain| domain.trim_matches(['.', '~']).to_owned())
                        .collect();
                }
                _ => {}
            }
        }
    }

    /// Takes the lines of a hosts(5).
    pub fn add_hosts(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
            self.hosts.extend(words.map(|name| (name.to_ascii_lowercase(), address)));
        }
    }

    /// All addresses of `name`, IPv4 first.
    ///
    /// # Errors
    /// [`DnsError`] of the last server asked.
    pub fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        let fixed: Vec<IpAddr> =
            self.hosts.iter().filter(|(host, _)| *host == lower).map(|(_, address)| *address).collect();
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        // RFC 6761 section 6.3: never asked of a server.
        if lower == "localhost" || lower.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let mut error = None;
        for candidate in self.candidates(&lower) {
            match self.ask_servers(&candidate) {
                Ok(addresses) => return Ok(addresses),
                Err(found) => error = error.or(Some(found)),
            }
        }
        Err(error.unwrap_or_else(|| DnsError::NoServer { name: name.to_owned() }))
    }

    fn candidates(&self, name: &str) -> Vec<String> {
        if name.contains('.') || self.search.is_empty() {
            return vec![name.to_owned()];
        }
        self.search.iter().map(|domain| format!("{name}.{domain}")).chain([name.to_owned()]).collect()
    }

    fn ask_servers(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let mut error = DnsError::NoServer { name: name.to_owned() };
        for server in &self.servers {
            match ask(*server, name) {
                Ok(addresses) => return Ok(addresses),
                Err(found @ DnsError::NoSuchName { .. }) => return Err(found),
                Err(found) => error = found,
            }
        }
        Err(error)
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    // networkd writes `ADDRESS[:PORT][%INTERFACE][#SERVERNAME]`.
    let word = word.split(['%', '#']).next()?;
    word.parse().ok().or_else(|| word.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT)))
}

fn ask(server: SocketAddr, name: &str) -> Result<Vec<IpAddr>, DnsError> {
    let mut addresses = Vec::new();
    for record_type in [TYPE_A, TYPE_AAAA] {
        // The transaction number need not be a secret: the socket takes answers of the asked server only, and whoever
        // can forge that address on the path can do worse. TLS or a hash guards what matters.
        let query = encode_query(record_type, name, record_type)
            .ok_or_else(|| DnsError::BadName { name: name.to_owned() })?;
        let no_answer = |source| DnsError::NoAnswer { name: name.to_owned(), server, source };
        let mut message = ask_udp(server, &query).map_err(no_answer)?;
        if flags(&message) & FLAG_TRUNCATED != 0 {
            message = ask_tcp(server, &query).map_err(no_answer)?;
        }
        match flags(&message) & RCODE_MASK {
            0 => {}
            RCODE_NO_SUCH_NAME => return Err(DnsError::NoSuchName { name: name.to_owned(), server }),
            code => return Err(DnsError::Refused { name: name.to_owned(), server, code }),
        }
        let found = decode_answer(&message, name, record_type).ok_or_else(|| {
            no_answer(std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is malformed"))
        })?;
        addresses.extend(found);
    }
    if addresses.is_empty() { Err(DnsError::NoAddress { name: name.to_owned() }) } else { Ok(addresses) }
}

fn ask_udp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    socket.send(query)?;
    let mut message = vec![0; UDP_BYTES_MAX];
    loop {
        let length = socket.recv(&mut message)?;
        if length >= 12 && message[..2] == query[..2] && flags(&message) & FLAG_RESPONSE != 0 {
            message.truncate(length);
            return Ok(message);
        }
    }
}

fn ask_tcp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(query)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn flags(message: &[u8]) -> u16 {
    number(message, 2).unwrap_or_default()
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

/// A query for one record type, `None` when `name` is not a host name.
fn encode_query(id: u16, name: &str, record_type: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(name.len() + 18);
    for word in [id, FLAGS_QUERY, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(record_type.to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    (name.len() <= 253).then_some(message)
}

/// The addresses in an answer for `name`, through its CNAMEs; `None` when the message is malformed.
pub fn decode_answer(message: &[u8], name: &str, record_type: u16) -> Option<Vec<IpAddr>> {
    let (questions, answers) = (number(message, 4)?, number(message, 6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = read_name(message, at)?.1 + 4;
    }
    let mut records = Vec::new();
    for _ in 0..answers {
        let (owner, after) = read_name(message, at)?;
        let (kind, length) = (number(message, after)?, usize::from(number(message, after + 8)?));
        let data = after + 10;
        message.get(data..data + length)?;
        records.push((owner, kind, data, length));
        at = data + length;
    }
    let mut wanted = name.trim_end_matches('.').to_ascii_lowercase();
    for _ in 0..CNAMES_MAX {
        match records.iter().find(|(owner, kind, ..)| *owner == wanted && *kind == TYPE_CNAME) {
            Some((_, _, data, _)) => wanted = read_name(message, *data)?.0,
            None => break,
        }
    }
    let of_name = records.iter().filter(|(owner, kind, ..)| *owner == wanted && *kind == record_type);
    Some(of_name.filter_map(|(_, _, data, length)| address(message.get(*data..*data + *length)?)).collect())
}

fn address(data: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(data) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(data).ok().map(IpAddr::from)
}

/// A possibly compressed name (RFC 1035 section 4.1.4) in lower case, and where the bytes after it begin.
fn read_name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut at, mut after, mut name) = (start, None, String::new());
    loop {
        let length = *message.get(at)?;
        if length >= 0xc0 {
            after.get_or_insert(at + 2);
            let target = usize::from(number(message, at)? & 0x3fff);
            // Pointers lead backwards, or they could lead for ever.
            if target >= at {
                return None;
            }
            at = target;
        } else if length == 0 {
            return Some((name, after.unwrap_or(at + 1)));
        } else {
            let label = message.get(at + 1..at + 1 + usize::from(length))?;
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
            at += 1 + usize::from(length);
            if name.len() > 1024 {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut message = encode_query(7, "www.example.org", TYPE_A).unwrap();
        message[2] = 0x81;
        message[7] = u8::try_from(records.len()).unwrap();
        for (owner, kind, data) in records {
            message.extend(*owner);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(*data);
        }
        message
    }

    #[test]
    fn follows_cname_to_the_address() {
        // Offset 12 is the name in the question; `c` is a label before its `example.org` at offset 16.
        let message = answer(&[
            (&[0xc0, 12], TYPE_CNAME, &[1, b'c', 0xc0, 16]),
            (&[1, b'c', 0xc0, 16], TYPE_A, &[192, 0, 2, 1]),
        ]);
        let found = decode_answer(&message, "WWW.example.org.", TYPE_A).unwrap();
        assert_eq!(found, [IpAddr::from([192, 0, 2, 1])]);
    }

    #[test]
    fn loops_and_short_messages_are_refused() {
        assert_eq!(
            decode_answer(&answer(&[(&[0xc0, 33], TYPE_A, &[1, 2, 3, 4])]), "www.example.org", TYPE_A),
            None
        );
        let whole = answer(&[(&[0xc0, 12], TYPE_A, &[1, 2, 3, 4])]);
        for length in 0..whole.len() {
            assert_eq!(decode_answer(&whole[..length], "www.example.org", TYPE_A), None, "{length} bytes");
        }
    }

    #[test]
    fn reads_its_configuration() {
        let mut config = DnsConfig::default();
        config.add_servers(
            "# x\nnameserver 10.0.2.3\nnameserver fe80::1%eth0\noptions edns0\nsearch a.example b.example.\n",
        );
        config.add_servers("OPER_STATE=routable\nDNS=192.0.2.53 [2001:db8::53]:5353#dns.example\n");
        config.add_hosts("127.0.0.1 localhost\n10.0.2.2 Host gw # the host\n");
        let servers: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.2.3:53", "[fe80::1]:53", "192.0.2.53:53", "[2001:db8::53]:5353"]);
        assert_eq!(config.candidates("db"), ["db.a.example", "db.b.example", "db"]);
        assert_eq!(config.lookup("host").unwrap(), [IpAddr::from([10, 0, 2, 2])]);
        assert_eq!(config.lookup("[::1]").unwrap(), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert!(matches!(DnsConfig::default().lookup("x.example"), Err(DnsError::NoServer { .. })));
    }

    #[test]
    fn asks_a_server() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for _ in 0..2 {
                let mut query = [0; 512];
                let (length, from) = server.recv_from(&mut query).unwrap();
                let mut reply = query[..length].to_vec();
                reply[2] |= 0x80;
                if query[length - 3] == u8::try_from(TYPE_A).unwrap() {
                    reply[7] = 1;
                    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 198, 51, 100, 7]);
                }
                server.send_to(&reply, from).unwrap();
            }
        });
        let config = DnsConfig { servers: vec![address], ..DnsConfig::default() };
        assert_eq!(config.lookup("web.example").unwrap(), [IpAddr::from([198, 51, 100, 7])]);
        thread.join().unwrap();
    }
}

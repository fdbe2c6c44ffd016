//! Which proxy, if any, a URL goes through (`ignition.proxy`).

use std::net::IpAddr;

/// `ignition.proxy` of the config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` URLs.
    pub http: Option<String>,
    /// For `https:` URLs.
    pub https: Option<String>,
    /// Hosts reached directly: a domain and what is under it, `.domain` for only what is under it, an address, a
    /// network in CIDR form, any of them with `:PORT`, or `*`.
    pub no_proxy: Vec<String>,
}

impl Proxies {
    /// The proxy for a URL of this scheme, host and port. Loopback is never proxied.
    pub fn for_url(&self, scheme: &str, host: &str, port: u16) -> Option<&str> {
        let proxy = if scheme == "https" { self.https.as_deref() } else { self.http.as_deref() };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        if local || self.no_proxy.iter().any(|rule| excludes(rule.trim(), &host, address, port)) {
            return None;
        }
        proxy.filter(|proxy| !proxy.is_empty())
    }
}

fn excludes(rule: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if rule == "*" {
        return true;
    }
    if let Some((network, bits)) = rule.split_once('/') {
        return match (network.parse(), bits.parse(), address) {
            (Ok(network), Ok(bits), Some(address)) => contains(network, bits, address),
            _ => false,
        };
    }
    if let Ok(excluded) = rule.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return address == Some(excluded);
    }
    let (name, rule_port) = match rule.rsplit_once(':') {
        Some((name, number)) => (name, number.parse::<u16>().ok()),
        None => (rule, None),
    };
    if rule_port.is_some_and(|rule_port| rule_port != port) || name.is_empty() {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let domain = name.trim_start_matches("*.").trim_start_matches('.');
    let only_under = name.starts_with('.') || name.starts_with("*.");
    (host == domain && !only_under) || host.strip_suffix(domain).is_some_and(|head| head.ends_with('.'))
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let same = |network: u128, address: u128, width: u32| {
        bits <= width && (bits == 0 || (network ^ address) >> (width - bits) == 0)
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            same(u128::from(u32::from(network)), u128::from(u32::from(address)), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => same(network.into(), address.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let proxies = Proxies {
            http: Some("http://p:1".into()),
            https: None,
            no_proxy: ["example.org", ".sub.example", "10.0.0.0/8", "192.0.2.1", "db.lan:5432"]
                .map(Into::into)
                .into(),
        };
        for (host, port, proxied) in [
            ("other.example", 80, true),
            ("example.org", 80, false),
            ("www.Example.org", 80, false),
            ("notexample.org", 80, true),
            ("sub.example", 80, true),
            ("a.sub.example", 80, false),
            ("10.1.2.3", 80, false),
            ("11.1.2.3", 80, true),
            ("192.0.2.1", 80, false),
            ("db.lan", 5432, false),
            ("db.lan", 80, true),
            ("127.0.0.2", 80, false),
            ("[::1]", 80, false),
        ] {
            assert_eq!(proxies.for_url("http", host, port).is_some(), proxied, "{host}:{port}");
        }
        assert_eq!(proxies.for_url("https", "other.example", 443), None);
    }
}

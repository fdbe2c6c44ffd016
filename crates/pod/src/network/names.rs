//! `/etc/resolv.conf`, `/etc/hosts` and `/etc/hostname` of a pod, from the machine's own; pure functions.

use std::net::Ipv4Addr;

/// The resolv.conf of a pod. Name servers on the machine's loopback are out of a pod's reach: where there are no
/// others, those that systemd-resolved itself uses (`upstream`) take their place.
#[must_use]
pub fn resolv_conf(machine: &str, upstream: &str, host_network: bool) -> String {
    if host_network || has_server(machine) {
        return filtered(machine, host_network);
    }
    filtered(upstream, false)
}

fn has_server(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("nameserver") && !is_loopback(line))
}

fn filtered(text: &str, keep_all: bool) -> String {
    let lines =
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']));
    lines.filter(|line| keep_all || !is_loopback(line)).map(|line| format!("{line}\n")).collect()
}

fn is_loopback(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let server = words.next() == Some("nameserver");
    server && words.next().is_some_and(|address| address.starts_with("127.") || address == "::1")
}

/// The hosts file of a pod.
#[must_use]
pub fn hosts(hostname: &str, address: Option<Ipv4Addr>) -> String {
    let own = address
        .map_or_else(|| format!("127.0.1.1\t{hostname}\n"), |address| format!("{address}\t{hostname}\n"));
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_resolver_is_replaced_by_what_it_asks() {
        let stub = "# by resolved\nnameserver 127.0.0.53\noptions edns0\nsearch lan\n";
        let upstream = "nameserver 10.0.2.3\nsearch lan\n";
        assert_eq!(resolv_conf(stub, upstream, false), upstream);
        assert_eq!(
            resolv_conf("nameserver 127.0.0.1\nnameserver 9.9.9.9\n", upstream, false),
            "nameserver 9.9.9.9\n"
        );
        assert_eq!(resolv_conf(stub, upstream, true), "nameserver 127.0.0.53\noptions edns0\nsearch lan\n");
    }

    #[test]
    fn a_pod_knows_its_own_name() {
        let text = hosts("web", Some(Ipv4Addr::new(10, 88, 0, 2)));
        assert!(text.ends_with("10.88.0.2\tweb\n"));
        assert!(hosts("web", None).ends_with("127.0.1.1\tweb\n"));
    }
}

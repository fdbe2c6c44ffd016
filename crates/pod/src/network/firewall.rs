//! The rules of one pod: one nftables table of its own, so that removing it removes all.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use super::Subnet;
use crate::spec::HostPort;

/// Why the rules are not in force.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// There is no `nft`, or it cannot be run.
    #[error("cannot run nft (Debian: nftables)")]
    Program {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It refused.
    #[error("nft refused the pod's rules: {message}")]
    Refused {
        /// What it said.
        message: String,
    },
}

/// The name of a pod's table.
fn table(id: &str) -> String {
    format!("orlop_{}", id.chars().filter(char::is_ascii_hexdigit).take(12).collect::<String>())
}

/// The rules of a pod, in nft's language. The first two lines make it replace what a crash left.
#[must_use]
pub fn rules(id: &str, address: Ipv4Addr, subnet: &Subnet, bridge: &str, ports: &[HostPort]) -> String {
    let table = table(id);
    let mut text = format!("table ip {table} {{}}\ndelete table ip {table}\ntable ip {table} {{\n");
    let mut chain = |name: &str, kind: &str, rules: &[String]| {
        text.push_str(&format!("  chain {name} {{\n    type {kind}; policy accept;\n"));
        for rule in rules {
            text.push_str(&format!("    {rule}\n"));
        }
        text.push_str("  }\n");
    };
    // Packets to 127/8 that come from a pod are forged: route_localnet would let them in (CVE-2020-8558).
    let forged = format!("iifname \"{bridge}\" ip daddr 127.0.0.0/8 drop");
    chain("raw", "filter hook prerouting priority raw", &[forged]);
    let lead: Vec<String> = ports.iter().map(|port| lead(port, address)).collect();
    if !lead.is_empty() {
        chain("prerouting", "nat hook prerouting priority dstnat", &lead);
        // What the machine itself sends takes another way.
        chain("output", "nat hook output priority -100", &lead);
    }
    let leaving = format!("ip saddr {address} oifname != \"{bridge}\" masquerade");
    // Answers must come back through the machine where it, or a neighbour, asked by way of a host port.
    let hairpin =
        format!("ip daddr {address} ct status dnat ip saddr {{ 127.0.0.0/8, {subnet} }} masquerade");
    chain("postrouting", "nat hook postrouting priority srcnat", &[leaving, hairpin]);
    text.push_str("}\n");
    text
}

/// The rule that leads one port of the machine to the pod.
fn lead(port: &HostPort, address: Ipv4Addr) -> String {
    let HostPort { host_ip, host_port, container_port, protocol } = port;
    let to = host_ip.map_or_else(|| "fib daddr type local".to_owned(), |ip| format!("ip daddr {ip}"));
    format!("{to} {protocol} dport {host_port} dnat to {address}:{container_port}")
}

/// Puts rules in force, all or none.
///
/// # Errors
/// [`FirewallError`].
pub fn apply(rules: &str) -> Result<(), FirewallError> {
    run(rules)
}

/// Removes a pod's rules; none is no error.
///
/// # Errors
/// [`FirewallError`].
pub fn remove(id: &str) -> Result<(), FirewallError> {
    let table = table(id);
    run(&format!("table ip {table} {{}}\ndelete table ip {table}\n"))
}

fn run(rules: &str) -> Result<(), FirewallError> {
    let program = |source| FirewallError::Program { source };
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(program)?;
    let sent = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(rules.as_bytes()));
    let output = child.wait_with_output().map_err(program)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(FirewallError::Refused { message });
    }
    sent.map_err(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Protocol;

    #[test]
    fn the_rules_of_a_pod() {
        let port = |ip: Option<&str>, protocol| HostPort {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port: 80,
            container_port: 8080,
            protocol,
        };
        let ports = [port(None, Protocol::Tcp), port(Some("127.0.0.1"), Protocol::Udp)];
        let rules =
            rules("0a1b2c3d-4e5f", Ipv4Addr::new(10, 88, 0, 2), &super::super::SUBNET, "orlop0", &ports);
        let lead = "    fib daddr type local tcp dport 80 dnat to 10.88.0.2:8080\n    ip daddr 127.0.0.1 udp dport 80 dnat to 10.88.0.2:8080\n";
        let expected = format!(
            "table ip orlop_0a1b2c3d4e5f {{}}\ndelete table ip orlop_0a1b2c3d4e5f\ntable ip orlop_0a1b2c3d4e5f {{\n  \
             chain raw {{\n    type filter hook prerouting priority raw; policy accept;\n    iifname \"orlop0\" ip daddr 127.0.0.0/8 drop\n  }}\n  \
             chain prerouting {{\n    type nat hook prerouting priority dstnat; policy accept;\n{lead}  }}\n  \
             chain output {{\n    type nat hook output priority -100; policy accept;\n{lead}  }}\n  \
             chain postrouting {{\n    type nat hook postrouting priority srcnat; policy accept;\n    \
             ip saddr 10.88.0.2 oifname != \"orlop0\" masquerade\n    \
             ip daddr 10.88.0.2 ct status dnat ip saddr {{ 127.0.0.0/8, 10.88.0.0/16 }} masquerade\n  }}\n}}\n"
        );
        assert_eq!(rules, expected);
    }
}

//! An address for first boots whose config is on the network, and device links for configs that name disks by them.
//!
//! The daemons are those of the verified `/usr`. They run only while somebody asks for them and are stopped before the
//! switch, so that the machine's own start from nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cmdline;
use crate::console;
use crate::phase::Phase;
use crate::process::{self, ProcessError};

/// Name servers that DHCP gave, for the resolver of crate `provision`.
pub(crate) const RESOLV_CONF: &str = "/run/orlop/resolv.conf";
const UDEVD: &str = "/usr/lib/systemd/systemd-udevd";
const UDEVADM: &str = "/usr/bin/udevadm";
const UDEV_SOCKET: &str = "/run/udev/control";
const NETWORKD: &str = "/usr/lib/systemd/systemd-networkd";
const GENERATOR: &str = "/usr/lib/systemd/systemd-network-generator";
/// Where networkd says how far it is (`sd-network(3)`).
const STATE: &str = "/run/systemd/netif/state";
/// DHCP on every wired link that nothing else configures; the name sorts after anybody's own file.
const DEFAULT_NETWORK: &str = "/run/systemd/network/zzzz-orlop-first-boot.network";
const DEFAULT_NETWORK_TEXT: &str = "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n";
/// Kernel arguments that systemd-network-generator(8) reads.
const NETWORK_ARGUMENTS: [&str; 5] = ["ip=", "rd.route=", "nameserver=", "rd.peerdns=", "ifname="];
/// Buses on which network cards are found, and the links that are there already.
const NETWORK_SUBSYSTEMS: [&str; 5] = [
    "--subsystem-match=virtio",
    "--subsystem-match=usb",
    "--subsystem-match=vmbus",
    "--subsystem-match=xen",
    "--subsystem-match=net",
];
const LOOK: Duration = Duration::from_millis(20);
const TELL: Duration = Duration::from_secs(5);
/// udev's own events for the devices of a machine.
const SETTLE: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// A daemon or tool.
    #[error(transparent)]
    Tool(#[from] ProcessError),
    /// A file under `/run`.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No address in time.
    #[error("no address within {} s (orlop.network_timeout=): {state}", .limit.as_secs())]
    Timeout {
        /// The limit.
        limit: Duration,
        /// What the links say.
        state: String,
    },
    /// networkd ended.
    #[error("systemd-networkd ended ({status})")]
    Ended {
        /// How.
        status: String,
    },
}

/// The daemons that run now.
#[derive(Debug, Default)]
pub(crate) struct Daemons {
    udevd: Option<Child>,
    networkd: Option<Child>,
}

impl Daemons {
    /// Starts udevd and lets it handle the disks: drivers of controllers, links under `/dev/disk`.
    pub(crate) fn disks(&mut self, phase: Phase) -> Result<(), NetworkError> {
        self.udev(phase)?;
        trigger(phase, &["--subsystem-match=pci", "--attr-match=class=0x01*"])?;
        trigger(phase, &["--subsystem-match=scsi", "--subsystem-match=virtio", "--subsystem-match=block"])?;
        Ok(self.settle(phase)?)
    }

    fn udev(&mut self, phase: Phase) -> Result<(), ProcessError> {
        if self.udevd.is_some() {
            return Ok(());
        }
        self.udevd = Some(spawn(UDEVD)?);
        let started = Instant::now();
        while !Path::new(UDEV_SOCKET).exists() && started.elapsed() < STOP {
            sleep(LOOK);
        }
        // An answer means that it hears the kernel; an event before that would be lost.
        let mut ping = process::command(UDEVADM);
        ping.args(["control", "--ping", "--timeout=30"]);
        process::run(phase, ping, SETTLE).map(drop)
    }

    /// Waits until udevd has handled what it knows of.
    pub(crate) fn settle(&self, phase: Phase) -> Result<(), ProcessError> {
        let mut settle = process::command(UDEVADM);
        settle.args(["settle", &format!("--timeout={}", SETTLE.as_secs())]);
        process::run(phase, settle, SETTLE + STOP).map(drop)
    }

    /// Gets an address and name servers; at once when they are there.
    pub(crate) fn network(&mut self, kernel_arguments: &str, limit: Duration) -> Result<(), NetworkError> {
        if self.networkd.is_some() {
            return Ok(());
        }
        self.udev(Phase::Network)?;
        trigger(Phase::Network, &["--subsystem-match=pci", "--attr-match=class=0x02*"])?;
        trigger(Phase::Network, &NETWORK_SUBSYSTEMS)?;
        self.settle(Phase::Network)?;
        // DHCP client identifiers are made from it; the machine's own does not exist yet.
        put("/etc/machine-id", &format!("{}\n", random_id()?))?;
        put(DEFAULT_NETWORK, DEFAULT_NETWORK_TEXT)?;
        if wants_generator(kernel_arguments) {
            process::run(Phase::Network, process::command(GENERATOR), SETTLE)?;
        }
        let mut networkd = spawn(NETWORKD)?;
        let state = wait_online(&mut networkd, limit);
        self.networkd = Some(networkd);
        let state = state?;
        console::say(Phase::Network, summary(&state));
        put(RESOLV_CONF, &resolv_conf(&state))
    }

    /// Stops what runs and removes its traces, so that the machine's own daemons configure the links themselves.
    pub(crate) fn stop(&mut self, phase: Phase) {
        if let Some(mut networkd) = self.networkd.take() {
            process::stop(phase, &mut networkd, "systemd-networkd", STOP);
            for directory in ["/run/systemd/netif", "/run/systemd/network"] {
                let _ = fs::remove_dir_all(directory);
            }
        }
        if let Some(mut udevd) = self.udevd.take() {
            process::stop(phase, &mut udevd, "systemd-udevd", STOP);
        }
    }
}

/// Replays the kernel's events for devices that were there before udevd.
fn trigger(phase: Phase, which: &[&str]) -> Result<(), ProcessError> {
    let mut trigger = process::command(UDEVADM);
    trigger.args(["trigger", "--action=add"]).args(which);
    process::run(phase, trigger, SETTLE).map(drop)
}

/// 32 hexadecimal digits.
fn random_id() -> Result<String, NetworkError> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map_err(|source| NetworkError::Write { path: "/etc/machine-id".into(), source })?;
    Ok(text.trim().replace('-', ""))
}

fn spawn(program: &str) -> Result<Child, ProcessError> {
    let mut command = process::command(program);
    // Their words are for the kernel's log; the console has our own.
    command.env("SYSTEMD_LOG_TARGET", "kmsg").env("SYSTEMD_LOG_LEVEL", "warning");
    command.spawn().map_err(|source| ProcessError::Start { program: program.to_owned(), source })
}

fn put(path: &str, text: &str) -> Result<(), NetworkError> {
    let write = || {
        if let Some(parent) = Path::new(path).parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)
    };
    write().map_err(|source| NetworkError::Write { path: path.to_owned(), source })
}

fn wants_generator(kernel_arguments: &str) -> bool {
    let words = cmdline::words(kernel_arguments);
    words.iter().any(|word| NETWORK_ARGUMENTS.iter().any(|argument| word.starts_with(argument)))
}

fn wait_online(networkd: &mut Child, limit: Duration) -> Result<State, NetworkError> {
    let started = Instant::now();
    let mut told = Duration::ZERO;
    loop {
        let state = State::parse(&fs::read_to_string(STATE).unwrap_or_default());
        if state.is_online() {
            return Ok(state);
        }
        if let Ok(Some(status)) = networkd.try_wait() {
            return Err(NetworkError::Ended { status: status.to_string() });
        }
        let waited = started.elapsed();
        if waited >= limit {
            return Err(NetworkError::Timeout { limit, state: links() });
        }
        if waited >= told + TELL {
            told = waited;
            let (now, all) = (waited.as_secs(), limit.as_secs());
            console::say(
                Phase::Network,
                format_args!("waiting for an address ({now} of {all} s): {}", links()),
            );
        }
        sleep(LOOK);
    }
}

/// The links of the machine with their carriers, for people.
fn links() -> String {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return "no network links".into() };
    let mut links: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "lo")
        .map(|name| {
            let carrier = fs::read_to_string(format!("/sys/class/net/{name}/operstate"));
            format!("{name} {}", carrier.as_deref().unwrap_or("unknown").trim())
        })
        .collect();
    links.sort();
    if links.is_empty() { "the machine has no network link".into() } else { links.join(", ") }
}

/// networkd's state file: `KEY=VALUE` lines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State(BTreeMap<String, String>);

impl State {
    fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect())
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// A routable address: one that reaches beyond the link. Configured links that stay without a carrier do not hold
    /// this up.
    fn is_online(&self) -> bool {
        self.get("ADDRESS_STATE") == "routable"
    }
}

fn summary(state: &State) -> String {
    match state.get("DNS") {
        "" => "address found, no name servers".into(),
        servers => format!("address found, name servers {servers}"),
    }
}

/// The resolver's file for what DHCP gave. An address may carry a server name after `#` (RFC 7858 names).
fn resolv_conf(state: &State) -> String {
    let mut text = String::new();
    for server in state.get("DNS").split_ascii_whitespace() {
        text.push_str(&format!("nameserver {}\n", server.split('#').next().unwrap_or_default()));
    }
    let domains: Vec<&str> = state.get("DOMAINS").split_ascii_whitespace().collect();
    if !domains.is_empty() {
        text.push_str(&format!("search {}\n", domains.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# This is private data.\nOPER_STATE=routable\nCARRIER_STATE=carrier\nADDRESS_STATE=routable\n\
                        ONLINE_STATE=online\nDNS=10.0.2.3 fec0::3#dns.example\nDOMAINS=lan example.org\n";

    #[test]
    fn states_of_networkd() {
        let state = State::parse(TEXT);
        assert!(state.is_online());
        assert_eq!(resolv_conf(&state), "nameserver 10.0.2.3\nnameserver fec0::3\nsearch lan example.org\n");
        assert_eq!(summary(&state), "address found, name servers 10.0.2.3 fec0::3#dns.example");
        for text in ["", "OPER_STATE=degraded\nADDRESS_STATE=degraded\n"] {
            let state = State::parse(text);
            assert!(!state.is_online(), "{text}");
            assert_eq!(resolv_conf(&state), "");
        }
    }

    #[test]
    fn arguments_that_configure_the_network() {
        assert!(wants_generator("quiet ip=dhcp"));
        assert!(!wants_generator("quiet tip=dhcp console=ttyS0"));
    }
}

//! The network of pods: a bridge of the machine, an address for each pod, ports of the machine that lead to it.
//!
//! ```text
//!  host port ──DNAT──▶ orlop0 10.88.0.1/16 ──▶ vethXXXXXXXX ═══ eth0 10.88.0.2/16 (the pod's namespace)
//!                                     ◀──masquerade── everything that leaves the machine
//! ```
//!
//! The namespace is held by descriptors of the monitor only: when it ends, however it ends, namespace and veth go
//! with it. What stays after a crash, an nftables table and an address file, carries the pod's id and is removed
//! by [`clean`], which `gc` runs too.
//!
//! Modules: [`netlink`] (links, addresses, routes), [`namespace`] (the pod's own), [`ipam`] (addresses and ports in
//! use), [`firewall`] (nftables), [`names`] (resolv.conf and hosts).

pub mod firewall;
pub mod ipam;
pub mod names;
pub mod namespace;
pub mod netlink;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::spec::HostPort;
use ipam::{Ipam, IpamError};
use namespace::Namespaces;
use netlink::Netlink;

/// The bridge's name.
pub const BRIDGE: &str = "orlop0";

/// The network of pods (the range that podman uses too; the two are not meant to run side by side).
pub const SUBNET: Subnet = Subnet { base: Ipv4Addr::new(10, 88, 0, 0), prefix: 16 };

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    pub base: Ipv4Addr,
    /// Bits that all its addresses share.
    pub prefix: u8,
}

impl Subnet {
    /// The bridge's own address: the first usable one.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.nth(1)
    }

    /// The n-th address.
    #[must_use]
    pub fn nth(&self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base).wrapping_add(n))
    }

    /// Addresses, network and broadcast included.
    #[must_use]
    pub fn size(&self) -> u32 {
        1 << (32 - self.prefix)
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// Why a pod has no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel refused a step.
    #[error("cannot {step}")]
    Step {
        /// Which step.
        step: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No address, or a port that is taken.
    #[error(transparent)]
    Ipam(#[from] IpamError),
    /// nftables refused the rules.
    #[error(transparent)]
    Firewall(#[from] firewall::FirewallError),
}

fn step(text: impl Into<String>) -> impl FnOnce(io::Error) -> NetworkError {
    move |source| NetworkError::Step { step: text.into(), source }
}

/// What a pod has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its address.
    pub address: Ipv4Addr,
    /// The machine's end of the cable.
    pub link: String,
}

/// Gives the namespaces of pod `id` an address on the bridge, and leads `ports` of the machine to it.
///
/// # Errors
/// [`NetworkError`]; what was done until then is undone by [`clean`].
pub fn attach(
    ipam: &Ipam,
    id: &str,
    namespaces: &Namespaces,
    ports: &[HostPort],
) -> Result<Attached, NetworkError> {
    let address = ipam.take(id, &SUBNET, ports)?;
    let mut host = Netlink::open().map_err(step("open a netlink socket"))?;
    let bridge = ensure_bridge(&mut host)?;
    let link = link_name(id);
    // A name of the machine's side first: it is the pod's once it is in the pod's namespace.
    host.add_veth(&link, "eth0", namespaces.network.as_fd())
        .map_err(step(format!("make the cable {link}")))?;
    let index = host.need_index(&link).map_err(step(format!("find the cable {link}")))?;
    host.set_link(index, true, Some(bridge)).map_err(step(format!("put {link} on {BRIDGE}")))?;
    // Where br_netfilter is loaded, a pod that asks for itself by way of a host port is answered on the bridge.
    host.allow_hairpin(index).map_err(step(format!("let {link} answer itself")))?;
    let mut inside = namespaces.netlink().map_err(step("enter the pod's network"))?;
    let eth0 = inside.need_index("eth0").map_err(step("find the pod's eth0"))?;
    inside.add_address(eth0, address, SUBNET.prefix).map_err(step("give the pod its address"))?;
    inside.set_link(eth0, true, None).map_err(step("bring the pod's eth0 up"))?;
    inside.add_default_route(SUBNET.gateway(), eth0).map_err(step("give the pod its route"))?;
    firewall::apply(&firewall::rules(id, address, &SUBNET, BRIDGE, ports))?;
    Ok(Attached { address, link })
}

/// Removes what [`attach`] left on the machine. All of it is tried; the failures are returned.
#[must_use]
pub fn clean(ipam: &Ipam, id: &str) -> Vec<NetworkError> {
    let mut failures = Vec::new();
    if let Err(error) = firewall::remove(id) {
        failures.push(error.into());
    }
    // The cable goes with the namespace; where a crash left somebody in it, it goes now.
    let unplug = || -> io::Result<()> {
        let mut host = Netlink::open()?;
        match host.index(&link_name(id))? {
            Some(index) => host.delete_link(index),
            None => Ok(()),
        }
    };
    if let Err(error) = unplug() {
        failures.push(step("remove the pod's cable")(error));
    }
    if let Err(error) = ipam.release(id) {
        failures.push(error.into());
    }
    failures
}

/// The bridge, made at the first pod, with what the kernel has to allow for it.
fn ensure_bridge(host: &mut Netlink) -> Result<u32, NetworkError> {
    if host.index(BRIDGE).map_err(step("look for the bridge"))?.is_none() {
        match host.add_bridge(BRIDGE) {
            // Two pods at once: one makes it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(step(format!("make the bridge {BRIDGE}")))?,
        }
    }
    let index = host.need_index(BRIDGE).map_err(step(format!("find the bridge {BRIDGE}")))?;
    match host.add_address(index, SUBNET.gateway(), SUBNET.prefix) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(step(format!("give {BRIDGE} its address")))?,
    }
    host.set_link(index, true, None).map_err(step(format!("bring {BRIDGE} up")))?;
    sysctl("net/ipv4/ip_forward", "1")?;
    // A host port answers on 127.0.0.1 too; the firewall keeps pods from using it the other way.
    sysctl(&format!("net/ipv4/conf/{BRIDGE}/route_localnet"), "1")?;
    Ok(index)
}

fn sysctl(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = Path::new("/proc/sys").join(name);
    let write = || {
        // Where it is so already, a read-only /proc/sys is no obstacle.
        if std::fs::read_to_string(&path).is_ok_and(|found| found.trim() == value) {
            return Ok(());
        }
        std::fs::write(&path, value)
    };
    write().map_err(step(format!("set {} to {value}", name.replace('/', "."))))
}

/// The machine's end of a pod's cable: `veth` and eight digits of the id, as long as a name may be.
fn link_name(id: &str) -> String {
    format!("veth{}", id.chars().filter(char::is_ascii_hexdigit).take(8).collect::<String>())
}

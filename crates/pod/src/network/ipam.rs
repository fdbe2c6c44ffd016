//! Addresses and host ports in use: one file for each pod in a directory on /run, under one lock.
//!
//! ```text
//! network/lock      flock
//! network/last      the address that was given last
//! network/pods/ID   JSON {"address", "ports"}
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::Subnet;
use crate::spec::{HostPort, Protocol};

/// Why there is no address or port.
#[derive(Debug, thiserror::Error)]
pub enum IpamError {
    /// A file cannot be read or written.
    #[error("cannot {what} {path:?}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Every address is in use.
    #[error("all addresses of {subnet} are in use")]
    Full {
        /// The network.
        subnet: String,
    },
    /// Another pod has the port.
    #[error("host port {port}/{protocol} is taken by pod {pod}")]
    PortTaken {
        /// The port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
        /// Who has it.
        pod: String,
    },
}

/// The directory of addresses and ports.
#[derive(Debug, Clone)]
pub struct Ipam {
    dir: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    address: Option<Ipv4Addr>,
    ports: Vec<(String, u16, Option<IpAddr>)>,
}

impl Ipam {
    /// The directory; it is made when it is needed.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Takes an address of `subnet` and `ports` of the machine for pod `id`.
    ///
    /// # Errors
    /// [`IpamError`].
    pub fn take(&self, id: &str, subnet: &Subnet, ports: &[HostPort]) -> Result<Ipv4Addr, IpamError> {
        let _lock = self.lock()?;
        let claims = self.claims()?;
        check_ports(&claims, ports)?;
        let last = self.read("last").and_then(|text| text.trim().parse().ok());
        let address =
            choose(&claims, subnet, last).ok_or_else(|| IpamError::Full { subnet: subnet.to_string() })?;
        self.put(id, Some(address), ports)?;
        self.write("last", address.to_string().as_bytes())?;
        Ok(address)
    }

    /// Takes only ports, for a pod in the machine's own network.
    ///
    /// # Errors
    /// [`IpamError`].
    pub fn take_ports(&self, id: &str, ports: &[HostPort]) -> Result<(), IpamError> {
        let _lock = self.lock()?;
        check_ports(&self.claims()?, ports)?;
        self.put(id, None, ports)
    }

    /// Gives back what a pod has; nothing is no error.
    ///
    /// # Errors
    /// [`IpamError::Io`].
    pub fn release(&self, id: &str) -> Result<(), IpamError> {
        let path = self.dir.join("pods").join(id);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(IpamError::Io { what: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Ids of the pods that have something.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.join("pods")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn put(&self, id: &str, address: Option<Ipv4Addr>, ports: &[HostPort]) -> Result<(), IpamError> {
        let ports =
            ports.iter().map(|port| (port.protocol.to_string(), port.host_port, port.host_ip)).collect();
        let bytes = serde_json::to_vec(&Claim { address, ports }).expect("a claim always serialises");
        self.write(&format!("pods/{id}"), &bytes)
    }

    fn claims(&self) -> Result<BTreeMap<String, Claim>, IpamError> {
        let dir = self.dir.join("pods");
        let failed = |source| IpamError::Io { what: "read", path: dir.clone(), source };
        let mut claims = BTreeMap::new();
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A torn file (it is on tmpfs: only a full one tears) claims nothing.
            let claim =
                std::fs::read(entry.path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            claims.extend(claim.map(|claim| (entry.file_name().to_string_lossy().into_owned(), claim)));
        }
        Ok(claims)
    }

    fn lock(&self) -> Result<File, IpamError> {
        let pods = self.dir.join("pods");
        std::fs::create_dir_all(&pods).map_err(|source| IpamError::Io {
            what: "create",
            path: pods,
            source,
        })?;
        let path = self.dir.join("lock");
        let lock = || {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        lock().map_err(|source| IpamError::Io { what: "lock", path: path.clone(), source })
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.join(name)).ok()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), IpamError> {
        let path = self.dir.join(name);
        std::fs::write(&path, bytes).map_err(|source| IpamError::Io { what: "write", path, source })
    }
}

/// The first free address after the last one: an address rests as long as possible before it is used again.
fn choose(claims: &BTreeMap<String, Claim>, subnet: &Subnet, last: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let taken: Vec<Ipv4Addr> = claims.values().filter_map(|claim| claim.address).collect();
    // The network, the gateway and the broadcast address are nobody's.
    let count = subnet.size() - 3;
    let offset = last.map_or(0, |last| u32::from(last).wrapping_sub(u32::from(subnet.base)).wrapping_sub(1));
    let start = if offset <= count { offset } else { 0 };
    (0..count).map(|i| subnet.nth(2 + (start + i) % count)).find(|address| !taken.contains(address))
}

fn check_ports(claims: &BTreeMap<String, Claim>, ports: &[HostPort]) -> Result<(), IpamError> {
    for port in ports {
        for (pod, claim) in claims {
            let clash = claim.ports.iter().any(|(protocol, number, address)| {
                let same_address = address.is_none() || port.host_ip.is_none() || *address == port.host_ip;
                *number == port.host_port && *protocol == port.protocol.to_string() && same_address
            });
            if clash {
                let (port, protocol) = (port.host_port, port.protocol);
                return Err(IpamError::PortTaken { port, protocol, pod: pod.clone() });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u16, ip: Option<&str>) -> HostPort {
        HostPort {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port: number,
            container_port: 1,
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn addresses_are_given_in_turn_and_used_again_last() {
        let dir = tempfile::tempdir().unwrap();
        let ipam = Ipam::at(dir.path());
        let small = Subnet { base: Ipv4Addr::new(10, 0, 0, 0), prefix: 29 };
        let given: Vec<u8> =
            (0..5).map(|i| ipam.take(&format!("p{i}"), &small, &[]).unwrap().octets()[3]).collect();
        assert_eq!(given, [2, 3, 4, 5, 6]);
        assert!(matches!(ipam.take("p6", &small, &[]), Err(IpamError::Full { .. })));
        ipam.release("p3").unwrap();
        ipam.release("p0").unwrap();
        assert_eq!(ipam.take("p7", &small, &[]).unwrap().octets()[3], 2);
        assert_eq!(ipam.take("p8", &small, &[]).unwrap().octets()[3], 5);
    }

    #[test]
    fn a_port_belongs_to_one_pod() {
        let dir = tempfile::tempdir().unwrap();
        let ipam = Ipam::at(dir.path());
        ipam.take_ports("a", &[port(80, None), port(81, Some("127.0.0.1"))]).unwrap();
        assert!(matches!(
            ipam.take_ports("b", &[port(80, Some("10.0.0.1"))]),
            Err(IpamError::PortTaken { .. })
        ));
        assert!(ipam.take_ports("b", &[port(81, Some("10.0.0.1"))]).is_ok());
        ipam.release("a").unwrap();
        ipam.release("a").unwrap();
        assert!(ipam.take_ports("c", &[port(80, None)]).is_ok());
    }
}

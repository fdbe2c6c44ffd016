//! The namespaces that the containers of a pod share, held by descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use linux::clone::Namespaces as Kinds;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netlink::Netlink;

/// Network, host name and System V IPC of a pod.
#[derive(Debug)]
pub struct Namespaces {
    /// The network namespace.
    pub network: OwnedFd,
    /// The host name.
    pub uts: OwnedFd,
    /// Queues and shared memory.
    pub ipc: OwnedFd,
}

impl Namespaces {
    /// New namespaces with `hostname`; loopback is up. With `host_network` the network is the machine's.
    ///
    /// A thread of its own leaves the machine's namespaces and ends; the descriptors keep what it made.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(hostname: &str, host_network: bool) -> io::Result<Self> {
        let hostname = hostname.to_owned();
        in_thread(move || {
            let mut kinds = vec![Kinds::UTS, Kinds::IPC];
            if !host_network {
                kinds.push(Kinds::NET);
            }
            for kind in kinds {
                linux::clone::unshare(kind)?;
            }
            rustix::system::sethostname(hostname.as_bytes())?;
            if !host_network {
                let mut netlink = Netlink::open()?;
                let lo = netlink.need_index("lo")?;
                netlink.set_link(lo, true, None)?;
            }
            let open = |kind: &str| File::open(format!("/proc/thread-self/ns/{kind}")).map(OwnedFd::from);
            Ok(Self { network: open("net")?, uts: open("uts")?, ipc: open("ipc")? })
        })
    }

    /// A netlink socket inside of the network namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn netlink(&self) -> io::Result<Netlink> {
        let network = self.network.try_clone()?;
        in_thread(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            Netlink::open()
        })
    }

    /// The path by which another process of the machine reaches a namespace as long as this one lives.
    #[must_use]
    pub fn path(fd: &OwnedFd) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()))
    }
}

/// Runs `work` in a thread of its own: what it does to its namespaces ends with it.
fn in_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let thread = std::thread::Builder::new().name("namespace".to_owned()).spawn(work)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that made the namespaces ended early")))
}

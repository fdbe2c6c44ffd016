//! The kernel interfaces that no safe library gives: the one crate with `unsafe`.
//!
//! What `rustix` wraps is used from there. Each module wraps one interface, names its header or man page, and
//! builds its arguments by pure functions.
//!
//! - [`disk`]: partitions, sizes, ext4 growth
//! - [`dm`]: device mapper
//! - [`session`]: programs with a session and a terminal of their own
//! - [`clone`]: processes by clone3, namespaces joined and left
//! - [`exec`]: programs with an exact environment, descriptors closed on the way
//! - [`signal`]: signalfd, a clean slate before exec
//! - [`mount_attr`] wraps mount_setattr
//! - [`seccomp`], [`bpf`]: filters and device programs given to the kernel
//! - [`vsock`], [`vmware`], [`vbox`]: ways from a virtual machine to its host
//! - [`keyring`], [`sched`], [`netdev`], [`usage`]: session keyrings, scheduling, device flags, CPU time of children

pub mod bpf;
pub mod clone;
pub mod disk;
pub mod dm;
pub mod exec;
pub mod keyring;
pub mod mount_attr;
pub mod netdev;
pub mod sched;
pub mod seccomp;
pub mod session;
pub mod signal;
pub mod usage;
pub mod vbox;
pub mod vmware;
pub mod vsock;

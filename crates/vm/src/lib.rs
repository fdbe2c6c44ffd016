//! QEMU machines and the test harness over them.
//!
//! Principles:
//! - QEMU and its firmware come from the SDK tree, never from the host; one too old is refused by name.
//! - A machine is a folder: disks, sockets, console log and `machine.json`. QEMU outlives the command that
//!   started it, and any later command finds it by the folder alone.
//! - What is decided (arguments, what a console line means, which fault a line tells of) is pure and tested
//!   without QEMU; what is done is thin.
//! - Commands reach a machine by the guest agent over virtio-serial: no network, no keys, no sshd needed.
//!
//! Modules, from the outside in: [`machine`] starts, finds and stops; [`spec`] is what a machine is made of
//! and QEMU's arguments for it; [`qemu`] finds QEMU; [`qmp`] is its monitor, [`console`] what the machine says,
//! [`agent`] what it is told; [`state`] is its folder; [`image`] is what it boots; [`cpio`] makes small
//! initramfs archives; [`process`] tells processes apart.

pub mod agent;
pub mod config;
pub mod console;
pub mod cpio;
pub mod harness;
pub mod image;
pub mod initramfs;
pub mod machine;
pub mod process;
pub mod qemu;
pub mod qmp;
mod socket;
pub mod spec;
pub mod state;

pub use agent::{Agent, Output, Program};
pub use image::ImageDir;
pub use machine::{Disks, Lifetime, Machine, MachineError};
pub use qemu::{Accelerator, Qemu};
pub use spec::{Boot, Disk, Fault, Forward, FwCfg, Spec};

/// Entry for the fuzzer: frames and messages of the guest agent.
pub fn fuzz_guest_agent(bytes: &[u8]) {
    agent_spec::fuzz(bytes);
}

/// Entry for the fuzzer: what a machine says on its console.
pub fn fuzz_console(bytes: &[u8]) {
    console::fuzz(bytes);
}

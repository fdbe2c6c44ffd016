//! PID 1 of the initramfs: opens `/usr`, provisions, switches root.
//!
//! One static program and a few kernel modules are all that the initramfs holds. Every other tool and module comes from
//! the `/usr` that dm-verity has opened by the hash on the (signed) kernel command line.
//!
//! The boot is a list of phases (`boot`); each is announced and timed on the console, every wait has a limit and tells
//! what it waits for, and every failure, a panic included, ends in the failure screen (`screen`). Decisions are pure
//! functions with tables of cases beside them; what enters the kernel is thin:
//!
//! | decides | does |
//! |---|---|
//! | `cmdline` what the kernel's arguments ask | `modules` loads the modules of the initramfs |
//! | `slot` which partitions hold `/usr` | `disks` reads them, `usr` opens and mounts |
//! | `verity` the table of the hash tree | |
//! | `stamp` which boot this is | `root` mounts, grows; `skeleton` furnishes |
//! | crate `provision`: what the config changes | `first` runs its stages, `network` the daemons |
//! | `screen` what a failure shows | `switch` leaves for systemd |
//!
//! Started by the names `ignition`, `ignition-apply` or `ignition-rmcfg` it is upstream's program of that name (`engine`).

mod arguments;
mod boot;
mod cmdline;
mod console;
mod disks;
mod engine;
mod first;
mod modules;
mod network;
mod phase;
mod process;
mod root;
mod screen;
mod skeleton;
mod slot;
mod stamp;
mod static_nodes;
mod switch;
mod usr;
mod verity;

use std::process::ExitCode;

use phase::Phase;
use screen::Failure;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    if let Some(code) = engine::by_name(&name) {
        return code;
    }
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        console::line(
            "orlop-init: this is the first process of Orlop's initramfs; it does nothing elsewhere",
        );
        return ExitCode::from(2);
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let what = info.payload_as_str().unwrap_or("no message");
        screen::show(&Failure {
            phase: Phase::Init,
            cause: format!("orlop-init has a fault at {place}"),
            details: vec![what.to_owned(), "This is a bug of Orlop, not of your config.".to_owned()],
        })
    }));
    let Err(failure) = boot::boot();
    screen::show(&failure)
}

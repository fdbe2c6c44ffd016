//! The boot, as the list of its phases.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::MountFlags;
use rustix::time::ClockId;

use crate::cmdline::CommandLine;
use crate::console;
use crate::first::First;
use crate::modules::{self, Modules};
use crate::phase::{Phase, Times};
use crate::process;
use crate::root;
use crate::screen::Failure;
use crate::slot::Slot;
use crate::stamp::Boot;
use crate::static_nodes;
use crate::switch;
use crate::usr;

/// Where the record of this boot is left for the machine.
const RECORD: &str = "/run/orlop/boot.json";

/// What the kernel gives only to those who ask: type, place, flags, options.
const KERNEL_FILE_SYSTEMS: [(&str, &str, MountFlags, &str); 4] = [
    ("proc", "/proc", NO_PROGRAMS, ""),
    ("sysfs", "/sys", NO_PROGRAMS, ""),
    ("devtmpfs", "/dev", MountFlags::NOSUID, "mode=0755"),
    ("tmpfs", "/run", MountFlags::NOSUID.union(MountFlags::NODEV), "mode=0755,size=20%,nr_inodes=800k"),
];
const NO_PROGRAMS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// A kernel file system that could not be mounted, or a file of it not read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
struct InitError {
    what: String,
    #[source]
    source: io::Error,
}

/// Boots the machine. Returns only when something failed.
pub(crate) fn boot() -> Result<Infallible, Failure> {
    let mut times = Times::default();
    let started_s = uptime_s();
    let mut arguments = String::new();
    // Before /dev is there, what is said goes to the descriptors that the kernel opened.
    let (line, mut modules) = times.run(Phase::Init, || {
        mount_kernel_file_systems().map_err(|error| Failure::new(Phase::Init, &error))?;
        arguments = fs::read_to_string("/proc/cmdline")
            .map_err(|source| InitError { what: "read /proc/cmdline".into(), source })
            .map_err(|error| Failure::new(Phase::Init, &error))?;
        let line = CommandLine::parse(&arguments).map_err(|error| Failure::new(Phase::Init, &error))?;
        let mut modules = Modules::open(Path::new(modules::DIRECTORY))
            .map_err(|error| Failure::new(Phase::Init, &error))?;
        modules.load_base();
        Ok((line, modules))
    })?;
    let slot = times.run(Phase::Usr, || {
        usr::open(&line, &mut modules).map_err(|error| Failure::new(Phase::Usr, &error))
    })?;
    let root =
        times.run(Phase::Root, || root::prepare(&slot).map_err(|error| Failure::new(Phase::Root, &error)))?;
    let first_boot = match root.boot {
        Boot::Later => {
            root::grow(&slot, false);
            false
        }
        Boot::First(begun) | Boot::Again(begun) => {
            let first =
                First { line: &line, arguments: &arguments, slot: &slot, release: &root.release, begun };
            first.provision(&mut times)?;
            true
        }
    };
    console::say(Phase::Switch, "start");
    static_nodes::make(Path::new("/usr/lib/modules"), Path::new("/dev"));
    record(&times, first_boot, &slot, started_s);
    process::reap();
    switch::switch().map_err(|error| Failure::new(Phase::Switch, &error))
}

fn mount_kernel_file_systems() -> Result<(), InitError> {
    for (kind, path, flags, options) in KERNEL_FILE_SYSTEMS {
        let failed = |source: io::Error| InitError { what: format!("mount {path}"), source };
        fs::create_dir_all(path).map_err(failed)?;
        let options = std::ffi::CString::new(options).map_err(|error| failed(error.into()))?;
        rustix::mount::mount(kind, path, kind, flags, Some(options.as_c_str()))
            .map_err(|errno| failed(errno.into()))?;
        if path == "/dev" {
            console::adopt().map_err(|source| InitError { what: "open /dev/console".into(), source })?;
        }
    }
    Ok(())
}

/// Seconds since the kernel started.
fn uptime_s() -> f64 {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Leaves the record of this boot and tells the last phase's end: the exec itself cannot.
fn record(times: &Times, first_boot: bool, slot: &Slot, started_s: f64) {
    let text = times.json(first_boot, &slot.data.label, started_s, uptime_s());
    let written = fs::create_dir_all("/run/orlop").and_then(|()| fs::write(RECORD, text));
    if let Err(error) = written {
        console::say(Phase::Switch, format_args!("warning: cannot write {RECORD}: {error}"));
    }
    let kernel = format!("{started_s:.3} s of kernel before it");
    console::say(Phase::Switch, format_args!("to systemd after {:.3} s ({kernel})", uptime_s() - started_s));
}

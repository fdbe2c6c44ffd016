//! The same program by the names of upstream's: `ignition`, `ignition-apply` and `ignition-rmcfg`.
//!
//! `ignition` runs one stage at a time for an initramfs of another make; what one stage leaves for the next is in the
//! config cache and the state file. Flags, environment and exit codes are upstream's (docs/reference/ignition.md); no
//! systemd has to run. On Orlop itself the stages run as phases of one boot (`first`).

mod apply;
mod flags;
mod journal;
mod log;
mod rmcfg;
mod stage;
mod state;

use std::path::PathBuf;
use std::process::ExitCode;

use provision::SystemPrograms;
use provision::fetch::source::Sources;
use provision::net::Names;
use provision::net::http::Client;
use provision::platform::Machine;

/// What `-version` prints: the release of upstream whose behaviour this has, and our own.
const VERSION: &str = concat!("Ignition 2.26.0 (orlop ", env!("CARGO_PKG_VERSION"), ")");
/// Exit codes of upstream.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const SET_UP: u8 = 3;

/// Runs as the program that `name` means; `None` when it is not one of upstream's names.
pub(crate) fn by_name(name: &str) -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match name.rsplit('/').next()? {
        "ignition" => Some(stage::main(&arguments)),
        "ignition-apply" => Some(apply::main(&arguments)),
        "ignition-rmcfg" => Some(rmcfg::main(&arguments)),
        _ => None,
    }
}

/// An environment variable that is not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn path_of(name: &str, default: &str) -> PathBuf {
    variable(name).unwrap_or_else(|| default.to_owned()).into()
}

/// Where configs are looked for.
fn sources(platform: &str) -> Sources {
    let cmdline = path_of("IGNITION_KERNEL_CMDLINE_PATH", "/proc/cmdline");
    Sources {
        sysfs: "/sys".into(),
        cmdline: std::fs::read_to_string(cmdline).unwrap_or_default(),
        system_dirs: vec![
            path_of("IGNITION_SYSTEM_RUNTIME_CONFIG_DIR", "/run/ignition"),
            path_of("IGNITION_SYSTEM_LOCAL_CONFIG_DIR", "/etc/ignition"),
            path_of("IGNITION_SYSTEM_CONFIG_DIR", "/usr/lib/ignition"),
        ],
        platform: platform.to_owned(),
    }
}

/// Reaches servers with the certificates and name servers of the system that this runs in.
fn client() -> Client {
    Client {
        bundle: Some(path_of("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")),
        names: Names { servers: vec!["/etc/resolv.conf".into()], hosts: vec!["/etc/hosts".into()] },
        ..Client::default()
    }
}

/// The machine as platforms see it.
fn machine<'a>() -> Machine<'a> {
    Machine { config_file: path_of("IGNITION_CONFIG_FILE", "config.ign"), ..Machine::default() }
}

/// Programs of that system. `ORLOP_IGNITION_PROGRAMS` names directories that come first, for tests.
fn programs() -> SystemPrograms {
    let mut programs = SystemPrograms::default();
    let first = variable("ORLOP_IGNITION_PROGRAMS").unwrap_or_default();
    let first: Vec<PathBuf> =
        std::env::split_paths(&first).filter(|dir| !dir.as_os_str().is_empty()).collect();
    programs.dirs.splice(0..0, first);
    programs
}

//! The OCI runtime: lifecycle, namespaces, mounts, cgroups, seccomp, hooks (runtime-spec 1.3, Linux).
//!
//! Principles:
//! - The config is read once, by [`spec::parse`], into checked types; every later error names the field that asked
//!   for the failing step.
//! - What the container's process does is a list made by a pure function ([`child::plan::steps`]), and so are the
//!   cgroup's files, the device program and the seccomp filter. The executors are thin.
//! - One clone3 makes the process with all its namespaces, in its cgroup; nobody writes `cgroup.procs`.
//! - Status is derived, not stored ([`state`]); a crash leaves nothing that lies.
//! - Nothing is printed and nothing global is kept; what a user should know goes through [`Event`].
//!
//! Modules: [`spec`] config.json; [`state`] the state directory; [`cgroup`] limits and devices; [`mod@seccomp`] the
//! filter compiler; [`child`] the container's process; [`protect`] the runtime's own binary; [`relay`] a program in
//! the foreground; [`features`] and [`template`] what `orun features` and `orun spec` print.
//!
//! The process that makes containers must have one thread ([`linux::clone::spawn`] says why).

pub mod cgroup;
pub mod child;
mod error;
pub mod features;
mod hooks;
mod launch;
mod lifecycle;
pub mod protect;
pub mod relay;
mod rlimits;
pub mod seccomp;
pub mod spec;
pub mod state;
mod sync;
pub mod template;

pub use error::{Error, Event, Events, Result};
pub use lifecycle::{
    CreateOptions, ExecOptions, Running, State, create, delete, exec, kill, process_of, run, start, state,
};

//! From a declared container and its image to an OCI runtime config (runtime-spec 1.2, config.md).
//!
//! Modules: [`config`] (the config.json, a pure function), [`user`] (who runs), [`capabilities`] and [`seccomp`]
//! (what a container may do by default).

pub mod capabilities;
pub mod config;
pub mod seccomp;
pub mod user;

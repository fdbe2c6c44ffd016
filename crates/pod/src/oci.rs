//! From a declared container and its image to an OCI runtime config (runtime-spec 1.2, config.md).
//!
//! Modules: [`capabilities`] (which a container has by default).

pub mod capabilities;

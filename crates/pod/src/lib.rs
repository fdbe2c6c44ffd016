//! Pods: declaration, monitor, network, logs, exec, exit codes.
//!
//! Principles:
//! - State is directories, locks and renames: no daemon and no database, and nothing that a crash can tear.
//! - One small monitor for each pod, supervised by systemd; whatever it holds goes with it.
//! - What a declaration says is done or refused at its line and column, never ignored.
//!
//! Modules: [`spec`] (what a user declares), [`oci`] (what the runtime is told), [`pods`] (pods as directories),
//! [`mod@prepare`] and [`start`] (from a declaration to containers), [`monitor`] (while it runs), [`network`],
//! [`logs`], [`runtime`] (orun as a program), [`notify`] (words to systemd), [`gc`], [`generator`] (declarations to
//! units), [`dirs`].

pub mod dirs;
pub mod gc;
pub mod generator;
pub mod logs;
pub mod monitor;
pub mod network;
pub mod notify;
pub mod oci;
pub mod pods;
pub mod prepare;
pub mod runtime;
pub mod spec;
pub mod start;

/// Fuzz entry: any bytes as a pod's declaration.
pub fn fuzz_spec(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = spec::parse(text) {
        let _ = error.render("pod.yaml", text);
    }
}

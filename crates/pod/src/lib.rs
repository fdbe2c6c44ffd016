//! Pods: declaration, monitor, network, logs, exec, exit codes.
//!
//! Principles:
//! - State is directories, locks and renames: no daemon and no database, and nothing that a crash can tear.
//! - One small monitor for each pod, supervised by systemd; whatever it holds goes with it.
//! - What a declaration says is done or refused at its line and column, never ignored.
//!
//! Modules: [`spec`] (what a user declares), [`oci`] (what the runtime is told).

pub mod oci;
pub mod spec;

/// Fuzz entry: any bytes as a pod's declaration.
pub fn fuzz_spec(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = spec::parse(text) {
        let _ = error.render("pod.yaml", text);
    }
}

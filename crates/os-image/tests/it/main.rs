//! What the crate makes, judged by other people's programs of the SDK tree.

mod boot;
mod disk;
mod reproducible;
mod verity;

use std::path::PathBuf;
use std::process::Command;

use sdk::Sdk;

/// The SDK tree that `cargo xtask test` names, or the one in the cache; tests do not download 100 MB by themselves.
fn sdk(test: &str) -> Option<Sdk> {
    let named = std::env::var_os("ORLOP_SDK").map(PathBuf::from);
    let place = named.or_else(|| Some(sdk::cache_dir().ok()?.join(sdk::packages::directory_name())))?;
    let sdk = Sdk::open(&place).ok();
    if sdk.is_none() {
        skip(test, &format!("no SDK tree at {} (cargo xtask setup makes it)", place.display()));
    }
    sdk
}

/// Says why a test did nothing.
fn skip(test: &str, reason: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIP {test}: {reason}");
}

/// Runs a judge; its verdict is its exit code. Returns what it said.
fn judge(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    said
}

//! The key that opens one machine, made by the SDK's `ssh-keygen` in the machine's folder.

use std::path::Path;

use anyhow::{Context as _, ensure};
use sdk::Sdk;

/// Name of the private key in the machine's folder; the public one has `.pub` after it.
pub(crate) const FILE: &str = "ssh-key";

/// Makes a key and gives its public line.
pub(super) fn make(sdk: &Sdk, folder: &Path, machine: &str) -> anyhow::Result<String> {
    let path = folder.join(FILE);
    let output = sdk
        .command("ssh-keygen")?
        .args(["-q", "-t", "ed25519", "-N", "", "-C", &format!("orlop-{machine}"), "-f"])
        .arg(&path)
        .output()
        .context("cannot run ssh-keygen")?;
    ensure!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr).trim());
    let public = path.with_extension("pub");
    let line =
        std::fs::read_to_string(&public).with_context(|| format!("cannot read {}", public.display()))?;
    Ok(line.trim().to_owned())
}

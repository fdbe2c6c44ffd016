//! Building our programs: static ones for the image, ordinary ones for the workstation.

use std::path::PathBuf;

use anyhow::Result;

use crate::run::{cargo, run_words, target};

/// The programs of the image; static, so that one build runs in the initramfs and on any glibc.
pub(crate) const OS_PROGRAMS: &[&str] =
    &["orlop", "orlop-config", "orlop-host", "orlop-init", "orlop-pod", "orun"];

/// The target is named even though it is the host's: only so does cargo keep `crt-static` from build scripts and
/// procedural macros, which cannot be static.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the image's programs; gives the folder that holds them.
pub(crate) fn for_os() -> Result<PathBuf> {
    let mut build = cargo(&["build", "--profile", "os", "--target", TARGET]);
    for program in OS_PROGRAMS {
        build.args(["--package", program]);
    }
    run_words(build.env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    Ok(target().join(TARGET).join("os"))
}

/// Builds the workstation's programs; gives the folder that holds them.
pub(crate) fn for_workstation() -> Result<PathBuf> {
    run_words(&mut cargo(&[
        "build",
        "--package",
        "orlop-os",
        "--package",
        "orlop-config",
        "--package",
        "orlop",
    ]))?;
    Ok(target().join("debug"))
}

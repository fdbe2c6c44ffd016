//! The OS image of this tree.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::run::{root, run_words, target};
use crate::{programs, setup};

/// Options of `build-image`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Resolve the packages anew, write os/orlop.lock and say what moved
    #[arg(long)]
    refresh_lock: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::for_build()?;
    build(args.refresh_lock).map(|_| ())
}

/// Builds programs and image; gives the image directory (docs/formats/image-dir.md).
pub(crate) fn build(refresh_lock: bool) -> Result<PathBuf> {
    let os_programs = programs::for_os()?;
    let tools = programs::for_workstation()?;
    let out = target().join("orlop/image");
    let mut build = Command::new(tools.join("orlop-os"));
    build.current_dir(root()).arg("build").arg("--programs").arg(os_programs).arg("--out").arg(&out);
    if refresh_lock {
        build.arg("--refresh-lock");
    }
    run_words(&mut build)?;
    Ok(out)
}

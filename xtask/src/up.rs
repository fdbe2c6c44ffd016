//! From a Butane file to a machine whose container answers.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::run::{root, target};
use crate::{image, programs, setup};

/// Options of `up`; what follows `--` goes to `orlop up`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Butane or Ignition file
    #[arg(default_value = "examples/web.bu")]
    config: PathBuf,

    /// Fetch the page, print one JSON object, stop the machine; exit 0 only if the page was right
    #[arg(long)]
    check: bool,

    /// Boot the kernel directly instead of through UEFI
    #[arg(long)]
    direct: bool,

    /// Further options of `orlop up`
    #[arg(last = true)]
    rest: Vec<String>,
}

/// The example whose page `--check` knows.
const EXAMPLE: &str = "examples/web.bu";
const EXAMPLE_PAGE: &str = "examples/web/index.html";

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sdk = setup::for_build()?;
    let image = image::build(false)?;
    let images = example_image(&sdk)?;
    let mut up = Command::new(target().join("debug/orlop-os"));
    up.current_dir(root()).arg("up").arg(&args.config);
    up.arg("--image-dir").arg(image).arg("--images").arg(images);
    if args.direct {
        up.arg("--direct");
    }
    if args.check {
        up.arg("--check");
        if args.config == Path::new(EXAMPLE) {
            up.arg("--expect").arg(EXAMPLE_PAGE);
        }
    }
    let status = up.args(&args.rest).status().context("cannot run orlop-os")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// The example's container image: Debian's static busybox, made by our own code, kept while busybox is the same.
fn example_image(sdk: &sdk::Sdk) -> Result<PathBuf> {
    let out = target().join("orlop/images");
    let tools = programs::for_workstation()?;
    let status = Command::new(tools.join("orlop-os"))
        .arg("example-image")
        .arg("--busybox")
        .arg(sdk.path("usr/bin/busybox"))
        .arg("--out")
        .arg(&out)
        .stdout(std::io::stderr())
        .status()
        .context("cannot run orlop-os")?;
    anyhow::ensure!(status.success(), "cannot make the example's container image");
    Ok(out)
}

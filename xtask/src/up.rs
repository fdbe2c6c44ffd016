//! From a Butane file to a machine whose container answers.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use oci_image::build::{Entry, ImageSpec};
use oci_image::manifest::RunConfig;

use crate::run::{root, target};
use crate::{image, setup};

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

/// The example's container image as a directory of OCI layouts: Debian's static busybox, packed by our own code.
fn example_image(sdk: &sdk::Sdk) -> Result<PathBuf> {
    let out = target().join("orlop/images");
    let mut files = vec![
        Entry::file("bin/busybox", 0o755, sdk.path("usr/bin/busybox")),
        Entry::directory("tmp", 0o1777),
        Entry::bytes(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33:www-data:/www:/bin/sh\n",
        ),
        Entry::bytes("etc/group", 0o644, "root:x:0:\nwww-data:x:33:\n"),
        Entry::file("www/index.html", 0o644, root().join(EXAMPLE_PAGE)),
    ];
    files.extend(APPLETS.iter().map(|applet| Entry::symlink(format!("bin/{applet}"), "busybox")));
    let config = RunConfig {
        cmd: ["httpd", "-f", "-v", "-p", "80", "-h", "/www"].map(str::to_owned).into(),
        env: vec!["PATH=/bin".to_owned()],
        ..RunConfig::default()
    };
    let spec = ImageSpec { files, config, ..ImageSpec::default() };
    oci_image::build::build_layout(&out.join("web"), &spec)
        .context("cannot make the example's container image")?;
    Ok(out)
}

/// What a person who looks into the example's container expects to find, and what tests run in it.
const APPLETS: &[&str] = &[
    "cat", "echo", "env", "false", "hostname", "httpd", "id", "ip", "kill", "ls", "mount", "nc", "nslookup",
    "ping", "ps", "sh", "sleep", "test", "touch", "true", "wget",
];

//! Benchmarks, each beside the peer that it names, printing the ratio.

use anyhow::{Result, bail};

use crate::run::{cargo, run as run_command};
use crate::{image, setup};

/// Options of `bench`; what follows `--` goes to the benchmark.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which benchmark; without one, the list
    name: Option<String>,

    /// Further arguments of the benchmark
    #[arg(last = true)]
    rest: Vec<String>,
}

/// (name, crate that holds it as an example called `bench-NAME`, what it compares).
const BENCHES: &[(&str, &str, &str)] = &[
    ("boot", "vm", "a first boot of our image against a stock Debian trixie, same QEMU"),
    ("config", "ignition-spec", "validating 2,000 files against ignition-validate; size of the program"),
    ("erofs", "erofs", "size and CPU time of an EROFS image against mkfs.erofs -zlz4hc"),
    ("files", "provision", "files stage of 5,000 files against Debian's ignition ($ORLOP_IGNITION)"),
    ("orun", "oci-runtime", "`run` of true against crun, same bundle"),
];

fn run_named(name: &str, package: &str, rest: &[String]) -> Result<()> {
    cli::say(&format!("bench {name}"));
    let sdk = setup::for_build()?;
    let example = format!("bench-{name}");
    let mut bench =
        cargo(&["run", "--quiet", "--release", "--package", package, "--example", &example, "--"]);
    if name == "boot" {
        bench.env("ORLOP_IMAGE_DIR", image::build(false)?);
    }
    run_command(bench.args(rest).env("ORLOP_SDK", sdk.root()))
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(wanted) = &args.name else {
        for (name, _, about) in BENCHES {
            cli::out(&format!("{name:8} {about}\n"));
        }
        return Ok(());
    };
    match BENCHES.iter().find(|(name, ..)| name == wanted) {
        Some((name, package, _)) => run_named(name, package, &args.rest),
        None => bail!("no benchmark {wanted}; `cargo xtask bench` lists them"),
    }
}

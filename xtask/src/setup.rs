//! What the host must have. Third-party programs of the toolbox live in the SDK tree, not here.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, on_path, run_words};

/// A program of the host and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
}

/// What `up` and image builds need beside Rust.
const BUILD: &[Need] = &[
    // Resolves and unpacks the SDK tree and the OS tree.
    Need { program: "mmdebstrap", package: "mmdebstrap" },
    // Links Rust programs and builds the C of ring and zstd.
    Need { program: "cc", package: "build-essential" },
    Need { program: "ssh", package: "openssh-client" },
];

/// The peers that tests compare with.
const PEERS: &[Need] = &[
    Need { program: "crun", package: "crun" },
    Need { program: "skopeo", package: "skopeo" },
    Need { program: "umoci", package: "umoci" },
    Need { program: "docker-registry", package: "docker-registry" },
    Need { program: "busybox", package: "busybox-static" },
    Need { program: "nft", package: "nftables" },
    Need { program: "ip", package: "iproute2" },
    Need { program: "mkfs.xfs", package: "xfsprogs" },
    Need { program: "mkfs.btrfs", package: "btrfs-progs" },
    Need { program: "mkfs.vfat", package: "dosfstools" },
    Need { program: "mkfs.ext4", package: "e2fsprogs" },
    Need { program: "sgdisk", package: "gdisk" },
    Need { program: "ps", package: "procps" },
    Need { program: "getfattr", package: "attr" },
    Need { program: "openssl", package: "openssl" },
    // Config drives of every kind.
    Need { program: "genisoimage", package: "genisoimage" },
    Need { program: "mkudffs", package: "udftools" },
    Need { program: "mcopy", package: "mtools" },
    // The tutorial's page is fetched as a newcomer would.
    Need { program: "curl", package: "curl" },
];

/// Cargo's own helpers, built from crates.io where they are missing.
const CARGO_TOOLS: &[(&str, &str)] = &[("cargo-nextest", "cargo-nextest"), ("cargo-deny", "cargo-deny")];

/// Options of `setup`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install the peers that the tests compare with, too
    #[arg(long)]
    peers: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    for_build()?;
    if args.peers {
        for_tests()?;
    }
    Ok(())
}

/// What `up` and `build-image` need: host programs and the SDK tree.
pub(crate) fn for_build() -> Result<sdk::Sdk> {
    install(BUILD)?;
    let mut progress = cli::Progress::new();
    let sdk = sdk::ensure(&sdk::cache_dir()?, &mut |event| sdk_event(&mut progress, &event))
        .context("cannot make the SDK tree")?;
    progress.done();
    Ok(sdk)
}

/// What `test` and `ci` need on top.
pub(crate) fn for_tests() -> Result<()> {
    install(PEERS)?;
    for (program, package) in CARGO_TOOLS {
        if !on_path(program) {
            // Unoptimised: these run for seconds, and compiling them optimised takes minutes on two cores.
            run_words(&mut cargo(&["install", "--locked", "--debug", package]))?;
        }
    }
    Ok(())
}

fn sdk_event(progress: &mut cli::Progress, event: &sdk::Event) {
    match event {
        sdk::Event::Waiting => progress.start("SDK tree: waiting for another process that makes it"),
        sdk::Event::Started { packages, path } => {
            progress
                .start(&format!("SDK tree: {packages} packages and what they need into {}", path.display()));
        }
        sdk::Event::Step(text) => progress.update(text),
        sdk::Event::Done { .. } => progress.done(),
    }
}

/// Installs the packages whose programs are missing, in one apt call.
fn install(needs: &[Need]) -> Result<()> {
    let mut missing: Vec<&str> = needs.iter().filter(|n| !have(n.program)).map(|n| n.package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        bail!("these are missing and this host has no apt-get: install {} by hand", missing.join(", "));
    }
    cli::say(&format!("installing {}", missing.join(", ")));
    run_words(&mut as_root(&["apt-get", "-qq", "update"]))?;
    let mut args = vec!["apt-get", "-qq", "-y", "--no-install-recommends", "install"];
    args.extend(&missing);
    run_words(as_root(&args).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// On PATH, or in the folders that an unprivileged PATH lacks.
fn have(program: &str) -> bool {
    on_path(program)
        || ["/usr/sbin", "/sbin"].iter().any(|dir| std::path::Path::new(dir).join(program).exists())
}

/// `args` as root: as it is, or through sudo.
fn as_root(args: &[&str]) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n"));
    let mut command = if root { Command::new(args[0]) } else { Command::new("sudo") };
    command.args(if root { &args[1..] } else { args });
    command
}

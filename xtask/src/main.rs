//! Every automation of the repository: `cargo xtask help`.
//!
//! - [`setup`]: what the host must have; installs what is missing.
//! - [`programs`]: the static programs of the image and the tools of the workstation.
//! - [`image`], [`up`]: an OS image of this tree, and a machine from it.
//! - [`test`], [`ci`], [`fuzz`], [`bench`]: judging.
//! - [`layers`], [`docs`]: rules that the compiler does not hold.

mod bench;
mod ci;
mod docs;
mod fuzz;
mod image;
mod layers;
mod programs;
mod run;
mod setup;
mod test;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Every automation of the repository
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = false)]
struct Xtask {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what the host lacks and make the SDK tree
    Setup(setup::Args),
    /// Build everything and boot a machine from a Butane file
    Up(up::Args),
    /// Run the tests, all four tiers or those named
    Test(test::Args),
    /// Build the programs and the OS image
    BuildImage(image::Args),
    /// Check that each crate uses only what its layer may use
    CheckLayers,
    /// Write the generated reference pages, or check that they are current
    Docs(docs::Args),
    /// Run a benchmark beside its peer
    Bench(bench::Args),
    /// Run the fuzz targets for some seconds each
    Fuzz(fuzz::Args),
    /// Run what CI runs before the tests: fmt, clippy, deny, layers, docs, fuzz
    Ci,
}

fn main() -> ExitCode {
    let xtask = Xtask::parse();
    cli::main(xtask.global, || {
        let done = match xtask.verb {
            Verb::Setup(args) => setup::run(&args),
            Verb::Up(args) => return up::run(&args).map_err(|e| cli::Error::new(cli::Kind::System, e)),
            Verb::Test(args) => test::run(&args),
            Verb::BuildImage(args) => image::run(&args),
            Verb::CheckLayers => layers::run(),
            Verb::Docs(args) => docs::run(&args),
            Verb::Bench(args) => bench::run(&args),
            Verb::Fuzz(args) => fuzz::run(&args),
            Verb::Ci => ci::run(),
        };
        done.map(|()| ExitCode::SUCCESS).map_err(|e| cli::Error::new(cli::Kind::System, e))
    })
}

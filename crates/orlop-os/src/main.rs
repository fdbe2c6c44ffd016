//! The workstation side: build images, run machines, run tests.
//!
//! One module a verb: its `Args` and its `run`.

mod build;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds OS images, runs machines, runs tests
#[derive(Debug, Parser)]
#[command(name = "orlop-os", version, max_term_width = 80)]
struct Cli {
    #[command(flatten)]
    global: cli::Global,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the OS image
    Build(build::Args),
}

fn main() -> ExitCode {
    let Cli { global, verb } = Cli::parse();
    cli::main(global, || match verb {
        Verb::Build(args) => build::run(global, &args),
    })
}

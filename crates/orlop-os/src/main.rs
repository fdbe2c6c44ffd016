//! The workstation side: build images, run machines, run tests.
//!
//! One file per verb. What several need is in [`place`] (where images, tools and machines are).

mod build;
mod console;
mod place;
mod serve;
mod ssh;
mod stop;
mod test;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds OS images and runs machines from them
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
    /// Boot a machine from a Butane or Ignition file
    Up(Box<up::Args>),
    /// Log in to a machine, or run a command in it
    Ssh(ssh::Args),
    /// Sit at a machine's serial console
    Console(console::Args),
    /// Stop a machine that `up` started
    Stop(stop::Args),
    /// Test an image in virtual machines
    Test(test::Args),
    /// Serve a folder of OCI layouts to one machine
    #[command(name = "__serve", hide = true)]
    Serve(serve::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.global.format;
    cli::main(cli.global, || match &cli.verb {
        Verb::Build(args) => build::run(cli.global, args),
        Verb::Up(args) => up::run(args, format),
        Verb::Ssh(args) => ssh::run(args),
        Verb::Console(args) => console::run(args),
        Verb::Stop(args) => stop::run(args),
        Verb::Test(args) => test::run(args, format),
        Verb::Serve(args) => serve::run(args),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn help_fits_a_terminal() {
        let mut command = super::Cli::command().term_width(80);
        command.clone().debug_assert();
        command.build();
        for verb in command.get_subcommands_mut() {
            let help = verb.render_long_help().to_string();
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        }
    }
}

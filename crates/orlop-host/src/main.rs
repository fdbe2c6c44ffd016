//! The machine's side of an administrator's commands.
//!
//! One file per verb: [`status`], and [`guest_agent`] (unlisted: a unit runs it in virtual machines).

mod guest_agent;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Manages the machine this runs on
#[derive(Debug, Parser)]
#[command(name = "orlop-host", version)]
struct Cli {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the OS version, the slot, the uptime and failed units
    Status(status::Args),
    /// Serve the workstation's calls over a virtio-serial port
    #[command(hide = true)]
    GuestAgent(guest_agent::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::main(cli.global, || match &cli.verb {
        Verb::Status(args) => status::run(args, cli.global.format),
        Verb::GuestAgent(args) => guest_agent::run(args),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn help_fits_a_terminal() {
        let mut command = super::Cli::command().term_width(80);
        command.clone().debug_assert();
        assert!(command.render_long_help().to_string().lines().all(|line| line.len() <= 80));
    }
}

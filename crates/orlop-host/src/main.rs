//! The machine's side of an administrator's commands.
//!
//! One file per verb: [`status`]; those about what the machine is declared to be in [`day2`]; and [`guest_agent`] (unlisted: a unit runs it in virtual machines).

mod day2;
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
    /// Apply a config to this machine, whole or not at all
    Apply(day2::apply::Args),
    /// Keep the change that waits for it
    Confirm(day2::helper::Args),
    /// Take back the change that waits, or was cut short
    Revert(day2::helper::Args),
    /// Show what differs from what was applied (exit code 1 if anything)
    Diff(day2::diff::Args),
    /// Write this machine's state down, for `orlop-config plan --state`
    Observe(day2::observe::Args),
    /// Provision this machine anew at its next boot
    Reset(day2::reset::Args),
    /// Carry a staged change out
    #[command(hide = true)]
    ApplyHelper(day2::helper::Args),
    /// Bring a change that was cut short to its end or its start
    #[command(hide = true)]
    ApplyRecover(day2::helper::Args),
    /// Serve the workstation's calls over a virtio-serial port
    #[command(hide = true)]
    GuestAgent(guest_agent::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::main(cli.global, || match &cli.verb {
        Verb::Status(args) => status::run(args, cli.global.format),
        Verb::Apply(args) => day2::apply::run(args, cli.global.format),
        Verb::Confirm(args) => day2::helper::confirm(args),
        Verb::Revert(args) => day2::helper::revert(args),
        Verb::Diff(args) => day2::diff::run(args, cli.global.format),
        Verb::Observe(args) => day2::observe::run(args),
        Verb::Reset(args) => day2::reset::run(args, cli.global.format),
        Verb::ApplyHelper(args) => day2::helper::run(args),
        Verb::ApplyRecover(args) => day2::helper::recover_at_boot(args),
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

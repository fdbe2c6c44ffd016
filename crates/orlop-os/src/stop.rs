//! `orlop stop`: powers a machine off, cleanly if it listens.

use std::process::ExitCode;

use cli::{Error, Kind, ResultExt as _};

use crate::place;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The machine [default: the only one that runs]
    name: Option<String>,
    /// Cut the power instead of asking the machine
    #[arg(long)]
    kill: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let mut machine = place::machine(args.name.as_deref())?;
    let name = machine.record().name.clone();
    if !machine.runs() {
        machine.kill().kind(Kind::System)?; // companions may be left
        cli::say(&format!("{name} does not run"));
        return Ok(ExitCode::SUCCESS);
    }
    if args.kill {
        machine.kill().kind(Kind::System)?;
        cli::say(&format!("{name}: power cut"));
    } else if machine.stop().kind(Kind::System)? {
        cli::say(&format!("{name}: powered off"));
    } else {
        cli::say(&format!("{name}: did not power off, so its power was cut"));
    }
    Ok(ExitCode::SUCCESS)
}

//! `orlop-host diff`: how the machine differs from what was applied.

use std::process::ExitCode;

use block::devices::Devices;
use cli::{Error, Format, Kind};
use ignition_spec::Config;
use provision::day2::{drift, observe};
use serde::Serialize;

use super::place::Place;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Serialize)]
struct Told {
    version: u32,
    applied: String,
    drift: Vec<drift::Drift>,
}

/// Exit code 1 when something differs.
pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, Error> {
    let root = args.place.open()?;
    let Some(declared) = args.place.declaration(&root)? else {
        return Err(Error::message(Kind::NotFound, "nothing was ever applied on this machine")
            .hint("`orlop-host apply CONFIG` applies a config"));
    };
    let now = observe::observe(
        &Config::default(),
        Some(&declared),
        &root,
        &Devices::default(),
        &args.place.programs(),
    )
    .map_err(|error| Error::new(Kind::System, error))?;
    let found = drift::drift(&declared, &now);
    let code = if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match format {
        Format::Json => cli::out_json(&Told { version: 1, applied: declared.applied, drift: found }),
        Format::Human => {
            for drift::Drift { what, name, how } in &found {
                let what = if *what == "node" { String::new() } else { format!("{what} ") };
                cli::out(&format!("{what}{name}: {how}\n"));
            }
            if found.is_empty() {
                cli::say(&format!("as it was applied {}", declared.applied));
            }
        }
    }
    Ok(code)
}

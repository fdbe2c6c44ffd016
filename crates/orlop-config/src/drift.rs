//! `orlop-config diff`: how a machine differs from what was applied, from its written state or on the machine itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use block::devices::Devices;
use cli::{Error, Format, Kind};
use ignition_spec::Config;
use provision::day2::{Declaration, drift, observe};
use provision::observe::state::State;
use provision::{Durability, Observed, Root, SystemPrograms};
use serde::Serialize;

/// What `diff` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `orlop-host observe` wrote; without it, this machine
    #[arg(long, value_name = "STATE.json")]
    state: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    version: u32,
    applied: &'a str,
    drift: &'a [drift::Drift],
}

/// Runs the verb: exit code 1 when something differs.
pub(crate) fn run(global: cli::Global, args: &Args) -> Result<ExitCode, Error> {
    let (declared, observed) = match &args.state {
        Some(path) => written(path)?,
        None => here()?,
    };
    let Some(declared) = declared else {
        return Err(Error::message(Kind::NotFound, "nothing was ever applied there"));
    };
    let found = drift::drift(&declared, &observed);
    match global.format {
        Format::Json => {
            cli::out_json(&Told { version: 1, applied: &declared.applied, drift: &found });
        }
        Format::Human => {
            for drift::Drift { what, name, how } in &found {
                let what = if *what == "node" { String::new() } else { format!("{what} ") };
                cli::out(&format!("{what}{name}: {how}\n"));
            }
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Seen = (Option<Declaration>, Observed);

fn written(path: &Path) -> Result<Seen, Error> {
    let failed = |error: anyhow::Error| {
        Error::new(Kind::Config, error.context(format!("cannot use {}", path.display())))
    };
    let bytes = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let State { observed, declared, .. } = State::parse(&bytes).map_err(|error| failed(error.into()))?;
    Ok((declared, observed))
}

fn here() -> Result<Seen, Error> {
    let system = |error: anyhow::Error| Error::new(Kind::System, error);
    let root = Root::open(Path::new("/"), Durability::AtEnd).map_err(|error| system(error.into()))?;
    let declared = Declaration::load(&root).map_err(|error| system(error.into()))?;
    let programs = SystemPrograms::default();
    let seen = observe::observe(&Config::default(), declared.as_ref(), &root, &Devices::default(), &programs);
    Ok((declared, seen.map_err(|error| system(error.into()))?))
}

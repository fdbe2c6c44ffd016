//! `orlop-host observe`: the machine's state as a file, for plans made elsewhere.

use std::path::PathBuf;
use std::process::ExitCode;

use cli::{Error, Kind};
use ignition_spec::Config;
use provision::Event;
use provision::day2::observe;
use provision::fetch::read_config;
use provision::fetch::source::Raw;
use provision::observe::more;
use provision::observe::state::{STATE_VERSION, State};
use rustix::fs::FileType;

use super::place::Place;

/// Most nodes of `/etc` that are written down.
const NODES_MAX: usize = 50_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Configs whose paths and devices are looked at too
    #[arg(value_name = "CONFIG")]
    configs: Vec<PathBuf>,

    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let system = |error: anyhow::Error| Error::new(Kind::System, error);
    let state = args.place.with(true, |env| {
        let declared = args.place.declaration(&env.root)?;
        let mut configs = vec![Config::default()];
        for path in &args.configs {
            let bytes = std::fs::read(path)
                .map_err(|error| system(anyhow::Error::new(error).context(path.display().to_string())))?;
            let raw = Raw { name: path.display().to_string(), bytes };
            let mut quiet = |_: Event| {};
            let read = read_config(&raw, &[], &[], &mut env.net, &mut quiet);
            configs.push(read.map_err(|error| super::apply::refused(&error))?.config);
        }
        let mut observed = provision::Observed::default();
        for config in &configs {
            let found = observe::observe(config, declared.as_ref(), &env.root, &env.devices, env.programs);
            observed.merge(found.map_err(|error| system(error.into()))?);
        }
        let mut paths = Vec::new();
        tree("/etc", &env.root, &mut paths).map_err(|error| system(error.into()))?;
        more(paths.iter().map(String::as_str), &env.root, &mut observed)
            .map_err(|error| system(error.into()))?;
        observed.kernel = provision::execute::kernel(&env.options.kernel, env.programs)
            .map_err(|error| system(error.into()))?;
        Ok(State { version: STATE_VERSION, observed, declared })
    })?;
    cli::out(&String::from_utf8_lossy(&state.to_json()));
    Ok(ExitCode::SUCCESS)
}

/// All paths below a directory.
fn tree(dir: &str, root: &provision::Root, into: &mut Vec<String>) -> Result<(), provision::root::RootError> {
    for name in root.list(dir)? {
        let path = format!("{dir}/{name}");
        let kind = root.stat(&path)?.map(|stat| stat.kind);
        if into.len() >= NODES_MAX {
            return Ok(());
        }
        if kind == Some(FileType::Directory) {
            tree(&path, root, into)?;
        }
        into.push(path);
    }
    Ok(())
}

//! `orlop-config plan`: what a config would do, offline.

mod machine;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use butane::{Folder, Options};
use cli::{Error, Format, Kind};
use provision::day2::{Permission, foretell, plan_change};
use provision::fetch::documents::{SourceMap, decode_source_maps};
use provision::fetch::read_config;
use provision::fetch::resource::Net;
use provision::fetch::source::Raw;
use provision::net::http::Client;
use provision::net::{Clock as _, Names, SystemClock};
use provision::plan::{expect, show};
use provision::{Event, FinalConfig};
use sha2::{Digest as _, Sha256};

use crate::input::{self, Input};
use machine::Machine;

/// What `plan` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Config, Butane or Ignition; `-` for standard input
    #[arg(value_name = "CONFIG")]
    config: PathBuf,

    /// Plan for this unpacked image or tree
    #[arg(long, value_name = "TREE", conflicts_with = "state")]
    image: Option<PathBuf>,

    /// Plan for the machine that `orlop-host observe` wrote down
    #[arg(long, value_name = "STATE.json")]
    state: Option<PathBuf>,

    /// Plan the change from this config, applied before
    #[arg(long, value_name = "OLD")]
    from: Option<PathBuf>,

    /// Allow embedding local files from this folder
    #[arg(short = 'd', long, value_name = "DIR")]
    files_dir: Option<PathBuf>,

    /// Fetch what the config merges from URLs
    #[arg(long)]
    fetch: bool,

    /// Plan losing what was changed by hand
    #[arg(long)]
    force: bool,

    /// Plan losing data
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Option<Allow>,
}

/// What may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Allow {
    /// Partitions, file systems, directories with contents
    Destructive,
}

/// Runs the verb.
pub(crate) fn run(global: cli::Global, args: &Args) -> Result<ExitCode, Error> {
    let wanted = read(&args.config, args)?;
    let old = args.from.as_ref().map(|path| read(path, args)).transpose()?;
    let mut configs = vec![&wanted.config];
    configs.extend(old.iter().map(|old| &old.config));
    let Machine { mut observed, mut declared, notes } =
        machine::look(args.image.as_deref(), args.state.as_deref(), &configs)?;
    if let Some(old) = &old {
        let (declaration, now) = foretell::foretell(old, &observed).map_err(|error| refused(&error))?;
        (observed, declared) = (now, Some(declaration));
    }
    // A first boot loses what its config says; on a machine that runs, the same takes a word more.
    let destructive = args.allow == Some(Allow::Destructive) || declared.is_none();
    let permission = Permission { force: args.force, destructive };
    let now = SystemClock::new().now();
    let (mut plan, reboots, tree) = if declared.is_some() {
        let change = plan_change(&wanted, declared.as_ref(), &observed, permission, now);
        let change = change.map_err(|error| refused(&error))?;
        let tree = tree(&change.expectation, &observed);
        (change.plan, change.reboots, tree)
    } else {
        let plan = provision::plan(&wanted, &observed).map_err(|error| refused(&error))?;
        let tree = tree(&expect::expect(&plan, &observed), &observed);
        (plan, Vec::new(), tree)
    };
    plan.warnings.splice(0..0, notes);
    let shown = show::show(&plan, &observed, &reboots, tree);
    match global.format {
        Format::Json => cli::out_json(&shown),
        Format::Human => cli::out(&shown.to_human()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Digest over the nodes that the plan is about, as they will be.
fn tree(expectation: &expect::Expectation, observed: &provision::Observed) -> String {
    let nodes = expect::apply(expectation, observed);
    let nodes = nodes.into_iter().filter(|(path, _)| expectation.contains_key(path)).collect();
    expect::digest(&nodes)
}

/// Reads a config with all that it merges.
fn read(path: &Path, args: &Args) -> Result<FinalConfig, Error> {
    let input = input::read(Some(path))?;
    let (raw, maps) = transpiled(input, args)?;
    let clock = SystemClock::new();
    let mut bring_up = |_: &str| {
        if args.fetch { Ok(()) } else { Err("a plan is made offline; --fetch allows the network".to_owned()) }
    };
    let client = Client {
        bundle: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        names: Names { servers: vec!["/etc/resolv.conf".into()], hosts: vec!["/etc/hosts".into()] },
        ..Client::default()
    };
    let mut net = Net::new(client, &clock, &mut bring_up);
    let mut events = |event: Event| {
        if matches!(event, Event::Warning(..)) {
            cli::say(&event.text());
        }
    };
    read_config(&raw, &[], &maps, &mut net, &mut events).map_err(|error| refused(&error))
}

/// Local files of a Butane config are embedded here; everything else is read as a machine reads it.
fn transpiled(input: Input, args: &Args) -> Result<(Raw, Vec<SourceMap>), Error> {
    let Input { name, bytes } = input;
    let Some(folder) = args.files_dir.as_ref().filter(|_| butane::is_butane(&bytes)).map(Folder::new) else {
        return Ok((Raw { name, bytes }, Vec::new()));
    };
    let options = Options { files: Some(&folder), ..Options::default() };
    let output = butane::transpile(&bytes, &options).map_err(|report| {
        Error::message(Kind::Config, format!("{name} is refused")).details(report.to_string())
    })?;
    let map = butane::map::encode(&[butane::Source {
        config_sha256: Sha256::digest(&output.json).iter().map(|byte| format!("{byte:02x}")).collect(),
        file: name.clone(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
        map: output.map,
    }]);
    Ok((Raw { name, bytes: output.json }, decode_source_maps(&map)))
}

fn refused(error: &provision::Error) -> Error {
    let kind = match error.phase {
        provision::Phase::Plan => Kind::Conflict,
        _ => Kind::Config,
    };
    Error::message(kind, "the config cannot be planned").details(error.text())
}

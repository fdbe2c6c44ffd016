//! `orlop up`: from a config to a machine whose containers answer.
//!
//! Steps: [`config`] reads and judges the user's file, [`ports`] finds what its pods publish, [`machine`] makes
//! the machine's folder (disks, key, registry), [`watch`] tells of its boot, [`check`] fetches the page and
//! measures. Everything is said on standard error; standard output carries the JSON of `--check` and
//! `--format json` alone.

mod check;
mod config;
pub(crate) mod key;
mod machine;
mod page;
mod ports;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use cli::{Error, Format, Progress};

use crate::place;
use machine::Prepared;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Butane (.bu) or Ignition (.ign) file; without one the machine is plain
    config: Option<PathBuf>,
    /// What `orlop build` made
    #[arg(long, value_name = "DIR", env = "ORLOP_IMAGE_DIR")]
    image_dir: Option<PathBuf>,
    /// Serve this folder of OCI layouts to the machine as registry `localhost`
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Start the kernel directly instead of through UEFI
    #[arg(long)]
    direct: bool,
    /// RAM in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// The machine's name [default: the config's]
    #[arg(long)]
    name: Option<String>,
    /// Lead a port of 127.0.0.1 to a port of the machine (repeatable)
    #[arg(long, value_name = "HOST:GUEST")]
    publish: Vec<ports::Publish>,
    /// Fetch the page, print one JSON object, stop; exit 0 only if all is right
    #[arg(long)]
    check: bool,
    /// With --check: the page must be this text, or this file's contents
    #[arg(long, value_name = "FILE|TEXT", requires = "check")]
    expect: Option<String>,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, Error> {
    let began = Instant::now();
    let mut progress = Progress::new();
    // The config first: its mistakes cost nobody a boot.
    let user = args.config.as_deref().map(config::read).transpose()?;
    if let Some(warnings) = user.as_ref().and_then(|user| user.warnings.as_deref()) {
        progress.line(warnings);
    }
    let expected = args.expect.as_deref().map(page::expected).transpose()?;
    let image = place::image(args.image_dir.as_deref())?;
    progress.start("tools");
    let sdk = place::sdk(&mut |text| progress.update(text))?;
    let qemu = place::qemu(&sdk)?;
    progress.done();

    let prepared = Prepared::new(args, &qemu, &image, user.as_ref(), &progress)?;
    let mut up = prepared.start(args.check)?;
    let ready_secs = began.elapsed().as_secs_f64();
    let boot = watch::until_up(&mut up.machine, &mut progress)?;
    if args.check {
        let report =
            check::run(&mut up, &image, &boot, expected.as_deref(), (began, ready_secs), &mut progress);
        let stopped = up.machine.stop();
        let mut report = report?;
        report.finish(began, stopped.unwrap_or(false));
        let right = report.right();
        cli::out_json(&report);
        return Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    watch::until_answers(&mut up, &mut progress);
    tell(&up, format);
    Ok(ExitCode::SUCCESS)
}

/// The last words: where the containers answer, how to log in, how to stop.
fn tell(up: &machine::Up, format: Format) {
    let record = up.machine.record();
    if format == Format::Json {
        cli::out_json(&serde_json::json!({
            "name": record.name, "addresses": record.addresses, "ssh_port": record.ssh_port,
            "folder": up.machine.folder(),
        }));
    }
    let name = &record.name;
    cli::say(&format!("\n{name} is up."));
    for address in &record.addresses {
        cli::say(&format!("  {address}"));
    }
    cli::say(&format!("  log in:   orlop ssh {name}"));
    cli::say(&format!("  console:  orlop console {name}"));
    cli::say(&format!("  stop:     orlop stop {name}"));
}

//! `orlop-os __serve`: the registry of `up --images`, beside one machine for as long as that runs.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cli::{Error, Kind, ResultExt as _};
use vm::state;

/// The machine's record appears when QEMU has started; beyond this it never will.
const MACHINE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often it is looked whether the machine still runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of OCI layouts
    images: PathBuf,
    /// The machine's folder: the port is written to `registry.port` in it
    #[arg(long, value_name = "DIR")]
    machine: PathBuf,
}

/// Name of the file with the port, in the machine's folder.
pub(crate) const PORT_FILE: &str = "registry.port";

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    serve(args).kind(Kind::System)?;
    Ok(ExitCode::SUCCESS)
}

fn serve(args: &Args) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on 127.0.0.1")?;
    let port = listener.local_addr().context("cannot tell the port")?.port();
    // Renamed into place: the reader sees all of it or nothing.
    let (new, file) = (args.machine.join("registry.port.new"), args.machine.join(PORT_FILE));
    std::fs::write(&new, port.to_string())
        .and_then(|()| std::fs::rename(&new, &file))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let server = oci_image::serve::Server::new(&args.images);
    let stopper = server.clone();
    let folder = args.machine.clone();
    std::thread::spawn(move || {
        let began = Instant::now();
        let runs = || state::read(&folder).is_ok_and(|record| record.process.runs());
        while runs() || began.elapsed() < MACHINE_TIMEOUT {
            std::thread::sleep(LOOK_EVERY);
        }
        stopper.stop();
    });
    server.run(&listener, |served| tracing::info!(?served, "request")).context("the registry broke")
}

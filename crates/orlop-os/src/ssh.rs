//! `orlop ssh`: a login, or one command, by the key that `up` made.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use cli::{Error, Kind, ResultExt as _};

use crate::place;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The machine [default: the only one that runs]
    name: Option<String>,
    /// Log in as this user
    #[arg(short, long, default_value = "core")]
    user: String,
    /// The command to run instead of a shell
    #[arg(last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let machine = place::running_machine(args.name.as_deref())?;
    let port = machine.record().ssh_port.ok_or_else(|| {
        Error::message(Kind::Unsupported, format!("machine {} was made without a key", machine.record().name))
    })?;
    let sdk = place::sdk(&mut |_| ())?;
    let mut ssh = sdk.command("ssh").kind(Kind::System)?;
    options(&mut ssh, machine.folder());
    ssh.arg("-p").arg(port.to_string()).arg(format!("{}@127.0.0.1", args.user)).args(&args.command);
    // It takes our place: the terminal, signals and the exit code are its own.
    Err(Error::new(Kind::System, anyhow::Error::new(ssh.exec()).context("cannot run ssh")))
}

/// The host key is made on the machine's first boot; it is remembered from the first login on.
fn options(ssh: &mut Command, folder: &Path) {
    ssh.args(["-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=accept-new"]);
    ssh.args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60"]);
    ssh.arg("-o").arg(format!("UserKnownHostsFile={}", folder.join("known_hosts").display()));
    ssh.arg("-i").arg(folder.join(crate::up::key::FILE));
}

//! `orlop-pod exec`

use std::process::ExitCode;

use cli::{Error, Kind};
use pod::start::container_id;

use crate::context::{Context, pods_error};

/// Run a command in a container of a pod
///
/// The exit code is the command's; 254 where it could not be run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, id, or the beginning of an id
    pod: String,

    /// In this container; the first one if none is named
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,

    /// On a terminal of its own
    #[arg(short, long)]
    tty: bool,

    /// As this user (uid or uid:gid)
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,

    /// In this directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,

    /// With this variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        context.passing_codes(|| self.exec(context))
    }

    fn exec(&self, context: &Context) -> Result<ExitCode, Error> {
        let seen = context.find(&self.pod)?;
        if !seen.is_running() {
            let message = format!("pod {} does not run: it is {}", seen.name(), seen.state);
            return Err(Error::message(Kind::Conflict, message));
        }
        let spec = seen.spec().map_err(pods_error)?;
        let names: Vec<&str> = spec.containers.iter().map(|container| container.name.as_str()).collect();
        let app = self.container.as_deref().unwrap_or(names[0]);
        if !names.contains(&app) {
            let message = format!("pod {} has no container {app}", seen.name());
            return Err(Error::message(Kind::NotFound, message).hint(format!("it has: {}", names.join(", "))));
        }
        let mut command = context.runtime().command();
        command.arg("exec");
        if self.tty {
            command.arg("--tty");
        }
        let options = [("--user", &self.user), ("--cwd", &self.cwd)];
        for (option, value) in options {
            if let Some(value) = value {
                command.arg(option).arg(value);
            }
        }
        for pair in &self.env {
            command.arg("--env").arg(pair);
        }
        command.arg(container_id(&seen.id, app)).args(&self.command);
        let status = command.status().map_err(|error| {
            Error::new(Kind::System, anyhow::Error::new(error).context("cannot run the container runtime"))
        })?;
        Ok(ExitCode::from(exit_code(status)))
    }
}

/// A process's end as one number: 128 + n for signal n.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

//! `orlop-pod stop`

use std::process::{Command, ExitCode};
use std::time::Duration;

use cli::{Error, Kind};
use pod::monitor::ask_to_end;
use pod::pods::Seen;

use crate::context::{Context, pods_error};

/// What a stop may take beyond the pod's own grace: the kill, the clean-up.
const MARGIN: Duration = Duration::from_secs(30);

/// Stop pods
///
/// Their containers have the declared grace period to end in, then they are killed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, ids, or beginnings of ids
    #[arg(required = true, value_name = "POD")]
    pods: Vec<String>,

    /// Kill at once
    #[arg(short, long)]
    force: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        for name in &self.pods {
            let seen = context.find(name)?;
            stop(context, &seen, self.force)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Stops a pod and waits for its end; one that does not run is left as it is.
pub(crate) fn stop(context: &Context, seen: &Seen, force: bool) -> Result<(), Error> {
    if seen.torn {
        let ended = pod::gc::end_torn(&context.pods()?, &context.runtime(), seen);
        return ended.map_err(|error| Error::new(Kind::System, error));
    }
    let Some(status) = seen.status.as_ref().filter(|_| seen.is_running()) else { return Ok(()) };
    match &status.unit {
        // A unit that restarts its pod must know that the pod is meant to be gone.
        Some(unit) => {
            if force {
                systemctl(&["kill", "--signal=QUIT", "--kill-whom=main", unit])?;
            }
            systemctl(&["stop", unit])?;
        }
        None => ask_to_end(status.monitor, &seen.dir, force).map_err(|error| {
            Error::new(Kind::System, anyhow::Error::new(error).context("cannot signal the pod's monitor"))
        })?,
    }
    let grace = seen.spec().map_or(30, |spec| spec.grace_secs);
    let limit = Duration::from_secs(u64::from(grace)) + MARGIN;
    match context.pods()?.wait_for_end(&seen.id, Some(limit)) {
        Ok((true, _)) | Err(pod::pods::PodsError::NotFound { .. }) => Ok(()),
        Ok((false, _)) => Err(Error::message(
            Kind::System,
            format!("pod {} did not end in {} s", seen.name(), limit.as_secs()),
        )
        .hint("orlop-pod stop --force kills it")),
        Err(error) => Err(pods_error(error)),
    }
}

fn systemctl(args: &[&str]) -> Result<(), Error> {
    let output = Command::new("systemctl").args(args).output();
    let output = output.map_err(|error| {
        Error::new(Kind::System, anyhow::Error::new(error).context("cannot run systemctl"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::message(Kind::System, format!("systemctl {} failed: {message}", args.join(" "))))
}

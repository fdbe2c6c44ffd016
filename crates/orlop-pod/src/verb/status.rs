//! `orlop-pod status`

use std::process::ExitCode;
use std::time::Duration;

use cli::Error;
use pod::pods::State;

use super::list::Row;
use crate::context::{Context, pods_error};

/// Show how a pod goes
///
/// With --wait the exit code is the pod's: that of the first container that failed, 128 + n for signal n.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, id, or the beginning of an id
    pod: String,

    /// Wait until the pod ended
    #[arg(long)]
    wait: bool,

    /// Give up waiting after this time (exit code 254)
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        let mut seen = context.find(&self.pod)?;
        let mut over = true;
        if self.wait {
            let limit = self.timeout.map(Duration::from_secs);
            (over, seen) = context.pods()?.wait_for_end(&seen.id, limit).map_err(pods_error)?;
        }
        let row = Row::new(&seen);
        if context.json() {
            cli::out_json(&row);
        } else {
            cli::out(&row.lines());
        }
        if !self.wait {
            return Ok(ExitCode::SUCCESS);
        }
        let code = seen.status.as_ref().and_then(|status| status.code);
        let ended = over && seen.state == State::Exited;
        Ok(ExitCode::from(code.filter(|_| ended).unwrap_or(254)))
    }
}

//! `orlop-pod gc`

use std::process::ExitCode;
use std::time::Duration;

use cli::{Error, Kind};

use super::rm::gc_error;
use crate::context::Context;

/// Remove pods that ended long ago, and put right what a crash left
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep pods that ended less than this ago
    #[arg(long, value_name = "SECONDS", default_value_t = 24 * 3600)]
    grace_period: u64,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        let grace = Duration::from_secs(self.grace_period);
        let report = pod::gc::collect(&context.pods()?, &context.store()?, &context.runtime(), grace)
            .map_err(gc_error)?;
        if context.json() {
            cli::out_json(&report);
        } else {
            cli::out(&format!("ended {}, removed {}\n", report.ended.len(), report.removed.len()));
        }
        match report.failures.first() {
            None => Ok(ExitCode::SUCCESS),
            Some(_) => Err(Error::message(Kind::System, report.failures.join("; "))),
        }
    }
}

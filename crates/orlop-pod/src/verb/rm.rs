//! `orlop-pod rm`

use std::process::ExitCode;

use cli::{Error, Kind};
use pod::gc::GcError;

use super::stop::stop;
use crate::context::{Context, pods_error, store_error};

/// Remove pods that ended, with their logs and what they wrote
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, ids, or beginnings of ids
    #[arg(required = true, value_name = "POD")]
    pods: Vec<String>,

    /// Kill them first if they run
    #[arg(short, long)]
    force: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Error> {
        for name in &self.pods {
            let seen = context.find(name)?;
            if self.force || seen.torn {
                stop(context, &seen, true)?;
            } else if seen.is_running() {
                let message = format!("pod {} is running", seen.name());
                return Err(Error::message(Kind::Conflict, message).hint("stop it first, or give --force"));
            }
            pod::gc::remove(&context.pods()?, &context.store()?, &seen.id).map_err(gc_error)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(crate) fn gc_error(error: GcError) -> Error {
    match error {
        GcError::Pods(error) => pods_error(error),
        GcError::Store(error) => store_error(error),
    }
}

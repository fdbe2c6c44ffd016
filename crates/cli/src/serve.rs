//! The exit of a whole program: logging set up, the verb run, its error printed, its code returned.

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::{Error, Format, Global, output};

/// Runs a front's verb and turns its end into an exit code.
///
/// Errors go to standard error in words, or to standard output as JSON where `--format json` was given:
/// a script that asked for JSON finds the reason where it looks for data.
pub fn main(global: Global, verb: impl FnOnce() -> Result<ExitCode, Error>) -> ExitCode {
    log(global.verbose);
    match verb() {
        Ok(code) => code,
        Err(error) => {
            match global.format {
                Format::Human => output::say(error.to_human().trim_end()),
                Format::Json => output::out(&(error.to_json() + "\n")),
            }
            error.into()
        }
    }
}

/// Events of the engines go to standard error without times; `ORLOP_LOG` overrides the level (`tracing` filter form).
fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("ORLOP_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // A second call (tests in one process) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .try_init();
}

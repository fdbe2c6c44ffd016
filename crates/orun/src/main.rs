//! An OCI runtime with runc's command line. The work is done by [`oci_runtime`]; here are words in and words out.

mod args;
mod log;
mod verbs;

use std::io::Write;
use std::process::ExitCode;

use args::UsageError;
use log::Log;

/// What ends a run without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line.
    Usage(UsageError),
    /// The work.
    Runtime(oci_runtime::Error),
    /// An option with a value that cannot be used, or a file that it names.
    Value(String),
}

impl From<UsageError> for Failure {
    fn from(e: UsageError) -> Self {
        Self::Usage(e)
    }
}

impl From<oci_runtime::Error> for Failure {
    fn from(e: oci_runtime::Error) -> Self {
        Self::Runtime(e)
    }
}

impl Failure {
    /// The whole chain of causes in one line, as callers of runtimes show it.
    fn text(&self) -> String {
        match self {
            Self::Usage(UsageError(text)) | Self::Value(text) => text.clone(),
            Self::Runtime(error) => {
                let mut text = error.to_string();
                let mut source = std::error::Error::source(error);
                while let Some(cause) = source {
                    text.push_str(": ");
                    text.push_str(&cause.to_string());
                    source = cause.source();
                }
                text
            }
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Runtime(error) => error.hint(),
            _ => None,
        }
    }
}

/// Writes to standard output; a reader that went away is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn main() -> ExitCode {
    let (verb, parsed) = match args::parse(std::env::args().skip(1), verbs::VERBS) {
        Ok(found) => found,
        Err(e) => {
            Log::stderr().failure(&Failure::Usage(e));
            return ExitCode::FAILURE;
        }
    };
    if parsed.has("version") {
        let version = env!("CARGO_PKG_VERSION");
        print(&format!("orun version {version}\nspec: {}\n", oci_runtime::spec::VERSION_MAX));
        return ExitCode::SUCCESS;
    }
    let Some(verb) = verb.filter(|_| !parsed.has("help")) else {
        print(&args::help(verb, verbs::VERBS));
        return if verb.is_some() || parsed.has("help") { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    let mut log = match Log::from_options(&parsed) {
        Ok(log) => log,
        Err(failure) => {
            Log::stderr().failure(&failure);
            return ExitCode::FAILURE;
        }
    };
    match verbs::run(verb, &parsed, &mut log) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            log.failure(&failure);
            // runc's: callers tell a failed exec from a program's own code by this one.
            ExitCode::from(if verb.name == "exec" { 255 } else { 1 })
        }
    }
}

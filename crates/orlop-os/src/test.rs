//! `orlop test`: the registered tests of whole machines, on any image.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use cli::{Error, Format, Kind};
use vm::harness::run::{Outcome, Verdict};
use vm::harness::{Lab, LabError, Test, report};

use crate::place;

/// Where what is kept of failed tests goes.
const RESULTS: &str = "target/orlop/test-results";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the tests
    List {
        /// Only tests with this in their names
        #[arg(default_value = "", hide_default_value = true)]
        pattern: String,
    },
    /// Run tests
    Run {
        /// Only tests with this in their names
        #[arg(default_value = "", hide_default_value = true)]
        pattern: String,
        /// What `orlop build` made
        #[arg(long, value_name = "DIR", env = "ORLOP_IMAGE_DIR")]
        image_dir: Option<PathBuf>,
        /// Keep console, journal and screen of failed tests here
        #[arg(long, value_name = "DIR", default_value = RESULTS)]
        results: PathBuf,
        /// Print a report on standard output
        #[arg(long, value_enum)]
        report: Option<Report>,
    },
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Report {
    /// XML as CI systems read it.
    Junit,
    /// One JSON object.
    Json,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, Error> {
    match &args.verb {
        Verb::List { pattern } => {
            list(&chosen(pattern)?, format);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Run { pattern, image_dir, results, report } => {
            let tests = chosen(pattern)?;
            let image = image_dir.as_deref().unwrap_or(Path::new(place::IMAGE_DIR));
            let sdk = std::env::var_os("ORLOP_SDK").filter(|path| !path.is_empty()).map(PathBuf::from);
            let lab = Lab::open(image, sdk.as_deref(), results).map_err(|error| match error {
                LabError::NoImage { .. } => {
                    Error::new(Kind::NotFound, error).hint("build one with `orlop build`")
                }
                _ => Error::new(Kind::System, error),
            })?;
            Ok(run_all(&lab, &tests, report.or((format == Format::Json).then_some(Report::Json))))
        }
    }
}

fn chosen(pattern: &str) -> Result<Vec<Test>, Error> {
    let tests: Vec<Test> = vm_tests::all().into_iter().filter(|test| test.matches(pattern)).collect();
    if tests.is_empty() {
        let text = format!("no test has {pattern:?} in its name");
        return Err(Error::message(Kind::NotFound, text).hint("`orlop test list` lists them"));
    }
    Ok(tests)
}

fn list(tests: &[Test], format: Format) {
    if format == Format::Json {
        let rows: Vec<_> = tests
            .iter()
            .map(|test| serde_json::json!({"name": test.name, "about": test.about, "speed": test.speed.name()}))
            .collect();
        cli::out_json(&rows);
        return;
    }
    for test in tests {
        cli::out(&format!("{:<34} {:<9}  {}\n", test.name, test.speed.name(), test.about));
    }
}

fn run_all(lab: &Lab, tests: &[Test], form: Option<Report>) -> ExitCode {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (index, test) in tests.iter().enumerate() {
        cli::say(&format!("[{}/{}] {}: {}", index + 1, tests.len(), test.name, test.about));
        let outcome = vm::harness::run::run(lab, test);
        let seconds = outcome.took.as_secs_f64();
        match &outcome.verdict {
            Verdict::Passed => cli::say(&format!("        passed in {seconds:.1} s")),
            Verdict::Failed(reason) => cli::say(&format!("        FAILED after {seconds:.1} s: {reason}")),
        }
        if let Some(kept) = &outcome.kept {
            cli::say(&format!("        kept: {}", kept.display()));
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    cli::say(&format!("{} passed, {failed} failed", outcomes.len() - failed));
    match form {
        Some(Report::Junit) => cli::out(&report::junit(&outcomes)),
        Some(Report::Json) => cli::out(&(report::json(&outcomes) + "\n")),
        None => {}
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

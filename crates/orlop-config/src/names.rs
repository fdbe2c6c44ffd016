//! The programs `butane` and `ignition-validate`: their flags, their exit codes (0, 1, usage 2 and 1).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ignition_spec::excerpt::Columns;

use crate::input::{self, Input};
use crate::transpile;

/// Makes an Ignition config of a Butane config
#[derive(Debug, Parser)]
#[command(name = "butane", version, disable_version_flag = true, max_term_width = 80)]
struct Butane {
    #[command(flatten)]
    args: transpile::Args,

    /// Color of errors (accepted; there is none)
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, alias = "colour")]
    color: Option<String>,

    /// Log translations (accepted; there is nothing to log)
    #[arg(short = 'D', long, hide = true)]
    debug: bool,

    /// Butane file
    #[arg(long, value_name = "FILE", hide = true, conflicts_with = "file")]
    input: Option<PathBuf>,

    /// Print the version and exit
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// What the program `butane` does.
pub(crate) fn butane() -> ExitCode {
    let Butane { mut args, input, .. } = Butane::parse();
    args.file = args.file.or(input);
    let input = match input::read(args.file.as_deref()) {
        Ok(input) => input,
        Err(error) => return fail(error.to_human().trim_end()),
    };
    let strict = std::mem::take(&mut args.strict);
    let values = match args.variables.values() {
        Ok(values) => values,
        Err(error) => return fail(error.to_human().trim_end()),
    };
    let outcome = args.transpile(&input, &values);
    let report = match &outcome {
        Ok(output) => &output.report,
        Err(refusal) => &refusal.report,
    };
    let told = input::tell(report, &input, Columns::Characters, args.style());
    if !told.is_empty() {
        cli::say(told.trim_end());
    }
    match outcome {
        Err(refusal) => fail(&format!("Error translating config: {}", refusal.closing())),
        Ok(output) if strict && !output.report.is_empty() => fail(butane::STRICT.text),
        Ok(output) => match args.deliver(&input, &output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error.to_human().trim_end()),
        },
    }
}

/// Says whether an Ignition config is valid
#[derive(Debug, Parser)]
#[command(name = "ignition-validate", version, max_term_width = 80)]
struct Validate {
    /// Ignition config; `-` for standard input
    #[arg(value_name = "config.ign")]
    file: PathBuf,
}

/// What the program `ignition-validate` does: findings on standard output, one a line.
pub(crate) fn ignition_validate() -> ExitCode {
    let args = match Validate::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            let code = if usage.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            let _ = usage.print();
            return code;
        }
    };
    let input = match input::read(Some(&args.file)) {
        Ok(input) => input,
        Err(error) => return fail(&format!("couldn't read config: {}", error.to_human().trim_end())),
    };
    judge(&input)
}

fn judge(input: &Input) -> ExitCode {
    match ignition_spec::parse(&input.bytes) {
        Ok(parsed) => {
            cli::out(&parsed.report.entries.iter().map(|entry| format!("{entry}\n")).collect::<String>());
            ExitCode::SUCCESS
        }
        Err(report) => {
            let unread = ["config-empty", "version-malformed", "version-unsupported"];
            match report.entries.as_slice() {
                [entry] if unread.contains(&entry.code) => {
                    fail(&format!("couldn't parse config: {}", entry.message))
                }
                entries => {
                    cli::out(&entries.iter().map(|entry| format!("{entry}\n")).collect::<String>());
                    ExitCode::FAILURE
                }
            }
        }
    }
}

fn fail(line: &str) -> ExitCode {
    cli::say(line);
    ExitCode::FAILURE
}

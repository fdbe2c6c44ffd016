//! `orlop-config validate`: says whether files are valid, Butane or Ignition.

use std::path::PathBuf;
use std::process::ExitCode;

use butane::variables::Values;
use butane::{Folder, Options};
use cli::{Error, Kind};
use ignition_spec::Report;
use ignition_spec::excerpt::Columns;

use orlop_config::views;

use crate::format::Form;
use crate::forms::{self, Finding, Verdict};
use crate::input::{self, Input, Style};
use crate::transpile::Variables;

/// What `validate` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files to judge; `-` or none for standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Allow Butane files to embed local files from this folder
    #[arg(short = 'd', long, value_name = "DIR")]
    files_dir: Option<PathBuf>,

    /// Fail on any warning
    #[arg(short, long)]
    strict: bool,

    /// One line per error, without excerpts
    #[arg(long)]
    raw_errors: bool,

    #[command(flatten)]
    variables: Variables,
}

/// Runs the verb.
pub(crate) fn run(form: Form, args: &Args) -> Result<ExitCode, Error> {
    let style = if args.raw_errors { Style::Raw } else { Style::Excerpts };
    let paths = if args.files.is_empty() { vec![PathBuf::from("-")] } else { args.files.clone() };
    let values = args.variables.values()?;
    let mut verdicts = Vec::new();
    let mut refused = 0;
    for path in &paths {
        let input = input::read(Some(path))?;
        let (mut report, valid) = judge(&input, args, &values);
        refused += usize::from(!valid);
        if form == Form::Human && report.is_empty() {
            continue;
        }
        let is_butane = butane::is_butane(&input.bytes);
        let columns = if is_butane { Columns::Characters } else { Columns::Bytes };
        if is_butane {
            views::complete(&mut report, &input.bytes);
        }
        if form == Form::Human {
            cli::out(&input::tell(&report, &input, columns, style));
            continue;
        }
        let text = String::from_utf8_lossy(&input.bytes);
        let findings = report.entries.iter().map(|entry| Finding::new(entry, &input.name, &text, columns));
        let kind = if is_butane { "butane" } else { "ignition" };
        verdicts.push(Verdict { file: input.name.clone(), kind, valid, findings: findings.collect() });
    }
    match form {
        Form::Json => cli::out_json(&verdicts),
        Form::Sarif => cli::out_json(&forms::sarif(&verdicts)),
        Form::Human => return told(refused, paths.len()),
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(Kind::Config.code()) })
}

/// The last word to people.
fn told(refused: usize, of: usize) -> Result<ExitCode, Error> {
    match (refused, of) {
        (0, _) => Ok(ExitCode::SUCCESS),
        (1, 1) => Err(Error::message(Kind::Config, "the config is refused")),
        _ => Err(Error::message(Kind::Config, format!("{refused} of {of} configs are refused"))),
    }
}

/// What is found about `input`, and whether it is valid.
fn judge(input: &Input, args: &Args, values: &Values) -> (Report, bool) {
    let folder = args.files_dir.as_ref().map(Folder::new);
    let files = folder.as_ref().map(|folder| folder as &dyn butane::Files);
    let options = Options {
        files,
        strict: args.strict,
        name: &input.name,
        variables: Some(values),
        ..Options::default()
    };
    // A machine reads the Ignition part alone; whoever asks here may want the MachineConfig.
    let result = match butane::read(&input.bytes, &options) {
        Ok(document) if document.transpiled.is_none() => Ok(document.parsed.report),
        Err(report) if !butane::is_butane(&input.bytes) => Err(report),
        _ => butane::transpile(&input.bytes, &options).map(|output| output.report),
    };
    match result {
        Err(report) => (report, false),
        Ok(report) => {
            let valid = !args.strict || report.is_empty();
            (report, valid)
        }
    }
}

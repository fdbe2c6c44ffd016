//! `orlop-config validate`: says whether files are valid, Butane or Ignition.

use std::path::PathBuf;
use std::process::ExitCode;

use butane::{Folder, Options};
use cli::{Error, Format, Kind};
use ignition_spec::excerpt::Columns;
use ignition_spec::{Entry, Report};
use serde::Serialize;

use crate::input::{self, Input, Style};

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
}

/// What was found about one file, for scripts.
#[derive(Debug, Serialize)]
struct Verdict {
    file: String,
    kind: &'static str,
    valid: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    severity: String,
    code: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<&Entry> for Finding {
    fn from(entry: &Entry) -> Self {
        let (line, column) = entry.position.unzip();
        let (code, message, hint) = (entry.code, entry.message.to_string(), entry.hint.clone());
        Self {
            severity: entry.severity.to_string(),
            code,
            path: entry.path.clone(),
            line,
            column,
            message,
            hint,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(global: cli::Global, args: &Args) -> Result<ExitCode, Error> {
    let style = if args.raw_errors { Style::Raw } else { Style::Excerpts };
    let paths = if args.files.is_empty() { vec![PathBuf::from("-")] } else { args.files.clone() };
    let mut verdicts = Vec::new();
    let mut refused = 0;
    for path in &paths {
        let input = input::read(Some(path))?;
        let (report, valid) = judge(&input, args);
        let is_butane =
            (!report.is_empty() || global.format == Format::Json) && butane::is_butane(&input.bytes);
        refused += usize::from(!valid);
        match global.format {
            Format::Json => verdicts.push(Verdict {
                file: input.name,
                kind: if is_butane { "butane" } else { "ignition" },
                valid,
                findings: report.entries.iter().map(Finding::from).collect(),
            }),
            Format::Human => {
                let columns = if is_butane { Columns::Characters } else { Columns::Bytes };
                cli::out(&input::tell(&report, &input, columns, style));
            }
        }
    }
    if global.format == Format::Json {
        cli::out_json(&verdicts);
        return Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(Kind::Config.code()) });
    }
    match refused {
        0 => Ok(ExitCode::SUCCESS),
        1 if paths.len() == 1 => Err(Error::message(Kind::Config, "the config is refused")),
        _ => Err(Error::message(Kind::Config, format!("{refused} of {} configs are refused", paths.len()))),
    }
}

/// What is found about `input`, and whether it is valid.
fn judge(input: &Input, args: &Args) -> (Report, bool) {
    let folder = args.files_dir.as_ref().map(Folder::new);
    let files = folder.as_ref().map(|folder| folder as &dyn butane::Files);
    let options = Options { files, strict: args.strict, ..Options::default() };
    match butane::read(&input.bytes, &options) {
        Err(report) => (report, false),
        Ok(document) => {
            let report = document.transpiled.map_or(document.parsed.report, |output| output.report);
            let valid = !args.strict || report.is_empty();
            (report, valid)
        }
    }
}

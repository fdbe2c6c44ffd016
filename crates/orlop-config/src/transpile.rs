//! `orlop-config transpile`: Butane in, Ignition out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use butane::variables::{Given, Values};
use butane::{Folder, Options, Output, Refusal};
use cli::{Error, Kind};
use ignition_spec::Report;
use ignition_spec::excerpt::Columns;
use sha2::{Digest as _, Sha256};

use crate::input::{self, Input, Style};

/// What `transpile` and the program `butane` take.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Butane file; `-` or none for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Allow embedding local files from this folder
    #[arg(short = 'd', long, value_name = "DIR")]
    pub(crate) files_dir: Option<PathBuf>,

    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Check the config without producing output
    #[arg(short, long)]
    pub(crate) check: bool,

    /// Fail on any warning
    #[arg(short, long)]
    pub(crate) strict: bool,

    /// Indent the output
    #[arg(short, long)]
    pub(crate) pretty: bool,

    /// Output the Ignition config alone, without a wrapper
    #[arg(short, long)]
    pub(crate) raw: bool,

    /// One line per error, without excerpts
    #[arg(long)]
    pub(crate) raw_errors: bool,

    /// Write a map from parts of the output to lines of the input
    #[arg(long, value_name = "FILE")]
    pub(crate) source_map: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) variables: Variables,
}

/// Values of the variables that configs of variant `orlop` declare.
#[derive(Debug, clap::Args)]
pub(crate) struct Variables {
    /// Give a variable of the config a value
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,

    /// Give a variable of the config the content of a file
    #[arg(long, value_name = "NAME=PATH")]
    set_file: Vec<String>,
}

impl Variables {
    /// The values; the last one of a name counts.
    pub(crate) fn values(&self) -> Result<Values, Error> {
        let mut values = Values::new();
        for text in &self.set {
            let (name, value) = pair(text, "--set NAME=VALUE")?;
            values.insert(name.into(), Given { text: value.into(), from_file: false });
        }
        for text in &self.set_file {
            let (name, path) = pair(text, "--set-file NAME=PATH")?;
            let bytes = input::read(Some(Path::new(path)))?.bytes;
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::message(Kind::Config, format!("{path} is not UTF-8")))?;
            values.insert(name.into(), Given { text, from_file: true });
        }
        Ok(values)
    }
}

fn pair<'t>(text: &'t str, form: &str) -> Result<(&'t str, &'t str), Error> {
    let error = || Error::message(Kind::Usage, format!("{text:?} is not of the form {form}"));
    text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(error)
}

impl Args {
    pub(crate) fn style(&self) -> Style {
        if self.raw_errors { Style::Raw } else { Style::Excerpts }
    }

    /// Transpiles `input`.
    pub(crate) fn transpile(&self, input: &Input, values: &Values) -> Result<Output, Refusal> {
        let folder = self.files_dir.as_ref().map(Folder::new);
        let options = Options {
            files: folder.as_ref().map(|folder| folder as &dyn butane::Files),
            strict: self.strict,
            pretty: self.pretty,
            raw: self.raw,
            name: &input.name,
            variables: Some(values),
            ..Options::default()
        };
        butane::transpile_staged(&input.bytes, &options)
    }

    /// Writes what was asked for. A line end follows the config, as upstream's.
    pub(crate) fn deliver(&self, input: &Input, output: &Output) -> Result<(), Error> {
        let mut text = output.machine_config.as_ref().unwrap_or(&output.json).clone();
        text.push(b'\n');
        if let Some(path) = &self.source_map {
            input::write(Some(path), &source_map(input, output, &text))?;
        }
        if self.check { Ok(()) } else { input::write(self.output.as_ref(), &text) }
    }
}

/// The source map of one config, as a machine is given it beside the config.
fn source_map(input: &Input, output: &Output, json: &[u8]) -> Vec<u8> {
    let digest = Sha256::digest(json);
    butane::map::encode(&[butane::Source {
        config_sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        file: input.name.clone(),
        text: String::from_utf8_lossy(&input.bytes).into_owned(),
        map: output.map.clone(),
    }])
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let input = input::read(args.file.as_deref())?;
    let values = args.variables.values()?;
    let output =
        args.transpile(&input, &values).map_err(|refused| refusal(&refused.report, &input, args.style()))?;
    let told = input::tell(&output.report, &input, Columns::Characters, args.style());
    if !told.is_empty() {
        cli::say(told.trim_end());
    }
    args.deliver(&input, &output)?;
    Ok(ExitCode::SUCCESS)
}

fn refusal(report: &Report, input: &Input, style: Style) -> Error {
    let text = format!("{} is refused: {}", input.name, input::count(report));
    let error =
        Error::message(Kind::Config, text).details(input::tell(report, input, Columns::Characters, style));
    if report.entries.iter().any(|entry| entry.code == "no-files-dir") {
        return error.hint("name the folder of the local files with -d DIR");
    }
    error
}

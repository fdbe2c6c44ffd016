//! Reading what is named on the command line, and telling what is wrong with it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cli::{Error, Kind};
use ignition_spec::Report;
use ignition_spec::excerpt::{Columns, render};

/// A file, or standard input.
#[derive(Debug)]
pub(crate) struct Input {
    /// What reports call it.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Reads `path`; `-`, or none at all, is standard input.
pub(crate) fn read(path: Option<&Path>) -> Result<Input, Error> {
    let mut bytes = Vec::new();
    let (name, read) = match path.filter(|path| *path != Path::new("-")) {
        Some(path) => (path.display().to_string(), std::fs::read(path).map(|content| bytes = content)),
        None => ("<stdin>".to_owned(), std::io::stdin().lock().read_to_end(&mut bytes).map(drop)),
    };
    match read {
        Ok(()) => Ok(Input { name, bytes }),
        Err(error) => {
            let kind =
                if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::System };
            Err(Error::new(kind, anyhow::Error::new(error).context(format!("cannot read {name}"))))
        }
    }
}

/// Writes `bytes` to `path`, or to standard output.
pub(crate) fn write(path: Option<&PathBuf>, bytes: &[u8]) -> Result<(), Error> {
    match path {
        Some(path) => std::fs::write(path, bytes)
            .with_context(|| format!("cannot write {}", path.display()))
            .map_err(|error| Error::new(Kind::System, error)),
        None => {
            cli::out(&String::from_utf8_lossy(bytes));
            Ok(())
        }
    }
}

/// How a report is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// With excerpts and hints.
    Excerpts,
    /// Upstream's one line per entry.
    Raw,
}

/// `report` about `input` as text.
pub(crate) fn tell(report: &Report, input: &Input, columns: Columns, style: Style) -> String {
    match style {
        Style::Raw => report.entries.iter().map(|entry| format!("{entry}\n")).collect(),
        Style::Excerpts if columns == Columns::Characters => {
            let mut report = report.clone();
            orlop_config::views::complete(&mut report, &input.bytes);
            render(&report, &input.name, &String::from_utf8_lossy(&input.bytes), columns)
        }
        Style::Excerpts => render(report, &input.name, &String::from_utf8_lossy(&input.bytes), columns),
    }
}

/// `2 errors, 1 warning`.
pub(crate) fn count(report: &Report) -> String {
    let errors =
        report.entries.iter().filter(|entry| entry.severity == ignition_spec::Severity::Error).count();
    let others = report.entries.len() - errors;
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match others {
        0 => plural(errors, "error"),
        _ => format!("{}, {}", plural(errors, "error"), plural(others, "warning")),
    }
}

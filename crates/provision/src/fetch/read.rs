//! From the bytes of a document to a config: Ignition JSON or Butane YAML, whichever it is.

use ignition_spec::Config;
use ignition_spec::positions::Positions;
use ignition_spec::report::{Report, Severity};

use super::documents::{Document, SourceMap, Spot};
use crate::error::{Error, Problem};
use crate::event::Phase;
use crate::place::Place;

/// A document that was read.
#[derive(Debug, Clone)]
pub struct Read {
    /// Its config in the newest spec.
    pub config: Config,
    /// The document, for places.
    pub document: Document,
    /// Warnings, each with its place.
    pub warnings: Vec<String>,
}

/// Reads a document.
///
/// # Errors
/// All errors of its format, each with its line.
pub fn read(name: &str, bytes: &[u8], maps: &[SourceMap]) -> Result<Read, Error> {
    if looks_like_json(bytes) { ignition(name, bytes, maps) } else { butane_text(name, bytes) }
}

/// JSON documents are objects; what is empty is left to the JSON reader, whose error says so best.
fn looks_like_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_none_or(|byte| *byte == b'{')
}

fn ignition(name: &str, bytes: &[u8], maps: &[SourceMap]) -> Result<Read, Error> {
    match ignition_spec::parse(bytes) {
        Ok(parsed) => {
            let document = Document::ignition(name.to_owned(), bytes, parsed.positions, maps);
            let warnings = warnings(&parsed.report, &document);
            Ok(Read { config: parsed.config, document, warnings })
        }
        Err(report) => {
            // The document was refused before its positions could be handed out, but its map may still know.
            let document = Document::ignition(name.to_owned(), bytes, Positions::default(), maps);
            Err(refused(&report, &document))
        }
    }
}

fn butane_text(name: &str, bytes: &[u8]) -> Result<Read, Error> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let written =
        Document::butane(SourceMap { file: name.to_owned(), text: text.clone(), ..SourceMap::default() });
    // Local files are a matter of the workstation: at boot there is no directory they could be in.
    let output =
        butane::transpile(bytes, &butane::Options::default()).map_err(|report| refused(&report, &written))?;
    let paths = output
        .map
        .paths()
        .map(|(path, (line, column))| (path.to_owned(), Spot::File(line, column)))
        .collect();
    let document = Document::butane(SourceMap { file: name.to_owned(), text, paths, ..SourceMap::default() });
    let parsed = ignition_spec::parse(&output.json).map_err(|report| refused_by_path(&report, &document))?;
    let mut warnings = warnings(&parsed.report, &document);
    warnings.extend(output.report.entries.iter().map(|entry| format!("{name}: {entry}")));
    Ok(Read { config: parsed.config, document, warnings })
}

/// The errors of a report, with the positions that the report itself gives where no source map is better.
pub fn refused(report: &Report, document: &Document) -> Error {
    problems(report, |entry| {
        let mut place = document.place(&entry.path);
        if place.position.is_none() {
            place = document.at(&entry.path, entry.position);
        }
        place
    })
}

/// The errors of a report about generated JSON: only the path means something to the user.
fn refused_by_path(report: &Report, document: &Document) -> Error {
    problems(report, |entry| document.place(&entry.path))
}

fn problems(report: &Report, place: impl Fn(&ignition_spec::report::Entry) -> Place) -> Error {
    let errors = report.entries.iter().filter(|entry| entry.severity == Severity::Error);
    let problems = errors
        .map(|entry| Problem::new(entry.message.clone()).at(Some(place(entry))).hint(entry.hint.clone()));
    let mut problems: Vec<Problem> = problems.collect();
    if problems.is_empty() {
        problems.push(Problem::new(report.to_string()));
    }
    Error { phase: Phase::Fetch, problems }
}

fn warnings(report: &Report, document: &Document) -> Vec<String> {
    let text = |entry: &ignition_spec::report::Entry| {
        format!("{}: {}", document.place(&entry.path).short(), entry.message)
    };
    report.entries.iter().map(text).collect()
}

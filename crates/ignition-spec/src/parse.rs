//! From the bytes of a config to [`Config`]: JSON, version, types, rules, translation upward.

use crate::check;
use crate::config::Config;
use crate::explain::explain;
use crate::json;
use crate::path::Naming;
use crate::positions::Positions;
use crate::read::{Reader, WRONG_TYPE, document};
use crate::report::{Entry, Report};
pub use crate::rules::text::EMPTY;
use crate::rules::text::{INVALID_VERSION, UNKNOWN_VERSION};
use crate::tree::{Node, Value};
use crate::version::{Spec, VersionError};
use crate::view::View;

/// An accepted config.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The config, translated up: its version is [`Spec::STABLE`] or the experimental one that it was written for.
    pub config: Config,
    /// The spec that it was written for.
    pub spec: Spec,
    /// Warnings.
    pub report: Report,
    /// Where in the text each value is.
    pub positions: Positions,
}

/// Parses, validates by the rules of the version that the config names, and translates up.
///
/// A refusal is a report with at least one error. Faults of syntax, wrong types and broken rules are reported at once;
/// what only follows from another fault is not.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Report> {
    if bytes.is_empty() {
        return Err(Report::of(Entry::error(EMPTY, "")));
    }
    let tree = json::parse(bytes).map_err(|report| beside_syntax(bytes, report))?;
    let spec = version(&tree)?;
    let (mut config, mut report) = judge(&tree, spec);
    let positions = Positions::of(&tree, true);
    positions.locate(&mut report);
    if report.is_fatal() {
        return Err(report);
    }
    translate(&mut config, spec);
    Ok(Parsed { config, spec, report, positions })
}

/// What `tree` says by the types of `spec`, and all that is wrong with it; entries of rules have no positions yet.
fn judge(tree: &Node<'_>, spec: Spec) -> (Config, Report) {
    let mut reader = Reader::new(Naming::Camel, spec, &[]);
    let config: Config = document(tree, &mut reader);
    let mut found = check::validate(&config, spec);
    let mut report = reader.errors;
    found.entries.retain(|entry| !follows(&entry.path, &report));
    report.entries.append(&mut found.entries);
    report.entries.append(&mut reader.warnings.entries);
    explain(&mut report, tree, &View::ignition(spec));
    (config, report)
}

/// True when an entry at `path` may be there only because of the wrong types in `report`: at a mistyped value, above or
/// below it.
fn follows(path: &str, report: &Report) -> bool {
    let below = |path: &str, root: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    report.entries.iter().any(|entry| below(path, &entry.path) || below(&entry.path, path))
}

/// All faults of the syntax, and what is wrong with the parts that could be read all the same.
fn beside_syntax(bytes: &[u8], first: Report) -> Report {
    let (Some(tree), mut report) = json::recover(bytes) else { return first };
    report.entries.splice(..report.entries.len().min(1), first.entries);
    let Ok(spec) = version(&tree) else { return report };
    let (_, mut more) = judge(&tree, spec);
    // What is missing may be in what could not be read.
    more.entries.retain(|entry| {
        let (node, exact) = tree.at(&entry.path);
        exact && !node.value.is_null()
    });
    Positions::of(&tree, true).locate(&mut more);
    report.entries.append(&mut more.entries);
    report
}

/// The version that the document names.
fn version(tree: &Node<'_>) -> Result<Spec, Report> {
    let wrong = |node: &Node<'_>, path: &str, expected: &'static str| {
        let message = format!("expected {expected}, found {}", node.value.kind());
        let entry = Entry::error(WRONG_TYPE, path).at(node.position).message(message);
        Report::of(entry.found(node.value.describe()).allowed(expected))
    };
    let (mut text, mut position) = ("", tree.position);
    for ignition in members(tree, "ignition").ok_or_else(|| wrong(tree, "$", "an object"))? {
        if ignition.value.is_null() {
            continue;
        }
        position = ignition.position;
        let Some(versions) = members(ignition, "version") else {
            return Err(wrong(ignition, "$.ignition", "an object"));
        };
        for version in versions {
            match &version.value {
                Value::Text(given) => (text, position) = (given.as_ref(), version.position),
                Value::Null => {}
                _ => return Err(wrong(version, "$.ignition.version", "a string")),
            }
        }
    }
    Spec::parse(text).map_err(|error| {
        let rule = match error {
            VersionError::Malformed => INVALID_VERSION,
            VersionError::Unsupported => UNKNOWN_VERSION,
        };
        let hint = match text {
            "" => format!("add \"ignition\": {{\"version\": \"3.5.0\"}}; accepted are {}", Spec::ACCEPTED),
            _ if text.starts_with("2.") => {
                format!("configs of spec 2 must be rewritten; accepted are {}", Spec::ACCEPTED)
            }
            _ => format!("accepted are {}", Spec::ACCEPTED),
        };
        let found = if text.is_empty() { "nothing".to_owned() } else { format!("the string {text:?}") };
        let entry = Entry::error(rule, "$.ignition.version").at(position).found(found);
        Report::of(entry.allowed(Spec::ACCEPTED).hint(hint))
    })
}

/// The values of `key` in any case, as Go's reader takes them; nothing when `node` is no object.
fn members<'n, 'a>(node: &'n Node<'a>, key: &str) -> Option<Vec<&'n Node<'a>>> {
    match &node.value {
        Value::Map(members) => {
            let named = members.iter().filter(|member| crate::read::folds_to(&member.key, key));
            Some(named.map(|member| &member.value).collect())
        }
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

/// Raises a config of `spec` to the newest stable spec. Fields keep their names and meanings through all of 3.x, but
/// special mode bits had no effect before 3.6 and must not get one by translation.
pub fn translate(config: &mut Config, spec: Spec) {
    if spec.minor_number() < 6 {
        let files = config.storage.files.iter_mut().map(|file| &mut file.mode);
        let directories = config.storage.directories.iter_mut().map(|directory| &mut directory.mode);
        for mode in files.chain(directories).flatten() {
            *mode &= !0o7000;
        }
    }
    config.ignition.version = spec.max(Spec::STABLE).to_string();
}

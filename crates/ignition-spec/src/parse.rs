//! From the bytes of a config to [`Config`]: JSON, version, types, rules, translation upward.

use crate::check;
use crate::check::resource::{INVALID_VERSION, UNKNOWN_VERSION};
use crate::config::Config;
use crate::json;
use crate::path::Naming;
use crate::positions::Positions;
use crate::read::{Reader, WRONG_TYPE, document};
use crate::report::{Entry, Report, Rule};
use crate::tree::{Node, Value};
use crate::version::{Spec, VersionError};

/// There is no config.
pub const EMPTY: Rule = Rule { code: "config-empty", text: "not a config (empty)" };

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
/// A refusal is a report with at least one error. All wrong types are reported at once; rules are checked only when all
/// types are right.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Report> {
    if bytes.is_empty() {
        return Err(Report::of(Entry::error(EMPTY, "")));
    }
    let tree = json::parse(bytes)?;
    let spec = version(&tree)?;
    let mut reader = Reader::new(Naming::Camel, spec, &[]);
    let mut config: Config = document(&tree, &mut reader);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let mut report = check::validate(&config, spec);
    report.entries.append(&mut reader.warnings.entries);
    let positions = Positions::of(&tree, true);
    positions.locate(&mut report);
    if report.is_fatal() {
        return Err(report);
    }
    translate(&mut config, spec);
    Ok(Parsed { config, spec, report, positions })
}

/// The version that the document names.
fn version(tree: &Node<'_>) -> Result<Spec, Report> {
    let wrong = |node: &Node<'_>, path: &str, expected: &str| {
        let message = format!("expected {expected}, found {}", node.value.kind());
        Report::of(Entry::error(WRONG_TYPE, path).at(node.position).message(message))
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
        Report::of(Entry::error(rule, "$.ignition.version").at(position).hint(hint))
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

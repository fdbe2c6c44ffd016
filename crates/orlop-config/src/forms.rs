//! The forms of a report for programs: JSON, and SARIF 2.1.0 (OASIS) for code hosts and editors.

use ignition_spec::excerpt::{Columns, excerpt};
use ignition_spec::{Entry, Severity};
use orlop_config::pages;
use serde::Serialize;
use serde_json::{Value, json};

/// What was found about one file.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) file: String,
    pub(crate) kind: &'static str,
    pub(crate) valid: bool,
    pub(crate) findings: Vec<Finding>,
}

/// One entry of a report, with all that the human form shows.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: &'static str,
    pub(crate) code: &'static str,
    pub(crate) file: String,
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u32>,
    /// From 1; counts bytes in JSON, characters in YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<u32>,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) excerpt: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) merged_by: Vec<Place>,
    /// The same column in characters, for SARIF.
    #[serde(skip)]
    characters: Option<u32>,
}

/// A line of a file.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Finding {
    /// `entry` about `text` of `file`.
    pub(crate) fn new(entry: &Entry, file: &str, text: &str, columns: Columns) -> Self {
        let (file, text, columns) = match &entry.fragment {
            Some(fragment) => (fragment.name.as_str(), fragment.text.as_str(), Columns::Characters),
            None => (file, text, columns),
        };
        let (line, column) = entry.position.unzip();
        let merged_by = entry.fragment.iter().flat_map(|fragment| &fragment.merged_by);
        Self {
            severity: word(entry.severity),
            code: entry.code,
            file: file.to_owned(),
            path: entry.path.clone(),
            line,
            column,
            message: entry.message.to_string(),
            found: entry.found.clone(),
            allowed: entry.allowed.as_ref().map(ToString::to_string),
            hint: entry.hint.clone(),
            excerpt: entry.position.map(|at| excerpt(text, at, columns)).unwrap_or_default(),
            merged_by: merged_by.map(|(file, line)| Place { file: file.clone(), line: *line }).collect(),
            characters: entry.position.map(|at| in_characters(text, at, columns)),
        }
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The column of a position, counted in characters.
fn in_characters(text: &str, (line, column): (u32, u32), columns: Columns) -> u32 {
    let bytes = column.saturating_sub(1) as usize;
    let line = text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default();
    match columns {
        Columns::Characters => column,
        Columns::Bytes => {
            let before = line.char_indices().take_while(|(at, _)| *at < bytes).count();
            u32::try_from(before + 1).unwrap_or(u32::MAX)
        }
    }
}

/// One run over all files. Rules are those that were broken.
pub(crate) fn sarif(verdicts: &[Verdict]) -> Value {
    let findings = || verdicts.iter().flat_map(|verdict| &verdict.findings);
    let mut codes: Vec<&str> = findings().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| rule(code)).collect();
    let results: Vec<Value> = findings()
        .map(|finding| result(finding, codes.binary_search(&finding.code).unwrap_or_default()))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "orlop-config",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: &str) -> Value {
    let mut rule = json!({"id": code});
    if let Some(page) = pages::find(code) {
        rule["shortDescription"] = json!({"text": page.text});
        rule["help"] = json!({"text": page.plain(), "markdown": page.markdown()});
    }
    rule
}

fn result(finding: &Finding, rule: usize) -> Value {
    let mut text = finding.message.clone();
    for (name, value) in [("allowed", &finding.allowed), ("hint", &finding.hint)] {
        if let Some(value) = value {
            text.push_str(&format!("\n{name}: {value}"));
        }
    }
    let mut place = json!({"physicalLocation": {"artifactLocation": {"uri": uri(&finding.file)}}});
    if let (Some(line), Some(column)) = (finding.line, finding.characters) {
        place["physicalLocation"]["region"] = json!({"startLine": line.max(1), "startColumn": column.max(1)});
    }
    if !finding.path.is_empty() {
        place["logicalLocations"] = json!([{"fullyQualifiedName": finding.path}]);
    }
    let merged: Vec<Value> = finding
        .merged_by
        .iter()
        .map(|place| {
            json!({
                "message": {"text": "merged here"},
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(&place.file)},
                    "region": {"startLine": place.line.max(1)},
                },
            })
        })
        .collect();
    let level = if finding.severity == "info" { "note" } else { finding.severity };
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": level,
        "message": {"text": text},
        "locations": [place],
    });
    if !merged.is_empty() {
        result["relatedLocations"] = merged.into();
    }
    result
}

/// A file name as a relative reference of RFC 3986.
fn uri(file: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut out = if file.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in file.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_bytes_become_characters() {
        assert_eq!(in_characters("{\"ä\": x}", (1, 8), Columns::Bytes), 7);
        assert_eq!(in_characters("{\"ä\": x}", (1, 7), Columns::Characters), 7);
        assert_eq!(in_characters("", (5, 1), Columns::Bytes), 1);
    }

    #[test]
    fn names_of_files_become_uris() {
        assert_eq!(uri("a b/ü.bu"), "a%20b/%C3%BC.bu");
        assert_eq!(uri("/etc/x"), "file:///etc/x");
    }
}

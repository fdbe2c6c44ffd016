//! Upstream's verdicts on thousands of configs, read in place from the corpus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The corpus: `$ORLOP_CORPUS`, else `shared/corpus` beside the project or above.
fn corpus() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/corpus"));
    let mut candidates = std::env::var_os("ORLOP_CORPUS").map(PathBuf::from).into_iter().chain(above);
    candidates.find(|folder| folder.join("verdicts").is_dir())
}

fn rows(file: &str) -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(corpus()?.join("verdicts").join(file)).ok()?;
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect())
}

fn input(row: &Value) -> Vec<u8> {
    match row.get("input_base64").and_then(Value::as_str) {
        Some(text) => ignition_spec::dataurl::decode(&format!("data:;base64,{text}")).expect("base64"),
        None => row["input"].as_str().expect("input").as_bytes().to_vec(),
    }
}

/// Rows on which this crate differs on purpose: (id, why).
const KNOWN: &[(&str, &str)] = &[(
    "ign-3.2.0-luks-custom-empty-with-tpm2",
    "an empty `custom: {}` beside tpm2 asks for nothing; upstream refuses it in 3.2 only, by an accident of its types",
)];

/// Compares every row; prints figures and the first differences.
fn compare(file: &str) {
    let Some(rows) = rows(file) else {
        eprintln!("SKIP {file}: no corpus (set ORLOP_CORPUS)");
        return;
    };
    let mut per_version: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut differences = Vec::new();
    let (mut comparable, mut equal_lines) = (0, 0);
    let mut line_differences = Vec::new();
    for row in &rows {
        let id = row["id"].as_str().expect("id");
        let bytes = input(row);
        let ours = ignition_spec::parse(&bytes);
        let rejected = row["verdict"] == "rejected";
        let spec = ours.as_ref().map_or("rejected".to_owned(), |parsed| parsed.spec.to_string());
        let count = per_version.entry(spec).or_default();
        count.0 += 1;
        if ours.is_err() == rejected || KNOWN.iter().any(|(known, _)| *known == id) {
            count.1 += 1;
        } else {
            differences.push(format!("{id}: upstream {} {}", row["verdict"], row["reports"]));
        }
        let theirs: Vec<&str> =
            row["reports"].as_array().expect("reports").iter().filter_map(Value::as_str).collect();
        if theirs.iter().any(|line| line.contains("at $"))
            && !theirs.iter().any(|line| line.contains("context tree"))
        {
            let report = ours.map_or_else(|report| report, |parsed| parsed.report);
            // Keys that are given twice pass in silence upstream.
            let entries = report.entries.iter().filter(|entry| entry.code != "duplicate-key");
            let mut lines: Vec<String> = entries.map(ToString::to_string).collect();
            let mut theirs: Vec<String> = theirs.iter().map(|line| (*line).to_owned()).collect();
            lines.sort();
            theirs.sort();
            comparable += 1;
            if lines == theirs {
                equal_lines += 1;
            } else {
                line_differences.push(format!("{id}\n  theirs {theirs:#?}\n  ours   {lines:#?}"));
            }
        }
    }
    let agreed = rows.len() - differences.len();
    eprintln!(
        "{file}: {agreed} of {} verdicts agree; {equal_lines} of {comparable} reports are equal",
        rows.len()
    );
    if std::env::var_os("ORLOP_VERDICTS").is_some() {
        eprintln!("{per_version:?}\n{}\n{}", differences.join("\n"), line_differences.join("\n"));
    }
    assert!(
        differences.is_empty(),
        "verdicts differ:\n{}",
        differences[..differences.len().min(20)].join("\n")
    );
}

#[test]
fn small_configs_get_upstreams_verdict() {
    compare("ignition.jsonl");
}

#[test]
fn products_get_upstreams_verdict() {
    compare("ignition-products.jsonl");
}

//! Schemas of Butane's variants against the verdict tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ignition_spec::tree::{Node, Plain, Value as Tree};
use serde_json::Value;

use crate::run;

#[path = "../../../ignition-spec/tests/it/schema_checker.rs"]
mod schema_checker;

use schema_checker::fault;

fn corpus() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/corpus"));
    let mut candidates = std::env::var_os("ORLOP_CORPUS").map(PathBuf::from).into_iter().chain(above);
    candidates.find(|folder| folder.join("verdicts").is_dir())
}

/// The tree as a reader of YAML 1.2 gives it to a checker of schemas.
fn value(node: &Node<'_>) -> Value {
    match &node.value {
        Tree::Null | Tree::Plain(_, Plain::Null) => Value::Null,
        Tree::Bool(value) | Tree::Plain(_, Plain::Bool(value)) => (*value).into(),
        Tree::Plain(_, Plain::Int(number)) => (*number).into(),
        Tree::Plain(_, Plain::Float(number)) => (*number).into(),
        Tree::Number(text) => (*text).into(),
        Tree::Text(text) | Tree::Plain(text, Plain::Text) => text.to_string().into(),
        Tree::Seq(items) => items.iter().map(value).collect(),
        Tree::Map(members) => {
            members.iter().map(|member| (member.key.to_string(), value(&member.value))).collect()
        }
    }
}

#[test]
fn accepted_butane_configs_fit_the_schema_of_their_version() {
    let Some(corpus) = corpus() else { return eprintln!("SKIP schemas: no corpus (set ORLOP_CORPUS)") };
    let mut schemas: BTreeMap<(String, String), Value> = BTreeMap::new();
    let (mut fitted, mut faults) = (0, Vec::new());
    for file in ["butane.jsonl", "butane-products.jsonl"] {
        let text = std::fs::read_to_string(corpus.join("verdicts").join(file)).expect("a table");
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).expect("a row is JSON");
            let reports = row["reports"].to_string();
            let odd = ["unused key", "context tree", "key is given twice"]
                .iter()
                .any(|text| reports.contains(text));
            let Some(input) = row["input"].as_str().filter(|_| row["verdict"] != "rejected" && !odd) else {
                continue;
            };
            let Ok(Some(tree)) = butane::yaml::document(input) else { continue };
            let config = value(&tree);
            let (Some(variant), Some(version)) = (config["variant"].as_str(), config["version"].as_str())
            else {
                continue;
            };
            if butane::variant::Dialect::named(variant, version).is_none() {
                continue;
            }
            let schema = schemas.entry((variant.to_owned(), version.to_owned())).or_insert_with(|| {
                let output = run("orlop-config", &["schema", "--variant", variant, "--version", version], "");
                serde_json::from_slice(&output.stdout).expect("a schema is JSON")
            });
            match fault(schema, schema, &config, "$") {
                None => fitted += 1,
                Some(fault) => faults.push(format!("{}: {fault}\n{input}", row["id"])),
            }
        }
    }
    eprintln!("schemas: {fitted} accepted Butane configs fit {} schemas", schemas.len());
    assert!(faults.is_empty(), "{} do not fit:\n{}", faults.len(), faults[..faults.len().min(8)].join("\n"));
    assert!(fitted > 2_000 && schemas.len() > 30, "{fitted} of {}", schemas.len());
}
